"""Draws and their tasks: written once, read by whoever labels or estimates."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from eval.errors import UserError
from flywheel.labels.records import Draw, Task
from flywheel.labels.store import LabelStore, draw, insert_new, reading, task, writing

TASK_ORDER = (sa.case((task.c.purpose == "random", 0), else_=1), task.c.position, task.c.task_id)
"""Random tasks first: any prefix of a draw, worked in its random order, is a valid sample."""


def add_draw(store: LabelStore, drawn: Draw, tasks: Sequence[Task]) -> int:
    """Store a draw with its tasks, all or nothing, and count the tasks that are new; the second time adds none.

    A draw is frozen: another draw for the same week, or more random tasks for this one, is a `UserError`.
    Purposive tasks may be added later.
    """
    for each in tasks:
        if (each.draw_id, each.week) != (drawn.draw_id, drawn.week):
            raise ValueError(f"task {each.task_id} belongs to draw {each.draw_id}, not to {drawn.draw_id}")
        if (each.purpose == "random") != (each.inclusion_probability is not None):
            raise ValueError(f"task {each.task_id}: a random task has an inclusion probability, no other has")
    rows = [task_row(each) for each in sorted(tasks, key=lambda each: each.purpose != "random")]
    with writing(store) as connection:
        known = connection.scalar(sa.select(draw.c.draw_id).where(draw.c.week == drawn.week))
        if known is not None and known != drawn.draw_id:
            raise UserError(
                f"{drawn.week} already has the draw {known}, and a draw is frozen; "
                "label its tasks, or take a new label store to draw that week again"
            )
        body = msgspec.json.encode(drawn).decode()
        insert_new(connection, draw, {"draw_id": drawn.draw_id, "week": drawn.week, "body": body})
        added = [row["purpose"] for row in rows if insert_new(connection, task, row) is not None]
        if known is not None and "random" in added:
            raise UserError(
                f"draw {known} of {drawn.week} is frozen, but {added.count('random')} random tasks are not in it; "
                "add them as purposive tasks"
            )
        return len(added)


def task_row(each: Task) -> dict[str, Any]:
    """Lay a task out in columns."""
    return {
        "task_id": each.task_id,
        "draw_id": each.draw_id,
        "week": each.week,
        "trace_id": each.trace_id,
        "purpose": each.purpose,
        "position": each.position,
        "body": msgspec.json.encode(each).decode(),
    }


def find_draw(store: LabelStore, week: str) -> Draw | None:
    """Give the draw of a week, None where nothing was drawn."""
    with reading(store) as connection:
        body = connection.scalar(sa.select(draw.c.body).where(draw.c.week == week))
    return None if body is None else msgspec.json.decode(body, type=Draw)


def draw_weeks(store: LabelStore) -> list[str]:
    """List the weeks that have a draw, newest first."""
    with reading(store) as connection:
        return list(connection.scalars(sa.select(draw.c.week).order_by(draw.c.week.desc())))


def draw_tasks(store: LabelStore, week: str) -> list[Task]:
    """Give the tasks of a week in the order people get them."""
    with reading(store) as connection:
        bodies = connection.scalars(sa.select(task.c.body).where(task.c.week == week).order_by(*TASK_ORDER))
        return [msgspec.json.decode(body, type=Task) for body in bodies]


def find_task(store: LabelStore, task_id: str) -> Task:
    """Give a task by its id; an id that is none is a `UserError`."""
    with reading(store) as connection:
        found = read_task(connection, task_id)
    if found is None:
        raise no_such_task(task_id)
    return found


def read_task(connection: Connection, task_id: str) -> Task | None:
    """Give a task by its id inside a transaction."""
    body = connection.scalar(sa.select(task.c.body).where(task.c.task_id == task_id))
    return None if body is None else msgspec.json.decode(body, type=Task)


def no_such_task(task_id: str) -> UserError:
    """Say that a task is not there."""
    return UserError(f"there is no task {task_id!r}; list those there are with: flywheel annotate export --tasks FILE")


def task_ids(connection: Connection, week: str) -> list[str]:
    """List the tasks of a week in the order people get them."""
    return list(connection.scalars(sa.select(task.c.task_id).where(task.c.week == week).order_by(*TASK_ORDER)))
