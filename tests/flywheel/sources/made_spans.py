"""Spans made for tests, and OTLP requests around them; every text is invented."""

import json
from pathlib import Path
from typing import Any

from flywheel.sources.delivery import Delivery
from flywheel.sources.raw_span import Event, RawSpan
from flywheel.sources.records import Record

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
START = 1_793_700_000_000_000_000


def raw_span(attributes: dict[str, Any], *events: Event, **fields: Any) -> RawSpan:
    """A span that carries attributes and events."""
    return RawSpan(**{"trace_id": TRACE_ID, "span_id": SPAN_ID, "attributes": attributes, "events": [*events]} | fields)


def any_value(value: Any) -> dict[str, Any]:
    """A value as OTLP JSON writes it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": pairs(value)}}
    return {"stringValue": value}


def pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    """Attributes as OTLP JSON writes them."""
    return [{"key": key, "value": any_value(value)} for key, value in attributes.items()]


def otlp_span(attributes: dict[str, Any] | None = None, /, **fields: Any) -> dict[str, Any]:
    """A span as OTLP JSON writes it."""
    return {
        "traceId": TRACE_ID,
        "spanId": SPAN_ID,
        "name": "step",
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + 250_000_000),
        "attributes": pairs(attributes or {}),
    } | fields


def request(*spans: Any, resource: dict[str, Any] | None = None) -> dict[str, Any]:
    """An export request with spans of one service."""
    return {"resourceSpans": [{"resource": {"attributes": pairs(resource or {})}, "scopeSpans": [{"spans": [*spans]}]}]}


def written(path: Path, *lines: Any) -> Delivery:
    """A file of JSON lines, or of bytes as they are, ready to be read."""
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(texts) + (b"\n" if len(texts) > 1 else b""))
    return Delivery(path)


def again(reader: Any, raw: bytes, path: Path) -> list[Record]:
    """Read the bytes of a rejected record as a file of its own."""
    path.write_bytes(raw)
    return list(reader.read(Delivery(path)))
