"""The two-phase job: steps in order, each done once for the same inputs, taken up again where a kill cut it off.

Rows of a step and the note that it is done go into the warehouse in one transaction. A step's fingerprint covers its
inputs and every step before it, so a step runs again only where something before it changed.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

import duckdb

from flywheel import __version__
from flywheel.labels.store import LabelStore, open_labels
from flywheel.warehouse import open_warehouse, transaction
from flywheel.warehouse.steps import finish_step, finished_step
from flywheel.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Job:
    """What every step works with. `inputs` is a hash of what the phase reads from outside."""

    workspace: Workspace
    week: str
    db: duckdb.DuckDBPyConnection
    labels: LabelStore
    inputs: str
    tell: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Said:
    """What a step reports: one line for people, figures for the report."""

    text: str
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a phase. `reads` gives what its result depends on beside the steps before it: settings, files."""

    name: str
    run: Callable[[Job], Said]
    reads: Callable[[Job], object] = lambda _: None


@dataclass(frozen=True, slots=True)
class Event:
    """Progress of a job: a step starts, says how far it is, is kept from before, or is done."""

    step: str
    kind: Literal["start", "progress", "kept", "done"]
    text: str = ""
    seconds: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)


def settings_of(*names: str) -> Callable[[Job], object]:
    """Give a reader of some tables of the settings."""

    def read(job: Job) -> object:
        return [getattr(job.workspace.settings, name).model_dump(mode="json") for name in names]

    return read


Listener = Callable[[Event], None]
NAME_WIDTH, LINE_WIDTH = 12, 88


def event_lines(event: Event) -> list[str]:
    """Say a step that is done in columns: its name, what it said (wrapped), its time."""
    took = "kept" if event.kind == "kept" else f"{event.seconds:.1f} s"
    first, *more = wrap(event.text, LINE_WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
    line = f"{event.step:<{NAME_WIDTH}}{first:<{LINE_WIDTH}} {took:>7}"
    return [line, *(f"{'':<{NAME_WIDTH}}{rest}" for rest in more)]


def in_workspace(job: Job, path: Path) -> str:
    """Name a file for people: relative to the workspace where it lies there, so that it means the same elsewhere."""
    root = job.workspace.root
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


@contextmanager
def open_job(workspace: Workspace, week: str, inputs: Callable[[Job], str] = lambda _: "") -> Iterator[Job]:
    """Hold the warehouse and the label store for one week's work."""
    with open_warehouse(workspace.warehouse, workspace.settings.warehouse) as db:
        job = Job(workspace, week, db, open_labels(workspace.labels_url), "")
        yield Job(workspace, week, db, job.labels, inputs(job))


def run_steps(job: Job, phase: int, steps: Sequence[Step], listen: Listener, until: str | None = None) -> None:
    """Do the steps of a phase in order, those that are done on the same inputs excepted."""
    before = sha256(f"{__version__}\x1f{job.week}\x1f{phase}\x1f{job.inputs}".encode()).hexdigest()
    for number, step in enumerate(steps, start=1):
        read = json.dumps(step.reads(job), sort_keys=True, default=str)
        fingerprint = sha256(f"{before}\x1f{step.name}\x1f{read}".encode()).hexdigest()
        known = finished_step(job.db, job.week, phase, step.name)
        if known and known.fingerprint == fingerprint:
            listen(Event(step.name, "kept", known.summary["text"], known.seconds, known.summary["figures"]))
        else:
            write_status(job.workspace, job.week, phase, step.name, number, len(steps))
            listen(Event(step.name, "start"))
            started = time.perf_counter()
            with transaction(job.db):
                said = step.run(replace(job, tell=telling(listen, step.name)))
                seconds = time.perf_counter() - started
                summary = {"text": said.text, "figures": said.figures}
                finish_step(job.db, job.week, phase, step.name, fingerprint, summary, seconds)
            listen(Event(step.name, "done", said.text, seconds, said.figures))
        before = fingerprint
        if step.name == until:
            break
    write_status(job.workspace, job.week, phase, "", number, len(steps))


def telling(listen: Listener, step: str) -> Callable[[str], None]:
    """Let a long step say how far it is."""
    return lambda text: listen(Event(step, "progress", text))


@dataclass(frozen=True, slots=True)
class Status:
    """Where a job stands: at step `number` of `of`; when `step` is empty, at rest after that many steps."""

    week: str
    phase: int
    step: str
    number: int
    of: int
    pid: int
    since: str

    @property
    def is_running(self) -> bool:
        """Whether the process that wrote this is alive and has steps left."""
        return bool(self.step) and Path(f"/proc/{self.pid}").exists() if Path("/proc").exists() else bool(self.step)


def status_file(workspace: Workspace) -> Path:
    """The small file beside the lock."""
    return workspace.warehouse.with_name(f"{workspace.warehouse.name}.status")


def write_status(workspace: Workspace, week: str, phase: int, step: str, number: int, of: int) -> None:
    """Say where the job stands, for `flywheel status`."""
    path = status_file(workspace)
    half = path.with_name(f"{path.name}.part")
    said = {"week": week, "phase": phase, "step": step, "number": number, "of": of, "pid": os.getpid()}
    half.write_text(json.dumps({**said, "since": datetime.now(UTC).isoformat(timespec="seconds")}))
    half.replace(path)


def read_status(workspace: Workspace) -> Status | None:
    """Give where the last job stands, None before the first one."""
    try:
        return Status(**json.loads(status_file(workspace).read_text()))
    except FileNotFoundError:
        return None
