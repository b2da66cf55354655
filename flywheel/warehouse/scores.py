"""Scores of traces, of the sentences of their answers, and the detectors that gave them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from eval.sample import Passage, Sample, Score

SCORE_COLUMNS = (
    "trace_id",
    "revision",
    "week",
    "metric",
    "value",
    "status",
    "reason",
    "instrument",
    "seconds",
    "cost_usd",
)
SENTENCE_COLUMNS = (
    "trace_id",
    "revision",
    "week",
    "index",
    "start_offset",
    "end_offset",
    "unsupported",
    "passage_id",
    "reason",
)
SENTENCE_TYPES = ("string", "int32", "string", "int32", "int32", "int32", "float64", "string", "string")
SCORE_TYPES = ("string", "int32", "string", "string", "float64", "string", "string", "string", "float64", "float64")

PASSAGES = "case when contexts_missing then [] else retrieved_contexts end"
"""Some of an answer's passages judge it no better than none: what they do not hold the others may."""


def without_contexts(db: duckdb.DuckDBPyConnection, week: str) -> frozenset[str]:
    """Name a week's traces whose export left passages out."""
    rows = db.execute("select trace_id from trace where week = ? and contexts_missing", [week]).fetchall()
    return frozenset(trace_id for (trace_id,) in rows)


def read_samples(db: duckdb.DuckDBPyConnection, week: str) -> tuple[list[Sample], dict[str, int]]:
    """Give a week's `ok` traces as samples, by trace id, and the revision of each."""
    rows = db.execute(
        f"""
        select trace_id, revision, user_input, coalesce(response, ''), {PASSAGES}, group_id
        from trace where week = ? and status = 'ok' order by trace_id
        """,
        [week],
    ).fetchall()
    return [sample(*row[:1], *row[2:]) for row in rows], {row[0]: row[1] for row in rows}


def read_samples_by_id(db: duckdb.DuckDBPyConnection, trace_ids: Sequence[str]) -> dict[str, Sample]:
    """Give some traces as samples."""
    rows = db.execute(
        f"""
        select trace_id, user_input, coalesce(response, ''), {PASSAGES}, group_id
        from trace where trace_id in (select unnest(?))
        """,
        [list(trace_ids)],
    ).fetchall()
    return {row[0]: sample(*row) for row in rows}


def incomplete_passages(db: duckdb.DuckDBPyConnection, trace_ids: Sequence[str]) -> dict[str, tuple[Passage, ...]]:
    """Give of some traces those whose delivery left passages out, each with what it held."""
    rows = db.execute(
        """
        select trace_id, retrieved_contexts from trace where contexts_missing and trace_id in (select unnest(?))
        """,
        [list(trace_ids)],
    ).fetchall()
    return {name: tuple(Passage(held["id"], held["text"]) for held in contexts) for name, contexts in rows}


def sample(trace_id: str, user_input: str, response: str, contexts: list[dict[str, Any]], group: str) -> Sample:
    """Make a sample of a trace's columns."""
    passages = tuple(Passage(context["id"], context["text"]) for context in contexts)
    return Sample(trace_id, user_input, response, passages, group=group)


def replace_scores(
    db: duckdb.DuckDBPyConnection, week: str, metric: str, scores: Iterable[Score], revisions: dict[str, int]
) -> None:
    """Put a metric's scores of a week in place of those it had."""
    db.execute("delete from score where week = ? and metric = ?", [week, metric])
    rows = [
        (
            s.sample_id,
            revisions[s.sample_id],
            week,
            s.metric,
            s.value,
            s.status,
            s.reason,
            s.instrument,
            s.seconds,
            s.cost_usd,
        )
        for s in scores
    ]
    insert(db, "score", SCORE_COLUMNS, SCORE_TYPES, rows)


def keep_metrics(db: duckdb.DuckDBPyConnection, week: str, metrics: Sequence[str]) -> None:
    """Drop a week's scores of metrics that are asked for no more."""
    db.execute("delete from score where week = ? and metric not in (select unnest(?))", [week, list(metrics)])


def replace_sentences(db: duckdb.DuckDBPyConnection, week: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Put the sentence scores of a week in place of those it had; rows in the order of `SENTENCE_COLUMNS`."""
    db.execute("delete from sentence_score where week = ?", [week])
    insert(db, "sentence_score", SENTENCE_COLUMNS, SENTENCE_TYPES, rows)


def insert(
    db: duckdb.DuckDBPyConnection,
    table: str,
    columns: Sequence[str],
    types: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """Append rows in one Arrow scan, about a thousand times faster than row by row."""
    if not rows:
        return
    arrays = [
        pa.array(values, getattr(pa, kind)()) for values, kind in zip(zip(*rows, strict=True), types, strict=True)
    ]
    db.register("batch", pa.table(dict(zip(columns, arrays, strict=True))))
    db.execute(f"insert into {table} ({', '.join(columns)}) select * from batch")
    db.unregister("batch")


def save_detector(
    db: duckdb.DuckDBPyConnection, valid_from: str, week: str, instrument: str, labels: int, content: str
) -> None:
    """Keep a detector that serves from a week on; the one that it takes the place of is kept too, for its own week."""
    db.execute("update detector set valid_from = null where valid_from = ?", [valid_from])
    db.execute("delete from detector where instrument = ?", [instrument])
    db.execute("insert into detector values (?, ?, ?, ?, ?)", [instrument, valid_from, week, labels, content])


def find_detector(db: duckdb.DuckDBPyConnection, instrument: str) -> str | None:
    """Give the JSON of a detector by its instrument id."""
    row = db.execute("select content from detector where instrument = ?", [instrument]).fetchone()
    return str(row[0]) if row else None


def training_groups(db: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Name every group whose labels ever trained a detector of this workspace."""
    rows = db.execute("select distinct unnest(cast(content -> '$.training_groups' as varchar[])) from detector")
    return frozenset(group for (group,) in rows.fetchall())


def detector_in_force(db: duckdb.DuckDBPyConnection, week: str) -> str | None:
    """Give the JSON of the newest detector that serves a week, None where only the packaged one does."""
    row = db.execute(
        "select content from detector where valid_from <= ? order by valid_from desc limit 1", [week]
    ).fetchone()
    return str(row[0]) if row else None


def summarise(db: duckdb.DuckDBPyConnection, week: str) -> list[dict[str, Any]]:
    """Say for each metric, status and reason of a week how many traces it has, and the mean where there are values."""
    rows = db.execute(
        """
        select metric, instrument, status, case when status <> 'ok' then reason else '' end as why, count(*), avg(value)
        from score where week = ? group by metric, instrument, status, why order by metric, status, why
        """,
        [week],
    ).fetchall()
    keys = ("metric", "instrument", "status", "reason", "traces", "mean")
    return [dict(zip(keys, row, strict=True)) for row in rows]


def as_json(value: Any) -> str:
    """Write a value as compact JSON with sorted keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
