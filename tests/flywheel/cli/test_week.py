import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from eval.errors import OperationalError, UserError
from flywheel.cli.main import cli
from flywheel.cli.week import printer
from flywheel.phase_one import STEPS as FIRST
from flywheel.phase_two import STEPS as SECOND
from flywheel.week import LINE_WIDTH, NAME_WIDTH, Event, write_status
from flywheel.workspace import open_workspace
from tests.flywheel.made_weeks import (
    BAD_PIPELINE,
    GOOD_PIPELINE,
    SHAKY_PIPELINE,
    WEEK,
    add_traces,
    bless_pipeline,
    first_phase,
    label_week,
    make_workspace,
    seed_golden,
)

ROOT = Path(__file__).parent.parent.parent.parent
WIDTH = NAME_WIDTH + LINE_WIDTH + 8


@pytest.fixture
def workspace(tmp_path):
    made = make_workspace(tmp_path, GOOD_PIPELINE, labels=12)
    add_traces(tmp_path, numbers=range(24))
    return made


@pytest.fixture
def flywheel(workspace):
    def call(*words):
        return CliRunner().invoke(cli, ["--workspace", str(workspace.root), *words])

    return call


def program(folder, *words):
    """The command as a process of its own: exit code and messages as a shell sees them."""
    command = [sys.executable, "-c", "from flywheel.cli.main import main; main()", "--workspace", str(folder), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_a_run_prints_a_line_a_step_and_what_is_next(flywheel):
    told = flywheel("run", "--week", WEEK)
    assert told.exit_code == 0, told.output
    *lines, following = told.stdout.splitlines()
    assert [line.split()[0] for line in lines if line[0] != " "] == ["ingest", *(step.name for step in FIRST)]
    assert following == f"Next: flywheel annotate app          then: flywheel run --week {WEEK} --continue"


def test_a_second_run_says_that_the_steps_were_kept(flywheel):
    flywheel("run", "--week", WEEK)
    lines = flywheel("run", "--week", WEEK).stdout.splitlines()[1:-1]
    assert all(line.split()[-1] == "kept" for line in lines if line[0] != " ")


def test_the_second_phase_prints_its_steps_and_points_to_the_report(flywheel, workspace):
    flywheel("run", "--week", WEEK)
    label_week(workspace)
    told = flywheel("run", "--week", WEEK, "--continue")
    assert told.exit_code == 0, told.output
    *lines, following = told.stdout.splitlines()
    assert [line.split()[0] for line in lines if line[0] != " "] == [step.name for step in SECOND]
    assert following == f"Next: look at {workspace.report(WEEK) / 'report.html'}"
    assert all(len(line) <= WIDTH for line in lines)


@pytest.mark.parametrize("text", ["", "short", "a longer text of many words " * 8, "x" * 200])
def test_a_printed_line_fits_its_columns_unless_one_word_does_not(text, capsys):
    printer("text", [])(Event("signals", "done", text, 1.5))
    first, *more = capsys.readouterr().out.splitlines()
    assert first.endswith("  1.5 s")
    assert " ".join(first[NAME_WIDTH:-7].split() + " ".join(more).split()) == " ".join(text.split())
    assert all(line.startswith(" " * NAME_WIDTH) for line in more)
    if "x" not in text:
        assert len(first) == WIDTH
        assert all(len(line) <= NAME_WIDTH + LINE_WIDTH for line in more)


def test_json_is_one_valid_document_with_every_step(flywheel, workspace):
    told = json.loads(flywheel("run", "--week", WEEK, "--format", "json").stdout)
    assert told["week"] == WEEK
    assert [step["step"] for step in told["steps"]] == ["ingest", *(step.name for step in FIRST)]
    label_week(workspace)
    told = json.loads(flywheel("run", "--week", WEEK, "--continue", "--format", "json").stdout)
    assert [step["step"] for step in told["steps"]] == [step.name for step in SECOND]
    assert {step["kind"] for step in told["steps"]} == {"done"}


def test_strict_passes_the_code_of_the_gate_on(workspace, flywheel):
    seed_golden(workspace, 40)
    bless_pipeline(workspace)
    first_phase(workspace)
    label_week(workspace)
    make_workspace(workspace.root, BAD_PIPELINE, labels=12)
    assert flywheel("run", "--week", WEEK, "--continue").exit_code == 0
    assert flywheel("run", "--week", WEEK, "--continue", "--strict").exit_code == 1
    make_workspace(workspace.root, GOOD_PIPELINE, labels=12)
    assert flywheel("run", "--week", WEEK, "--continue", "--strict").exit_code == 0
    make_workspace(workspace.root, GOOD_PIPELINE, labels=12, more='[gate]\nmargin = 0.01\non_inconclusive = "fail"\n')
    told = flywheel("run", "--week", WEEK, "--continue", "--strict", "--format", "json")
    assert (told.exit_code, json.loads(told.stdout)["week"]) == (3, WEEK)


def test_strict_says_that_too_little_was_measured_and_leaves_the_artefacts(workspace, flywheel):
    seed_golden(workspace, 40)
    bless_pipeline(workspace)
    first_phase(workspace)
    label_week(workspace)
    make_workspace(workspace.root, SHAKY_PIPELINE, labels=12)
    assert flywheel("run", "--week", WEEK, "--continue", "--strict").exit_code == 4
    told = json.loads((workspace.report(WEEK) / "gate" / "gate.json").read_text())
    assert told["exit_code"] == 4


def test_strict_without_a_baseline_is_no_failure(workspace, flywheel):
    first_phase(workspace)
    label_week(workspace)
    assert flywheel("run", "--week", WEEK, "--continue", "--strict").exit_code == 0


@pytest.mark.parametrize("week", ["2026-45", "2026-W54", "W45", "yesterday", "2026-W45 "])
def test_a_week_that_is_none_is_refused(flywheel, week):
    told = flywheel("run", "--week", week)
    assert isinstance(told.exception, UserError)
    assert (told.exception.exit_code, "is no ISO week; write it like 2026-W45" in str(told.exception)) == (2, True)


def test_a_week_without_traces_is_operational(flywheel):
    told = flywheel("run", "--week", "2026-W10")
    assert isinstance(told.exception, OperationalError)
    assert "2026-W10 holds no traces; the warehouse holds 2026-W45 to 2026-W45" in str(told.exception)


def test_errors_are_one_line_with_their_exit_code_and_no_traceback(workspace):
    for words, code, message in (
        (("--week", "2026-W99"), 2, "error: '2026-W99' is no ISO week"),
        (("--week", "2026-W10"), 4, "error: 2026-W10 holds no traces"),
        (("--week", WEEK, "--continue"), 2, f"error: phase 1 of {WEEK} is not finished"),
    ):
        done = program(workspace.root, "run", *words)
        assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
        assert done.stderr.startswith(message)


def test_a_stage_does_the_steps_before_it_and_no_more(flywheel):
    told = flywheel("triage", "--week", WEEK)
    assert [line.split()[0] for line in told.stdout.splitlines()] == ["ingest", "signals", "score", "triage"]
    assert flywheel("status").stdout.startswith(f"3 of 7 steps of phase 1 of {WEEK} are done (")
    assert f"do the others: flywheel run --week {WEEK}\n" in flywheel("status").stdout


def test_a_stage_as_json_is_one_valid_document(flywheel):
    told = json.loads(flywheel("plan", "--week", WEEK, "--format", "json").stdout)
    assert [step["step"] for step in told["steps"]][-1] == "enqueue"


def test_an_estimate_is_a_stage_of_the_second_phase(flywheel, workspace):
    flywheel("run", "--week", WEEK)
    label_week(workspace)
    told = flywheel("estimate", "--week", WEEK)
    assert [line.split()[0] for line in told.stdout.splitlines() if line[0] != " "] == ["collect", "estimate"]
    assert "failure rate" in told.stdout


def test_a_report_is_written_again_as_far_as_the_week_has_come(flywheel, workspace):
    told = flywheel("report", "--week", WEEK)
    assert f"{WEEK} has no report yet; run phase 1 first: flywheel run --week {WEEK}" in str(told.exception)
    flywheel("run", "--week", WEEK)
    page = workspace.report(WEEK) / "report.html"
    page.unlink()
    assert flywheel("report", "--week", WEEK).stdout.strip() == str(page)
    assert page.exists()
    assert json.loads(flywheel("report", "--week", WEEK, "--format", "json").stdout) == {
        "week": WEEK,
        "report": str(page),
    }


def test_status_before_the_first_job_says_how_to_start_one(flywheel):
    assert flywheel("status").stdout.startswith("no weekly job has run here yet; start one: flywheel run")
    assert json.loads(flywheel("status", "--format", "json").stdout) is None


def test_status_says_that_a_job_is_finished(flywheel):
    flywheel("run", "--week", WEEK)
    assert flywheel("status").stdout.startswith(f"phase 1 of {WEEK} is finished (")
    assert json.loads(flywheel("status", "--format", "json").stdout)["is_running"] is False


def test_status_says_which_step_runs_and_in_which_process(flywheel, workspace):
    write_status(workspace, WEEK, 2, "grow", 4, 8)
    assert flywheel("status").stdout == f"phase 2 of {WEEK}: grow, step 4 of 8, PID {os.getpid()}\n"


def test_status_of_a_killed_job_says_where_it_stopped_and_how_to_go_on(flywheel, workspace):
    driver = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from flywheel.phase_one import run_phase_one\n"
        "from flywheel.workspace import open_workspace\n"
        "def listen(event):\n"
        "    if (event.step, event.kind) == ('score', 'start'): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"run_phase_one(open_workspace(Path(sys.argv[1])), '{WEEK}', listen)\n"
    )
    killed = subprocess.run([sys.executable, "-c", driver, str(workspace.root)], cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    expected = f"phase 1 of {WEEK} stopped at score; take it up again: flywheel run --week {WEEK}\n"
    assert flywheel("status").stdout == expected
    assert flywheel("run", "--week", WEEK).exit_code == 0
    assert flywheel("status").stdout.startswith(f"phase 1 of {WEEK} is finished")


def test_status_of_a_second_phase_that_stopped_names_its_own_command(flywheel, workspace):
    first_phase(workspace)
    assert isinstance(flywheel("run", "--week", WEEK, "--continue").exception, UserError)
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    path = workspace.root / "warehouse.duckdb.status"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": gone.pid}))
    expected = f"phase 2 of {WEEK} stopped at collect; take it up again: flywheel run --week {WEEK} --continue\n"
    assert flywheel("status").stdout == expected


def test_status_does_not_wait_for_the_job_that_holds_the_warehouse(flywheel, workspace):
    from flywheel.week import open_job

    with open_job(open_workspace(workspace.root), WEEK):
        assert flywheel("status").exit_code == 0
        told = flywheel("run", "--week", WEEK)
        assert isinstance(told.exception, OperationalError)
        assert f"locked by PID {os.getpid()}" in str(told.exception)


@pytest.mark.parametrize("command", ["run", "status", "score", "triage", "modes", "plan", "estimate", "report"])
def test_help_carries_an_example(flywheel, command):
    assert f"Example: flywheel {command}" in flywheel(command, "--help").stdout
