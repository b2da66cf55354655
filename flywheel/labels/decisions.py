"""Human acts that are no labels: appended beside them, folded in by the next job."""

from hashlib import sha256

import msgspec
import sqlalchemy as sa

from flywheel.labels.queue import append
from flywheel.labels.records import Decision
from flywheel.labels.store import LabelStore, event, reading, writing


def add_decision(store: LabelStore, decision: Decision) -> bool:
    """Store a decision; False when this very one (same words, author and time) is already there."""
    body = msgspec.json.encode(decision, order="deterministic")
    key = sha256(body).hexdigest()
    with writing(store) as connection:
        added = append(
            connection, "decision", None, None, decision.author, decision.created_at, body.decode(), natural_key=key
        )
    return added is not None


def decisions(store: LabelStore, kind: str | None = None, up_to_event: int | None = None) -> list[Decision]:
    """Give the decisions in the order they were made, of one kind or all."""
    rows = sa.select(event.c.body).where(event.c.kind == "decision").order_by(event.c.event_id)
    if up_to_event is not None:
        rows = rows.where(event.c.event_id <= up_to_event)
    with reading(store) as connection:
        made = [msgspec.json.decode(body, type=Decision) for body in connection.scalars(rows)]
    return [decision for decision in made if kind in (None, decision.kind)]
