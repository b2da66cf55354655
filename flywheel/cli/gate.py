"""`flywheel gate` and `flywheel baseline`: whether a change may go out, and what it is compared with."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eval.errors import UserError
from flywheel.cli.evaluate import run_folder, run_pipeline
from flywheel.policy import policy_of
from flywheel.workspace import Workspace

if TYPE_CHECKING:
    from eval.gate import GateResult
    from eval.policy import GatePolicy, OnInconclusive
    from eval.suite import Run


@click.command()
@click.option("--baseline", "base", metavar="RUN", help="Run to compare with.  [default: the blessed one]")
@click.option("--candidate", required=True, metavar="RUN|SPEC", help="A run's folder, or a pipeline to run first.")
@click.option(
    "--dataset", type=click.Path(path_type=Path), help="Golden dataset for a SPEC.  [default: golden_dataset]"
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the reports.  [default: gate]")
@click.option(
    "--on-inconclusive",
    type=click.Choice(["fail", "warn", "pass"]),
    help="What INCONCLUSIVE means; use fail for a release.  [default: gate.on_inconclusive]",
)
@click.option("--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
@click.pass_context
def gate(
    ctx: click.Context,
    base: str | None,
    candidate: str,
    dataset: Path | None,
    out: Path | None,
    on_inconclusive: "OnInconclusive | None",
    form: str,
) -> None:
    """Say PASS, WARN, BLOCK or INCONCLUSIVE about a change, paired case by case.

    Exit codes: 0 pass or warn, 1 block, 3 inconclusive where that fails, 4 too little was measured.

    Example: flywheel gate --candidate runs/pr-214

    For a release: flywheel gate --candidate http://127.0.0.1:8400/query --on-inconclusive fail
    """
    from eval.outputs.artefacts import REPORT, write_failure, write_gate
    from eval.outputs.json_report import gate_json
    from eval.outputs.markdown import gate_markdown
    from eval.outputs.text import gate_text
    from eval.policy import exit_code

    workspace: Workspace = ctx.obj
    folder = out or workspace.root / "gate"
    policy = policy_of(workspace.settings.gate, on_inconclusive)
    try:
        result = compare(workspace, base, candidate, dataset, policy)
    except UserError as error:
        write_failure(str(error), error.exit_code, folder)
        raise
    code = exit_code(result.verdict, policy.on_inconclusive)
    write_gate(result, code, folder)
    if form == "json":
        click.echo(gate_json(result, code), nl=False)
    elif form == "markdown":
        click.echo(gate_markdown(result), nl=False)
    else:
        click.echo(f"{gate_text(result)}\nsee {folder / REPORT} · exit {code}")
    ctx.exit(code)


def compare(
    workspace: Workspace, base: str | None, candidate: str, dataset: Path | None, policy: "GatePolicy"
) -> "GateResult":
    """Read or make both runs and decide on them, masked.

    The seed derives from their results, so a verdict can be repeated.
    """
    import numpy as np

    from eval.baseline import age_in_words, read_blessed_run
    from eval.gate import decide
    from eval.suite import read_run, results_sha256
    from flywheel.governance.masking import mask_of
    from flywheel.under_test import mask_run

    note = ""
    if base is None:
        blessing, before = read_blessed_run(workspace.runs)
        note = age_in_words(blessing, datetime.now(UTC))
    else:
        before = read_run(existing_run(workspace, base))
    after = candidate_run(workspace, candidate, dataset, before)
    seed = int(results_sha256(before.folder)[:16] + results_sha256(after.folder)[:16], 16)
    mask = mask_of(workspace.settings.governance)
    result = decide(mask_run(before, mask), mask_run(after, mask), policy, np.random.default_rng(seed))
    return replace(result, baseline=replace(result.baseline, note=note))


def candidate_run(workspace: Workspace, candidate: str, dataset: Path | None, before: "Run") -> "Run":
    """Read the candidate's run, or ask a pipeline as often and by the same metrics as the baseline was."""
    from eval.expectation import NAME
    from eval.suite import read_run

    folder = run_folder(workspace, candidate)
    if folder is not None:
        return read_run(folder)
    if ":" not in candidate and not candidate.endswith(".jsonl"):
        existing_run(workspace, candidate)
    out = workspace.runs / f"candidate-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    metrics = tuple(name for name in before.metrics if name != NAME)
    return run_pipeline(workspace, candidate, dataset, out, metrics, before.repeats)


def existing_run(workspace: Workspace, name: str) -> Path:
    """Find a run's folder by path or by its name in `runs`."""
    folder = run_folder(workspace, name)
    if folder is None:
        raise UserError(f"there is no run {name}; make one: flywheel eval run --pipeline SPEC --out {name}")
    return folder


@click.group()
def baseline() -> None:
    """Bless a run as the baseline, or show which one is."""


@baseline.command()
@click.argument("run")
@click.option("--by", required=True, metavar="NAME", help="Who decides that this run is good.")
@click.pass_obj
def bless(workspace: Workspace, run: str, by: str) -> None:
    """Make RUN what changes are compared with, from now on.

    Example: flywheel baseline bless runs/main --by ada
    """
    from eval import baseline as blessed
    from eval.suite import read_run

    blessing = blessed.bless(read_run(existing_run(workspace, run)), by, workspace.runs, datetime.now(UTC))
    click.echo(f"{blessing.run} is the baseline, dataset {blessing.dataset_version}, blessed by {blessing.by}")


@baseline.command()
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def show(workspace: Workspace, form: str) -> None:
    """Say which run is the baseline, since when, and by whose word.

    Example: flywheel baseline show
    """
    from eval.baseline import age_in_words, read_blessed_run

    blessing, run = read_blessed_run(workspace.runs)
    if form == "json":
        click.echo(json.dumps(asdict(blessing), indent=2))
        return
    told = age_in_words(blessing, datetime.now(UTC))
    click.echo(f"{blessing.run}, {told}; dataset {blessing.dataset_version} ({len(run.cases)} cases)")
