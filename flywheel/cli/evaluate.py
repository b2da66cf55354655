"""`flywheel eval`: ask the pipeline under test the golden cases, and put two runs side by side."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eval.errors import UserError
from flywheel.policy import policy_of
from flywheel.workspace import Workspace

if TYPE_CHECKING:
    from eval.suite import Run

FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)


@click.group("eval")
def evaluate() -> None:
    """Run the regression suite, compare runs."""


@evaluate.command()
@click.option(
    "--pipeline", "spec", help="http://…, module:function, or a .jsonl of answers.  [default: suite.pipeline]"
)
@click.option("--dataset", type=click.Path(path_type=Path), help="Golden dataset.  [default: golden_dataset]")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the run.")
@click.option("--repeats", type=click.IntRange(min=1), help="Answers to each case.  [default: suite.repeats]")
@click.option("--metric", "metrics", multiple=True, help="Measure this; may be given again.  [default: suite.metrics]")
@click.option("--role", type=click.Choice(["gate", "dev", "train"]), default="gate", show_default=True)
@FORMAT
@click.pass_obj
def run(
    workspace: Workspace,
    spec: str | None,
    dataset: Path | None,
    out: Path,
    repeats: int | None,
    metrics: tuple[str, ...],
    role: str,
    form: str,
) -> None:
    """Ask a pipeline every active golden case and score its answers.

    A run that was cut off is finished by the same command.

    Example: flywheel eval run --pipeline http://127.0.0.1:8400/query --out runs/pr-214
    """
    import numpy as np

    from eval.outputs.text import run_text
    from eval.summary import summarize

    spec = spec or workspace.settings.suite.pipeline
    if spec is None:
        raise UserError("no pipeline to ask; give --pipeline, or set pipeline in [suite] of flywheel.toml")
    if (out / "run.json").exists():
        raise UserError(f"{out} holds a finished run; choose another --out, or delete that folder")
    finished = run_pipeline(workspace, spec, dataset, out, metrics, repeats, role)
    summaries = summarize(finished, np.random.default_rng(0))
    if form == "json":
        told = {"run": str(out), "counts": dict(finished.counts), "dataset_version": finished.dataset_version}
        click.echo(json.dumps({**told, "metrics": [asdict(one) for one in summaries]}, indent=2))
        return
    click.echo(run_text(finished, summaries))
    click.echo(f"Next: flywheel gate --candidate {out}")


@evaluate.command("compare")
@click.argument("baseline")
@click.argument("candidate")
@FORMAT
@click.pass_obj
def compare_runs(workspace: Workspace, baseline: str, candidate: str, form: str) -> None:
    """Show how the metrics of two runs differ, with intervals and without a verdict.

    Example: flywheel eval compare runs/main runs/pr-214
    """
    from eval.outputs.text import comparison_table
    from flywheel.cli.gate import compare, existing_run

    result = compare(
        workspace, baseline, str(existing_run(workspace, candidate)), None, policy_of(workspace.settings.gate)
    )
    if form == "json":
        click.echo(json.dumps([asdict(one) for one in result.comparisons], indent=2))
        return
    click.echo(comparison_table(result))


def run_folder(workspace: Workspace, name: str) -> Path | None:
    """Find a run's folder: where it says, in the workspace, or by its name in `runs`."""
    places = (Path(name), workspace.root / name, workspace.runs / name)
    return next((place for place in places if place.is_dir()), None)


def run_pipeline(
    workspace: Workspace,
    spec: str,
    dataset: Path | None,
    out: Path,
    metrics: Sequence[str] = (),
    repeats: int | None = None,
    role: str = "gate",
) -> "Run":
    """Ask a pipeline the cases of one role, as the settings say where the caller says nothing."""
    from eval.suite import read_suite, run_suite
    from flywheel.under_test import chosen_metrics, open_under_test

    settings = workspace.settings.suite
    chosen = chosen_metrics(workspace, metrics or settings.metrics)
    suite = read_suite(dataset or workspace.golden_dataset, chosen, repeats or settings.repeats, role)
    with (
        open_under_test(workspace, spec) as pipeline,
        click.progressbar(length=len(suite.cases) * suite.repeats, label="suite", file=sys.stderr) as bar,
    ):
        return run_suite(suite, pipeline, out, lambda done, _: bar.update(done - bar.pos))
