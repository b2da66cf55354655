"""Asks the pipeline under test the week's golden cases, compares it with the blessed baseline, and tells MLflow."""

from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.errors import OperationalError
from flywheel.governance.masking import mask_of
from flywheel.policy import policy_of
from flywheel.quality import detector_shares
from flywheel.recalibrate import detector_for
from flywheel.under_test import absolute_spec, chosen_metrics, mask_pipeline, mask_run, open_under_test
from flywheel.warehouse.steps import finished_step
from flywheel.week import Job, Said

if TYPE_CHECKING:
    from eval.gate import GateResult
    from eval.metrics import Metric
    from eval.suite import Run

NOT_RUN = "no pipeline: set [suite] pipeline in flywheel.toml to a URL, module:function, or a file of recorded answers"
NO_BASELINE = "no baseline: bless this run with flywheel baseline bless {run} --by NAME"


def suite_inputs(job: Job) -> object:
    """What the suite's result depends on: its settings, what is masked, and the recorded answers that it reads."""
    from eval.cases import read_dataset

    spec = pipeline_spec(job)
    content = ""
    if spec and spec.endswith(".jsonl") and Path(spec).is_file():
        content = sha256(Path(spec).read_bytes()).hexdigest()
    version = read_dataset(job.workspace.golden_dataset).version
    settings = job.workspace.settings
    return [settings.suite.model_dump(mode="json"), settings.governance.model_dump(mode="json"), content, version]


def gate_inputs(job: Job) -> object:
    """What the gate's verdict depends on: its settings, and which run is blessed."""
    from eval.baseline import RECORD

    record = job.workspace.runs / RECORD
    return [job.workspace.settings.gate.model_dump(mode="json"), record.read_text() if record.exists() else ""]


def pipeline_spec(job: Job) -> str | None:
    """The pipeline under test, a file relative to the workspace made absolute."""
    spec = job.workspace.settings.suite.pipeline
    return spec and absolute_spec(job.workspace, spec)


def suite_metrics(job: Job) -> dict[str, "Metric"]:
    """The suite's metrics, groundedness by the detector in force this week."""
    return chosen_metrics(job.workspace, job.workspace.settings.suite.metrics, detector_for(job.db, job.week))


def run_golden_suite(job: Job) -> Said:
    """Ask every active gate case; a run that was cut off goes on where it stopped."""
    from eval.cases import read_dataset
    from eval.suite import Suite, run_suite

    spec, settings = pipeline_spec(job), job.workspace.settings.suite
    dataset = read_dataset(job.workspace.golden_dataset)
    cases = [case for case in dataset.cases if case.role == "gate" and case.status == "active"]
    if spec is None:
        return Said(f"not run: {NOT_RUN}", {"run": None})
    if not cases:
        return Said("not run: there are no gate cases yet; labelled failures make some", {"run": None})
    with open_under_test(job.workspace, spec) as pipeline:
        key = sha256(f"{dataset.version}\x1f{suite_inputs(job)}\x1f{instrument(job)}".encode()).hexdigest()[:8]
        folder = job.workspace.runs / f"{job.week}-{key}"
        suite = Suite(cases, dataset.version, suite_metrics(job), settings.repeats)
        run = run_suite(suite, pipeline, folder, lambda done, of: job.tell(f"{done} of {of} answers"))
    counts = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in run.counts.items())
    figures = {"run": folder.name, "counts": dict(run.counts), "dataset_version": run.dataset_version}
    return Said(f"{len(cases)} gate cases x {settings.repeats}: {counts} (runs/{folder.name})", figures)


def instrument(job: Job) -> str:
    """The instrument of the week's groundedness."""
    return detector_for(job.db, job.week).instrument.id


def compare_with_baseline(job: Job) -> Said:
    """Give the verdict on this week's run against the blessed one, and write its artefacts before anything else.

    The baseline's answers are scored again on this week's cases with this week's instrument, so that both arms stand
    on the same golden version. Cases that the baseline never answered are left out, and counted.
    """
    from eval.baseline import RECORD, read_blessed_run
    from eval.gate import decide
    from eval.outputs.artefacts import write_failure, write_gate
    from eval.outputs.words import headline as gate_headline
    from eval.policy import exit_code
    from eval.suite import read_run

    step = finished_step(job.db, job.week, 2, "suite")
    name = step.summary["figures"]["run"] if step else None
    if name is None:
        return Said("not run: there is no run to judge", {"verdict": None, "note": "no run"})
    if not (job.workspace.runs / RECORD).exists():
        note = NO_BASELINE.format(run=f"runs/{name}")
        return Said(note, {"verdict": None, "note": note})
    candidate = read_run(job.workspace.runs / name)
    blessing, blessed = read_blessed_run(job.workspace.runs)
    arms = same_cases(job, blessed, candidate)
    if arms is None:
        note = f"no baseline: the blessed run {blessing.run} answers none of this week's {len(candidate.cases)} cases"
        return Said(note, {"verdict": None, "note": note})
    mask = mask_of(job.workspace.settings.governance)
    baseline, candidate = (mask_run(arm, mask) for arm in arms)
    judges = frozenset({"groundedness"}) if is_measured(job) else frozenset[str]()
    policy = policy_of(job.workspace.settings.gate, measured_judges=judges)
    folder = job.workspace.report(job.week) / "gate"
    try:
        result = decide(baseline, candidate, policy, np.random.default_rng(int(name.rpartition("-")[2], 16)))
    except OperationalError as error:
        write_failure(str(error), error.exit_code, folder)
        note = f"no verdict: {error}"
        return Said(note, {"verdict": None, "note": note, "exit_code": error.exit_code})
    write_gate(result, exit_code(result.verdict, policy.on_inconclusive), folder)
    headline = gate_headline(result)
    asked = read_run(job.workspace.runs / name).cases
    newer = sum(case_id not in blessed.cases for case_id in asked)
    silent = len(asked) - len(candidate.cases) - newer
    said = f"{result.verdict}: {headline}" + (f"; {newer} cases are newer than the baseline" if newer else "")
    said += f"; {silent} cases have no answer in the baseline" if silent else ""
    code = exit_code(result.verdict, policy.on_inconclusive)
    figures = {"verdict": result.verdict, "exit_code": code, "headline": headline, "newer": newer, "note": ""}
    return Said(said, {**figures, **gate_figures(result)})


def same_cases(job: Job, blessed: "Run", candidate: "Run") -> "tuple[Run, Run] | None":
    """Score the blessed answers on the candidate's cases; both arms keep the cases that the baseline answered.

    The blessed answers are masked first, for they may have been given before masking.
    """
    from eval.pipeline import recorded_answers
    from eval.suite import Suite, run_suite

    answered = {result.case_id for result in blessed.results if result.answer.status == "ok"}
    cases = [case for case in candidate.cases.values() if case.case_id in answered]
    if not cases:
        return None
    suite = Suite(cases, candidate.dataset_version, suite_metrics(job), blessed.repeats)
    mask = mask_of(job.workspace.settings.governance)
    pipeline = mask_pipeline(recorded_answers(blessed.folder / "results.jsonl", blessed.pipeline), mask)
    key = sha256(f"{pipeline.content}{[case.case_id for case in cases]}".encode()).hexdigest()[:8]
    baseline = run_suite(suite, pipeline, candidate.folder.with_name(f"{candidate.folder.name}-baseline-{key}"))
    kept = {case.case_id for case in cases}
    return baseline, replace(
        candidate,
        cases={case_id: case for case_id, case in candidate.cases.items() if case_id in kept},
        results=tuple(result for result in candidate.results if result.case_id in kept),
    )


def is_measured(job: Job) -> bool:
    """Whether this week's labels show that the detector tells failures from passes.

    They do when the lower ends of its TPR and TNR, on sources that it never saw, add up to more than one: then it
    beats every constant guess, and may block. Until then it can only warn.
    """
    tpr, tnr, _ = detector_shares(job)
    return tpr is not None and tnr is not None and tpr.low + tnr.low > 1


def gate_figures(result: "GateResult") -> dict[str, Any]:
    """What the report shows of a verdict."""
    names = ("metric", "title", "slice", "baseline", "candidate", "difference", "low", "high", "p_worse", "p_adjusted")
    rows = [
        {**{name: asdict(comparison)[name] for name in names}, "verdict": comparison.counts_as or comparison.verdict}
        for comparison in result.comparisons
    ]
    return {"rows": rows, "n_cases": result.n_cases, "worse": result.worse, "better": result.better}
