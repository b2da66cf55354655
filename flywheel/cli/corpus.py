"""`flywheel corpus`: the index that the pipeline under test searches."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flywheel.workspace import Workspace

if TYPE_CHECKING:
    from flywheel.serving.index import Progress

FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)


@click.group()
def corpus() -> None:
    """Build and inspect the index of passages."""


@corpus.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@FORMAT
@click.pass_obj
def ingest(workspace: Workspace, folder: Path | None, form: str) -> None:
    """Build the index from the Markdown and text files in FOLDER.

    The old index stays in force until the new one is complete. Without FOLDER: serving.knowledge_base.

    Example: flywheel corpus ingest knowledge_base
    """
    from eval.embedding import load_embedder
    from flywheel.serving.corpus import read_corpus
    from flywheel.serving.egress import require_egress
    from flywheel.serving.index import build_index

    serving = workspace.settings.serving
    if serving.qdrant_url is not None:
        require_egress(serving.qdrant_url, "serving.qdrant_url", workspace.settings.allow_egress)
    started = time.perf_counter()
    chunks = read_corpus(folder or workspace.root / serving.knowledge_base)
    with show_progress(len(chunks)) as progress:
        index_folder = workspace.root / serving.index
        build_index(index_folder, chunks, load_embedder(), serving.collection, serving.qdrant_url, progress)
    documents = len({chunk.source for chunk in chunks})
    seconds = time.perf_counter() - started
    if form == "json":
        click.echo(json.dumps({"passages": len(chunks), "documents": documents, "seconds": round(seconds, 3)}))
        return
    click.echo(f"{len(chunks)} passages of {documents} documents indexed in {seconds:.1f} s")
    click.echo("Next: flywheel serve (a service that is running keeps the index it opened: start it again)")


@corpus.command()
@FORMAT
@click.pass_obj
def stats(workspace: Workspace, form: str) -> None:
    """Say what the index holds and when it was built.

    Example: flywheel corpus stats
    """
    from flywheel.serving.egress import require_egress
    from flywheel.serving.index import index_stats

    serving = workspace.settings.serving
    if serving.qdrant_url is not None:
        require_egress(serving.qdrant_url, "serving.qdrant_url", workspace.settings.allow_egress)
    found = index_stats(workspace.root / serving.index, serving.collection, serving.qdrant_url)
    if form == "json":
        click.echo(json.dumps({"passages": found.passages, "built_at": found.built_at.isoformat()}))
        return
    click.echo(f"{found.passages} passages, built {found.built_at:%Y-%m-%d %H:%M} UTC")


@contextmanager
def show_progress(total: int) -> Iterator["Progress"]:
    """Show a bar on a terminal; elsewhere a line for each tenth."""
    if sys.stderr.isatty():
        with click.progressbar(length=total, label="index", file=sys.stderr) as bar:
            yield bar.update
        return
    done = 0

    def add(passages: int) -> None:
        nonlocal done
        before, done = done, done + passages
        if done * 10 // total > before * 10 // total:
            click.echo(f"index {done} of {total} passages", err=True)

    yield add
