import json
from datetime import UTC, datetime

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.errors import UserError
from flywheel.ingest import corpus
from flywheel.ingest.corpus import add_corpus_file
from flywheel.ingest.redaction import redactor_of
from flywheel.settings import Governance
from flywheel.sources.delivery import Limits
from flywheel.trace import RetrievedContext, Trace
from flywheel.warehouse.deliveries import Count
from tests.flywheel.made_otlp import make_span, request
from tests.flywheel.made_traces import deliver, make_trace, open_made, take, write_lines

TRACES = "select trace_id, revision, [c.text for c in retrieved_contexts], contexts_missing from trace order by 1"


@pytest.fixture
def db(tmp_path):
    with open_made(tmp_path) as connection:
        yield connection


def by_id(trace_id, *ids, **fields):
    return make_trace(trace_id, retrieved_contexts=[{"id": name, "text": ""} for name in ids], **fields)


def passages(folder, **texts):
    return write_lines(folder / "corpus.jsonl", *({"id": name, "text": text} for name, text in texts.items()))


def test_traces_that_name_passages_by_id_gain_their_texts(db, tmp_path):
    deliver(db, tmp_path, by_id("t1", "p2", "p1"), by_id("t2", "p1", "gone"), make_trace("t3"))
    assert add_corpus_file(db, passages(tmp_path, p1="one", p2="two"), Limits()) == (2, 2)
    assert db.execute(TRACES).fetchall() == [
        ("t1", 2, ["two", "one"], False),
        ("t2", 2, ["one", ""], True),
        ("t3", 1, ["The trial runs 14 days."], False),
    ]


def test_a_corpus_is_kept_for_traces_that_come_later(db, tmp_path):
    assert add_corpus_file(db, passages(tmp_path, p1="one"), Limits()) == (1, 0)
    assert deliver(db, tmp_path, by_id("t1", "p1")) == Count(1, 1)
    assert [row[2:] for row in db.execute(TRACES).fetchall()] == [(["one"], False)]


def test_the_same_corpus_again_changes_nothing(db, tmp_path):
    deliver(db, tmp_path, by_id("t1", "p1", "gone"))
    path = passages(tmp_path, p1="one")
    add_corpus_file(db, path, Limits())
    before = db.execute(TRACES).fetchall()
    assert add_corpus_file(db, path, Limits()) == (1, 0)
    assert db.execute(TRACES).fetchall() == before
    assert add_corpus_file(db, passages(tmp_path, gone="back"), Limits()) == (1, 1)
    assert db.execute(TRACES).fetchall() == [("t1", 3, ["one", "back"], False)]


def test_the_same_trace_again_stays_complete(db, tmp_path):
    deliver(db, tmp_path, by_id("t1", "p1"))
    add_corpus_file(db, passages(tmp_path, p1="one"), Limits())
    before = db.execute(TRACES).fetchall()
    assert deliver(db, tmp_path, b"", by_id("t1", "p1")) == Count(2, unchanged=1, blank=1)
    assert db.execute(TRACES).fetchall() == before


def test_spans_that_name_passages_by_id_gain_their_texts(db, tmp_path):
    chain = make_span("t", "chain", "CHAIN", input_value="Q", output_value="A")
    found = make_span("t", "found", "RETRIEVER", "chain", **{"retrieval.documents.0.document.id": "p1"})
    add_corpus_file(db, passages(tmp_path, p1="one"), Limits())
    take(db, write_lines(tmp_path / "a.jsonl", request(chain, found)))
    assert [row[2:] for row in db.execute(TRACES).fetchall()] == [(["one"], False)]
    assert take(db, write_lines(tmp_path / "b.jsonl", request(found, chain))).count == Count(2, unchanged=2)
    assert db.execute("select max(revision) <= 2 from trace").fetchone() == (True,)


def test_a_passage_that_comes_twice_is_kept_once(db, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "BATCH", 2)
    path = write_lines(tmp_path / "c.jsonl", *({"id": f"p{n % 3}", "text": f"text {n}"} for n in range(7)))
    assert add_corpus_file(db, path, Limits())[0] == 7
    assert db.execute("select passage_id, text from corpus_passage order by 1").fetchall()[1:] == [
        ("p1", "text 4"), ("p2", "text 5")
    ]  # fmt: skip
    assert db.execute("select count(*) from corpus_passage").fetchone() == (3,)


def test_of_passages_with_one_id_the_last_of_the_file_is_kept(db, tmp_path):
    path = write_lines(tmp_path / "c.jsonl", *({"id": f"p{n % 7}", "text": f"text {n}"} for n in range(4000)))
    add_corpus_file(db, path, Limits())
    kept = db.execute("select text from corpus_passage").fetchall()
    assert sorted(kept) == [(f"text {n}",) for n in range(3993, 4000)]


def test_a_corpus_is_masked_where_traces_are_and_still_meets_them(db, tmp_path):
    redactor = redactor_of(Governance(redact="store"))
    trace = Trace(
        trace_id="t1", timestamp=datetime(2026, 1, 1, tzinfo=UTC), user_input="q", response="a",
        retrieved_contexts=[RetrievedContext("of max@example.org", "")],
    )  # fmt: skip
    deliver(db, tmp_path, msgspec.json.encode(redactor.record(trace)))
    path = write_lines(tmp_path / "c.jsonl", {"id": "of max@example.org", "text": "ask eva@example.org"})
    assert add_corpus_file(db, path, Limits(), redactor) == (1, 1)
    assert "example" not in str(db.execute("select * from corpus_passage").fetchall())
    assert db.execute(TRACES).fetchall() == [("t1", 2, ["ask [email████████]"], False)]


def test_a_table_is_a_corpus_too(db, tmp_path):
    (tmp_path / "c.csv").write_text("id,text\n7,seven\n8,eight\n")
    assert add_corpus_file(db, tmp_path / "c.csv", Limits()) == (2, 0)


def test_passages_are_read_from_lines_arrays_and_parquet_under_their_usual_names(db, tmp_path):
    rows = [{"doc_id": 7, "page_content": "seven\x00"}, {"_id": "p8", "content": "eight", "id": None}]
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=1))
    pq.write_table(pa.table({"chunk_id": ["p9"], "body": ["nine"]}), tmp_path / "b.parquet")
    assert add_corpus_file(db, tmp_path / "a.json", Limits()) == (2, 0)
    assert add_corpus_file(db, tmp_path / "b.parquet", Limits()) == (1, 0)
    assert db.execute("select passage_id, text from corpus_passage order by 1").fetchall() == [
        ("7", "seven"), ("p8", "eight"), ("p9", "nine")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (({"id": "p1", "text": "x"}, {"id": "p2"}), "record 2 is no passage; each needs an id"),
        (({"text": "x"}, {}), "record 1 is no passage"),
        (({"id": "p1", "text": "x"}, b"broken"), "line 2: .*mend that line"),
        (({"id": "p1", "text": "x"}, b"[" * 5000), "line 2: the JSON nests deeper than 64 levels; mend that line"),
        (
            ({"id": "p1", "text": "x"}, {"id": "p2", "text": "x" * 9000}),
            "line 2: the line is longer than 8000 bytes; mend that line",
        ),
    ],
    ids=["no text", "no id", "broken", "deep", "long"],
)
def test_a_corpus_with_a_bad_record_is_refused_whole(db, tmp_path, lines, said):
    with pytest.raises(UserError, match=said):
        add_corpus_file(db, write_lines(tmp_path / "c.jsonl", *lines), Limits(line_bytes=8000, envelope_bytes=8000))
    assert db.execute("select count(*) from corpus_passage").fetchone() == (0,)


def test_a_damaged_parquet_file_is_the_users_to_mend(db, tmp_path):
    (tmp_path / "c.parquet").write_bytes(b"PAR1 rubbish")
    with pytest.raises(UserError, match=r"c\.parquet.* damaged"):
        add_corpus_file(db, tmp_path / "c.parquet", Limits())
