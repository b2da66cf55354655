import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flywheel.ingest import ingest, intake
from flywheel.ingest.paths import trace_files
from flywheel.warehouse.deliveries import Count, TraceCount
from tests.flywheel.made_otlp import make_span, make_spans, request, trace_id
from tests.flywheel.made_traces import deliver, how_made, make_trace, open_made, take, write_lines

SLOW = settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
CONTENT = "trace_id, revision, user_input, response, retrieved_contexts, latency_ms, contexts_missing"
QUESTION = "select user_input from trace where trace_id = ?"


@pytest.fixture
def db(tmp_path):
    with open_made(tmp_path) as connection:
        yield connection


def stored(db):
    return db.execute(f"select {CONTENT} from trace order by trace_id").fetchall()


def adds_up(count):
    return count.lines == count.added + count.updated + count.unchanged + count.rejected + count.blank


@SLOW
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(["good", "good", "broken", "blank"]), st.integers(0, 4), st.integers(0, 2)),
            max_size=12,
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 6),
)
def test_counts_add_up_and_the_store_is_what_a_plain_dictionary_would_be(tmp_path_factory, deliveries, batch):
    folder = tmp_path_factory.mktemp("model")
    model: dict[str, list[int]] = {}
    with pytest.MonkeyPatch.context() as patch, open_made(folder) as db:
        patch.setattr(intake, "BATCH_RECORDS", batch)
        for number, delivery in enumerate(deliveries):
            # A unique first line: these bytes were never ingested before, and no file goes on where another ended.
            lines: list[dict | bytes] = [make_trace(f"first {number}")]
            expected = {"added": 1, "updated": 0, "unchanged": 0, "rejected": 0, "blank": 0}
            model[f"first {number}"] = [-1]
            for kind, name, content in delivery:
                if kind == "broken":
                    lines.append(b'{"trace_id": ')
                    expected["rejected"] += 1
                elif kind == "blank":
                    lines.append(b"  ")
                    expected["blank"] += 1
                else:
                    lines.append(make_trace(f"t{name}", response=f"answer {content}"))
                    contents = model.setdefault(f"t{name}", [])
                    happened = "added" if not contents else "unchanged" if contents[-1] == content else "updated"
                    expected[happened] += 1
                    if happened != "unchanged":
                        contents.append(content)
            assert deliver(db, folder, *lines) == Count(lines=len(lines), **expected)
        found = db.execute("select trace_id, revision, response from trace order by trace_id").fetchall()
    assert found == [
        (name, len(contents), f"answer {contents[-1]}" if contents[-1] >= 0 else make_trace()["response"])
        for name, contents in sorted(model.items())
    ]


SPANS = st.sampled_from([span for trace in ("a", "b", "c") for span in make_spans(trace)])
OTHERS = st.sampled_from([make_span("a", "llm", "LLM", "chain", output_value="Never."), b"{", b"", b"[" * 100])


@SLOW
@given(st.lists(st.lists(SPANS | OTHERS, max_size=10), min_size=1, max_size=3), st.integers(1, 5))
def test_counts_of_spans_add_up_in_every_mix(tmp_path_factory, files, batch):
    folder = tmp_path_factory.mktemp("mix")
    with pytest.MonkeyPatch.context() as patch, open_made(folder) as db:
        patch.setattr(intake, "BATCH_RECORDS", batch)
        for number, spans in enumerate(files):
            first = make_span(f"first {number}", "chain", "CHAIN", input_value="Q")
            lines = [one if isinstance(one, bytes) else request(one) for one in (first, *spans)]
            counted = take(db, write_lines(folder / f"{number}.jsonl", *lines))
            broken = sum(one in (b"{", b"[" * 100) for one in spans)
            assert adds_up(counted.count)
            assert (counted.count.lines, counted.count.rejected, counted.count.blank) == (
                len(lines), broken, sum(one == b"" for one in spans)
            )  # fmt: skip
        assert db.execute("select count(*), count(distinct (trace_id, span_id)) from span").fetchall()[0] == (
            len({(s["traceId"], s["spanId"]) for spans in files for s in spans if isinstance(s, dict)}) + len(files),
        ) * 2  # fmt: skip
        assert db.execute("select count(*) = count(distinct trace_id) from trace").fetchone() == (True,)


@SLOW
@given(st.randoms(use_true_random=False), st.integers(1, 4), st.integers(1, 5))
def test_spans_in_any_order_over_any_files_and_batches_make_the_traces_of_one_file(
    tmp_path_factory, rng: random.Random, parts, batch
):
    spans = [span for n in range(4) for span in make_spans(f"t{n}", f"Question {n}?", f"Answer {n}.", f"Passage {n}.")]
    whole, split = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("split")
    with open_made(whole) as db:
        take(db, write_lines(whole / "all.jsonl", request(*spans)))
        expected = stored(db)
    rng.shuffle(spans)
    with pytest.MonkeyPatch.context() as patch, open_made(split) as db:
        patch.setattr(intake, "BATCH_RECORDS", batch)
        for part in range(parts):
            lines = [request(span) for span in spans[part::parts]]
            assert take(db, write_lines(split / f"{part}.jsonl", *lines)).count.added == len(lines)
        found = stored(db)
    assert [(name, *rest) for name, _, *rest in found] == [(name, *rest) for name, _, *rest in expected]
    assert all(row[1] <= parts for row in found)
    assert len(found) == 4


def test_a_span_that_changes_makes_one_new_revision_and_replaces_what_it_said(db, tmp_path):
    first = make_spans("t", answer="zzz, the first one")
    take(db, write_lines(tmp_path / "a.jsonl", *map(request, first)))
    changed = [make_spans("t", answer="aaa, the second one")[n] for n in (0, 2)]
    counted = take(db, write_lines(tmp_path / "b.jsonl", *map(request, changed), request(first[1])))
    assert counted.count == Count(lines=3, updated=2, unchanged=1)
    assert counted.traces == TraceCount(updated=1)
    assert [row[1:4] for row in stored(db)] == [(2, "How long?", "aaa, the second one")]


@pytest.mark.parametrize("batch", [1, 2, 4000])
@pytest.mark.parametrize(("answers", "revisions"), [("za", 2), ("aza", 3), ("azz", 2), ("aaa", 1)])
def test_of_a_span_in_several_files_the_newest_speaks(db, tmp_path, monkeypatch, batch, answers, revisions):
    monkeypatch.setattr(intake, "BATCH_RECORDS", batch)
    for number, answer in enumerate(answers):
        span = make_span("t", "chain", "CHAIN", input_value="Q", output_value=answer)
        take(db, write_lines(tmp_path / f"{number}.jsonl", b" " * number, request(span)))
    assert [row[1:4] for row in stored(db)] == [(revisions, "Q", answers[-1])]


@pytest.mark.parametrize("batch", [1, 4000])
def test_of_a_span_several_times_in_one_file_the_last_speaks(db, tmp_path, monkeypatch, batch):
    monkeypatch.setattr(intake, "BATCH_RECORDS", batch)
    lines = [request(make_span("t", "chain", "CHAIN", input_value="Q", output_value=answer)) for answer in "aazb"]
    counted = take(db, write_lines(tmp_path / "a.jsonl", *lines))
    assert counted.count == Count(lines=4, added=1, updated=2, unchanged=1)
    assert [row[2:4] for row in stored(db)] == [("Q", "b")]


def test_the_same_spans_in_another_order_and_another_grouping_change_nothing(db, tmp_path):
    spans = [span for n in range(3) for span in make_spans(f"t{n}")]
    take(db, write_lines(tmp_path / "a.jsonl", *map(request, spans)))
    before = stored(db)
    again = write_lines(tmp_path / "b.json", request(*reversed(spans)))
    counted = take(db, again)
    assert (counted.count, counted.traces) == (Count(lines=9, unchanged=9), TraceCount())
    again.write_text(json.dumps([request(span) for span in spans], indent=1))
    assert take(db, again).count == Count(lines=9, unchanged=9)
    assert stored(db) == before


@pytest.mark.parametrize("batch", [1, 4000])
def test_a_trace_without_a_question_waits_and_appears_once_the_span_arrives(db, tmp_path, monkeypatch, batch):
    monkeypatch.setattr(intake, "BATCH_RECORDS", batch)
    chain, _, _ = make_spans("t")
    found = make_span("t", "retriever", "RETRIEVER", "chain", at=1)
    answered = make_span("t", "llm", "LLM", "chain", at=2, output_value="14 days.")
    counted = take(db, write_lines(tmp_path / "a.jsonl", request(found), request(answered)))
    assert (counted.count, counted.traces) == (Count(2, 2), TraceCount(waiting=1))
    assert stored(db) == []
    counted = take(db, write_lines(tmp_path / "b.jsonl", request(chain)))
    assert (counted.count, counted.traces) == (Count(1, 1), TraceCount(added=1))
    assert [row[:4] for row in stored(db)] == [(trace_id("t"), 1, "How long?", "14 days.")]


def test_a_trace_whose_passages_come_later_is_no_longer_without_them(db, tmp_path):
    chain, retriever, llm = make_spans("t")
    take(db, write_lines(tmp_path / "a.jsonl", request(chain, llm)))
    assert [(row[1], row[6]) for row in stored(db)] == [(1, True)]
    take(db, write_lines(tmp_path / "b.jsonl", request(retriever)))
    assert [(row[1], row[6]) for row in stored(db)] == [(2, False)]


def test_many_traces_in_pieces_are_read_some_at_a_time(db, tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "BATCH_RECORDS", 7)
    monkeypatch.setattr("flywheel.warehouse.spans.SLICE", 5)
    spans = [span for n in range(20) for span in make_spans(f"t{n}", f"Question {n}?")]
    counted = take(db, write_lines(tmp_path / "a.jsonl", *(request(spans[n * 7 % 60]) for n in range(60))))
    assert (counted.count, counted.traces) == (Count(60, 60), TraceCount(added=20))
    assert db.execute(QUESTION, [trace_id("t13")]).fetchone() == ("Question 13?",)


def test_batches_are_bounded_by_their_bytes_too(db, tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "BATCH_BYTES", 1)
    assert deliver(db, tmp_path, *(make_trace(f"t{n}") for n in range(20)), b"broken") == Count(21, 20, rejected=1)


def test_native_traces_that_hold_no_passages_though_they_answer_are_marked(db, tmp_path):
    deliver(
        db,
        tmp_path,
        make_trace("none", retrieved_contexts=None),
        make_trace("empty", retrieved_contexts=[]),
        make_trace("no text", retrieved_contexts=[{"id": "p1", "text": ""}]),
        make_trace("no answer", retrieved_contexts=None, response=None),
        make_trace("whole"),
    )
    marked = db.execute("select trace_id from trace where contexts_missing order by 1").fetchall()
    assert marked == [("no text",), ("none",)]


@pytest.mark.realdata
def test_every_shared_trace_file_is_taken_and_nothing_in_it_rejected(db, tmp_path, data_dir):
    counted = ingest(db, trace_files([data_dir / "traces"]), how_made(tmp_path))
    assert len(counted) > 30
    assert [one.name for one in counted if one.failure or one.count.rejected or not one.count.lines] == []
    assert [one.name for one in counted if not adds_up(one.count)] == []
    ids = db.execute("select count(*), count(distinct trace_id) from trace").fetchone()
    assert ids[0] == ids[1] > 90


REPLAYED = {
    "openinference": "otlp_replay/openinference.jsonl",
    "genai": "otlp_replay/genai_semconv.jsonl",
    "mlflow": "mlflow_replay/traces.jsonl",
}


@pytest.mark.realdata
def test_the_replayed_rows_say_the_same_in_every_format(tmp_path, data_dir):
    told = {}
    for name, path in REPLAYED.items():
        (tmp_path / name).mkdir()
        with open_made(tmp_path / name) as db:
            assert ingest(db, [data_dir / "traces" / path], how_made(tmp_path / name))[0].traces.added == 24
            told[name] = db.execute(
                """
                select user_input, response, [(c.id, c.text) for c in retrieved_contexts] from trace
                order by user_input, response
                """
            ).fetchall()
    assert told["openinference"] == told["genai"] == told["mlflow"]
    assert all(question and answer for question, answer, _ in told["mlflow"])
    assert sum(not passages for _, _, passages in told["mlflow"]) == 4
