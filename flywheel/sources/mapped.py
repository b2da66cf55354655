"""Traces out of JSON, CSV and Parquet of anybody's making, by a mapping that says where the fields lie."""

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from flywheel.sources.delivery import Delivery
from flywheel.sources.mapping import Contexts, Mapping, Paths, Values, first_of, named
from flywheel.sources.native import NEAR_FUTURE, check_moment
from flywheel.sources.passages import hash_of as hash_of_text
from flywheel.sources.payload import answer_of, decoded, documents_of, history_of, question_of
from flywheel.sources.records import Blank, Found, Record, Rejected
from flywheel.sources.rows import rows_of, unless_a_table
from flywheel.sources.vendor_fields import (
    BadRecordError,
    hash_of,
    kind_of,
    moment,
    rejected,
    shortened,
    small_value,
)
from flywheel.trace import Trace

NAME = "mapped"
UNIT = "row"

NAMES = ("session_id", "user_id", "tenant_id", "environment", "model", "prompt_version")
NUMBERS = ("latency_ms", "input_tokens", "output_tokens", "cost_usd")
FAILURES = frozenset(
    {"error", "err", "failed", "failure", "fail", "exception", "timeout", "status_code_error", "false"}
)
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{0,40})?([eE][+-]?\d{1,3})?", re.ASCII)
LONGEST_ERROR = 2000


def read(delivery: Delivery, mapping: Mapping) -> Iterator[Record]:
    """Yield the trace of each record, in file order, and each record that gives none."""
    latest = datetime.now(UTC) + NEAR_FUTURE
    for row in rows_of(delivery, mapping.columns):
        if isinstance(row, Rejected | Blank):
            yield row
            continue
        line, record = row
        wrapped = first_of(record, mapping.records)
        if isinstance(wrapped, list):
            if not wrapped:
                yield Blank(line)
            for place, item in enumerate(wrapped, start=line):
                yield read_record(place, item, mapping, delivery, latest)
        else:
            yield read_record(line, record, mapping, delivery, latest)


def read_record(line: int, record: Any, mapping: Mapping, delivery: Delivery, latest: datetime) -> Found | Rejected:
    """Read one record, or reject it with the path that was looked for."""
    try:
        trace = trace_of(record, mapping, delivery.modified)
        check_moment(trace.timestamp, latest)
    except (BadRecordError, ValueError, OverflowError, RecursionError) as error:
        return unless_a_table(rejected(line, str(error), jsonable(record)))
    return Found(line, trace)


def trace_of(record: Any, mapping: Mapping, modified: datetime) -> Trace:
    """Build the trace of one record, or raise with the path that was looked for."""
    places, defaults = mapping.fields, mapping.defaults
    question, history = asked(record, places.user_input)
    answer = first_of(record, places.response)
    failure = first_of(record, places.error)
    error = text_of(failure) if failure is not False and failure != 0 else None
    metadata = {name: small for name, paths in mapping.metadata.items() if (small := kept(record, paths)) is not None}
    fields: dict[str, Any] = {
        "trace_id": id_of(record, places.trace_id),
        "timestamp": time_of(record, places.timestamp, mapping.values, modified),
        "user_input": question,
        "response": said(answer, answer_of),
        "retrieved_contexts": passages_of(record, mapping.contexts),
        "status": status_of(first_of(record, places.status), mapping.values.status_error, error),
        "error": error[:LONGEST_ERROR] if error else None,
        "metadata": metadata | history,
    }
    for name in NAMES:
        paths = getattr(places, name)
        fields[name] = (shortened(first_of(record, paths)) if paths else None) or getattr(defaults, name, None)
    for name in NUMBERS:
        paths = getattr(places, name)
        fields[name] = number_of(record, name, paths) if paths else None
    if mapping.values.latency_unit == "s" and fields["latency_ms"] is not None:
        fields["latency_ms"] *= 1000
    rating = number_of(record, "rating", mapping.feedback.rating)
    comment = text_of(first_of(record, mapping.feedback.comment))
    if rating is not None or comment:
        fields["feedback"] = {"rating": rating, "comment": comment}
    return msgspec.convert(fields, Trace)


def asked(record: Any, paths: Paths) -> tuple[str, dict[str, Any]]:
    """Read the question, also the last one of a list of messages, and what was said before it as metadata."""
    value = first_of(record, paths)
    question = said(value, question_of)
    if not question or question.isspace():
        told = f"{kind_of(value)} without a question" if isinstance(value, dict | list) else "nothing"
        raise BadRecordError(f"there is no question: {told} at {named(paths)}")
    before = [] if question == value else history_of(value)
    return question, {"history": [{"role": turn.role, "content": turn.content} for turn in before]} if before else {}


def said(value: Any, read_out: Any) -> str | None:
    """Give a text, or what `read_out` finds in messages and objects, be they written as JSON text."""
    if isinstance(value, str):
        inner = decoded(value) if value.lstrip()[:1] in ("{", "[") else None
        found = read_out(inner) if isinstance(inner, dict | list) else None
        return clean(found or value)
    return clean(read_out(value)) if isinstance(value, dict | list) else text_of(value)


def clean(text: str | None) -> str | None:
    """Drop NUL characters, which no store takes."""
    return text.replace("\x00", "") if text and "\x00" in text else text


def text_of(value: Any) -> str | None:
    """Give a plain value as text; objects and lists as JSON, what is not there or empty as None."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return None if value is None else clean(str(value)) or None


def id_of(record: Any, paths: Paths | None) -> str:
    """Read the id, or name a record by its hash where the mapping tells of no id."""
    if paths is None:
        return hash_of(jsonable(record))
    value = first_of(record, paths)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool | dict | list | float) or value is None or value == "":
        raise BadRecordError(f"there is no trace_id at {named(paths)}")
    return clean(str(value)[:1024]) or ""


def jsonable(record: Any) -> Any:
    """Turn numbers that JSON writers refuse into text; records without such numbers stay as they are."""
    try:
        msgspec.json.encode(record)
    except (OverflowError, ValueError):
        return json.loads(json.dumps(record, default=str), parse_int=lambda text: int(text) if len(text) < 19 else text)
    return record


def time_of(record: Any, paths: Paths | None, values: Values, modified: datetime) -> datetime:
    """Read when it happened; where the mapping tells of no time, when the file was written."""
    if paths is None:
        return modified
    value = first_of(record, paths)
    if value is None:
        raise BadRecordError(f"there is no timestamp at {named(paths)}")
    read = moment_of(value, values)
    if read is None:
        shown = f"{str(value)[:40]!r}" if isinstance(value, str | int | float) else kind_of(value)
        raise BadRecordError(f"the timestamp at {named(paths)} is no moment in time: {shown}")
    return read


def moment_of(value: Any, values: Values) -> datetime | None:
    """Read a moment as the mapping says, or as it looks: ISO 8601, or a count since 1970. Without a zone it is UTC."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, str) and values.timestamp_format:
        try:
            read = datetime.strptime(value.strip(), values.timestamp_format)
        except (ValueError, re.error):
            return None
        return read if read.tzinfo else read.replace(tzinfo=UTC)
    if isinstance(value, str) and len(value.strip()) > 8 and NUMBER.fullmatch(value.strip()):
        value = number(value)
    if values.timestamp_unit and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value / UNITS[values.timestamp_unit], UTC)
        except (ValueError, OverflowError, OSError):
            return None
    return moment(value)


def number_of(record: Any, name: str, paths: Paths | None) -> int | float | None:
    """Read a number, also one written as text; None where there is none, or one that is not finite."""
    value = first_of(record, paths)
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", "nan", "none", "null", "n/a")):
        return None
    read = number(value)
    if read is None:
        raise BadRecordError(f"{name} at {named(paths or ())} is no number")
    if isinstance(read, float) and not math.isfinite(read):
        return None
    if read < 0:
        raise BadRecordError(f"{name} at {named(paths or ())} is below 0")
    return (
        int(read) if isinstance(read, float) and read.is_integer() and name not in ("latency_ms", "cost_usd") else read
    )


def number(value: Any) -> int | float | None:
    """Read a number that is one or is written as text; a boolean is none."""
    if isinstance(value, str):
        text = value.strip()
        if not NUMBER.fullmatch(text):
            return None
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def status_of(value: Any, listed: tuple[str, ...] | None, error: str | None) -> str:
    """Tell whether the request failed: by its status, or where there is none by its having an error."""
    if value is None:
        return "error" if error else "ok"
    text = str(value).strip().lower()
    if listed is not None:
        return "error" if text in listed else "ok"
    code = number(text)
    return "error" if text in FAILURES or (code is not None and 400 <= code < 600) else "ok"


def kept(record: Any, paths: Paths) -> Any:
    """Read a value that is small enough for metadata."""
    value = first_of(record, paths)
    return small_value(value.isoformat() if isinstance(value, datetime) else value)


def passages_of(record: Any, contexts: Contexts | None) -> list[dict[str, Any]] | None:
    """Read the passages, in the record's order; None where the record, or the mapping, tells of none."""
    if contexts is None:
        return None
    paths = contexts.texts or contexts.items or ()
    held = decoded(first_of(record, paths))
    if held is None:
        return None
    if held == "":
        return []
    if contexts.texts is None and contexts.text is None:
        found = documents_of(held)
        if found is None:
            raise BadRecordError(f"no passage can be read from the list at {named(paths)}; name its `text`")
        return [msgspec.to_builtins(passage) for passage in found]
    items = held if isinstance(held, list) else [held]
    return [passage_of(item, contexts, place) for place, item in enumerate(items) if item is not None]


def passage_of(item: Any, contexts: Contexts, place: int) -> dict[str, Any]:
    """Read one passage: a string, or an object by the mapping's keys."""
    item = decoded(item) if contexts.text else item
    if not isinstance(item, dict):
        if isinstance(item, list):
            raise BadRecordError(f"passage {place + 1} of {named(contexts.texts or contexts.items or ())} is a list")
        text = text_of(item) or ""
        return {"id": hash_of_text(text), "text": text}
    if contexts.text is None:
        raise BadRecordError(f"passage {place + 1} of {named(contexts.texts or ())} is an object; map it as a `list`")
    text = text_of(first_of(item, contexts.text)) or ""
    name = shortened(first_of(item, contexts.id)) if contexts.id else None
    if not text and name is None:
        raise BadRecordError(f"passage {place + 1} has no text at {named(contexts.text)}")
    score = number(first_of(item, contexts.score)) if contexts.score else None
    return {
        "id": clean(name) or hash_of_text(text),
        "text": text,
        "score": score if score is None or math.isfinite(score) else None,
        "source": clean(shortened(first_of(item, contexts.source))) if contexts.source else None,
    }
