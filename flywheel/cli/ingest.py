"""`flywheel ingest`: trace files into the warehouse."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from eval.errors import OperationalError
from flywheel import ingest as ingestion
from flywheel.warehouse import open_warehouse
from flywheel.warehouse.traces import Count
from flywheel.workspace import Workspace


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def ingest(workspace: Workspace, paths: tuple[Path, ...], form: str) -> None:
    """Add the traces in PATHS (files or folders; by default the landing folder) to the warehouse.

    Native trace JSONL, plain or packed with gzip or zstd. Rejected lines go to traces/quarantine/.

    Example: flywheel ingest traces/2026-W45.jsonl.gz
    """
    files = ingestion.trace_files(paths or [workspace.traces])
    if not files:
        raise OperationalError(
            f"there are no trace files in {', '.join(map(str, paths)) or workspace.traces}; add some"
        )
    quarantine = workspace.traces / ingestion.QUARANTINE

    def tell(done: ingestion.FileCount) -> None:
        if form == "text":
            click.echo(line(done))

    with open_warehouse(workspace.warehouse, workspace.settings.warehouse) as db:
        counted = ingestion.ingest(db, files, quarantine, workspace.settings.ingest, tell)
    total = sum((one.count for one in counted), Count())
    if form == "json":
        files_told = [{"file": str(c.path), "was_known": c.was_known, **asdict(c.count)} for c in counted]
        click.echo(json.dumps({"files": files_told, "total": asdict(total)}, indent=2))
    elif len(counted) > 1:
        click.echo(f"total  {told(total)}")


def line(done: ingestion.FileCount) -> str:
    """Say what became of a file's lines."""
    known = " (these bytes were ingested before)" if done.was_known else ""
    kept = f"; rejected lines are in {done.quarantine}" if done.quarantine else ""
    return f"{done.path.name}  {told(done.count)}{known}{kept}"


def told(count: Count) -> str:
    """Say a count that adds up."""
    return (
        f"{count.lines} lines = {count.added} added + {count.updated} updated + {count.unchanged} unchanged "
        f"+ {count.rejected} rejected + {count.blank} blank"
    )
