"""`flywheel doctor`: is everything at hand that the commands need?"""

import json
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from eval.errors import OperationalError, UserError
from flywheel.workspace import Workspace

PACKAGES = (
    "duckdb",
    "torch",
    "sentence-transformers",
    "umap-learn",
    "hdbscan",
    "streamlit",
    "mlflow",
    "qdrant-client",
    "ragas",
)


@click.command()
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def doctor(workspace: Workspace, form: str) -> None:
    """Check Python, the packages, the embedding weights, the settings and the stores.

    Example: flywheel doctor
    """
    checks = (
        ("python", lambda: sys.version.split()[0]),
        ("packages", packages),
        ("embedding weights", embedding_weights),
        ("detector weights", detector_weights),
        ("settings", lambda: f"{workspace.root}: fine"),
        ("warehouse", lambda: warehouse(workspace)),
        ("label store", lambda: label_store(workspace)),
    )
    found = [check(name, look) for name, look in checks]
    if form == "json":
        click.echo(json.dumps([{"check": name, "ok": fine, "said": said} for name, fine, said in found], indent=2))
    else:
        for name, fine, said in found:
            click.echo(f"{'ok  ' if fine else 'FAIL'}  {name:<18}{said}")
    failed = [name for name, fine, _ in found if not fine]
    if failed:
        raise OperationalError(f"{', '.join(failed)} not in order; what to do stands above")


def check(name: str, look: Callable[[], str]) -> tuple[str, bool, str]:
    """Do one check."""
    try:
        return name, True, look()
    except UserError as error:
        return name, False, str(error)


def packages() -> str:
    """Say which versions are installed."""
    try:
        return ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    except PackageNotFoundError as error:
        raise UserError(f"{error.name} is not installed; run: pip install rag-flywheel") from error


def embedding_weights() -> str:
    """Load the embedder, which checks its weights."""
    from eval.embedding import load_embedder

    return f"all-MiniLM-L6-v2, {load_embedder()(['one sentence']).shape[1]} dimensions"


def detector_weights() -> str:
    """Load the packaged detector."""
    from eval.metrics.groundedness import packaged_detector

    detector = packaged_detector()
    return f"{detector.instrument.id}, trained on {detector.trained_on}"


def warehouse(workspace: Workspace) -> str:
    """Open the warehouse, where there is one."""
    if not workspace.warehouse.exists():
        return "none yet"
    from flywheel.warehouse import open_warehouse, traces

    with open_warehouse(workspace.warehouse, workspace.settings.warehouse) as db:
        return f"weeks {', '.join(traces.weeks(db)) or 'none'}"


def label_store(workspace: Workspace) -> str:
    """Open the label store, where there is one."""
    file = workspace.labels_url.removeprefix("sqlite:///")
    if file != workspace.labels_url and not Path(file).exists():
        return "none yet"
    from flywheel.labels.draws import draw_weeks
    from flywheel.labels.store import open_labels

    return f"draws of {', '.join(draw_weeks(open_labels(workspace.labels_url))) or 'no week yet'}"
