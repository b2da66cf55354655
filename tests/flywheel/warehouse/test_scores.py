import pytest

from eval.sample import Passage, Sample, Score
from flywheel.warehouse import scores
from tests.flywheel.made_traces import WEEK, deliver, make_trace, open_made


@pytest.fixture
def db(tmp_path):
    with open_made(tmp_path) as connection:
        deliver(
            connection,
            tmp_path,
            make_trace("t2", response=None, session_id="s"),
            make_trace("t1"),
            make_trace("t1", user_input="Again?"),
            make_trace("t3", status="error"),
        )
        yield connection


def test_samples_are_the_traces_that_answered_by_id_at_their_revision(db):
    samples, revisions = scores.read_samples(db, WEEK)
    passages = (Passage("p1", "The trial runs 14 days."),)
    assert samples == [
        Sample("t1", "Again?", "The trial runs 14 days.", passages, group="t1"),
        Sample("t2", "How long is the trial?", "", passages, group="s"),
    ]
    assert revisions == {"t1": 2, "t2": 1}


def test_samples_by_id_are_those_asked_for_and_known(db):
    by_id = scores.read_samples_by_id(db, ["t2", "t3", "unknown"])
    assert sorted(by_id) == ["t2", "t3"]
    assert by_id["t2"] == scores.read_samples(db, WEEK)[0][1]
    assert scores.read_samples_by_id(db, []) == {}


def test_scores_of_a_metric_replace_only_its_own(db):
    def put(metric, value):
        scores.replace_scores(db, WEEK, metric, [Score("t1", metric, value, instrument="i", seconds=0.5)], {"t1": 2})

    put("one", 0.1)
    put("two", 0.2)
    put("one", 0.3)
    rows = db.execute("select metric, value, revision, seconds from score order by metric").fetchall()
    assert rows == [("one", 0.3, 2, 0.5), ("two", 0.2, 2, 0.5)]


def test_a_score_without_a_value_is_null_with_its_status_and_reason(db):
    scores.replace_scores(db, WEEK, "m", [Score("t1", "m", None, "timeout", "30 s")], {"t1": 2})
    assert db.execute("select value, status, reason from score").fetchall() == [(None, "timeout", "30 s")]


def test_a_summary_counts_by_status_and_reason_and_means_only_what_has_values(db):
    judged = [
        Score("t1", "m", 0.25, reason="a"),
        Score("t2", "m", 0.75, reason="b"),
        Score("t3", "m", None, "error", "x"),
        Score("t4", "m", None, "error", "y"),
    ]
    scores.replace_scores(db, WEEK, "m", judged, dict.fromkeys(("t1", "t2", "t3", "t4"), 1))
    assert [(row["status"], row["reason"], row["traces"], row["mean"]) for row in scores.summarise(db, WEEK)] == [
        ("error", "x", 1, None),
        ("error", "y", 1, None),
        ("ok", "", 2, 0.5),
    ]


def test_nothing_to_insert_is_no_error(db):
    scores.replace_scores(db, WEEK, "m", [], {})
    scores.replace_sentences(db, WEEK, [])
    assert scores.summarise(db, WEEK) == []


def test_no_detector_serves_before_the_first_was_saved(db):
    assert scores.detector_in_force(db, WEEK) is None
    scores.save_detector(db, "2026-W46", WEEK, "i", 20, '{"a": 1}')
    scores.save_detector(db, "2026-W46", WEEK, "j", 21, '{"a": 2}')
    assert scores.detector_in_force(db, WEEK) is None
    assert scores.detector_in_force(db, "2026-W46") == '{"a": 2}'
