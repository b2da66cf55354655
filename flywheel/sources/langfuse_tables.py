"""Langfuse's blob export as CSV or Parquet: each row as the object that its JSON line would be."""

import csv
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from flywheel.sources.delivery import Delivery, Head
from flywheel.sources.json_text import BOM
from flywheel.sources.records import Blank, Rejected
from flywheel.sources.rows import rows_of
from flywheel.sources.vendor_fields import Fields, snake_case

COLUMNS = (
    {"id", "trace_id", "type", "start_time"},
    {"id", "trace_id", "name", "source", "data_type"},
    {"id", "timestamp", "session_id", "user_id", "release"},
)
"""Columns of the three tables: observations, scores, traces. Any other export lacks some of each."""

NOT_OURS = frozenset({"span_id", "user_input", "run_type"})
NULL = "\\N"


def is_table(head: Head) -> bool:
    """Say whether a file is a table with the columns of Langfuse's blob export."""
    if head.columns:
        return is_ours(head.columns)
    first = head.start[:10_000].removeprefix(BOM).partition(b"\n")[0]
    try:
        return is_ours(next(csv.reader([first.decode("utf-8", "replace").strip("\r")]), []))
    except csv.Error:
        return False


def is_ours(columns: Sequence[str]) -> bool:
    """Say whether columns are those of traces, observations or scores."""
    names = set(snake_case(dict.fromkeys(columns)))
    return NOT_OURS.isdisjoint(names) and any(needed <= names for needed in COLUMNS)


def rows_of_table(delivery: Delivery) -> Iterator[tuple[int, Fields] | Rejected | Blank]:
    """Yield each row as an object, and each row that does not fit the columns."""
    for row in rows_of(delivery):
        yield (row[0], {name: as_json(value) for name, value in row[1].items()}) if isinstance(row, tuple) else row


def as_json(value: Any) -> Any:
    """Turn a cell into what the JSON export has: a time as text, a map, which Arrow gives as pairs, as an object."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        if value and all(isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) for item in value):
            return {key: as_json(inner) for key, inner in value}
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {key: as_json(inner) for key, inner in value.items()}
    return None if value == NULL else value
