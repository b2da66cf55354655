"""Which steps of a week are done, on which inputs, and what each one said."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A finished step: the fingerprint of what it read, what it said, and its seconds."""

    name: str
    fingerprint: str
    summary: dict[str, Any]
    seconds: float


def finished_step(db: duckdb.DuckDBPyConnection, week: str, phase: int, name: str) -> StepRecord | None:
    """Give a step's record, None where it has not finished."""
    row = db.execute(
        "select name, fingerprint, summary, seconds from step where week = ? and phase = ? and name = ?",
        [week, phase, name],
    ).fetchone()
    return StepRecord(row[0], row[1], json.loads(row[2]), row[3]) if row else None


def finish_step(
    db: duckdb.DuckDBPyConnection,
    week: str,
    phase: int,
    name: str,
    fingerprint: str,
    summary: dict[str, Any],
    seconds: float,
) -> None:
    """Note that a step is done, in the transaction that holds its rows."""
    db.execute(
        "insert or replace into step values (?, ?, ?, ?, ?, ?, ?)",
        [week, phase, name, fingerprint, json.dumps(summary), seconds, datetime.now(UTC).replace(tzinfo=None)],
    )
