import json
from dataclasses import replace
from typing import get_args

import pytest

from eval.baseline import bless
from eval.cases import read_dataset, write_dataset
from eval.errors import UserError
from eval.suite import read_run
from flywheel.phase_two import run_phase_two
from flywheel.report.facts import Verdict
from flywheel.verdict import compare_with_baseline, run_golden_suite
from flywheel.warehouse.steps import finish_step
from flywheel.week import open_job
from tests.flywheel.made_weeks import (
    BAD_PIPELINE,
    GOOD_PIPELINE,
    NOON,
    WEEK,
    add_traces,
    bless_pipeline,
    first_phase,
    label_week,
    make_workspace,
    seed_golden,
    silent,
)

CASES = 40


@pytest.fixture
def blessed(tmp_path):
    """A workspace with forty gate cases and a blessed run of the good pipeline on them."""
    workspace = make_workspace(tmp_path, GOOD_PIPELINE)
    seed_golden(workspace, CASES)
    bless_pipeline(workspace)
    return workspace


def judged(workspace, pipeline=GOOD_PIPELINE, **suite):
    """Run the suite of a week without labels, and the gate on it; give what both said."""
    suite = workspace.settings.suite.model_copy(update={"pipeline": pipeline, **suite})
    workspace = replace(workspace, settings=workspace.settings.model_copy(update={"suite": suite}))
    with open_job(workspace, WEEK) as job:
        run = run_golden_suite(job)
        finish_step(job.db, WEEK, 2, "suite", "x", {"text": run.text, "figures": run.figures}, 0.0)
        finish_step(job.db, WEEK, 1, "triage", "x", {"text": "", "figures": {"threshold": 0.5}}, 0.0)
        return run, compare_with_baseline(job)


def test_an_identical_run_is_not_blocked(blessed):
    _, said = judged(blessed)
    assert said.figures["verdict"] in ("PASS", "WARN", "INCONCLUSIVE")
    assert (said.figures["worse"], said.figures["n_cases"]) == (0, CASES)


def test_an_identical_run_passes_where_the_margin_allows_it(blessed):
    settings = blessed.settings.gate.model_copy(update={"margin": 0.15})
    _, said = judged(replace(blessed, settings=blessed.settings.model_copy(update={"gate": settings})))
    assert said.figures["verdict"] == "PASS"


def test_a_broken_pipeline_is_blocked_and_its_reports_are_there(blessed):
    _, said = judged(blessed, BAD_PIPELINE)
    assert said.figures["verdict"] == "BLOCK"
    assert said.text == f"BLOCK: {said.figures['headline']}"
    folder = blessed.report(WEEK) / "gate"
    assert {path.name for path in folder.iterdir()} == {"gate.json", "gate.md", "junit.xml", "report.html"}
    assert json.loads((folder / "gate.json").read_text())["exit_code"] == 1


def test_without_a_pipeline_nothing_runs_and_the_text_says_what_to_set(blessed):
    run, said = judged(blessed, None)
    assert run.text.startswith("not run: no pipeline: set [suite] pipeline in flywheel.toml to a URL")
    assert said.figures == {"verdict": None, "note": "no run"}


def test_without_gate_cases_nothing_runs(tmp_path):
    run, _ = judged(make_workspace(tmp_path))
    assert run.text == "not run: there are no gate cases yet; labelled failures make some"


def test_without_a_baseline_the_run_is_named_that_could_be_one(tmp_path):
    workspace = make_workspace(tmp_path)
    seed_golden(workspace, 5)
    run, said = judged(workspace)
    assert said.text == f"no baseline: bless this run with flywheel baseline bless runs/{run.figures['run']} --by NAME"
    assert (workspace.runs / run.figures["run"] / "run.json").exists()


def test_a_baseline_on_an_older_dataset_is_scored_again_on_its_own_cases(blessed):
    seed_golden(blessed, CASES + 10)
    run, said = judged(blessed)
    assert said.figures["newer"] == 10
    assert said.figures["n_cases"] == CASES
    assert said.text.endswith("; 10 cases are newer than the baseline")
    (rescored,) = [read_run(path) for path in blessed.runs.glob(f"{run.figures['run']}-baseline-*")]
    assert rescored.dataset_version == run.figures["dataset_version"]
    assert len(rescored.cases) == CASES


def test_a_case_that_changed_is_judged_as_it_is_now_on_both_sides(blessed):
    cases = [replace(case, reference="Something else.") for case in read_dataset(blessed.golden_dataset).cases]
    write_dataset(blessed.golden_dataset, cases)
    _, said = judged(blessed)
    row = next(row for row in said.figures["rows"] if row["metric"] == "token_f1")
    assert row["baseline"] == row["candidate"] < 0.2


def test_a_baseline_that_answers_none_of_the_cases_is_none(blessed):
    other = [replace(case, case_id=f"other-{case.case_id}") for case in read_dataset(blessed.golden_dataset).cases]
    write_dataset(blessed.golden_dataset, other)
    _, said = judged(blessed)
    assert said.text == "no baseline: the blessed run main answers none of this week's 40 cases"


def test_a_retired_case_is_not_asked(blessed):
    first, *others = read_dataset(blessed.golden_dataset).cases
    write_dataset(blessed.golden_dataset, [replace(first, status="retired"), *others])
    run, _ = judged(blessed)
    assert run.figures["counts"] == {"ok": CASES - 1}


def test_a_case_for_training_is_not_asked(blessed):
    first, *others = read_dataset(blessed.golden_dataset).cases
    write_dataset(blessed.golden_dataset, [replace(first, role="train"), *others])
    run, _ = judged(blessed)
    assert run.figures["counts"] == {"ok": CASES - 1}


def test_recorded_answers_are_found_from_the_workspace(blessed, monkeypatch, tmp_path_factory):
    answers = (json.dumps({"case_id": f"seed-{n:03}", "response": "x"}) + "\n" for n in range(CASES))
    (blessed.root / "answers.jsonl").write_text("".join(answers))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    run, said = judged(blessed, "answers.jsonl")
    assert run.figures["counts"] == {"ok": CASES}
    assert said.figures["verdict"] == "BLOCK"


def test_new_recorded_answers_are_another_run(blessed):
    path = blessed.root / "answers.jsonl"
    names = []
    for response in ("x", "y"):
        path.write_text(json.dumps({"case_id": "seed-000", "response": response}) + "\n")
        names.append(judged(blessed, "answers.jsonl")[0].figures["run"])
    assert names[0] != names[1]


def test_an_unknown_metric_is_named_with_those_there_are(blessed):
    with pytest.raises(UserError, match="there is no metric 'f2'; choose among "):
        judged(blessed, metrics=("f2",))


def test_the_same_run_gets_the_same_verdict_to_the_digit(blessed):
    assert judged(blessed)[1] == judged(blessed)[1]


def test_an_unlabelled_detector_can_only_warn(blessed):
    _, said = judged(blessed, BAD_PIPELINE)
    (row,) = [row for row in said.figures["rows"] if row["metric"] == "groundedness" and row["slice"] == "all"]
    assert row["verdict"] in ("PASS", "WARN")


def test_a_slice_too_small_to_pass_has_a_verdict_that_the_report_knows(blessed):
    dataset = read_dataset(blessed.golden_dataset)
    write_dataset(blessed.golden_dataset, [replace(case, failure_type="slow") for case in dataset.cases])
    rows = judged(blessed)[1].figures["rows"]
    assert "slow" in {row["slice"] for row in rows}
    assert {row["verdict"] for row in rows} <= set(get_args(Verdict))


def test_a_blessing_makes_the_gate_of_a_finished_week_speak(tmp_path):
    workspace = make_workspace(tmp_path, GOOD_PIPELINE, labels=15)
    seed_golden(workspace, CASES)
    add_traces(tmp_path, numbers=range(30))
    first_phase(workspace)
    label_week(workspace)
    assert run_phase_two(workspace, WEEK, silent)["verdict"] is None
    (run,) = [path.parent for path in workspace.runs.glob(f"{WEEK}-*/run.json")]
    bless(read_run(run), "ada", workspace.runs, NOON)
    assert run_phase_two(workspace, WEEK, silent)["verdict"] in ("PASS", "WARN", "INCONCLUSIVE")
