"""Phoenix's table of spans, as Parquet, CSV or JSON lines: OpenInference attributes as columns `attributes.<key>`."""

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from flywheel.sources import conventions
from flywheel.sources.convention_keys import MAPS
from flywheel.sources.delivery import Delivery, Head
from flywheel.sources.payload import decoded
from flywheel.sources.raw_span import ERROR_CODES, Event, RawSpan, id_of, what_is_wrong
from flywheel.sources.records import Blank, ExportedScore, Found, Record, Rejected, Span
from flywheel.sources.rows import is_csv, rows_of
from flywheel.sources.span_scores import SOURCES, score_of
from flywheel.sources.vendor_fields import (
    BadRecordError,
    Fields,
    list_in,
    moment,
    needed_moment,
    object_in,
    rejected,
    shortened,
)

NAME = "phoenix"
UNIT = "span"

TRACE_IDS = ("context.trace_id", "trace_id")
SPAN_IDS = ("context.span_id", "span_id", "__index_level_0__")
SIGNS = frozenset({"context.trace_id", "span_kind"})
"""Columns that a table of Phoenix has and no other."""

PREFIX = "attributes."
EVALUATION = "eval."
VERDICTS = ("label", "score", "explanation")
KIND = "openinference.span.kind"
DEPTH = 4


def recognise(head: Head) -> str | None:
    """Say why a file looks like Phoenix's spans, or give None."""
    if set(columns_of(head)) >= SIGNS:
        return "it has the columns `context.trace_id` and `span_kind`"
    first = first_object(head.first)
    if isinstance(first.get("context"), dict) and "span_kind" in first and isinstance(first.get("attributes"), dict):
        return "its first value has `context`, `span_kind` and `attributes`"
    return None


def columns_of(head: Head) -> Iterable[str]:
    """Name the columns of a table, or the keys of the first object."""
    if head.columns:
        return head.columns
    if is_csv(head):
        line = head.start.partition(b"\n")[0].decode("utf-8-sig", "replace").strip("\r")
        try:
            return next(csv.reader([line]), [])
        except csv.Error:
            return ()
    return first_object(head.first)


def first_object(first: Any) -> Fields:
    """Give the first object of a file, also of an array or of a page with its `data`."""
    if isinstance(first, dict) and isinstance(first.get("data"), list):
        first = first["data"]
    if isinstance(first, list):
        first = first[0] if first else None
    return first if isinstance(first, dict) else {}


def read(delivery: Delivery) -> Iterator[Record]:
    """Yield each span and the scores that ride on it, in file order, and each row that is none."""
    for row in rows_of(delivery):
        if isinstance(row, Rejected | Blank):
            yield row
            continue
        line, record = row
        page = record.get("data")
        if isinstance(page, list) and not any(key in record for key in (*TRACE_IDS, "context")):
            if not page:
                yield Blank(line)
            for item in page:
                yield from read_row(line, item)
        else:
            yield from read_row(line, record)


def read_row(line: int, record: Any) -> Iterator[Found | Rejected]:
    """Read one row."""
    if not isinstance(record, dict):
        yield rejected(line, "a span is no object", {"data": [record]})
        return
    try:
        found = what_it_says(record)
    except (BadRecordError, RecursionError) as error:
        yield rejected(line, str(error), record)
        return
    for what in found:
        yield Found(line, what)


def what_it_says(record: Fields) -> list[Span | ExportedScore]:
    """Read a span and its scores."""
    attributes: Fields = {}
    for key, value in record.items():
        if key.startswith(PREFIX):
            spread(attributes, key.removeprefix(PREFIX), value, 0)
    for key, value in object_in(record.get("attributes")).items():
        spread(attributes, key, value, 0)
    kind = record.get("span_kind")
    if isinstance(kind, str) and kind.upper() != "UNKNOWN":
        attributes.setdefault(KIND, kind)
    context = object_in(record.get("context"))
    message = record.get("status_message")
    raw = RawSpan(
        trace_id=id_of(id_in(record, TRACE_IDS) or id_in(context, ("trace_id",))),
        span_id=id_of(id_in(record, SPAN_IDS) or id_in(context, ("span_id",))),
        parent_id=id_of(id_in(record, ("parent_id",))) or None,
        name=id_in(record, ("name",)),
        started_at=time_in(record, "start_time"),
        ended_at=time_in(record, "end_time"),
        is_error=is_error(record.get("status_code")),
        status_message=message.replace("\x00", "") if isinstance(message, str) else "",
        attributes=attributes,
        events=[event_of(item) for item in list_in(record.get("events")) if isinstance(item, dict)],
    )
    if wrong := what_is_wrong(raw):
        raise BadRecordError(wrong)
    return [*conventions.records_of(raw), *evaluations(raw, record), *annotations(raw, record)]


def spread(attributes: Fields, key: str, value: Any, depth: int) -> None:
    """Write an attribute under its dotted key; objects are spread, except those whose keys are people's own."""
    if value is None:
        return
    if isinstance(value, dict) and key not in MAPS and depth < DEPTH:
        for inner, held in value.items():
            spread(attributes, f"{key}.{inner}", held, depth + 1)
        return
    if isinstance(value, str) and value[:2] in ("[{", "{'"):  # CSV, and frames that were written as text
        value = decoded(value)
    attributes[key] = without_nulls(value)


def without_nulls(value: Any) -> Any:
    """Drop the keys that Arrow fills up with null, because another row has them. The reader bounds the nesting."""
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def id_in(record: Fields, keys: tuple[str, ...]) -> str:
    """Read an id or a name, '' where there is none."""
    value = next((record[key] for key in keys if record.get(key) is not None), None)
    return value.replace("\x00", "") if isinstance(value, str) else shortened(value) or ""


def time_in(record: Fields, key: str) -> datetime | None:
    """Read a moment, which Parquet holds as one."""
    value = record.get(key)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    return needed_moment(record, key)


def is_error(code: Any) -> bool:
    """Tell whether a status code stands for an error."""
    return isinstance(code, str | int) and code in ERROR_CODES


def event_of(item: Fields) -> Event:
    """Read an event of a span."""
    at = item.get("timestamp")
    return Event(
        id_in(item, ("name",)), object_in(item.get("attributes")), at if isinstance(at, datetime) else moment(at)
    )


def evaluations(raw: RawSpan, record: Fields) -> Iterator[ExportedScore]:
    """Read the columns `eval.<name>.label`, `.score` and `.explanation`, which Phoenix lays beside its spans."""
    names: dict[str, Fields] = {}
    for key, value in record.items():
        if key.startswith(EVALUATION) and value is not None:
            name, _, what = key.removeprefix(EVALUATION).rpartition(".")
            if name and what in VERDICTS:
                names.setdefault(name, {})[what] = value
    for name, said in names.items():
        yield verdict(raw, name, "", said)


def annotations(raw: RawSpan, record: Fields) -> Iterator[ExportedScore]:
    """Read the list of annotations that a span may carry."""
    for item in list_in(record.get("annotations")):
        name = item.get("name", item.get("annotation_name")) if isinstance(item, dict) else None
        if isinstance(name, str) and name:
            yield verdict(raw, name, item.get("annotator_kind"), object_in(item.get("result")) or item)


def verdict(raw: RawSpan, name: str, kind: Any, said: Fields) -> ExportedScore:
    """Make a score of what somebody, or something, said of a span."""
    label, explanation = said.get("label"), said.get("explanation")
    return score_of(
        raw.trace_id,
        name,
        SOURCES.get(kind.lower(), "unknown") if isinstance(kind, str) else "unknown",
        said.get("score"),
        label if isinstance(label, str) else None,
        explanation if isinstance(explanation, str) else None,
        span_id=raw.span_id,
        created_at=raw.ended_at,
    )
