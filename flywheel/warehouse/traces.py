"""Traces as they stand, every file they came from, and every line that was rejected."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from flywheel.sources.lines import Rejected
from flywheel.sources.native import NativeLine

CONTEXT = pa.struct([("id", pa.string()), ("text", pa.string()), ("score", pa.float64()), ("source", pa.string())])
STAGED = pa.schema(
    [
        ("line", pa.int64()),
        ("trace_id", pa.string()),
        ("content_hash", pa.string()),
        ("timestamp", pa.timestamp("us")),
        ("group_id", pa.string()),
        ("user_input", pa.string()),
        ("response", pa.string()),
        ("session_id", pa.string()),
        ("user_id", pa.string()),
        ("tenant_id", pa.string()),
        ("environment", pa.string()),
        ("retrieved_contexts", pa.list_(CONTEXT)),
        ("model", pa.string()),
        ("prompt_version", pa.string()),
        ("latency_ms", pa.float64()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("cost_usd", pa.float64()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("rating", pa.int8()),
        ("comment", pa.string()),
        ("metadata", pa.string()),
    ]
)
FOUND_IN_A_WEEK = ("signal", "score", "sentence_score", "triage")
"""What was found of a trace; it goes when a new timestamp moves the trace to another week."""
CONTENT = ", ".join(name if name != "timestamp" else '"timestamp"' for name in STAGED.names[3:])


@dataclass(frozen=True, slots=True)
class Count:
    """What became of the lines of a file: lines = added + updated + unchanged + rejected + blank."""

    lines: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    blank: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


def stage(db: duckdb.DuckDBPyConnection) -> None:
    """Make an empty staging table for the lines of one file."""
    db.execute(f"create or replace temp table staged as select * from {empty(db)}")


def empty(db: duckdb.DuckDBPyConnection) -> str:
    """Register an empty Arrow table with the staging columns, and name it."""
    db.register("staged_shape", STAGED.empty_table())
    return "staged_shape"


def stage_lines(db: duckdb.DuckDBPyConnection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Append rows, in the order of `STAGED`, in one Arrow scan."""
    columns = list(zip(*rows, strict=True))
    table = pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, STAGED, strict=True)], schema=STAGED
    )
    db.register("staged_batch", table)
    db.execute("insert into staged select * from staged_batch")
    db.unregister("staged_batch")


def staged_row(line: NativeLine, group_id: str, metadata: str) -> tuple[Any, ...]:
    """Lay out one trace in the order of `STAGED`."""
    trace = line.trace
    feedback = trace.feedback
    return (
        line.line,
        trace.trace_id,
        line.content_hash,
        trace.timestamp,
        group_id,
        trace.user_input,
        trace.response,
        trace.session_id,
        trace.user_id,
        trace.tenant_id,
        trace.environment,
        [{"id": c.id, "text": c.text, "score": c.score, "source": c.source} for c in trace.retrieved_contexts],
        trace.model,
        trace.prompt_version,
        trace.latency_ms,
        trace.input_tokens,
        trace.output_tokens,
        trace.cost_usd,
        trace.status,
        trace.error,
        feedback.rating if feedback else None,
        feedback.comment if feedback else None,
        metadata,
    )


def count_staged(db: duckdb.DuckDBPyConnection) -> tuple[int, int, int]:
    """Say how many staged lines add a trace, update one, or change nothing: each against the line before it."""
    row = db.execute(
        """
        with delivered as (
            select s.content_hash,
                   coalesce(lag(s.content_hash) over delivery, t.content_hash) as before
            from staged s left join trace t using (trace_id)
            window delivery as (partition by s.trace_id order by s.line))
        select count(*) filter (before is null), count(*) filter (before <> content_hash),
               count(*) filter (before = content_hash)
        from delivered
        """
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1]), int(row[2])


def merge_staged(db: duckdb.DuckDBPyConnection) -> None:
    """Put the newest delivery of each staged trace in place; each change on the way counts one revision."""
    db.execute(
        f"""
        create or replace temp table newest as
        with delivered as (
            select s.*, coalesce(t.revision, 0) as known,
                   coalesce(lag(s.content_hash) over delivery, t.content_hash) as before
            from staged s left join trace t using (trace_id)
            window delivery as (partition by s.trace_id order by s.line)),
        counted as (
            select *, known + count(*) filter (before is distinct from content_hash) over (partition by trace_id)
                      as revision
            from delivered)
        select trace_id, revision, content_hash, strftime("timestamp", '%G-W%V') as week, {CONTENT}
        from counted where revision > known
        qualify row_number() over (partition by trace_id order by line desc) = 1
        """
    )
    for table in FOUND_IN_A_WEEK:
        db.execute(
            f"""
            delete from {table} where trace_id in
                (select trace_id from newest join trace using (trace_id) where newest.week <> trace.week)
            """
        )
    db.execute("delete from trace where trace_id in (select trace_id from newest)")
    db.execute(f"insert into trace (trace_id, revision, content_hash, week, {CONTENT}) select * from newest")
    db.execute("drop table newest")


def is_known_file(db: duckdb.DuckDBPyConnection, sha256: str) -> Count | None:
    """Give the count of a file that was ingested before with exactly these bytes."""
    row = db.execute(
        "select lines, added, updated, unchanged, rejected, blank from source_file where sha256 = ?", [sha256]
    ).fetchone()
    return Count(*row) if row else None


def add_file(
    db: duckdb.DuckDBPyConnection, sha256: str, name: str, count: Count, rejected: Sequence[Rejected], now: datetime
) -> None:
    """Note a file, its count, and its rejected lines."""
    db.execute(
        "insert into source_file values (?, ?, 'jsonl', ?, ?, ?, ?, ?, ?, ?)",
        [sha256, name, count.lines, count.added, count.updated, count.unchanged, count.rejected, count.blank, now],
    )
    if rejected:
        table = pa.table(
            {
                "sha256": [sha256] * len(rejected),
                "name": [name] * len(rejected),
                "line": [r.line for r in rejected],
                "reason": [r.reason for r in rejected],
            }
        )
        db.register("rejected_batch", table)
        db.execute("insert into rejected_line select * from rejected_batch")
        db.unregister("rejected_batch")


def week_fingerprint(db: duckdb.DuckDBPyConnection, week: str) -> str:
    """Give a hash of what traces a week holds, at which revision and content."""
    row = db.execute(
        """
        select coalesce(md5(string_agg(trace_id || content_hash || revision, ',' order by trace_id)), '')
        from trace where week = ?
        """,
        [week],
    ).fetchone()
    assert row is not None
    return str(row[0])


def count_traces(db: duckdb.DuckDBPyConnection, week: str) -> tuple[int, int]:
    """Count a week's traces: all, and those with status ok."""
    row = db.execute("select count(*), count(*) filter (status = 'ok') from trace where week = ?", [week]).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def weeks(db: duckdb.DuckDBPyConnection) -> list[str]:
    """List the weeks that hold traces, in order."""
    return [week for (week,) in db.execute("select distinct week from trace order by week").fetchall()]


def revisions(db: duckdb.DuckDBPyConnection, trace_ids: Sequence[str]) -> dict[str, int]:
    """Give the current revision of some traces."""
    found = db.execute("select trace_id, revision from trace where trace_id in (select unnest(?))", [list(trace_ids)])
    return dict(found.fetchall())


def rows(db: duckdb.DuckDBPyConnection, week: str, *columns: str) -> list[tuple[Any, ...]]:
    """Give columns of a week's traces, ordered by trace id."""
    return db.execute(f"select {', '.join(columns)} from trace where week = ? order by trace_id", [week]).fetchall()
