"""A span that was saved as nothing but its attributes: one JSON object with dotted keys, without ids or times."""

from collections.abc import Iterator
from typing import Any

import msgspec

from flywheel.sources import conventions
from flywheel.sources.delivery import Delivery, Head, Value
from flywheel.sources.raw_span import RawSpan
from flywheel.sources.records import Found, Record, Rejected
from flywheel.sources.vendor_fields import hash_of, kind_of

NAME = "attribute-map"
UNIT = "span"

SIGNS = ("openinference.span.kind", "gen_ai.operation.name", "traceloop.span.kind", "gen_ai.request.model",
         "gen_ai.system", "gen_ai.provider.name", "llm.model_name", "ai.operationId")  # fmt: skip
"""Attributes of which a span of an LLM application has at least one."""

IDS = ("trace_id", "traceId", "span_id", "spanId", "context", "context.trace_id", "context.span_id", "id", "run_id",
       "attributes", "trace", "record_attributes")  # fmt: skip
"""Keys that a whole span has: it is of another format."""


def recognise(head: Head) -> str | None:
    """Say why the file looks like a span's attributes, or give None."""
    first = head.first[0] if isinstance(head.first, list) and head.first else head.first
    if not isinstance(first, dict):
        return None
    sign = sign_in(first)
    return f"its first value is a span's attributes without ids: it has `{sign}`" if sign else None


def sign_in(value: dict[str, Any]) -> str | None:
    """Name the attribute that tells an attribute map, None in what is none."""
    if any(key in value for key in IDS):
        return None
    return next((key for key in SIGNS if key in value), None)


def read(delivery: Delivery) -> Iterator[Record]:
    """Yield the span and the scores of each object; a span is named by a hash of what it says."""
    for value in delivery.values():
        if not isinstance(value, Value):
            yield value
            continue
        try:
            attributes = msgspec.json.decode(value.raw)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            yield Rejected(value.line, str(error), value.raw)
            continue
        if not isinstance(attributes, dict):
            yield Rejected(value.line, f"expected an object, got {kind_of(attributes)}", value.raw)
        elif sign_in(attributes) is None:
            yield Rejected(value.line, "it is no map of span attributes: none of their keys is in it", value.raw)
        else:
            digest = hash_of(attributes)
            raw = RawSpan(trace_id=digest, span_id=digest[:16], started_at=delivery.modified, attributes=attributes)
            for what in conventions.records_of(raw):
                yield Found(value.line, what)
