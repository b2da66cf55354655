"""OTLP as JSON: what the OpenTelemetry collector's file exporter and most tracing tools write, spans and GenAI logs."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Generic, TypeVar

import msgspec

from flywheel.sources import conventions
from flywheel.sources.delivery import Delivery, Head, Value
from flywheel.sources.otlp_logs import JsonLog, event_of, records_of_events
from flywheel.sources.otlp_values import KeyValue, plain_attributes
from flywheel.sources.raw_span import ERROR_CODES, Event, RawSpan, id_of, known_id, moment_of, what_is_wrong
from flywheel.sources.records import Found, Record, Rejected

NAME = "otlp-json"
UNIT = "span"

ENVELOPES = ("resourceSpans", "resource_spans", "resourceLogs", "resource_logs", "scopeSpans", "scope_spans")
Moment = int | str | None
SHORT = 1 << 20
"""Bytes of a request up to which it is decoded as a whole; of a longer one only a span at a time takes memory."""

LONGEST_REMEMBERED = 4096
"""Bytes of a resource that is remembered."""


class RawEvent(msgspec.Struct, rename="camel", gc=False):
    """An event as it is written."""

    name: str | None = None
    time_unix_nano: Moment = None
    attributes: list[KeyValue] | None = None


class Status(msgspec.Struct, gc=False):
    """How a span ended, as it is written."""

    code: int | str | None = None
    message: str | None = None


class JsonSpan(msgspec.Struct, rename="camel", gc=False):
    """A span as it is written."""

    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    start_time_unix_nano: Moment = None
    end_time_unix_nano: Moment = None
    attributes: list[KeyValue] | None = None
    events: list[RawEvent] | None = None
    status: Status | None = None


Written = TypeVar("Written", msgspec.Raw, JsonSpan)
"""A span that is not decoded yet, so that a broken one leaves the others whole, or one that is."""


class Scope(msgspec.Struct, Generic[Written], rename="camel", gc=False):
    """What one instrumentation library wrote."""

    spans: list[Written] | None = None
    log_records: list[msgspec.Raw] | None = None


class Resource(msgspec.Struct, frozen=True, gc=False):
    """Where the spans come from."""

    attributes: list[KeyValue] | None = None


class Group(msgspec.Struct, Generic[Written], rename="camel", gc=False):
    """What one service wrote; `instrumentationLibrarySpans` is what OTLP called the scopes before 1.0."""

    resource: msgspec.Raw = msgspec.Raw()
    scope_spans: list[Scope[Written]] | None = None
    instrumentation_library_spans: list[Scope[Written]] | None = None
    scope_logs: list[Scope[Written]] | None = None


class Envelope(Group[Written], Generic[Written], rename="camel", gc=False):
    """A request or a file: resources with their spans or logs. Tempo calls the list `batches`; one may stand alone."""

    resource_spans: list[Group[Written]] | None = None
    resource_logs: list[Group[Written]] | None = None
    batches: list[Group[Written]] | None = None

    def has_content(self) -> bool:
        """Say whether there is anything in it that has a name we know."""
        return bool(self.resource_spans or self.resource_logs or self.batches or self.scope_spans or self.scope_logs)

    def groups(self) -> Iterator[Group[Written]]:
        """Yield what each service wrote, the envelope itself first, for it may be one."""
        yield self
        for groups in (self.resource_spans, self.resource_logs, self.batches):
            yield from groups or ()


ENVELOPE = msgspec.json.Decoder(Envelope[msgspec.Raw])
GOOD_ENVELOPE = msgspec.json.Decoder(Envelope[JsonSpan])
RESOURCE = msgspec.json.Decoder(Resource | None)
SPAN = msgspec.json.Decoder(JsonSpan)
LOG = msgspec.json.Decoder(JsonLog)
RawGroup = Group[msgspec.Raw]
SNAKE = re.compile(r"_([a-z])")
BROKEN = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)


def recognise(head: Head) -> str | None:
    """Say why the file looks like OTLP JSON, or give None."""
    first = head.first[0] if isinstance(head.first, list) and head.first else head.first
    if not isinstance(first, dict):
        return None
    for key in ENVELOPES:
        if isinstance(first.get(key), list):
            return f"its first value has `{key}`"
    batches = first.get("batches")
    if isinstance(batches, list) and batches and isinstance(batches[0], dict) and is_batch(batches[0]):
        return "its first value has `batches` of `scopeSpans`"
    return None


def is_batch(value: dict[str, Any]) -> bool:
    """Say whether an object holds spans by scope."""
    return any(key in value for key in ("scopeSpans", "scope_spans", "instrumentationLibrarySpans"))


def read(delivery: Delivery) -> Iterator[Record]:
    """Yield the spans and scores of a file, in file order, and each span that cannot be read."""
    for value in delivery.values():
        if isinstance(value, Value):
            yield from records_in(value)
        else:
            yield value


def records_in(value: Value) -> Iterable[Record]:
    """Give what one request holds: all of it at once where it is short and every span is good, else one by one."""
    return (len(value.raw) <= SHORT and good_records(value)) or single_records(value)


def good_records(value: Value) -> list[Record]:
    """Read a request of spans in the usual form; nothing where it is of another form, or any span is broken."""
    found: list[Record] = []
    try:
        envelope = GOOD_ENVELOPE.decode(value.raw)
        if not envelope.has_content():
            return []
        for group in envelope.groups():
            if group.scope_logs:
                return []
            resource = None
            for scope in (*(group.scope_spans or ()), *(group.instrumentation_library_spans or ())):
                for span in scope.spans or ():
                    if resource is None:
                        resource = resource_of(group.resource)
                    raw = raw_span_of(span, resource)
                    if what_is_wrong(raw):
                        return []
                    for what in conventions.records_of(raw):
                        found.append(Found(value.line, what))
    except BROKEN:
        return []
    return found


def single_records(value: Value) -> Iterator[Record]:
    """Yield what one request holds span by span; one that holds nothing of ours is rejected as a whole."""
    try:
        envelope = ENVELOPE.decode(value.raw)
        if not envelope.has_content() and b"_" in value.raw:
            envelope = ENVELOPE.decode(in_camel_case(value.raw))
    except BROKEN as error:
        yield Rejected(value.line, str(error), value.raw)
        return
    reason = "it holds no span"
    logs: list[tuple[msgspec.Raw, RawGroup]] = []
    for group in envelope.groups():
        resource = None
        for scope in (*(group.scope_spans or ()), *(group.instrumentation_library_spans or ())):
            for span in scope.spans or ():
                reason = ""
                if resource is None:
                    resource = resource_of(group.resource)
                yield from span_records(value.line, span, group, resource)
        logs += [(record, group) for scope in group.scope_logs or () for record in scope.log_records or ()]
    if logs:
        found = list(log_records(value.line, logs))
        yield from found
        reason = "" if found else reason and "none of its log records is a GenAI event of a span"
    if reason:
        yield Rejected(value.line, reason, value.raw)


def resource_of(written: msgspec.Raw) -> dict[str, Any]:
    """Read where spans come from; one that cannot be read says nothing. The same one comes with every request."""
    if not written:
        return {}
    raw = bytes(written)
    return remembered_resource(raw) if len(raw) <= LONGEST_REMEMBERED else read_resource(raw)


def read_resource(raw: bytes) -> dict[str, Any]:
    """Decode a resource."""
    try:
        resource = RESOURCE.decode(raw)
        return plain_attributes(resource.attributes) if resource else {}
    except BROKEN:
        return {}


remembered_resource = lru_cache(maxsize=64)(read_resource)


def span_records(line: int, written: msgspec.Raw, group: RawGroup, resource: dict[str, Any]) -> Iterator[Record]:
    """Yield a span and its scores, or say why it cannot be read."""
    try:
        span = SPAN.decode(written)
        if not span.trace_id and b'"trace_id"' in bytes(written):
            span = SPAN.decode(in_camel_case(bytes(written)))
        raw = raw_span_of(span, resource)
        reason = what_is_wrong(raw)
        found = [] if reason else conventions.records_of(raw)
    except BROKEN as error:
        reason, found = str(error), []
    if reason:
        yield Rejected(line, reason, in_envelope(written, group, "Spans", "spans"))
    for what in found:
        yield Found(line, what)


def raw_span_of(span: JsonSpan, resource: dict[str, Any]) -> RawSpan:
    """Take a span out of its OTLP form; a time that is none is a `ValueError`."""
    status = span.status
    started, ended = moment_of(span.start_time_unix_nano), moment_of(span.end_time_unix_nano)
    events = [Event(event.name or "", plain_attributes(event.attributes), moment_of(event.time_unix_nano))
              for event in span.events] if span.events else []  # fmt: skip
    # By place: a struct takes a third of the time that it takes with names.
    return RawSpan(
        known_id(span.trace_id),
        known_id(span.span_id),
        "",
        known_id(span.parent_span_id) or None,
        span.name or "",
        started,
        ended,
        status is not None and status.code in ERROR_CODES,
        (status.message or "") if status else "",
        plain_attributes(span.attributes),
        events,
        resource,
    )


def log_records(line: int, logs: list[tuple[msgspec.Raw, RawGroup]]) -> Iterator[Record]:
    """Yield what GenAI events say of each span, taken together, in the order in which the spans come up."""
    spans: dict[tuple[str, str], list[Event]] = {}
    resources: dict[tuple[str, str], dict[str, Any]] = {}
    for written, group in logs:
        try:
            log = LOG.decode(written)
            event = event_of(log)
        except BROKEN as error:
            yield Rejected(line, str(error), in_envelope(written, group, "Logs", "logRecords"))
            continue
        if event is None:
            continue
        ids = id_of(log.trace_id or ""), id_of(log.span_id or "")
        if reason := what_is_wrong(RawSpan(trace_id=ids[0], span_id=ids[1], name=event.name)):
            yield Rejected(line, reason, in_envelope(written, group, "Logs", "logRecords"))
            continue
        spans.setdefault(ids, []).append(event)
        if ids not in resources:
            resources[ids] = resource_of(group.resource)
    for ids, events in spans.items():
        for what in records_of_events(*ids, events, resources[ids]):
            yield Found(line, what)


def in_envelope(written: msgspec.Raw, group: RawGroup, kind: str, records: str) -> bytes:
    """Put one span or log record into a request of its own."""
    resource = b'"resource":' + bytes(group.resource) + b"," if group.resource else b""
    inside = b'{%s"scope%s":[{"%s":[%s]}]}' % (resource, kind.encode(), records.encode(), bytes(written))
    return b'{"resource%s":[%s]}' % (kind.encode(), inside)


def in_camel_case(raw: bytes) -> bytes:
    """Rename the keys of a request in snake_case. Every key in OTLP is a field; those of users stand in values."""
    return msgspec.json.encode(camel(msgspec.json.decode(raw)))


def camel(value: Any) -> Any:
    """Rename keys. How deep it nests was checked when the line was read."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if isinstance(value, dict):
        return {SNAKE.sub(lambda match: match[1].upper(), key): camel(item) for key, item in value.items()}
    return value
