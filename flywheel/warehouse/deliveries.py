"""Every reading of a file: what it was taken for, what became of its records, which were rejected."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from flywheel.sources.records import Rejected


@dataclass(frozen=True, slots=True)
class Count:
    """What became of the records of a file: lines = added + updated + unchanged + rejected + blank.

    A record is what the format delivers one by one: a line of native traces, a span, an observation, a row.
    """

    lines: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    blank: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class TraceCount:
    """What records made of traces: added, updated, and those that still wait for a question or a time."""

    added: int = 0
    updated: int = 0
    waiting: int = 0

    def __add__(self, other: "TraceCount") -> "TraceCount":
        return TraceCount(self.added + other.added, self.updated + other.updated, self.waiting + other.waiting)


@dataclass(frozen=True, slots=True)
class Known:
    """An earlier delivery: the hash of the bytes that were read of its file, how many, and what became of them."""

    digest: str
    bytes: int
    format: str
    unit: str
    count: Count
    traces: TraceCount
    last_line: int


def next_delivery(db: duckdb.DuckDBPyConnection) -> int:
    """Give the number of the next delivery."""
    row = db.execute("select coalesce(max(delivery), 0) + 1 from delivery").fetchone()
    assert row is not None
    return int(row[0])


def find_known(db: duckdb.DuckDBPyConnection, name: str, size: int) -> list[Known]:
    """List earlier deliveries a file may repeat, or continue: as large as it, or smaller and of its name."""
    rows = db.execute(
        """
        select digest, bytes, format, unit, lines, added, updated, unchanged, rejected, blank,
               traces_added, traces_updated, traces_waiting, last_line
        from delivery where bytes = $size or (name = $name and bytes < $size) order by bytes desc, delivery desc
        """,
        {"size": size, "name": name},
    ).fetchall()
    return [
        Known(digest, read, form, unit, Count(*counts[:6]), TraceCount(*counts[6:9]), counts[9])
        for digest, read, form, unit, *counts in rows
    ]


def add_delivery(
    db: duckdb.DuckDBPyConnection,
    delivery: int,
    file: tuple[str, str, str, str, str, int, int],
    count: Count,
    traces: TraceCount,
    now: datetime,
) -> None:
    """Note a delivery; `file` is its digest, name, format, what that was recognised by, unit, bytes and last line."""
    db.execute(
        "insert into delivery values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            delivery, *file, count.lines, count.added, count.updated, count.unchanged, count.rejected, count.blank,
            traces.added, traces.updated, traces.waiting, now,
        ],
    )  # fmt: skip


def rejected_table(delivery: int, name: str, rejected: Sequence[Rejected]) -> pa.Table:
    """Lay out rejected records as rows of `rejected_record`."""
    return pa.table(
        {
            "delivery": pa.array([delivery] * len(rejected), pa.int64()),
            "name": pa.array([name] * len(rejected), pa.string()),
            "line": pa.array([r.line for r in rejected], pa.int64()),
            "reason": pa.array([r.reason for r in rejected], pa.string()),
        }
    )


def forget_rejected(db: duckdb.DuckDBPyConnection, beginning: str) -> None:
    """Drop the rejected records of the delivery whose digest begins so: they were tried again and counted anew."""
    db.execute(
        "delete from rejected_record where delivery in (select delivery from delivery where starts_with(digest, ?))",
        [beginning],
    )
