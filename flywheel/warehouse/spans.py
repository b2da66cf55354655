"""Spans of traces that arrive in pieces, in any order and in several files, and the scores that exports carry."""

from collections.abc import Iterator, Sequence

import duckdb
import pyarrow as pa

from flywheel.sources.records import ExportedScore

SLICE = 20_000
"""Spans read at a time when traces are put together again."""


def span_table(rows: Sequence[tuple[str, str, str, str, bytes, int]], delivery: int) -> pa.Table:
    """Lay out spans as rows of `span`: trace id, span id, part, content hash, content as JSON, line."""
    traces, spans, parts, hashes, contents, lines = zip(*rows, strict=True)
    text = pa.string()
    return pa.table(
        {
            "trace_id": pa.array(traces, text),
            "span_id": pa.array(spans, text),
            "part": pa.array(parts, text),
            "content_hash": pa.array(hashes, text),
            "content": pa.array(contents, pa.binary()).cast(text),
            "delivery": pa.array([delivery] * len(rows), pa.int64()),
            "line": pa.array(lines, pa.int64()),
        }
    )


def score_table(rows: Sequence[tuple[int, str, ExportedScore]], delivery: int) -> pa.Table:
    """Lay out exported scores, each with its line and content hash, as rows of `exported_score`."""
    text = pa.string()
    fields = {
        name: pa.array([getattr(score, name) for _, _, score in rows], text)
        for name in ("score_id", "trace_id", "span_id", "name", "source", "label", "comment", "author")
    }
    return pa.table(
        {
            **fields,
            "content_hash": pa.array([content_hash for _, content_hash, _ in rows], text),
            "value": pa.array([score.value for _, _, score in rows], pa.float64()),
            "created_at": pa.array([score.created_at for _, _, score in rows], pa.timestamp("us")),
            "delivery": pa.array([delivery] * len(rows), pa.int64()),
            "line": pa.array([line for line, _, _ in rows], pa.int64()),
        }
    )


def forget_touched(db: duckdb.DuckDBPyConnection) -> None:
    """Begin to note which traces a delivery's spans belong to."""
    db.execute("create or replace temp table touched (trace_id varchar, spans bigint, is_assembled boolean)")


def touched_table(rows: Sequence[tuple[str, int, bool]]) -> pa.Table:
    """Lay out traces, how many spans of them one batch held, and whether a trace came of these."""
    traces, spans, assembled = zip(*rows, strict=True)
    return pa.table(
        {
            "trace_id": pa.array(traces, pa.string()),
            "spans": pa.array(spans, pa.int64()),
            "is_assembled": pa.array(assembled, pa.bool_()),
        }
    )


def drop_known(db: duckdb.DuckDBPyConnection, delivery: int) -> int:
    """Drop the spans of a delivery that another one brought. Gives their number."""
    row = db.execute(
        """
        delete from span where delivery = $delivery and (trace_id, span_id, part) in (
            select (trace_id, span_id, part) from span where delivery <> $delivery)
        """,
        {"delivery": delivery},
    ).fetchone()
    return int(row[0]) if row else 0


def traces_in_pieces(db: duckdb.DuckDBPyConnection, delivery: int) -> int:
    """Find the touched traces whose spans do not all stand in one batch, and take back what was made of a part.

    Their spans wait in order in a table of their own, for `read_pieces`. Gives the number of such traces.
    """
    db.execute(
        """
        create or replace temp table pieces as
        with counted as (select trace_id, count(*) as batches, sum(spans) as spans from touched group by trace_id),
        stored as (select trace_id, count(*) as spans from span semi join touched using (trace_id) group by trace_id)
        select trace_id from counted join stored using (trace_id)
        where batches > 1 or counted.spans <> stored.spans
        """
    )
    row = db.execute("select count(*) from pieces").fetchone()
    assert row is not None
    if row[0]:
        db.execute("delete from trace where delivery = ? and trace_id in (select trace_id from pieces)", [delivery])
        db.execute(
            """
            create or replace temp table piece as
            select row_number() over (order by trace_id, span_id, part) as place, trace_id, content
            from span semi join pieces using (trace_id) order by trace_id, span_id, part
            """
        )
    return int(row[0])


def read_pieces(db: duckdb.DuckDBPyConnection) -> Iterator[list[tuple[str, list[str]]]]:
    """Yield traces in pieces, some at a time, each with the JSON of all its spans."""
    place = 0
    held: tuple[str, list[str]] | None = None
    while rows := db.execute(
        "select trace_id, content from piece where place > ? and place <= ? order by place", [place, place + SLICE]
    ).fetchall():
        place += SLICE
        ready: list[tuple[str, list[str]]] = []
        for trace_id, content in rows:
            if held and held[0] == trace_id:
                held[1].append(content)
                continue
            if held:
                ready.append(held)
            held = (trace_id, [content])
        yield ready
    if held:
        yield [held]


def count_waiting(db: duckdb.DuckDBPyConnection) -> int:
    """Count the touched traces that are whole in one batch and still are no trace; forget what was noted."""
    row = db.execute(
        """
        select count(*) from touched anti join pieces using (trace_id) where not is_assembled
        """
    ).fetchone()
    for name in ("touched", "pieces", "piece"):
        db.execute(f"drop table if exists {name}")
    assert row is not None
    return int(row[0])


def scores_fingerprint(db: duckdb.DuckDBPyConnection, week: str) -> str:
    """Give a hash of what exported scores a week's traces have, in whatever order they arrived."""
    row = db.execute(
        """
        select coalesce(md5(string_agg(content_hash || trace_id, ',' order by content_hash, trace_id)), '')
        from exported_score semi join (select trace_id from trace where week = ?) using (trace_id)
        """,
        [week],
    ).fetchone()
    assert row is not None
    return str(row[0])
