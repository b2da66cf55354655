from dataclasses import replace
from datetime import timedelta

import duckdb
import pytest

from eval.cases import read_dataset
from eval.errors import UserError
from flywheel.labels.decisions import add_decision
from flywheel.labels.draws import draw_tasks
from flywheel.labels.queue import submit_label
from flywheel.labels.records import Decision
from flywheel.labels.store import open_labels
from flywheel.phase_two import STEPS, run_phase_two
from tests.flywheel.made_weeks import (
    GOOD_PIPELINE,
    NOON,
    WEEK,
    add_traces,
    first_phase,
    is_bad,
    judge,
    label_week,
    make_workspace,
    number_of,
    silent,
)
from tests.flywheel.test_killed_run import label_rows, warehouse_rows

FEW = range(30)


class CutOffError(Exception):
    """Stands for a kill: nothing after it is done."""


@pytest.fixture
def drawn(tmp_path):
    """A workspace whose week waits for labels."""
    workspace = make_workspace(tmp_path, GOOD_PIPELINE, labels=15)
    add_traces(tmp_path, numbers=FEW)
    first_phase(workspace)
    return workspace


def second_phase(workspace, until=None):
    events = []
    run_phase_two(workspace, WEEK, events.append, until)
    return {event.step: event for event in events if event.kind != "start"}


def cut_off_after(workspace, step):
    def listen(event):
        if (event.step, event.kind) == (step, "done"):
            raise CutOffError

    with pytest.raises(CutOffError):
        run_phase_two(workspace, WEEK, listen)


def first_five(place, _):
    return place < 5


def rows(workspace, query):
    with duckdb.connect(str(workspace.warehouse), read_only=True) as db:
        return db.execute(query).fetchall()


def test_labels_become_a_rate_golden_cases_and_a_run(drawn):
    label_week(drawn)
    told = second_phase(drawn)
    assert list(told) == [step.name for step in STEPS]
    assert told["collect"].text == "15 of 15 drawn traces labelled"
    assert (
        0 < told["estimate"].figures["low"] <= told["estimate"].figures["value"] <= told["estimate"].figures["high"] < 1
    )
    assert told["estimate"].figures["population"] == 29
    failed = sum(is_bad(number_of(task)) for task in draw_tasks(open_labels(drawn.labels_url), WEEK))
    assert len(read_dataset(drawn.golden_dataset).cases) == told["grow"].figures["added"] == failed
    assert told["suite"].figures["counts"] == {"ok": told["grow"].figures["cases"] - outside_the_gate(drawn)}
    assert (
        told["gate"].text
        == f"no baseline: bless this run with flywheel baseline bless runs/{told['suite'].figures['run']} --by NAME"
    )
    assert told["mlflow"].text == "off by [tracking] enabled"


def outside_the_gate(workspace):
    return sum(case.role != "gate" for case in read_dataset(workspace.golden_dataset).cases)


def test_a_second_run_without_new_labels_keeps_every_step_and_changes_no_row(drawn):
    label_week(drawn)
    second_phase(drawn)
    before = warehouse_rows(drawn.root) | label_rows(drawn.root)
    assert {event.kind for event in second_phase(drawn).values()} == {"kept"}
    assert warehouse_rows(drawn.root) | label_rows(drawn.root) == before


@pytest.mark.parametrize("step", ["collect", "grow"])
def test_a_run_that_was_cut_off_does_not_read_labels_that_came_meanwhile(drawn, step):
    label_week(drawn, chosen=first_five)
    cut_off_after(drawn, step)
    label_week(drawn)
    told = second_phase(drawn)
    assert told["collect"].text == "5 of 15 drawn traces labelled"
    assert told["estimate"].figures["n"] == 5
    assert told["collect"].kind == "kept"
    told = second_phase(drawn)
    assert told["collect"].text == "15 of 15 drawn traces labelled"
    assert told["estimate"].figures["n"] == 15


def test_an_estimate_reads_the_labels_there_are_each_time_it_is_asked_for(drawn):
    label_week(drawn, chosen=first_five)
    assert second_phase(drawn, until="estimate")["estimate"].figures["n"] == 5
    label_week(drawn, chosen=lambda place, _: place < 8)
    assert second_phase(drawn, until="estimate")["estimate"].figures["n"] == 8
    label_week(drawn)
    assert second_phase(drawn)["estimate"].figures["n"] == 15


def test_an_estimate_is_the_same_whether_or_not_the_rest_was_done(drawn):
    label_week(drawn)
    alone = second_phase(drawn, until="estimate")["estimate"].figures
    assert second_phase(drawn)["estimate"].figures == alone


def test_an_adjudication_after_the_horizon_is_not_read(drawn):
    label_week(drawn, chosen=first_five)
    store = open_labels(drawn.labels_url)
    task = draw_tasks(store, WEEK)[0]
    other = "fail" if judge(task).verdict == "pass" else "pass"
    submit_label(
        store, replace(judge(task), verdict=other, annotator="bob", failure_type=None, severity=None, spans=())
    )
    cut_off_after(drawn, "collect")
    add_decision(store, Decision("adjudication", task.task_id, {"verdict": "pass"}, "cleo", NOON + timedelta(days=1)))
    assert second_phase(drawn)["collect"].text == "4 of 15 drawn traces labelled, 1 in disagreement"
    assert second_phase(drawn)["collect"].text == "5 of 15 drawn traces labelled, 1 adjudicated"


def test_a_deferred_task_bounds_the_rate(drawn):
    label_week(
        drawn,
        say=lambda task: (
            replace(judge(task), verdict="defer", failure_type=None, severity=None, spans=(), corrected_response=None)
            if number_of(task) % 4 == 0
            else judge(task)
        ),
    )
    told = second_phase(drawn, until="estimate")
    figures = told["estimate"].figures
    assert "deferred" in told["collect"].text
    assert figures["lowest"] <= figures["value"] <= figures["highest"]
    assert figures["lowest"] < figures["highest"]


def test_nothing_can_be_continued_before_phase_one(drawn):
    with pytest.raises(
        UserError,
        match="phase 1 of 2026-W44 is not finished, so nothing can be continued: flywheel run --week 2026-W44",
    ):
        run_phase_two(drawn, "2026-W44", silent)


def test_nothing_can_be_continued_where_phase_one_stopped_between_draw_and_tasks(tmp_path):
    workspace = make_workspace(tmp_path, labels=5)
    add_traces(tmp_path, numbers=range(8))
    first_phase(workspace, until="plan")
    with pytest.raises(UserError, match="phase 1 of 2026-W45 is not finished"):
        run_phase_two(workspace, WEEK, silent)


def test_a_week_that_nobody_labelled_says_so_and_where_to_label(drawn):
    with pytest.raises(
        UserError, match="none of the 15 drawn traces of 2026-W45 has a verdict yet; label some: flywheel annotate app"
    ):
        run_phase_two(drawn, WEEK, silent)
    assert rows(drawn, "select count(*) from step where phase = 2") == [(0,)]


def test_labels_of_exemplars_alone_are_no_rate(drawn):
    label_week(drawn, chosen=lambda _, task: task.purpose == "purposive")
    with pytest.raises(UserError, match="none of the 15 drawn traces"):
        run_phase_two(drawn, WEEK, silent)


def test_a_week_that_is_all_right_grows_nothing_and_has_no_cases_to_ask(tmp_path):
    workspace = make_workspace(tmp_path, GOOD_PIPELINE, labels=5)
    add_traces(tmp_path, numbers=[n for n in range(20) if not is_bad(n)])
    first_phase(workspace)
    label_week(workspace)
    told = second_phase(workspace)
    assert told["grow"].text.startswith("0 cases added")
    assert told["suite"].text == "not run: there are no gate cases yet; labelled failures make some"
    assert told["gate"].figures["verdict"] is None


def test_a_changed_setting_runs_the_step_that_reads_it_and_all_after_it(drawn):
    label_week(drawn)
    second_phase(drawn)
    changed = make_workspace(drawn.root, GOOD_PIPELINE, labels=15, more="[gate]\nmargin = 0.2\n")
    kinds = {name: event.kind for name, event in second_phase(changed).items()}
    assert [name for name, kind in kinds.items() if kind == "done"] == ["gate", "report", "mlflow"]


def test_after_late_traces_the_report_of_phase_two_is_written_again(drawn):
    label_week(drawn)
    second_phase(drawn)
    page = drawn.report(WEEK) / "report.md"
    add_traces(drawn.root, numbers=(30, 32, 34, 35), name="late")
    first_phase(drawn)
    first = page.read_text()
    told = second_phase(drawn)
    assert told["report"].kind == "done"
    assert page.read_text() != first
    assert told["estimate"].figures["population"] == 29


def test_the_next_week_is_judged_with_what_this_week_taught(tmp_path):
    workspace = make_workspace(tmp_path, labels=28, more="")
    add_traces(tmp_path, numbers=FEW)
    (tmp_path / "flywheel.toml").write_text(
        (tmp_path / "flywheel.toml").read_text().replace("train = 0.5", "train = 0.9")
    )
    workspace = type(workspace)(workspace.root, make_settings(workspace.root))
    first_phase(workspace)
    label_week(workspace)
    learnt = second_phase(workspace)["recalibrate"].figures
    assert learnt["valid_from"] == "2026-W46"
    assert learnt["labels"] >= 20
    ((before,),) = rows(workspace, "select distinct instrument from score")
    add_traces(tmp_path, "2026-W46", FEW, name="next")
    first_phase(workspace, "2026-W46")
    ((after,),) = rows(workspace, "select distinct instrument from score where week = '2026-W46'")
    assert (after, before) == (
        learnt["instrument"],
        rows(workspace, "select instrument from draw where week = '2026-W45'")[0][0],
    )
    assert after != before


def make_settings(folder):
    from flywheel.settings import read_settings

    return read_settings(folder)
