"""A span as OpenTelemetry ships it: its ids, its times and its attributes, before anybody reads what they mean."""

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ERROR_CODES = frozenset({2, "2", "STATUS_CODE_ERROR", "ERROR", "Error", "error"})
LONGEST_ID = 512
HEX = re.compile(r"[0-9A-Fa-f]+")
LONGEST_REMEMBERED_ID = 64
BASE64_IDS = {24: 16, 12: 8}
"""Characters of a padded base64 text, and the bytes of the trace or span id that it may hold."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that happened inside a span, or a log record that names the span."""

    name: str
    attributes: dict[str, Any]
    at: datetime | None = None


class RawSpan(msgspec.Struct, frozen=True, gc=False):
    """A span with its attributes under their dotted keys, JSON in them not decoded. `resource` says where it ran."""

    trace_id: str
    span_id: str
    part: str = ""
    parent_id: str | None = None
    name: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    is_error: bool = False
    status_message: str = ""
    attributes: dict[str, Any] = {}
    events: list[Event] = []
    resource: dict[str, Any] = {}


def id_of(text: str) -> str:
    """Bring an id to lower-case hex, from hex or from the base64 that google.protobuf writes; others stay.

    An id of nothing but zeros is none, as OpenTelemetry has it.
    """
    if HEX.fullmatch(text):
        return text.lower() if text.strip("0") else ""
    size = BASE64_IDS.get(len(text))
    if size and text.endswith("="):
        try:
            read = base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)
        except (binascii.Error, ValueError):
            return text
        if len(read) == size:
            return read.hex() if any(read) else ""
    return text


remembered_id = lru_cache(maxsize=1 << 10)(id_of)
"""`id_of`, once for an id that neighbours share: the trace's, and a span's that others name as their parent."""


def known_id(text: str | None) -> str:
    """Bring an id that may be missing to lower-case hex; only one of the usual length is remembered."""
    if not text:
        return ""
    return remembered_id(text) if len(text) <= LONGEST_REMEMBERED_ID else id_of(text)


def moment_of(nanoseconds: int | str | None) -> datetime | None:
    """Turn nanoseconds since 1970 into a moment, None where there are none; what is no such count is a `ValueError`."""
    if not nanoseconds:
        return None
    try:
        count = int(nanoseconds)
    except ValueError:
        raise ValueError(f"{str(nanoseconds)[:40]!r} is no count of nanoseconds since 1970") from None
    if not count:
        return None
    if count < 0:
        raise ValueError(f"{count} nanoseconds lie before 1970")
    try:
        return EPOCH + timedelta(0, 0, count // 1000)
    except OverflowError:
        raise ValueError(f"{count} nanoseconds lie beyond the year 9999") from None


def what_is_wrong(span: RawSpan) -> str | None:
    """Say why a span cannot be kept, or give None."""
    if 0 < len(span.trace_id) <= LONGEST_ID and 0 < len(span.span_id) <= LONGEST_ID:
        return None
    for what, given in (("trace", span.trace_id), ("span", span.span_id)):
        if not given:
            return f"the span {span.name[:80]!r} has no {what} id"
        if len(given) > LONGEST_ID:
            return f"the {what} id is longer than {LONGEST_ID} characters"
    return None
