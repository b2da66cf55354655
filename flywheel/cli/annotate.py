"""`flywheel annotate`: label traces in the app, here, or from a file."""

import contextlib
import getpass
import json
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from eval.errors import OperationalError, UserError
from flywheel.trace import FailureType, Severity, week_start, week_title
from flywheel.workspace import Workspace

if TYPE_CHECKING:
    from flywheel.labels.records import Task
    from flywheel.labels.store import LabelStore

ADDRESS = "127.0.0.1"
ACCENT = {"light": "#0b62a8", "dark": "#5aa9e6"}

FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
WEEK = click.option("--week", help="ISO week such as 2026-W45.  [default: the newest with a draw]")


def login_name() -> str:
    """Name who runs this process; a container's nameless user gives none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


ANNOTATOR = click.option(
    "--annotator",
    envvar="FLYWHEEL_ANNOTATOR",
    default=login_name,
    help="Who labels.  [default: $FLYWHEEL_ANNOTATOR, else your login name]",
)


@click.group()
def annotate() -> None:
    """Label traces: in the app, here, or from a file.

    Example: flywheel annotate app
    """


def open_store(workspace: Workspace) -> "LabelStore":
    """Open the workspace's label store."""
    from flywheel.labels.store import open_labels

    return open_labels(workspace.labels_url)


def chosen_week(store: "LabelStore", week: str | None) -> str:
    """Give the week asked for, else the newest that has a draw; none is a `UserError`."""
    from flywheel.labels.draws import draw_weeks

    weeks = draw_weeks(store)
    if week:
        week_start(week)
        if week not in weeks:
            raise UserError(f"nothing was drawn for {week}; draw its tasks with: flywheel run --week {week}")
        return week
    if not weeks:
        raise UserError("no week has tasks to label yet; draw some with: flywheel run --week WEEK")
    return weeks[0]


def as_json(value: Any) -> str:
    """Write a record for machines."""
    import msgspec

    return json.dumps(msgspec.to_builtins(value), indent=2)


@annotate.command("next")
@WEEK
@ANNOTATOR
@click.option("--full", is_flag=True, help="Show passages and earlier turns whole.")
@FORMAT
@click.pass_obj
def next_(workspace: Workspace, week: str | None, annotator: str, full: bool, form: str) -> None:
    """Take the next task and show it. It stays yours until the lease ends.

    Example: flywheel annotate next
    """
    from flywheel.labels.queue import next_task, progress

    store = open_store(workspace)
    week = chosen_week(store, week)
    task = next_task(store, annotator, week, workspace.settings.labels.lease_seconds)
    if form == "json":
        click.echo(as_json(task))
        return
    done = progress(store, week)
    if task is None:
        said = f"No task of {week_title(week)} waits for {annotator}: {done.done} of {done.total} are labelled"
        click.echo(f"{said}, {done.remaining} are skipped or with others.")
        click.echo(f"Next: flywheel run --week {week} --continue")
        return
    click.echo(f"{week_title(week)}, {done.done} of {done.total} labelled\n")
    click.echo(tell_task(task, full))
    click.echo(f"\nNext: flywheel annotate submit {task.task_id} --verdict pass|fail|defer")


def tell_task(task: "Task", full: bool) -> str:
    """Write a task for a terminal: question, answer by sentence with its marks, passages, earlier turns, and why."""
    from flywheel.labels.marks import DOUBTS, answer_parts
    from flywheel.report.wording import fold, visible

    seen = task.payload
    numbers = {passage.id: number for number, passage in enumerate(seen.passages, start=1)}
    lines = ["QUESTION", indent(visible(seen.user_input)), "", "ANSWER"]
    parts = [part for part in answer_parts(seen) if part.text.strip()]
    for part in parts:
        lines.append(indent(visible(part.text.strip()), f"{part.number or '':>3}  "))
        if part.number and part.doubt:
            sentence = seen.sentences[part.number - 1]
            near = numbers.get(sentence.passage_id or "")
            closest = f", passage {near} comes closest" if near else ""
            lines.append(f"     {'!' * part.doubt} {DOUBTS[part.doubt - 1][0]} ({sentence.unsupported:.0%}{closest})")
    if not parts:
        lines.append("     (the answer is empty)")
    lines += ["", f"PASSAGES ({len(seen.passages)})"]
    for number, passage in enumerate(seen.passages, start=1):
        folded = fold(passage.text)
        lines.append(f"{number:>3}  {visible(passage.source or passage.id)}")
        lines.append(indent(visible(passage.text) if full else folded.head))
        if folded.is_folded and not full:
            lines.append(f"     … {folded.characters - len(folded.head)} more characters: --full")
    if seen.history:
        lines += ["", f"EARLIER TURNS ({len(seen.history)})"]
        for turn in seen.history if full else seen.history[-1:]:
            lines += [indent(visible(turn.user_input), "  Q  "), indent(visible(turn.response or "(none)"), "  A  ")]
    lines += ["", f"why queued: {visible(task.reason)}"]
    return "\n".join(lines)


def indent(text: str, first: str = "     ") -> str:
    """Set a text in by five columns, its first line after `first`."""
    return first + text.replace("\n", "\n     ")


@annotate.command()
@click.argument("task_id")
@click.option("--verdict", type=click.Choice(["pass", "fail", "defer"]), required=True)
@click.option("--failure-type", type=click.Choice(get_args(FailureType)), help="What went wrong, of a fail.")
@click.option("--severity", type=click.Choice(get_args(Severity)), help="How badly; P0 is worst.")
@click.option("--correction", help="What the answer should have been.")
@click.option("--note", default="", help="What you saw, in your words.")
@ANNOTATOR
@FORMAT
@click.pass_obj
def submit(
    workspace: Workspace,
    /,
    task_id: str,
    annotator: str,
    form: str,
    correction: str | None,
    **said: Any,
) -> None:
    """Give your verdict on TASK_ID. Another verdict of yours replaces it.

    Example: flywheel annotate submit 5f1c0a9e77d2b346 --verdict fail --failure-type contradiction --severity P1
    """
    from flywheel.labels.draws import find_task
    from flywheel.labels.queue import lease_start, submit_label
    from flywheel.labels.submission import make_label, read_submission, warnings_of

    store = open_store(workspace)
    task = find_task(store, task_id)
    version = workspace.settings.labels.guideline_version
    started = lease_start(store, task, annotator)
    sent = read_submission(
        {**said, "corrected_response": correction, "guideline_version": version, "started_at": started}
    )
    label = make_label(task, sent, annotator, datetime.now(UTC))
    event_id = submit_label(store, label)
    warned = warnings_of(label)
    if form == "json":
        click.echo(as_json({"event_id": event_id, "warnings": warned}))
        return
    click.echo(f"{label.verdict}: task {task_id} of {task.week}, by {label.annotator}")
    for warning in warned:
        click.echo(f"note: {warning}; pass --failure-type")
    click.echo("Next: flywheel annotate next")


@annotate.command()
@click.argument("task_id")
@ANNOTATOR
@FORMAT
@click.pass_obj
def skip(workspace: Workspace, task_id: str, annotator: str, form: str) -> None:
    """Pass TASK_ID over: you do not get it again, others do.

    Example: flywheel annotate skip 5f1c0a9e77d2b346
    """
    from flywheel.labels.queue import skip_task

    skip_task(open_store(workspace), task_id, annotator)
    click.echo(as_json({"skipped": task_id}) if form == "json" else f"skipped {task_id}; others may take it")


@annotate.command()
@WEEK
@ANNOTATOR
@FORMAT
@click.pass_obj
def undo(workspace: Workspace, week: str | None, annotator: str, form: str) -> None:
    """Take back your newest label or skip of the week; its task is yours again.

    Example: flywheel annotate undo
    """
    from flywheel.labels.queue import undo_label

    store = open_store(workspace)
    week = chosen_week(store, week)
    task = undo_label(store, annotator, week, workspace.settings.labels.lease_seconds)
    if form == "json":
        click.echo(as_json({"task_id": task.task_id if task else None}))
    elif task is None:
        click.echo(f"{annotator} has nothing to take back in {week}")
    else:
        click.echo(f"taken back: task {task.task_id}\nNext: flywheel annotate next")


@annotate.command()
@WEEK
@FORMAT
@click.pass_obj
def status(workspace: Workspace, week: str | None, form: str) -> None:
    """Say how far a week's tasks are, and who did how many.

    Example: flywheel annotate status --week 2026-W45
    """
    from flywheel.labels.queue import progress
    from flywheel.report.wording import duration

    store = open_store(workspace)
    week = chosen_week(store, week)
    done = progress(store, week)
    if form == "json":
        click.echo(as_json(done))
        return
    timed = f", {duration(done.median_seconds)} a task (median)" if done.median_seconds is not None else ""
    click.echo(f"{week_title(week)}: {done.done} of {done.total} labelled, {done.deferred} deferred{timed}")
    for name, count in sorted(done.per_annotator.items(), key=lambda item: (-item[1], item[0])):
        click.echo(f"  {name:<20}{count:>5}")
    following = f"Next: flywheel run --week {week} --continue"
    click.echo(f"{done.remaining} wait: flywheel annotate app" if done.remaining else following)


@annotate.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--tasks", is_flag=True, help="Write the tasks nobody has judged, to be labelled elsewhere.")
@click.option("--week", help="Only this week.  [default: all]")
@FORMAT
@click.pass_obj
def export(workspace: Workspace, path: Path, tasks: bool, week: str | None, form: str) -> None:
    """Write labels, or open tasks, to PATH: a table if it ends in .csv, else JSON lines.

    Example: flywheel annotate export labels.csv --week 2026-W45
    """
    from flywheel.labels.exchange import export_labels, export_tasks

    store = open_store(workspace)
    if week:
        week = chosen_week(store, week)
    write = export_tasks if tasks else export_labels
    count = write(store, path, week, "csv" if path.suffix.lower() == ".csv" else "jsonl")
    what = "tasks" if tasks else "labels"
    click.echo(as_json({what: count, "path": str(path)}) if form == "json" else f"{count} {what} in {path}")


@annotate.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--week", help="Week of rows that name a trace instead of a task.")
@ANNOTATOR
@FORMAT
@click.pass_obj
def import_(workspace: Workspace, path: Path, week: str | None, annotator: str, form: str) -> None:
    """Add the labels in PATH (.csv or JSON lines). The second time changes nothing.

    A row needs `task_id`, or `trace_id` and the week, and a `verdict`. Rows without a task are turned away.

    Example: flywheel annotate import labels.csv --week 2026-W45
    """
    from flywheel.labels.exchange import import_labels

    store = open_store(workspace)
    count = import_labels(store, path, annotator, chosen_week(store, week) if week else None)
    if form == "json":
        click.echo(as_json(count))
    else:
        for rejected in count.rejected:
            click.echo(f"{path}, line {rejected.line}: {rejected.reason}", err=True)
        click.echo(f"{count.added} labels added, {count.unchanged} there already, {len(count.rejected)} rejected")
    if not count.added and not count.unchanged:
        raise UserError(f"no label came in from {path}; mend the rows named above, or check that it is the right file")


@annotate.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True)
@ANNOTATOR
@click.pass_obj
def app(workspace: Workspace, port: int, annotator: str) -> None:
    """Open the label page in a browser, on this machine only. Ctrl-C ends it.

    Example: flywheel annotate app --port 8502
    """
    require_free(port)
    open_store(workspace).engine.dispose()
    click.echo(f"labelling as {annotator or '(no name yet)'} at http://{ADDRESS}:{port} · Ctrl-C ends it")
    environment = {**os.environ, "FLYWHEEL_WORKSPACE": str(workspace.root), "FLYWHEEL_ANNOTATOR": annotator}
    # Whoever ends this process ends the page too: `run` kills its child when an exception passes through.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        ended = subprocess.run(app_command(port), env=environment, check=False)  # noqa: S603  every word is ours
        if ended.returncode:
            raise OperationalError(f"the label page ended with exit code {ended.returncode}; what it said stands above")


def app_command(port: int) -> list[str]:
    """Give the command that serves the label page, with everything off that would call out."""
    # Found, not imported: `annotation_app` imports `flywheel`, never the other way round.
    found = find_spec("annotation_app")
    if found is None or not found.submodule_search_locations:
        raise OperationalError("the package annotation_app is not installed; install rag-flywheel again")
    page = Path(found.submodule_search_locations[0]) / "main.py"
    options = {
        "server.address": ADDRESS,
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        **{f"theme.{mode}.primaryColor": colour for mode, colour in ACCENT.items()},
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(page), *flags]


def require_free(port: int) -> None:
    """Raise an `OperationalError` for a port that another program listens on."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((ADDRESS, port))
        except OSError as error:
            raise OperationalError(
                f"port {port} on {ADDRESS} is busy ({error.strerror}); pass another, such as --port {port + 1}"
            ) from error
