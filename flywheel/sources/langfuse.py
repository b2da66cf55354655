"""Langfuse exports: the UI's download of a trace, pages of its API, lines of its blob export; either style of names."""

from collections.abc import Iterator
from typing import Any

from flywheel.sources.delivery import Delivery, Head
from flywheel.sources.langfuse_fields import observation_span, score_of, trace_span
from flywheel.sources.langfuse_tables import is_table, rows_of_table
from flywheel.sources.records import Blank, Found, Record, Rejected
from flywheel.sources.vendor_fields import (
    BadRecordError,
    Fields,
    is_empty,
    kind_of,
    list_in,
    merged,
    objects_of,
    rejected,
    snake_case,
)

NAME = "langfuse"
UNIT = "record"
"""A trace, an observation or a score."""

TYPES = frozenset({
    "GENERATION", "SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "EMBEDDING", "GUARDRAIL"
})  # fmt: skip
SCORE_SOURCES = frozenset({"ANNOTATION", "API", "EVAL"})
SCORE_TYPES = frozenset({"NUMERIC", "BOOLEAN", "CATEGORICAL", "CORRECTION", "TEXT"})
TRACE_FIELDS = frozenset({
    "session_id", "user_id", "release", "version", "public", "bookmarked", "tags", "project_id", "html_path", "latency",
    "total_cost", "observations", "scores", "environment", "input", "output", "metadata",
})  # fmt: skip
NOT_OURS = frozenset({"user_input", "run_type", "resource_spans", "info", "span_id"})
"""Fields of native lines and of other formats that no Langfuse record has."""

RECORD_KINDS = {"trace": "a Langfuse trace", "observation": "Langfuse observations", "score": "Langfuse scores"}


def recognise(head: Head) -> str | None:
    """Say by what a file looks like a Langfuse export, or give None."""
    if is_table(head):
        return "its columns are those of a Langfuse blob export"
    first = head.first
    if isinstance(first, list):
        first = next((item for item in first[:1] if isinstance(item, dict)), None)
    if not isinstance(first, dict):
        return None
    if is_bundle(first):
        return "it holds a trace and its observations, as Langfuse downloads them"
    if is_page(first):
        item = next((item for item in first["data"] if isinstance(item, dict)), None)
        kind = kind_of_record(snake_case(item)) if item else None
        return f"it is a page of {RECORD_KINDS[kind]}" if kind else None
    kind = kind_of_record(snake_case(first))
    return f"its first record has the fields of {RECORD_KINDS[kind]}" if kind else None


def read(delivery: Delivery) -> Iterator[Record]:
    """Yield the traces, observations and scores of a file, each as a record of its own."""
    if is_table(delivery.head):
        yield from (read_record(*row) if isinstance(row, tuple) else row for row in rows_of_table(delivery))
        return
    for item in objects_of(delivery):
        if not isinstance(item, tuple):
            yield item
            continue
        line, record = item
        if is_page(record):
            if not record["data"]:
                yield Blank(line)
            for element in record["data"]:
                yield from read_bundle(line, element) if is_bundle(element) else [read_record(line, element)]
        elif is_bundle(record):
            yield from read_bundle(line, record)
        else:
            yield read_record(line, record)


def is_page(record: Fields) -> bool:
    """Say whether an object is a page of the API: what it lists stands in `data`."""
    return isinstance(record.get("data"), list) and (isinstance(record.get("meta"), dict) or set(record) == {"data"})


def is_bundle(record: Any) -> bool:
    """Say whether an object is a trace together with whole observations or scores, not just the ids of some."""
    if not isinstance(record, dict):
        return False
    trace = record.get("trace")
    if isinstance(trace, dict) and isinstance(trace.get("id"), str):
        return "observations" in record or "observations" in trace
    if not isinstance(record.get("id"), str) or "info" in record:
        return False
    held = [item for key in ("observations", "scores") for item in list_in(record.get(key))]
    return any(isinstance(item, dict) and kind_of_record(snake_case(item)) for item in held)


def kind_of_record(fields: Fields) -> str | None:
    """Name what a record is by the fields it has: `observation`, `score` or `trace`; None for none of them."""
    if not NOT_OURS.isdisjoint(fields):
        return None
    kind = fields.get("type")
    if isinstance(kind, str) and kind.upper() in TYPES and ("trace_id" in fields or "start_time" in fields):
        return "observation"
    if "name" in fields and (
        in_names(fields.get("data_type"), SCORE_TYPES)
        or (in_names(fields.get("source"), SCORE_SOURCES) and ("value" in fields or "string_value" in fields))
    ):
        return "score"
    if isinstance(fields.get("id"), str) and "timestamp" in fields and "trace_id" not in fields:
        return "trace" if len(TRACE_FIELDS & set(fields)) >= 3 else None
    return None


def in_names(value: Any, names: frozenset[str]) -> bool:
    """Say whether a value is one of some names in capitals."""
    return isinstance(value, str) and value.upper() in names


def read_record(line: int, record: Any, kind: str | None = None, trace_id: str | None = None) -> Found | Rejected:
    """Read one record; of a kind that its place tells, or else that its fields do."""
    if not isinstance(record, dict):
        return rejected(line, f"expected an object, got {kind_of(record)}", record)
    fields = snake_case(record)
    if trace_id is not None and is_empty(fields.get("trace_id")):
        fields["trace_id"] = trace_id
    try:
        match kind or kind_of_record(fields):
            case "trace":
                return Found(line, trace_span(fields))
            case "observation":
                return Found(line, observation_span(fields))
            case "score":
                return Found(line, score_of(fields))
    except BadRecordError as error:
        return rejected(line, str(error), fields if trace_id is not None else record)
    return rejected(line, "it has the fields of no trace, observation or score of Langfuse", record)


def read_bundle(line: int, bundle: Fields) -> Iterator[Found | Rejected]:
    """Read a trace that comes with its observations and scores, which may stand inside it, beside it, or both."""
    inside = bundle["trace"] if isinstance(bundle.get("trace"), dict) else bundle
    trace = {key: value for key, value in inside.items() if key not in ("observations", "scores", "corrections")}
    yield read_record(line, trace, "trace")
    trace_id = str(inside["id"])
    holders = [bundle] if inside is bundle else [bundle, inside]
    for observation in merged_by_id([item for holder in holders for item in list_in(holder.get("observations"))]):
        yield read_record(line, observation, "observation", trace_id)
    scores = [item for holder in holders for key in ("scores", "corrections") for item in list_in(holder.get(key))]
    for score in merged_by_id(scores):
        yield read_record(line, score, "score", trace_id)


def merged_by_id(records: list[Any]) -> list[Any]:
    """Lay records of one id over each other, in the order of their first; a list of mere ids says nothing."""
    by_id: dict[str, Any] = {}
    for place, record in enumerate(records):
        if isinstance(record, str):
            continue
        key = str(place)
        if isinstance(record, dict):
            record = snake_case(record)
            if isinstance(record.get("id"), str):
                key = f"id {record['id']}"
        known = by_id.get(key)
        by_id[key] = merged(known, record) if known is not None else record
    return list(by_id.values())
