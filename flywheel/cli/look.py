"""`flywheel look`: from an export to first findings, with nothing set up."""

import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from eval.errors import OperationalError, UserError
from flywheel.look import Export, look
from flywheel.look.findings import Findings
from flywheel.week import NAME_WIDTH, Event, event_lines
from flywheel.workspace import Workspace

EXISTING = click.Path(path_type=Path, exists=True, dir_okay=False)
MOST_MODES = 6
WIDEST = 60
TERMINATED = 128 + signal.SIGTERM
CLEAR_LINE = "\r\x1b[2K"


@click.command("look")
@click.argument("exports", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="EXPORT...")
@click.option("--format", "form", default="auto", show_default=True, metavar="NAME", help="Format of the files.")
@click.option("--mapping", type=EXISTING, help="TOML file that says where a trace's fields lie in your own format.")
@click.option("--corpus", type=EXISTING, help="Passages by id (JSON lines or Parquet), for exports without their text.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("first-look"),
    show_default=True,
    help="Folder of the report; made new, or that of an earlier look.",
)
@click.option(
    "--label", "to_label", type=click.IntRange(1, 200), default=20, show_default=True, help="Traces to label first."
)
@click.option("--output", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
@click.pass_obj
def command(
    workspace: Workspace,
    exports: tuple[Path, ...],
    form: str,
    mapping: Path | None,
    corpus: Path | None,
    out: Path,
    to_label: int,
    output: str,
) -> None:
    """Look at an export of traces: what is flagged, in which failure modes, what to label first, what to do next.

    EXPORT is a file, a folder, a pattern, or - for standard input: Langfuse, Phoenix, MLflow, LangSmith, TruLens,
    OTLP or native JSON lines. It needs no workspace and keeps nothing but the report.

    \b
    Example: flywheel look langfuse-export.jsonl
             flywheel look exports/ --corpus passages.jsonl --out first-look
    """  # noqa: D301
    from flywheel.look.output import check_folder, render_json, write_look

    if form in ("json", "text", "markdown"):
        raise UserError(f"--format names the format of the files; for the output write --output {form}")
    started = time.perf_counter()
    check_folder(out)
    export = Export(exports, None if form == "auto" else form, mapping, corpus)
    with cleaning_up():
        findings = look(workspace, export, to_label, tell)
    begun = time.perf_counter()
    files = write_look(findings, out)
    tell(Event("report", "done", str(files.html), time.perf_counter() - begun))
    click.echo(f"done in {time.perf_counter() - started:.1f} s", err=True)
    if output == "json":
        click.echo(render_json(findings), nl=False)
    elif output == "markdown":
        from flywheel.look.markdown import render_markdown

        click.echo(render_markdown(findings), nl=False)
    else:
        click.echo("\n".join(lines(findings, files.html, files.labels)))
    if not findings.judged:
        reason = findings.unjudged[0] if findings.unjudged else None
        why = f": {reason.why} ({reason.count} of {findings.traces}); {reason.remedy}" if reason else ""
        raise OperationalError(f"no answer could be judged{why}")


@contextmanager
def cleaning_up() -> Iterator[None]:
    """Let a job that is told to stop take its scratch folder, which holds people's texts, away with it."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def tell(event: Event) -> None:
    """Say on the error stream that a stage is done, and how long it took; a terminal also sees which is at work."""
    is_terminal = sys.stderr.isatty()
    if event.kind == "start":
        if is_terminal:
            click.echo(f"{CLEAR_LINE}{event.step:<{NAME_WIDTH}}{event.text or '...'}", err=True, nl=False)
        return
    click.echo((CLEAR_LINE if is_terminal else "") + "\n".join(event_lines(event)), err=True)


def lines(findings: Findings, page: Path, labels: Path) -> Iterable[str]:
    """Write what a terminal shows: the answer, the largest modes, where the rest lies, what to do next."""
    from flywheel.look.words import write_headline
    from flywheel.report.wording import brief, number, percent, words

    yield ""
    yield write_headline(findings).sentence
    if findings.by_type:
        yield "  " + ", ".join(f"{words(name)} {number(count)}" for name, count in findings.by_type)
    if findings.modes:
        yield "\nTop failure modes (flagged, share of all flagged)"
        for mode in findings.modes[:MOST_MODES]:
            yield f"  {mode.size:>5}  {percent(mode.share):>7}  {brief(mode.title, 90)}"
        if len(findings.modes) > MOST_MODES:
            yield f"  {len(findings.modes) - MOST_MODES:>5}  more in the report"
    for one in findings.unjudged[:3]:
        yield (
            f"\nNot judged: {number(one.count)} ({one.why})"
            if one is findings.unjudged[0]
            else (f"            {number(one.count)} ({one.why})")
        )
    yield f"\nReport       {page}"
    yield f"Label first  {labels} ({len(findings.to_label)} traces, each with its reason)"
    yield "\nNext"
    steps = [(step.command, f"{step.says}{f' ({step.note})' if step.note else ''}") for step in findings.next_steps]
    if findings.unjudged and (again := findings.unjudged[0].command):
        steps.insert(0, (again, f"look again: {findings.unjudged[0].remedy}"))
    width = max(len(command) for command, _ in steps if len(command) <= WIDEST)
    for text, says in steps:
        yield f"  {text:<{width}}  # {says}"
