"""OTLP log records that carry GenAI events: content and evaluations of the span that they name."""

from typing import Any

import msgspec

from flywheel.sources.attributes import json_or_text, sorted_out
from flywheel.sources.conventions import records_of
from flywheel.sources.otlp_values import AnyValue, KeyValue, plain, plain_attributes
from flywheel.sources.raw_span import Event, RawSpan, moment_of
from flywheel.sources.records import ExportedScore, Span
from flywheel.sources.span_scores import EVALUATION_EVENT, scores_of


class JsonLog(msgspec.Struct, rename="camel", gc=False):
    """A log record as it is written."""

    trace_id: str | None = None
    span_id: str | None = None
    event_name: str | None = None
    time_unix_nano: int | str | None = None
    observed_time_unix_nano: int | str | None = None
    body: AnyValue | None = None
    attributes: list[KeyValue] | None = None


def event_of(log: JsonLog) -> Event | None:
    """Read the GenAI event of a log record; None where it is an ordinary one. What its body says counts as said."""
    attributes = plain_attributes(log.attributes)
    name = log.event_name or attributes.get("event.name")
    if not isinstance(name, str) or not name.startswith("gen_ai."):
        return None
    body = json_or_text(plain(log.body))
    if isinstance(body, dict):
        attributes = {**body, **attributes}
    elif body is not None:
        attributes.setdefault("content", body)
    return Event(name, attributes, moment_of(log.time_unix_nano or log.observed_time_unix_nano))


def records_of_events(
    trace_id: str, span_id: str, events: list[Event], resource: dict[str, Any]
) -> list[Span | ExportedScore]:
    """Read what events say of their span: a part of it, without times, which the span itself has, and scores.

    The part's name holds the time of its first event, so that of two parts the later lies over the earlier.
    """
    first = min((event.at for event in events if event.at), default=None)
    part = f"log {first.isoformat(timespec='microseconds')}" if first else "log"
    raw = RawSpan(trace_id=trace_id, span_id=span_id, part=part, events=events, resource=resource)
    if all(event.name == EVALUATION_EVENT for event in events):
        return list(scores_of(raw, sorted_out({})))
    return records_of(raw)
