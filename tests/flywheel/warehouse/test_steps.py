import pytest

from flywheel.warehouse import transaction
from flywheel.warehouse.steps import finish_step, finished_step
from tests.flywheel.made_traces import WEEK, open_made


def test_a_step_is_found_by_week_phase_and_name_as_it_ended(tmp_path):
    summary = {"text": "3 added – „so“", "figures": {"n": 3, "share": None}}
    with open_made(tmp_path) as db:
        finish_step(db, WEEK, 1, "score", "abc", summary, 1.5)
        found = finished_step(db, WEEK, 1, "score")
        assert (found.name, found.fingerprint, found.summary, found.seconds) == ("score", "abc", summary, 1.5)
        assert finished_step(db, WEEK, 2, "score") is None
        assert finished_step(db, "2026-W46", 1, "score") is None


def test_a_step_done_again_replaces_its_record(tmp_path):
    with open_made(tmp_path) as db:
        finish_step(db, WEEK, 1, "score", "old", {}, 1.0)
        finish_step(db, WEEK, 1, "score", "new", {}, 1.0)
        assert finished_step(db, WEEK, 1, "score").fingerprint == "new"


def finish_and_fail(db):
    finish_step(db, WEEK, 1, "score", "abc", {}, 1.0)
    raise ZeroDivisionError


def test_a_step_that_failed_is_not_done(tmp_path):
    with open_made(tmp_path) as db:
        with pytest.raises(ZeroDivisionError), transaction(db):
            finish_and_fail(db)
        assert finished_step(db, WEEK, 1, "score") is None
