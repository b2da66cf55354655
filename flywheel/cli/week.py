"""`flywheel run` and the commands of its stages."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from flywheel.trace import last_complete_week, week_start
from flywheel.week import NAME_WIDTH, Event, Listener, event_lines
from flywheel.workspace import Workspace

FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
CLEAR_LINE = "\r\x1b[2K"


def checked_week(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str:
    """Take a week's name, or the last complete week."""
    week = value or last_complete_week(datetime.now(UTC))
    week_start(week)
    return week


WEEK = click.option(
    "--week", callback=checked_week, help="ISO week such as 2026-W45.  [default: the last complete one]"
)


@click.command()
@WEEK
@click.option("--continue", "is_continued", is_flag=True, help="Phase 2: fold in the labels, estimate, learn, gate.")
@click.option("--strict", is_flag=True, help="With --continue: exit with the gate's code instead of 0.")
@FORMAT
@click.pass_obj
def run(workspace: Workspace, week: str, is_continued: bool, strict: bool, form: str) -> None:
    """Do a week's job: take traces in, score, group and queue them; with --continue, use what people said.

    Killed at any moment, the same command finishes the week.

    \b
    Example: flywheel run --week 2026-W45
             flywheel run --week 2026-W45 --continue
    """  # noqa: D301
    events: list[Event] = []
    listen = printer(form, events)
    if is_continued:
        from flywheel.phase_two import run_phase_two

        gate = run_phase_two(workspace, week, listen)
        finish(form, week, events, f"Next: look at {workspace.report(week) / 'report.html'}")
        if strict:
            raise click.exceptions.Exit(gate.get("exit_code", 0))
        return
    from flywheel.phase_one import run_phase_one

    run_phase_one(workspace, week, listen)
    finish(form, week, events, f"Next: flywheel annotate app          then: flywheel run --week {week} --continue")


def printer(form: str, events: list[Event]) -> Listener:
    """Give a listener that prints a line a step, and keeps what is done for `--format json`.

    A terminal also sees, on a line that goes again, which step is at work and how far it is.
    """
    is_terminal = sys.stdout.isatty()

    def listen(event: Event) -> None:
        if event.kind in ("start", "progress"):
            if is_terminal and form == "text":
                click.echo(f"{CLEAR_LINE}{event.step:<{NAME_WIDTH}}{event.text or '...'}", nl=False)
            return
        events.append(event)
        if form == "text":
            click.echo(CLEAR_LINE if is_terminal else "", nl=False)
            click.echo("\n".join(event_lines(event)))

    return listen


def finish(form: str, week: str, events: list[Event], following: str) -> None:
    """Print what to do next, or everything as JSON."""
    if form == "json":
        steps = [asdict(event) for event in events]
        click.echo(json.dumps({"week": week, "steps": steps}, indent=2))
    else:
        click.echo(following)


def stage(name: str, until: str, says: str, phase: int = 1) -> click.Command:
    """Make the command of one stage: it does the steps before it too, where they are not done."""

    @WEEK
    @FORMAT
    @click.pass_obj
    def command(workspace: Workspace, week: str, form: str) -> None:
        events: list[Event] = []
        run_phase(phase)(workspace, week, printer(form, events), until)
        if form == "json":
            finish(form, week, events, "")

    also = "Steps before it that are not done are done too."
    return click.command(name, help=f"{says}\n\n{also}\n\nExample: flywheel {name} --week 2026-W45")(command)


def run_phase(phase: int) -> Callable[..., Any]:
    """Import a phase."""
    if phase == 1:
        from flywheel.phase_one import run_phase_one

        return run_phase_one
    from flywheel.phase_two import run_phase_two

    return run_phase_two


score = stage("score", "score", "Score a week's answers with the metrics of [scoring].")
triage = stage("triage", "triage", "Flag the traces of a week that look failed, and say why.")
modes = stage("modes", "modes", "Group a week's failures into failure modes, matched to earlier weeks.")
plan = stage("plan", "enqueue", "Draw a week's traces to label, and queue them as tasks.")
estimate = stage("estimate", "estimate", "Estimate a week's failure rate from the labels there are.", 2)


@click.command()
@WEEK
@FORMAT
@click.pass_obj
def report(workspace: Workspace, week: str, form: str) -> None:
    """Write a week's report again, with what is known of it by now.

    Example: flywheel report --week 2026-W45
    """
    from flywheel.weekly_report import rewrite_report

    path = rewrite_report(workspace, week)
    click.echo(json.dumps({"week": week, "report": str(path)}) if form == "json" else str(path))


@click.command()
@FORMAT
@click.pass_obj
def status(workspace: Workspace, form: str) -> None:
    """Say where the weekly job stands, without waiting for it.

    Example: flywheel status
    """
    from flywheel.week import read_status

    found = read_status(workspace)
    again = f"flywheel run --week {found.week}" + (" --continue" if found.phase == 2 else "") if found else ""
    if form == "json":
        click.echo(json.dumps(asdict(found) | {"is_running": found.is_running} if found else None))
    elif found is None:
        click.echo("no weekly job has run here yet; start one: flywheel run --week 2026-W45")
    elif not found.step and found.number == found.of:
        click.echo(f"phase {found.phase} of {found.week} is finished ({found.since})")
    elif not found.step:
        done = f"{found.number} of {found.of} steps of phase {found.phase} of {found.week} are done ({found.since})"
        click.echo(f"{done}; do the others: {again}")
    elif found.is_running:
        click.echo(
            f"phase {found.phase} of {found.week}: {found.step}, step {found.number} of {found.of}, PID {found.pid}"
        )
    else:
        click.echo(f"phase {found.phase} of {found.week} stopped at {found.step}; take it up again: {again}")
