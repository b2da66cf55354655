"""Native traces, JSON lines: one object a line, decoded with its types checked, every broken line named."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from xxhash import xxh3_128_hexdigest

from flywheel.sources.delivery import Delivery, Head, is_text
from flywheel.sources.json_text import nests_deeper, refuse_repeated_keys, without_nul
from flywheel.sources.records import Blank, Found, Record, Rejected
from flywheel.trace import Trace

NAME = "native"
UNIT = "line"

DECODER = msgspec.json.Decoder(Trace)
PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])
FIELDS = re.compile(rb'"(?:' + "|".join(Trace.__struct_fields__).encode() + rb')"\s*:')
REQUIRED = ("trace_id", "timestamp", "user_input")
NEAR_FUTURE = timedelta(days=1)
EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
ISO_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?")
EARLIEST_MILLISECONDS = 946_684_800_000  # the year 2000: below that the number counts seconds
LATEST_MILLISECONDS = 4_102_444_800_000  # the year 2100: above that, micro- or nanoseconds


def recognise(head: Head) -> str | None:
    """Say why a file looks like native traces, None where it does not; a first line may lack one required field."""
    first = head.first[0] if isinstance(head.first, list) and head.first else head.first
    there = [field for field in REQUIRED if isinstance(first, dict) and field in first]
    return f"its first record has {' and '.join(there)}" if len(there) > 1 else None


def read(delivery: Delivery) -> Iterator[Record]:
    """Yield the trace of each line, in file order, and each line that is none."""
    latest = datetime.now(UTC) + NEAR_FUTURE
    if delivery.head.is_document:
        for value in delivery.values():
            yield value if isinstance(value, Rejected | Blank) else read_line(delivery, value.line, value.raw, latest)
        return
    for number, raw, whole in delivery.lines():
        if whole:
            yield read_line(delivery, number, raw, latest)
        else:
            yield delivery.too_long(number, raw)


def read_alone(delivery: Delivery, number: int, raw: bytes) -> Record:
    """Read one line that was kept by itself."""
    return read_line(delivery, number, raw, datetime.now(UTC) + NEAR_FUTURE)


def read_line(delivery: Delivery, number: int, raw: bytes, latest: datetime) -> Record:
    """Read one line."""
    line = raw if raw[:1] == b"{" and raw[-1:] == b"}" else delivery.bare(raw)
    if not line:
        return Blank(number)
    try:
        trace = decode(line, delivery.limits.nesting, latest)
    except RecursionError:
        return Rejected(number, f"the JSON nests deeper than {delivery.limits.nesting} levels", raw)
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        return Rejected(number, str(error), raw, whole=is_text(raw))
    return Found(number, trace, xxh3_128_hexdigest(line))


def decode(line: bytes, nesting: int, latest: datetime) -> Trace:
    """Decode one line, or raise with the field and what is wrong with it.

    Only metadata can nest deeper than the format itself, and unknown fields, which are not kept.
    """
    try:
        trace = DECODER.decode(line)
    except msgspec.ValidationError as error:
        trace = decode_leniently(line, error)
    parts = PARTS.decode(line)
    if not is_all_of(line, parts):
        fields = FIELDS.findall(line)
        if len(fields) != len(set(fields)):
            json.loads(line, object_pairs_hook=refuse_repeated_keys)
    if trace.metadata and nests_deeper(bytes(parts["metadata"]), nesting - 1):
        raise ValueError(f"the JSON nests deeper than {nesting} levels - at `$.metadata`")
    check_moment(trace.timestamp, latest)
    if b"\\" in line and b"\\u0000" in line:
        trace = msgspec.convert(without_nul(msgspec.to_builtins(trace)), Trace)
    return trace


def is_all_of(line: bytes, parts: dict[str, msgspec.Raw]) -> bool:
    """Tell by their lengths whether a line holds its decoded parts and nothing else, so that no key stands there twice.

    Between them are quotes, colons and commas, and white space as the usual writers put it: none, or one space after
    each colon and comma. Of a line written in another way it cannot tell. Looking for the keys takes twice as long.
    """
    count = len(parts)
    space = len(line) - (4 * count + 1 + sum(map(len, parts)) + sum(map(len, parts.values())))
    return space in (0, 2 * count - 1)


def check_moment(timestamp: datetime, latest: datetime) -> None:
    """Refuse a time that has not come yet, or that UTC cannot name."""
    if not EARLIEST <= timestamp <= latest:
        why = "lies in the future" if timestamp > latest else "is no date"
        raise ValueError(f"the timestamp {timestamp.isoformat()} {why} - at `$.timestamp`")


def decode_leniently(line: bytes, first: msgspec.ValidationError) -> Trace:
    """Decode a line whose timestamp has no zone (then UTC) or counts milliseconds, or whose counts read `812.0`.

    What cannot be put right raises the error that the strict decoder gave first.
    """
    fields = msgspec.json.decode(line)
    if not isinstance(fields, dict):
        raise first
    try:
        mended = {name: whole_number(value) for name, value in fields.items()} | {
            "timestamp": moment(fields["timestamp"])
        }
        return msgspec.convert(mended, Trace)
    except (KeyError, TypeError, ValueError, OverflowError, msgspec.ValidationError):
        raise first from None


def whole_number(value: Any) -> Any:
    """Turn 812.0 into 812, and leave everything else."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def moment(value: Any) -> datetime:
    """Read a timestamp that is ISO 8601 without a zone (UTC is meant) or a count of milliseconds since 1970."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not EARLIEST_MILLISECONDS <= value < LATEST_MILLISECONDS:
            raise ValueError("a count of seconds, or no time at all")
        return datetime.fromtimestamp(value / 1000, UTC)
    if not isinstance(value, str) or not ISO_MOMENT.fullmatch(value):
        raise ValueError("no moment in time")
    read = datetime.fromisoformat(value)
    return read if read.tzinfo else read.replace(tzinfo=UTC)
