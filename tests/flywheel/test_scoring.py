import pytest

from eval.metrics import METRICS
from eval.metrics.groundedness import packaged_detector
from flywheel.scoring import score_week
from tests.flywheel.made_traces import WEEK, deliver, make_trace, open_made, tables

ANSWER = "The trial runs 14 days. It costs 900 dollars on the moon."


@pytest.fixture
def db(tmp_path):
    with open_made(tmp_path) as connection:
        deliver(
            connection,
            tmp_path,
            make_trace("judged", response=ANSWER),
            make_trace("no answer", response=None),
            make_trace("no passages", passages=()),
            make_trace("failed", status="error", response=None),
            make_trace("other week", timestamp="2026-11-10T10:00:00Z"),
        )
        yield connection


def test_every_trace_that_answered_has_a_score_or_a_reason(db):
    (count,) = score_week(db, WEEK, {}, packaged_detector())
    rows = db.execute("select trace_id, value is null, status, reason from score order by 1").fetchall()
    assert rows == [
        ("judged", False, "ok", ""),
        ("no answer", True, "not_applicable", "no answer"),
        ("no passages", True, "not_applicable", "no passages"),
    ]
    assert (count.metric, count.scored, count.unscored) == ("groundedness", 1, 2)
    assert count.instrument == packaged_detector().instrument.id


def test_each_reason_is_counted_for_itself(db):
    (count,) = score_week(db, WEEK, {}, packaged_detector())
    assert count.reasons == ("1 not_applicable: no answer", "1 not_applicable: no passages")


def test_sentences_are_cut_where_the_answer_says(db):
    score_week(db, WEEK, {}, packaged_detector())
    rows = db.execute("select index, start_offset, end_offset, unsupported from sentence_score order by 1").fetchall()
    assert [ANSWER[start:end] for _, start, end, _ in rows] == [
        "The trial runs 14 days.",
        "It costs 900 dollars on the moon.",
    ]
    assert rows[0][3] < rows[1][3]


def test_scoring_twice_is_scoring_once(db):
    score_week(db, WEEK, {}, packaged_detector())
    before = tables(db)
    score_week(db, WEEK, {}, packaged_detector())
    assert tables(db) == before


def test_a_week_without_traces_counts_nothing(db):
    assert score_week(db, "2026-W30", {}, packaged_detector()) == []


def test_the_mean_is_of_what_was_scored(db):
    (count,) = score_week(db, WEEK, {}, packaged_detector())
    assert count.mean == db.execute("select value from score where trace_id = 'judged'").fetchone()[0]


def test_a_trace_that_moved_to_another_week_is_scored_there(db, tmp_path):
    score_week(db, WEEK, {}, packaged_detector())
    deliver(db, tmp_path, make_trace("judged", response=ANSWER, timestamp="2026-11-10T10:00:00Z"))
    score_week(db, "2026-W46", {}, packaged_detector())
    assert db.execute("select week, revision from score where trace_id = 'judged'").fetchall() == [("2026-W46", 2)]
    assert db.execute("select count(*) from sentence_score where trace_id = 'judged'").fetchone() == (2,)


def test_without_its_passages_an_answer_gets_no_value_from_a_metric_that_needs_them(tmp_path):
    with open_made(tmp_path) as db:
        deliver(
            db,
            tmp_path,
            make_trace("some", passages=("The trial runs 14 days.", "")),
            make_trace("no answer", passages=("",), response=None),
        )
        metrics = {name: METRICS[name] for name in ("hhem", "retrieval_hit", "token_f1")}
        score_week(db, WEEK, metrics, packaged_detector())
        rows = db.execute(
            "select metric, value, status, reason from score where trace_id = 'some' order by 1"
        ).fetchall()
        assert [row for row in rows if row[0] != "token_f1"] == [
            (name, None, "not_available", "the export left out the passages")
            for name in ("groundedness", "hhem", "retrieval_hit")
        ]
        assert "the passages" not in {row[0]: row[3] for row in rows}["token_f1"]
        [told] = db.execute(
            "select status, reason from score where trace_id = 'no answer' and metric = 'groundedness'"
        ).fetchall()
        assert told == ("not_applicable", "no answer")
        assert db.execute("select count(*) from sentence_score").fetchall() == [(0,)]
