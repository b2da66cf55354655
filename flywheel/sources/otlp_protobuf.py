"""OTLP as protobuf: one export request, or the collector's file of requests with a length before each."""

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from flywheel.sources import conventions
from flywheel.sources.delivery import KEPT_OF_A_LONG_LINE, Delivery, Head, is_text
from flywheel.sources.json_text import without_nul
from flywheel.sources.raw_span import ERROR_CODES, Event, RawSpan, moment_of, what_is_wrong
from flywheel.sources.records import Blank, Found, Record, Rejected

NAME = "otlp-protobuf"
UNIT = "span"

RESOURCE_SPANS = b"\n"
"""The first byte of a request: field 1, which has a length."""

INSIDE = (0x0A, 0x12, 0x1A)
"""How the spans of a resource may begin: with the resource, the scopes, or the schema's address."""

LENGTH_BYTES = 4
LONGEST_VARINT = 5


def recognise(head: Head) -> str | None:
    """Say why the file looks like OTLP protobuf, or give None."""
    if head.first is not None:
        return None
    if begins_request(head.start):
        return "it begins like a protobuf trace request"
    length = int.from_bytes(head.start[:LENGTH_BYTES], "big")
    if length and begins_request(head.start[LENGTH_BYTES : LENGTH_BYTES + length]):
        return "it begins with a length and a protobuf trace request"
    return None


def begins_request(start: bytes) -> bool:
    """Say whether bytes begin with the spans of a resource: decoded where they are whole, else by how they begin."""
    if start[:1] != RESOURCE_SPANS:
        return False
    length, inside = varint(start, 1)
    if length is None or length < 2 or start[inside] not in INSIDE:
        return False
    if inside + length <= len(start):
        try:
            group = trace_pb2.ResourceSpans.FromString(start[inside : inside + length])
        except DecodeError:
            return False
        return bool(group.scope_spans)
    held, place = varint(start, inside + 1)
    return held is not None and place + held <= inside + length


def varint(start: bytes, place: int) -> tuple[int | None, int]:
    """Read a length and the place behind it; None where there is none, or nothing behind it."""
    length = 0
    for count, byte in enumerate(start[place : place + LONGEST_VARINT]):
        length |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            end = place + count + 1
            return (length if end < len(start) else None), end
    return None, place


def read(delivery: Delivery) -> Iterator[Record]:
    """Yield the spans and scores of a file, each with its place among the spans, and what cannot be read."""
    document = delivery.document()
    if not document:
        yield Blank(1)
        return
    place = 0
    for message, reason in messages_in(document):
        if not reason:
            try:
                request = ExportTraceServiceRequest.FromString(message)
            except (DecodeError, RecursionError) as error:
                reason = f"the protobuf is cut off or damaged: {error}"
        if reason:
            place += 1
            yield refused(place, reason, message)
            continue
        before = place
        for group in request.resource_spans:
            resource = attributes_of(group.resource.attributes)
            for scope in group.scope_spans:
                for span in scope.spans:
                    place += 1
                    yield from span_records(place, span, group, resource)
        if place == before:
            place += 1
            yield refused(place, "it holds no span", message)
    if not place:
        yield Blank(1)


def refused(place: int, reason: str, message: bytes) -> Rejected:
    """Reject a request, of which only the beginning is kept where it is long."""
    is_whole = len(message) <= KEPT_OF_A_LONG_LINE and is_text(message)
    return Rejected(place, reason, message[:KEPT_OF_A_LONG_LINE], whole=is_whole)


def messages_in(document: bytes) -> Iterator[tuple[bytes, str]]:
    """Yield each request of a file, and why it cannot be one: a request as it is, or several behind their lengths."""
    if document[:1] == RESOURCE_SPANS:
        yield document, ""
        return
    start = 0
    while start < len(document):
        length = int.from_bytes(document[start : start + LENGTH_BYTES], "big")
        end = start + LENGTH_BYTES + length
        if end > len(document) or start + LENGTH_BYTES > len(document):
            yield document[start:], "the protobuf is cut off: the last length goes beyond the end of the file"
            return
        if length:
            yield document[start + LENGTH_BYTES : end], ""
        start = end


def span_records(
    place: int, span: trace_pb2.Span, group: trace_pb2.ResourceSpans, resource: dict[str, Any]
) -> Iterator[Record]:
    """Yield a span and its scores, or say why it cannot be read."""
    try:
        raw = raw_span_of(span, resource)
        reason = what_is_wrong(raw)
        found = [] if reason else conventions.records_of(raw)
    except (ValueError, OverflowError, RecursionError) as error:
        reason, found = str(error), []
    if reason:
        alone = ExportTraceServiceRequest()
        broken = alone.resource_spans.add()
        broken.resource.CopyFrom(group.resource)
        broken.scope_spans.add().spans.append(span)
        yield Rejected(place, reason, alone.SerializeToString())
    for what in found:
        yield Found(place, what)


def raw_span_of(span: trace_pb2.Span, resource: dict[str, Any]) -> RawSpan:
    """Take a span out of its message."""
    return RawSpan(
        trace_id=span.trace_id.hex() if any(span.trace_id) else "",
        span_id=span.span_id.hex() if any(span.span_id) else "",
        parent_id=span.parent_span_id.hex() if any(span.parent_span_id) else None,
        name=span.name.replace("\x00", ""),
        started_at=moment_of(span.start_time_unix_nano),
        ended_at=moment_of(span.end_time_unix_nano),
        is_error=span.status.code in ERROR_CODES,
        status_message=span.status.message,
        attributes=attributes_of(span.attributes),
        events=[
            Event(event.name, attributes_of(event.attributes), moment_of(event.time_unix_nano)) for event in span.events
        ],
        resource=resource,
    )


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Turn attributes into an object without NUL characters."""
    attributes: dict[str, Any] = without_nul({pair.key: plain(pair.value) for pair in pairs})
    return attributes


def plain(value: AnyValue) -> Any:
    """Turn a value into what it says; bytes are given as hex. Protobuf itself bounds how deep a message nests."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    held = getattr(value, kind)
    if kind == "array_value":
        return [plain(item) for item in held.values]
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in held.values}
    return held.hex() if kind == "bytes_value" else held
