from collections import Counter

import pyarrow.parquet as pq
import pytest

from flywheel.governance.masking import as_it_is
from flywheel.plan import draw_week
from flywheel.settings import Triage
from flywheel.triage import triage_week
from flywheel.warehouse import draws, figures, scores
from tests.flywheel.made_traces import WEEK, deliver, make_gold, make_trace, open_made, score_all


@pytest.fixture
def db(tmp_path):
    with open_made(tmp_path) as connection:
        deliver(
            connection,
            tmp_path,
            *(make_trace(f"t{n}", model="big" if n < 3 else None, latency_ms=100.0 * n) for n in range(5)),
            make_trace("failed", status="error", response=None, error="timeout", timestamp="2026-11-04T23:59:59Z"),
            make_trace("older", timestamp="2026-10-27T10:00:00Z"),
            b"broken",
        )
        score_all(connection, {f"t{n}": n / 5 for n in range(5)})
        triage_week(connection, WEEK, Triage(), 0.5)
        yield connection


@pytest.fixture
def labelled(db):
    planned = draw_week(WEEK, draws.candidates(db, WEEK), 4, 2, 1)
    draws.freeze_draw(db, WEEK, planned, "i", [])
    drawn = [one.candidate.trace_id for one in planned.tasks]
    stratum = {one.candidate.trace_id: one.stratum for one in planned.tasks}
    verdicts = ("fail", "pass", "fail", None)
    labels = [make_gold(name, verdict, stratum=stratum[name]) for name, verdict in zip(drawn, verdicts, strict=True)]
    rest = next(one.candidate.trace_id for one in planned.population if one.position is None)
    draws.replace_gold_labels(
        db, WEEK, [*labels, make_gold(rest, purpose="purposive", stratum=None, failure_type=None)]
    )
    return planned, labels


def test_files_and_rejected_lines_are_told(db):
    assert figures.files(db) == [("delivery.jsonl", 8, 7, 0, 0, 1, 0)]
    ((name, line, reason),) = figures.rejected(db)
    assert (name, line) == ("delivery.jsonl", 8)
    assert reason


def test_files_and_their_rejected_lines_come_newest_first(db, tmp_path):
    deliver(db, tmp_path, b"later", make_trace("t9"), b"latest")
    assert [lines for _, lines, *_ in figures.files(db)] == [3, 8]
    assert [line for _, line, _ in figures.rejected(db)] == [1, 3, 8]


def test_rejected_lines_are_those_of_the_newest_files(db, tmp_path):
    for number in range(figures.NEWEST):
        deliver(db, tmp_path, make_trace("t1"), b"broken" * (number + 1))
    assert [name for name, *_ in figures.rejected(db)] == ["delivery.jsonl"] * figures.NEWEST
    assert {line for _, line, _ in figures.rejected(db)} == {2}


def test_days_are_counted_in_utc_with_their_errors(db):
    assert figures.by_day(db, WEEK) == (("2026-11-03", 5, 0), ("2026-11-04", 1, 1))


def test_traces_are_counted_by_attribute_and_what_is_missing_is_said(db):
    assert figures.by_attribute(db, WEEK, "model") == (("big", 3, 3), ("not said", 3, 1))


def test_an_attribute_is_one_of_a_list_and_never_sql(db):
    with pytest.raises(ValueError, match="is none of"):
        figures.by_attribute(db, WEEK, "1; drop table trace")


def test_latency_is_of_the_traces_that_answered(db):
    assert figures.latency(db, WEEK) == (200, 380)
    assert figures.latency(db, "2026-W01") == (None, None)


def test_flags_are_counted_by_type_severity_and_week(db):
    assert figures.flagged_by_type_and_severity(db, WEEK) == (
        ("unsupported_claim", "P1", 2), ("error", "P1", 1), ("unsupported_claim", "P2", 1)
    )  # fmt: skip
    assert figures.flagged_by_week(db, WEEK) == ((WEEK, "error", 1), (WEEK, "unsupported_claim", 3))
    assert figures.flagged_by_week(db, "2026-W44") == ()


def test_the_flagged_share_names_the_detector_that_looked(db):
    assert figures.flagged_shares(db, WEEK) == [(WEEK, 5, 3, "groundedness@made")]


def test_an_exemplar_shows_the_least_supported_sentence_by_code_points(db, tmp_path):
    deliver(db, tmp_path, make_trace("t0", response="Gut 🙂. Falsch.", model="big"))
    scores.replace_sentences(
        db, WEEK, [("t0", 2, WEEK, 0, 0, 6, 0.1, None, "fine"), ("t0", 2, WEEK, 1, 7, 14, 0.9, None, "in no passage")]
    )
    assert figures.exemplars(db, ["t0", "failed", "unknown"]) == {
        "t0": ("How long is the trial?", "Falsch.", "in no passage"),
        "failed": ("How long is the trial?", "timeout", "the pipeline failed"),
    }


def test_labels_are_counted_by_stratum_without_the_purposive_and_the_open(db, labelled):
    _, labels = labelled
    counted = figures.labels_by_stratum(db, WEEK)
    assert sum(number for number, _ in counted.values()) == 3
    assert sum(failed for _, failed in counted.values()) == 2
    assert set(counted) == {label.stratum for label in labels if label.verdict}


def test_failure_types_are_those_that_people_named(db, labelled):
    assert figures.failure_types(db, WEEK) == (("unsupported_claim", 2), ("not said", 1))


def test_a_judged_prediction_weighs_its_stratum_over_what_is_labelled_there(db, labelled):
    planned, labels = labelled
    stratum = {one.candidate.trace_id: one.stratum for one in planned.population}
    prediction = {one.candidate.trace_id: one.candidate.prediction for one in planned.population}
    sizes = Counter(stratum.values())
    judged = sorted((label for label in labels if label.verdict), key=lambda label: label.trace_id)
    done = Counter(stratum[label.trace_id] for label in judged)
    assert figures.judged_predictions(db, WEEK) == [
        (name, prediction[name], label.verdict == "fail", sizes[stratum[name]] / done[stratum[name]])
        for label, name in ((label, label.trace_id) for label in judged)
    ]


def test_labels_are_counted_by_mode(db, labelled):
    _, labels = labelled
    for label in labels:
        db.execute("insert into mode_member values (?, ?, 1, 'FM-1', 1, 0.5, 0.25, 'p')", [WEEK, label.trace_id])
    assert figures.labels_by_mode(db, WEEK) == {"FM-1": (3, 2)}
    assert figures.map_points(db, WEEK) == [(0.5, 0.25, "FM-1", "p")] * 4


def test_the_export_has_a_row_a_trace_and_no_text(db, labelled, tmp_path):
    path = tmp_path / "it's a folder" / "traces.parquet"
    figures.export_traces(db, WEEK, path)
    figures.export_traces(db, WEEK, path)
    table = pq.read_table(path)
    assert table.column("trace_id").to_pylist() == ["failed", *(f"t{n}" for n in range(5))]
    assert not {"user_input", "response", "retrieved_contexts", "comment", "user_id"} & set(table.column_names)
    drawn = [position for position in table.column("position").to_pylist() if position is not None]
    assert sorted(drawn) == [0, 1, 2, 3]
    assert [file.name for file in path.parent.iterdir()] == ["traces.parquet"]


EMAIL, PHONE = "maria.keller@example.com", "+1 202-555-0143"


def test_an_exemplar_is_masked_before_its_sentence_is_cut_out(db, tmp_path):
    answer = f"Write to {EMAIL}. Then wait."
    cut = answer.index("keller")
    deliver(db, tmp_path, make_trace("t0", user_input=f"Who is {EMAIL}?", response=answer, model="big"))
    sentence = ("t0", 2, WEEK, 0, cut, len(answer), 0.9, None, "'keller' is in no passage")
    scores.replace_sentences(db, WEEK, [sentence])
    question, doubtful, why = figures.exemplars(db, ["t0"])["t0"]
    assert question == f"Who is [email{'█' * 17}]?"
    assert doubtful == f"{'█' * 17}]. Then wait."
    assert why == f"'{'█' * 6}' is in no passage"
    assert figures.exemplars(db, ["t0"], as_it_is)["t0"][1:] == (answer[cut:], "'keller' is in no passage")


def test_names_with_personal_data_are_masked_in_the_export_and_stay_apart(db, tmp_path):
    people = ("a.one@example.com", "b.two@example.com")
    traces = [
        make_trace(f"n{place}", session_id=name, tenant_id=name, user_input=f"{name}?")
        for place, name in enumerate(people)
    ]
    deliver(db, tmp_path, *traces)
    path = tmp_path / "traces.parquet"
    figures.export_traces(db, WEEK, path)
    table = pq.read_table(path)
    rows = {row["trace_id"]: row for row in table.to_pylist()}
    assert not [name for name in people if name in str(rows)]
    assert len({rows["n0"]["group_id"], rows["n1"]["group_id"], rows["t1"]["group_id"]}) == 3
    assert rows["n0"]["group_id"] == rows["n0"]["tenant_id"] != rows["n1"]["tenant_id"]
    figures.export_traces(db, WEEK, path, as_it_is)
    assert pq.read_table(path).column("group_id").to_pylist().count(people[0]) == 1
