"""`flywheel ingest`: trace files into the warehouse, whatever wrote them."""

import json
import signal
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from eval.errors import USAGE, OperationalError, UserError
from flywheel import ingest as ingestion
from flywheel.cli.progress import bytes_bar
from flywheel.ingest.paths import STANDARD_INPUT
from flywheel.sources import named
from flywheel.sources.delivery import Delivery, Limits
from flywheel.sources.mapping import read_mapping
from flywheel.sources.suggest import suggest_mapping
from flywheel.warehouse import open_warehouse
from flywheel.warehouse.deliveries import Count, TraceCount, next_delivery
from flywheel.warehouse.traces import weeks_of
from flywheel.workspace import Workspace

PATH = click.Path(path_type=Path)
MOST_REASONS = 3
MOST_WEEKS = 6
MOST_SHOWN = 160
EXISTING = click.Path(path_type=Path, exists=True, dir_okay=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call asks for, beside the files."""

    form: str
    mapping: Path | None
    corpus: Path | None
    output: str
    is_strict: bool
    again: bool


@click.command()
@click.argument("paths", nargs=-1, type=PATH)
@click.option("--format", "form", default="auto", show_default=True, metavar="NAME", help="Format of the files.")
@click.option("--mapping", type=EXISTING, help="TOML file that says where a trace's fields lie in your own format.")
@click.option("--suggest-mapping", is_flag=True, help="Print a first mapping from a look at the file, and stop.")
@click.option("--corpus", type=EXISTING, help="Passages by id (JSON lines or Parquet), for exports without their text.")
@click.option("--strict", "is_strict", is_flag=True, help="Stop at the first record that cannot be read.")
@click.option("--again", is_flag=True, help="Read files whose bytes are known, too.")
@click.option("--retry-quarantine", is_flag=True, help="Try the rejected records again, after a fix.")
@click.option("--watch", is_flag=True, help="Keep looking for new files in PATHS, until stopped.")
@click.option("--poll", type=click.FloatRange(0.05), default=2.0, show_default=True, help="Seconds between two looks.")
@click.option("--output", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
@click.pass_obj
def ingest(
    workspace: Workspace,
    paths: tuple[Path, ...],
    form: str,
    mapping: Path | None,
    suggest_mapping: bool,
    corpus: Path | None,
    is_strict: bool,
    again: bool,
    retry_quarantine: bool,
    watch: bool,
    poll: float,
    output: str,
) -> None:
    """Add the traces in PATHS (files, folders, patterns, - for standard input) to the warehouse.

    Without PATHS: the landing folder. The format of each file is recognised: native JSON lines, OTLP (JSON or
    protobuf), Langfuse, LangSmith, MLflow, Phoenix, TruLens; anything else by a mapping. gzip and zstd are unpacked.
    Rejected records go to traces/quarantine/.

    \b
    Example: flywheel ingest traces/2026-W45.jsonl.gz
             flywheel ingest export.json --output markdown
             flywheel ingest logs.csv --mapping mapping.toml
    """  # noqa: D301
    asked = Asked(form, mapping, corpus, output, is_strict, again)
    if suggest_mapping:
        click.echo(suggested(paths, how_asked(workspace, asked).limits), nl=False)
        return
    if watch and (retry_quarantine or corpus or paths == (STANDARD_INPUT,)):
        raise UserError("--watch takes files and folders only; run the other command by itself")
    if watch:
        keep_watch(workspace, list(paths) or [workspace.traces], asked, poll)
    elif retry_quarantine:
        finish(retry_all(workspace, asked), 0, "", asked)
    else:
        finish(*take_files(workspace, list(paths), asked), asked)


def suggested(paths: tuple[Path, ...], limits: Limits) -> str:
    """Suggest a mapping for one file."""
    if len(paths) != 1:
        raise UserError("--suggest-mapping looks at one file: flywheel ingest logs.jsonl --suggest-mapping")
    if not paths[0].is_file():
        raise UserError(f"there is no file {paths[0]}; check the path")
    return suggest_mapping(Delivery(paths[0], limits, name=str(paths[0]))).text


def take_files(workspace: Workspace, paths: list[Path], asked: Asked) -> tuple[list[ingestion.FileCount], int, str]:
    """Take the corpus and then the files in, telling each as it is done.

    Gives also how many traces the corpus completed, and in words which weeks the new traces belong to.
    """
    files = ingestion.trace_files(paths or [workspace.traces], lambda said: click.echo(f"note: {said}", err=True))
    if not files and not asked.corpus:
        raise OperationalError(
            f"there are no trace files in {', '.join(map(str, paths)) or workspace.traces}; add some"
        )
    completed = 0
    how = how_asked(workspace, asked)
    with open_warehouse(workspace.warehouse, workspace.settings.warehouse) as db:
        if asked.corpus:
            passages, completed = ingestion.add_corpus_file(db, asked.corpus, how.limits, how.orders.redactor)
            say(asked, f"{asked.corpus.name}  {passages} passages; {completed} traces gained their texts")
        total = sum(path.stat().st_size for path in files if path != STANDARD_INPUT)
        with bytes_bar("ingest", total) as bar:

            def end_file(done: ingestion.FileCount) -> None:
                bar.end_file(done.path)
                tell(asked, done)

            first = next_delivery(db)
            counted = ingestion.ingest(db, files, replace(how, on_bytes=bar.within_file), end_file)
        news = told_weeks(weeks_of(db, first))
    return counted, completed, news


def retry_all(workspace: Workspace, asked: Asked) -> list[ingestion.FileCount]:
    """Try every quarantined record again."""
    from flywheel.ingest.retry import retry

    folder = workspace.traces / ingestion.QUARANTINE
    files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    if not files:
        raise OperationalError(f"there is nothing in {folder}; no record was rejected")
    counted = []
    with open_warehouse(workspace.warehouse, workspace.settings.warehouse) as db:
        for path in files:
            try:
                counted.append(retry(db, path, how_asked(workspace, asked)))
            except UserError as error:
                counted.append(ingestion.FileCount(path, path.name, failure=str(error)))
            tell(asked, counted[-1])
    return counted


def keep_watch(workspace: Workspace, folders: list[Path], asked: Asked, poll: float) -> None:
    """Take files as they land, until somebody stops it; the warehouse is open only while there is something to take."""
    from flywheel.ingest.watch import watch

    stopped: list[int] = []
    before = [signal.signal(kind, lambda number, _: stopped.append(number)) for kind in (signal.SIGINT, signal.SIGTERM)]
    how = replace(how_asked(workspace, asked), holds_back=True)

    def take(files: list[Path]) -> bool:
        try:
            with open_warehouse(workspace.warehouse, workspace.settings.warehouse) as db:
                ingestion.ingest(db, files, how, tell_news)
        except OperationalError as error:
            click.echo(f"waiting: {error}", err=True)
            return False
        return True

    def tell_news(done: ingestion.FileCount) -> None:
        if not done.was_known and (done.count.lines or done.failure):
            tell(asked, done)

    click.echo(f"watching {', '.join(map(str, folders))}; stop with Ctrl+C", err=True)
    try:
        watch(folders, take, poll, lambda: bool(stopped))
    finally:
        for kind, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(kind, handler)


def how_asked(workspace: Workspace, asked: Asked) -> ingestion.How:
    """Put what was asked over what the settings say."""
    if asked.form in ("json", "text", "markdown"):
        raise UserError(f"--format names the format of the files; for the output write --output {asked.form}")
    if asked.form != "auto":
        named(asked.form)
    how = ingestion.how_to(workspace.settings, workspace.traces / ingestion.QUARANTINE, is_strict=asked.is_strict)
    return replace(
        how,
        orders=replace(how.orders, by_content=asked.again),
        form=None if asked.form == "auto" else asked.form,
        mapping=read_mapping(asked.mapping) if asked.mapping else None,
        again=asked.again,
    )


def finish(counted: list[ingestion.FileCount], completed: int, news: str, asked: Asked) -> None:
    """Print the sum and what comes next, and leave with the code for bad input where something could not be taken."""
    count = sum((one.count for one in counted), Count())
    traces = sum((one.traces for one in counted), TraceCount())
    if asked.output == "json":
        files = [told_as_json(one) for one in counted]
        total = {**asdict(count), "traces": asdict(traces), "completed_by_corpus": completed}
        click.echo(json.dumps({"files": files, "total": total}, indent=2))
    elif asked.output == "markdown":
        click.echo(markdown(counted))
    elif len(counted) > 1:
        click.echo(f"total  {told(count, 'record')}{told_traces(traces)}")
    say(asked, news)
    nothing_taken = not count.added + count.updated + count.unchanged
    if any(one.failure for one in counted) or (count.rejected and nothing_taken):
        raise click.exceptions.Exit(USAGE)
    if counted and nothing_taken and not completed:
        raise OperationalError("there is not one record in these files; look where the traces go")


def tell(asked: Asked, done: ingestion.FileCount) -> None:
    """Say what became of a file: on the error stream where it could not be taken."""
    if done.failure is not None:
        click.echo(f"error: {done.failure}", err=True)
    else:
        say(asked, line(done))


def say(asked: Asked, text: str) -> None:
    """Print a line, where lines are asked for."""
    if asked.output == "text" and text:
        click.echo(text)


def line(done: ingestion.FileCount) -> str:
    """Say what became of a file's records."""
    notes = [f"{done.format}: {done.recognised_by}"]
    if done.was_known:
        notes.append("these bytes were ingested before")
    if done.continued_at:
        notes.append(f"goes on at line {done.continued_at}")
    records = f"{told(done.count, done.unit)}{told_traces(done.traces, done.unit)}"
    kept = f"; rejected records are in {done.quarantine}{why(done)}" if done.quarantine else ""
    speed = f"  {done.seconds:.1f} s" if done.seconds >= 1 else ""
    return f"{done.name}  {records} ({'; '.join(notes)}){kept}{speed}"


def told_weeks(weeks: list[tuple[str, int]]) -> str:
    """Say which weeks the new traces belong to, and what comes next; '' where there is nothing new."""
    if not weeks:
        return ""
    listed = ", ".join(f"{week} ({count})" for week, count in weeks[-MOST_WEEKS:])
    more = f"{len(weeks) - MOST_WEEKS} earlier weeks, " if len(weeks) > MOST_WEEKS else ""
    return f"new or changed traces by week: {more}{listed}\nNext: flywheel run --week {weeks[-1][0]}"


def why(done: ingestion.FileCount) -> str:
    """Say what records were rejected for, the commonest reason first, a line each."""
    shown = [f"\n  {number} x {reason[:MOST_SHOWN]}" for reason, number in done.reasons[:MOST_REASONS]]
    more = len(done.reasons) - MOST_REASONS
    return "".join(shown) + (f"\n  and {more} other reasons" if more > 0 else "")


def told(count: Count, unit: str) -> str:
    """Say a count that adds up."""
    units = unit if count.lines == 1 else f"{unit}s"
    return (
        f"{count.lines} {units} = {count.added} added + {count.updated} updated + {count.unchanged} unchanged "
        f"+ {count.rejected} rejected + {count.blank} blank"
    )


def told_traces(traces: TraceCount, unit: str = "record") -> str:
    """Say what records made of traces, where a record is not itself one."""
    if unit in ("line", "row") or traces == TraceCount():
        return ""
    parts = [f"{traces.added} trace{'' if traces.added == 1 else 's'} added", f"{traces.updated} updated"]
    if traces.waiting:
        parts.append(f"{traces.waiting} without a question yet")
    return f"; {', '.join(parts)}"


def told_as_json(done: ingestion.FileCount) -> dict[str, Any]:
    """Lay out what became of a file for programs."""
    return {
        "file": str(done.path),
        "format": done.format,
        "recognised_by": done.recognised_by,
        "unit": done.unit,
        "was_known": done.was_known,
        "continued_at": done.continued_at,
        "failure": done.failure,
        "quarantine": str(done.quarantine) if done.quarantine else None,
        "reasons": dict(done.reasons),
        **asdict(done.count),
        "traces": asdict(done.traces),
    }


def markdown(counted: list[ingestion.FileCount]) -> str:
    """Lay out what became of files as a table."""
    head = "| file | format | unit | read | added | updated | unchanged | rejected | blank | traces |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|---|"]
    for one in counted:
        c = one.count
        numbers = (c.lines, c.added, c.updated, c.unchanged, c.rejected, c.blank, one.traces.added + one.traces.updated)
        cells = [one.name.replace("|", "\\|"), one.format or f"not taken: {one.failure}", one.unit, *map(str, numbers)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
