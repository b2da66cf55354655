import json
import os
import subprocess
import sys

import duckdb
import pytest

from flywheel.week import Job, Said, Status, Step, in_workspace, open_job, read_status, run_steps, settings_of
from tests.flywheel.made_weeks import WEEK, make_workspace, silent


@pytest.fixture
def workspace(tmp_path):
    return make_workspace(tmp_path)


def noting(name, done, reads=lambda _: None, fails=False):
    """A step that writes a row and notes that it ran."""

    def run(job: Job) -> Said:
        job.db.execute("insert into rejected_record values (1, ?, 1, '')", [name])
        done.append(name)
        if fails:
            raise RuntimeError(name)
        return Said(f"{name} is done", {"number": len(done)})

    return Step(name, run, reads)


def do(workspace, steps, listen=silent, until=None, phase=1, inputs="a"):
    with open_job(workspace, WEEK, lambda _: inputs) as job:
        run_steps(job, phase, steps, listen, until)
        return [name for (name,) in job.db.execute("select name from rejected_record order by name").fetchall()]


def test_steps_run_in_order_and_say_what_they_did(workspace):
    events, done = [], []
    do(workspace, [noting("a", done), noting("b", done)], events.append)
    told = [(event.step, event.kind, event.text, event.figures) for event in events]
    assert told == [
        ("a", "start", "", {}),
        ("a", "done", "a is done", {"number": 1}),
        ("b", "start", "", {}),
        ("b", "done", "b is done", {"number": 2}),
    ]


def test_a_step_that_is_done_is_kept_with_what_it_said(workspace):
    done, events = [], []
    steps = [noting("a", done), noting("b", done)]
    do(workspace, steps)
    assert do(workspace, steps, events.append) == ["a", "b"]
    assert done == ["a", "b"]
    assert [(event.step, event.kind, event.text) for event in events] == [
        ("a", "kept", "a is done"),
        ("b", "kept", "b is done"),
    ]


def test_a_step_whose_inputs_changed_runs_again_with_all_after_it(workspace):
    done = []

    def steps(threshold):
        return [noting("a", done), noting("b", done, lambda _: threshold), noting("c", done)]

    do(workspace, steps(1))
    do(workspace, steps(2))
    assert done == ["a", "b", "c", "b", "c"]


def test_new_inputs_of_the_phase_run_every_step_again(workspace):
    done = []
    do(workspace, [noting("a", done)], inputs="a")
    do(workspace, [noting("a", done)], inputs="b")
    assert done == ["a", "a"]


def test_the_phases_of_a_week_do_not_take_each_others_steps_for_done(workspace):
    done = []
    do(workspace, [noting("report", done)], phase=1)
    do(workspace, [noting("report", done)], phase=2)
    assert done == ["report", "report"]


def test_a_step_that_fails_leaves_no_row_and_is_not_done(workspace):
    done = []
    with pytest.raises(RuntimeError):
        do(workspace, [noting("a", done), noting("b", done, fails=True)])
    assert do(workspace, [noting("a", done), noting("b", done)]) == ["a", "b"]
    assert done == ["a", "b", "b"]


def test_nothing_after_the_last_step_asked_for_is_done(workspace):
    done = []
    do(workspace, [noting("a", done), noting("b", done), noting("c", done)], until="b")
    assert done == ["a", "b"]
    assert (read_status(workspace).step, read_status(workspace).number, read_status(workspace).of) == ("", 2, 3)


def test_the_tables_of_the_settings_are_what_a_step_reads(workspace):
    with open_job(workspace, WEEK) as job:
        (plan,) = settings_of("plan")(job)
    assert plan == {"labels": 40, "score_bins": 6, "floor": 3, "exemplars": 3}


def test_before_the_first_job_there_is_no_status(workspace):
    assert read_status(workspace) is None


def test_the_status_names_the_step_at_work_and_its_process(workspace):
    seen = []
    step = Step("a", lambda job: seen.append(read_status(job.workspace)) or Said(""))
    do(workspace, [step, noting("b", [])])
    assert [(s.week, s.phase, s.step, s.number, s.of, s.pid, s.is_running) for s in seen] == [
        (WEEK, 1, "a", 1, 2, os.getpid(), True)
    ]
    assert read_status(workspace).is_running is False


def test_a_job_whose_process_is_gone_does_not_run(workspace):
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert Status(WEEK, 1, "score", 2, 7, gone.pid, "").is_running is False
    assert Status(WEEK, 1, "score", 2, 7, os.getpid(), "").is_running is True


def test_a_status_is_never_read_half_written(workspace):
    do(workspace, [noting("a", [])])
    assert list(workspace.root.glob("*.part")) == []
    assert json.loads((workspace.root / "warehouse.duckdb.status").read_text())["week"] == WEEK


def test_a_file_of_the_workspace_is_named_from_there(workspace, tmp_path):
    with open_job(workspace, WEEK) as job:
        assert in_workspace(job, tmp_path / "reports" / "report.html") == "reports/report.html"
        assert in_workspace(job, tmp_path.parent / "report.html") == str(tmp_path.parent / "report.html")


def test_the_warehouse_is_free_again_after_a_job(workspace):
    do(workspace, [noting("a", [])])
    with duckdb.connect(str(workspace.warehouse)) as db:
        assert db.execute("select name, phase from step").fetchall() == [("a", 1)]
