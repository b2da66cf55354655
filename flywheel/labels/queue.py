"""The queue: who gets which task, and what people said of it, all of it read from the events."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from statistics import median

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from eval.errors import UserError
from flywheel.labels.draws import no_such_task, read_task, task_ids
from flywheel.labels.records import EventKind, Label, Progress, Task
from flywheel.labels.store import LabelStore, draw, event, insert_new, iso, reading, writing

TRACE = "trace"


@dataclass(frozen=True, slots=True)
class Lease:
    """A task that one annotator looks at until a moment; nobody else gets it before."""

    event_id: int
    annotator: str
    taken_at: datetime
    expires_at: datetime


@dataclass(slots=True)
class Acts:
    """What the events of a week come to. Labels and skips hold their event id; an undo takes them out again."""

    labels: dict[tuple[str, str, str], list[tuple[int, Label]]] = field(default_factory=dict)
    skips: dict[tuple[str, str], int] = field(default_factory=dict)
    leases: dict[tuple[str, str], Lease] = field(default_factory=dict)

    def in_force(self) -> list[tuple[int, Label]]:
        """Give the last label of each task, annotator and target, oldest first."""
        return sorted((given[-1] for given in self.labels.values() if given), key=lambda numbered: numbered[0])

    def verdicts(self) -> list[Label]:
        """Give the labels in force that judge whole traces."""
        return [label for _, label in self.in_force() if label.target == TRACE]


def read_acts(connection: Connection, week: str, up_to_event: int | None = None) -> Acts:
    """Replay the events of a week in one pass."""
    rows = sa.select(event).where(event.c.week == week).order_by(event.c.event_id)
    if up_to_event is not None:
        rows = rows.where(event.c.event_id <= up_to_event)
    acts = Acts()
    for row in connection.execute(rows):
        if row.kind == "label":
            label = msgspec.json.decode(row.body, type=Label)
            acts.labels.setdefault((row.task_id, row.author, label.target), []).append((row.event_id, label))
        elif row.kind == "skip":
            acts.skips[row.task_id, row.author] = row.event_id
        elif row.kind == "undo":
            for given in acts.labels.values():
                given[:] = [numbered for numbered in given if numbered[0] != row.undoes]
            acts.skips = {skipped: number for skipped, number in acts.skips.items() if number != row.undoes}
        elif row.kind == "lease":
            taken, expires = datetime.fromisoformat(row.at), datetime.fromisoformat(row.body)
            acts.leases[row.task_id, row.author] = Lease(row.event_id, row.author, taken, expires)
    return acts


def next_task(
    store: LabelStore,
    annotator: str,
    week: str | None = None,
    lease_seconds: int = 900,
    now: datetime | None = None,
) -> Task | None:
    """Lease the next open task to an annotator; None when none waits. Without a week: the newest with a draw.

    Open is what nobody has judged, this annotator has not skipped and nobody else holds a running lease on.
    Who asks again before the lease ends gets the same task.
    """
    now = now or datetime.now(UTC)
    with writing(store) as connection:
        week = week or connection.scalar(sa.select(sa.func.max(draw.c.week)))
        if week is None:
            return None
        acts = read_acts(connection, week)
        judged = {label.task_id for label in acts.verdicts()}
        running = {key: lease for key, lease in acts.leases.items() if lease.expires_at > now}
        held = {task for task, holder in running if holder != annotator}
        skipped = {task for task, who in acts.skips if who == annotator}
        free = [task for task in task_ids(connection, week) if task not in judged | held | skipped]
        if not free:
            return None
        own = [(lease.event_id, key[0]) for key, lease in running.items() if key[1] == annotator and key[0] in free]
        chosen = max(own)[1] if own else free[0]
        lease = running.get((chosen, annotator))
        # Renewed late, so that a page that asks at every click does not write at every click.
        if lease is None or lease.expires_at - now < timedelta(seconds=lease_seconds / 2):
            take_lease(connection, week, chosen, annotator, now, lease_seconds)
        return read_task(connection, chosen)


def take_lease(
    connection: Connection, week: str, task_id: str, annotator: str, now: datetime, lease_seconds: int
) -> None:
    """Write that a task is the annotator's until the lease ends."""
    expires = iso(now + timedelta(seconds=lease_seconds))
    append(connection, "lease", week, task_id, annotator, now, expires)


def lease_start(store: LabelStore, task: Task, annotator: str) -> datetime | None:
    """Say when an annotator last took a task, None when never: the start of a label given on the command line."""
    with reading(store) as connection:
        lease = read_acts(connection, task.week).leases.get((task.task_id, annotator))
    return lease.taken_at if lease else None


def submit_label(store: LabelStore, label: Label) -> int:
    """Store a label and give its event id. The same verdict again changes nothing; another one replaces it."""
    with writing(store) as connection:
        task = read_task(connection, label.task_id)
        if task is None:
            raise no_such_task(label.task_id)
        if (label.trace_id, label.revision) != (task.trace_id, task.revision):
            raise UserError(
                f"task {task.task_id} shows trace {task.trace_id!r} revision {task.revision}, the label names "
                f"{label.trace_id!r} revision {label.revision}; load the task again and label what it shows"
            )
        given = read_acts(connection, task.week).labels.get((label.task_id, label.annotator, label.target))
        if given and content(given[-1][1]) == content(label):
            return given[-1][0]
        number = append_label(connection, task.week, label, label_key(label, iso(label.submitted_at)))
        if number is None:
            raise UserError(
                f"{label.annotator} already gave and took back this very label of task {label.task_id} "
                f"at {iso(label.submitted_at)}; submit it with a newer time"
            )
        return number


def content(label: Label) -> bytes:
    """Write what a label says, without when it was said."""
    return msgspec.json.encode(replace(label, submitted_at=datetime.min, started_at=None))


def label_key(label: Label, given_at: str) -> str:
    """Make the natural key of a label: equal for the same content said at the same time (or at no known time, '')."""
    return sha256(content(label) + b"\x1f" + given_at.encode()).hexdigest()


def append_label(connection: Connection, week: str, label: Label, key: str) -> int | None:
    """Append a label; None where its natural key is already there."""
    body = msgspec.json.encode(label).decode()
    return append(connection, "label", week, label.task_id, label.annotator, label.submitted_at, body, key)


def append(
    connection: Connection,
    kind: EventKind,
    week: str | None,
    task_id: str | None,
    author: str,
    at: datetime,
    body: str = "",
    natural_key: str | None = None,
    undoes: int | None = None,
) -> int | None:
    """Append an event and give its id; None where its natural key is already there."""
    row = {"kind": kind, "natural_key": natural_key, "week": week, "task_id": task_id, "author": author}
    return insert_new(connection, event, {**row, "at": iso(at), "undoes": undoes, "body": body})


def skip_task(store: LabelStore, task_id: str, annotator: str, now: datetime | None = None) -> None:
    """Pass a task over: this annotator does not get it again, others do."""
    with writing(store) as connection:
        task = read_task(connection, task_id)
        if task is None:
            raise no_such_task(task_id)
        if (task_id, annotator) in read_acts(connection, task.week).skips:
            return
        now = now or datetime.now(UTC)
        append(connection, "skip", task.week, task_id, annotator, now)
        take_lease(connection, task.week, task_id, annotator, now, 0)


def undo_label(
    store: LabelStore,
    annotator: str,
    week: str | None = None,
    lease_seconds: int = 900,
    now: datetime | None = None,
) -> Task | None:
    """Take back the annotator's newest label or skip of a week and lease its task to them again; None: nothing to undo.

    Without a week: the newest with a draw. The label stays in the store; an event says that it no longer counts.
    A skipped task comes back even if somebody else has taken it meanwhile; then both may label it.
    """
    now = now or datetime.now(UTC)
    with writing(store) as connection:
        week = week or connection.scalar(sa.select(sa.func.max(draw.c.week)))
        if week is None:
            return None
        acts = read_acts(connection, week)
        done = [(number, label.task_id) for number, label in acts.in_force() if label.annotator == annotator]
        done += [(number, task) for (task, who), number in acts.skips.items() if who == annotator]
        if not done:
            return None
        number, task_id = max(done)
        append(connection, "undo", week, task_id, annotator, now, undoes=number)
        take_lease(connection, week, task_id, annotator, now, lease_seconds)
        return read_task(connection, task_id)


def current_labels(store: LabelStore, week: str, up_to_event: int | None = None) -> list[Label]:
    """Give the last verdict on each trace by each annotator that was not taken back, oldest first.

    `up_to_event` leaves out what came later. Labels of single sentences or passages are left out.
    """
    with reading(store) as connection:
        return read_acts(connection, week, up_to_event).verdicts()


def last_event_id(store: LabelStore, week: str | None = None) -> int:
    """Give the id of the newest event, 0 where there is none; for a week: of what it is estimated from.

    Those are its labels and what took them back, and every decision; leases and skips change no estimate.
    """
    newest = sa.select(sa.func.max(event.c.event_id))
    if week is not None:
        is_said = event.c.kind.in_(("label", "undo")) & (event.c.week == week)
        newest = newest.where(is_said | (event.c.kind == "decision"))
    with reading(store) as connection:
        return connection.scalar(newest) or 0


def progress(store: LabelStore, week: str, annotator: str | None = None) -> Progress:
    """Count the tasks of a week by what became of them: by anyone, or by one annotator."""
    with reading(store) as connection:
        acts = read_acts(connection, week)
        total = len(task_ids(connection, week))
    per_annotator: dict[str, int] = {}
    for label in acts.verdicts():
        per_annotator[label.annotator] = per_annotator.get(label.annotator, 0) + 1
    counted = [label for label in acts.verdicts() if annotator in (None, label.annotator)]
    done = {label.task_id for label in counted if label.verdict != "defer"}
    deferred = {label.task_id for label in counted} - done
    skipped = {task for task, who in acts.skips if annotator in (None, who)} - done - deferred
    seconds = [(label.submitted_at - label.started_at).total_seconds() for label in counted if label.started_at]
    return Progress(
        week, total, len(done), len(deferred), len(skipped), per_annotator, median(seconds) if seconds else None
    )
