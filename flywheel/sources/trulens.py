"""TruLens event records: spans and evaluations of records, one JSON object each, as its event table holds them."""

from collections.abc import Iterator
from typing import Any

from flywheel.sources import conventions
from flywheel.sources.attributes import first_text
from flywheel.sources.delivery import Delivery, Head
from flywheel.sources.raw_span import ERROR_CODES, RawSpan
from flywheel.sources.records import ExportedScore, Found, Record, Span
from flywheel.sources.span_scores import score_of
from flywheel.sources.vendor_fields import (
    LONGEST_ID,
    BadRecordError,
    Fields,
    needed_moment,
    object_in,
    objects_of,
    rejected,
    shortened,
)

NAME = "trulens"
UNIT = "span"

RECORD_KEYS = ("ai.observability.record_id", "ai.observability.eval.target_record_id")
EVALUATIONS = frozenset({"eval", "eval_root"})
SCORE_KEYS = ("ai.observability.eval_root.score", "ai.observability.eval.score")
METRIC_KEYS = ("ai.observability.eval_root.metric_name", "ai.observability.eval.metric_name")
EXPLANATION_KEYS = ("ai.observability.eval_root.explanation", "ai.observability.eval.explanation")
JUDGE_KEY = "ai.observability.eval.llm_judge_name"
ERROR_KEYS = ("ai.observability.call.error", "ai.observability.eval.error", "ai.observability.eval_root.error")


def recognise(head: Head) -> str | None:
    """Say why the file looks like TruLens event records, or give None."""
    first = head.first[0] if isinstance(head.first, list) and head.first else head.first
    if isinstance(first, dict) and "record_attributes" in first and ("trace" in first or "event_id" in first):
        return "its first value has `record_attributes` beside `trace`"
    return None


def read(delivery: Delivery) -> Iterator[Record]:
    """Yield the span of each event record, or the score, and each record that is none."""
    for item in objects_of(delivery):
        if not isinstance(item, tuple):
            yield item
            continue
        line, event = item
        try:
            found = what_it_says(event)
        except (BadRecordError, RecursionError) as error:
            yield rejected(line, str(error), event)
            continue
        for what in found:
            yield Found(line, what)


def what_it_says(event: Fields) -> list[Span | ExportedScore]:
    """Read one event record; all that belongs to one TruLens record shares its id as the trace id."""
    attributes = object_in(event.get("record_attributes"))
    record, trace = object_in(event.get("record")), object_in(event.get("trace"))
    trace_id = first_text(map(attributes.get, RECORD_KEYS)) or text_of(trace, "trace_id")
    span_id = text_of(trace, "span_id") or text_of(event, "event_id")
    for what, given in (("record or trace", trace_id), ("span", span_id)):
        if not given:
            raise BadRecordError(f"the event has no {what} id")
        if len(given) > LONGEST_ID:
            raise BadRecordError(f"the {what} id is longer than {LONGEST_ID} characters")
    if text_of(attributes, "ai.observability.span_type") in EVALUATIONS:
        return [evaluation(event, attributes, trace_id, span_id)]
    error = first_text(map(attributes.get, ERROR_KEYS))
    raw = RawSpan(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=text_of(trace, "parent_id") or text_of(record, "parent_span_id") or None,
        name=text_of(record, "name") or text_of(attributes, "name"),
        started_at=needed_moment(event, "start_timestamp"),
        ended_at=needed_moment(event, "timestamp"),
        is_error=status_of(record) in ERROR_CODES or error is not None,
        status_message=error or "",
        attributes={key: value for key, value in attributes.items() if key != "name"},
        resource=object_in(event.get("resource_attributes")),
    )
    return conventions.records_of(raw)


def evaluation(event: Fields, attributes: Fields, trace_id: str, span_id: str) -> ExportedScore:
    """Read an evaluation of a record: a whole one, or one of the calls that it is the mean of."""
    name = first_text(map(attributes.get, METRIC_KEYS))
    if name is None:
        raise BadRecordError("the evaluation does not say of which metric")
    judge = shortened(attributes.get(JUDGE_KEY))
    return score_of(
        trace_id,
        name,
        "llm" if judge else "unknown",
        next((attributes[key] for key in SCORE_KEYS if attributes.get(key) is not None), None),
        None,
        first_text(map(attributes.get, EXPLANATION_KEYS)) or first_text(map(attributes.get, ERROR_KEYS)),
        span_id=None,
        author=judge,
        created_at=needed_moment(event, "timestamp", "start_timestamp"),
        score_id=span_id,
    )


def text_of(fields: Fields, key: str) -> str:
    """Read an id or a name, '' where there is none."""
    value = fields.get(key)
    if isinstance(value, str):
        return value.replace("\x00", "")
    return shortened(value) or ""


def status_of(record: Fields) -> Any:
    """Read how a span ended: a name, a number, or an object that holds one."""
    status = record.get("status")
    if isinstance(status, dict):
        status = status.get("status_code", status.get("code"))
    return status if isinstance(status, str | int) else None
