"""Made-up traces for the tests of everything between a trace file and the golden dataset."""

import json
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb

from eval.sample import Score
from flywheel.ingest import FileCount, How, how_to, ingest_file
from flywheel.settings import Ingest, Settings, Triage, Warehouse
from flywheel.signals import add_signals
from flywheel.warehouse import open_warehouse, scores
from flywheel.warehouse.deliveries import Count
from flywheel.warehouse.draws import GoldLabel

WEEK = "2026-W45"
MOMENT = "2026-11-03T10:00:00Z"


def make_trace(trace_id: str = "t1", passages: tuple[str, ...] = ("The trial runs 14 days.",), **fields) -> dict:
    """A line of the native format, as a dictionary."""
    return {
        "trace_id": trace_id,
        "timestamp": MOMENT,
        "user_input": "How long is the trial?",
        "response": "The trial runs 14 days.",
        "retrieved_contexts": [{"id": f"p{n}", "text": text} for n, text in enumerate(passages, start=1)],
    } | fields


def write_lines(path: Path, *lines: dict | bytes) -> Path:
    """Write a trace file; bytes stand as they are."""
    path.write_bytes(
        b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    )
    return path


def open_made(folder: Path) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """The warehouse of a test."""
    return open_warehouse(folder / "warehouse.duckdb", Warehouse(threads=1))


def deliver(db: duckdb.DuckDBPyConnection, folder: Path, *lines: dict | bytes, group: str = "session_id") -> Count:
    """Ingest lines as one file."""
    path = write_lines(folder / "delivery.jsonl", *lines)
    return take(db, path, group=group).count


def how_made(folder: Path, *, is_strict: bool = False, **limits) -> How:
    """How the files of a test are taken in; `limits` are settings of `[ingest]`."""
    return how_to(Settings(ingest=Ingest(**limits)), folder / "quarantine", is_strict=is_strict)


def take(db: duckdb.DuckDBPyConnection, path: Path, **limits) -> FileCount:
    """Ingest one file; what is rejected lies beside it."""
    return ingest_file(db, path, how_made(path.parent, **limits))


def score_all(db: duckdb.DuckDBPyConnection, groundedness: dict[str, float | None], week: str = WEEK) -> None:
    """Signals of a week, and a groundedness score of some of its traces."""
    add_signals(db, week, Triage())
    judged = [
        Score(trace_id, "groundedness", value, "ok" if value is not None else "not_applicable", "", "groundedness@made")
        for trace_id, value in groundedness.items()
    ]
    scores.replace_scores(db, week, "groundedness", judged, dict.fromkeys(groundedness, 1))


def make_gold(trace_id: str, verdict: str | None = "fail", **fields) -> GoldLabel:
    """What people said of a drawn trace."""
    return GoldLabel(
        **{
            "task_id": f"task-{trace_id}",
            "trace_id": trace_id,
            "revision": 1,
            "purpose": "random",
            "stratum": "1: 0.00-1.00",
            "verdict": verdict,
            "failure_type": "unsupported_claim" if verdict == "fail" else None,
            "severity": "P2" if verdict == "fail" else None,
            "corrected_response": None,
            "note": None,
            "spans": (),
            "annotators": ("ann",),
            "origin": "agreed" if verdict else "deferred",
        }
        | fields
    )


def tables(db: duckdb.DuckDBPyConnection) -> dict[str, list[tuple]]:
    """Every row of every table."""
    names = [name for (name,) in db.execute("select table_name from duckdb_tables() where not temporary").fetchall()]
    return {name: db.execute(f"select * from {name} order by all").fetchall() for name in names}
