"""Native trace JSONL: one object a line, decoded with its types checked, every broken line named."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from flywheel.sources.lines import Blank, Limits, Rejected, bounded_lines
from flywheel.trace import Trace

BOM = b"\xef\xbb\xbf"
DECODER = msgspec.json.Decoder(Trace)
ENCODER = msgspec.msgpack.Encoder(order="deterministic")
KEYS_THAT_REPEAT = tuple(f'"{field}"'.encode() for field in Trace.__struct_fields__)
NEAR_FUTURE = timedelta(days=1)
ISO_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?")
EARLIEST_MILLISECONDS = 946_684_800_000  # the year 2000: below that the number counts seconds
LATEST_MILLISECONDS = 4_102_444_800_000  # the year 2100: above that, micro- or nanoseconds


@dataclass(frozen=True, slots=True)
class NativeLine:
    """A trace, the line it came from, and a hash of its content that ignores key order and white space."""

    line: int
    trace: Trace
    content_hash: str


def read_native(path: Path, limits: Limits) -> Iterator[NativeLine | Rejected | Blank]:
    """Yield the trace of each line, in file order, and each line that is none."""
    latest = datetime.now(UTC) + NEAR_FUTURE
    for number, raw, whole in bounded_lines(path, limits.line_bytes, limits.size):
        if not whole:
            yield Rejected(number, f"the line is longer than {limits.line_bytes} bytes", raw)
            continue
        line = raw.strip(b" \t\r").removeprefix(BOM).strip(b" \t\r")
        if not line:
            yield Blank(number)
            continue
        try:
            trace = decode(line, limits, latest)
            content = ENCODER.encode(trace)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            yield Rejected(number, str(error), raw)
            continue
        yield NativeLine(number, trace, blake2b(content, digest_size=16).hexdigest())


def decode(line: bytes, limits: Limits, latest: datetime) -> Trace:
    """Decode one line, or raise with the field and what is wrong with it."""
    if nests_deeper(line, limits.nesting):
        raise ValueError(f"the JSON nests deeper than {limits.nesting} levels")
    if any(line.count(key) > 1 for key in KEYS_THAT_REPEAT):
        json.loads(line, object_pairs_hook=refuse_repeated_keys)
    try:
        trace = DECODER.decode(line)
    except msgspec.ValidationError as error:
        trace = decode_leniently(line, error)
    trace.timestamp.astimezone(UTC)  # raises where the year in UTC is 0 or 10000
    if trace.timestamp > latest:
        raise ValueError(f"the timestamp {trace.timestamp.isoformat()} lies in the future - at `$.timestamp`")
    if b"\\u0000" in line:
        trace = msgspec.convert(without_nul(msgspec.to_builtins(trace)), Trace)
    return trace


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


def nests_deeper(line: bytes, levels: int) -> bool:
    """Tell whether brackets nest deeper than `levels`; only lines with many brackets are looked at closely."""
    if line.count(b"{") + line.count(b"[") <= levels:
        return False
    depth = deepest = 0
    inside = escaped = False
    for byte in line:
        if inside:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                inside = False
        elif byte == 0x22:
            inside = True
        elif byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest > levels


def refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, or raise when a key stands in it twice: nobody could say which value is meant."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {repeated!r} stands twice in one object")
    return fields


def without_nul(value: Any) -> Any:
    """Drop NUL characters from every string: DuckDB and PostgreSQL cannot store them."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    if isinstance(value, dict):
        return {without_nul(key): without_nul(item) for key, item in value.items()}
    return value
