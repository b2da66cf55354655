"""Fields of vendors' exports: names in both styles, moments, counts, costs, metadata that is small enough to keep."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from flywheel.sources.delivery import Delivery, Value
from flywheel.sources.payload import decoded
from flywheel.sources.records import Blank, Rejected, ScoreSource

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_ID = 512
LONGEST_KEPT = 500
LONGEST_LABEL = 20_000
MOST_KEPT = 40
TENANT_KEYS = ("tenant_id", "tenantId", "tenant", "organization_id", "org_id")
USERS_WORDS = re.compile(r"feedback|thumb|csat|\bnps\b|\bstars?\b|user.?(?:rating|score|vote)", re.IGNORECASE)
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
SECONDS_UNTIL, MILLISECONDS_UNTIL, MICROSECONDS_UNTIL = 1e11, 1e14, 1e17
"""Where a count since 1970 stops being of seconds, milliseconds and microseconds: each lies in the year 5138."""

Fields = dict[str, Any]


class BadRecordError(ValueError):
    """A record that gives nothing, and why."""


def objects_of(delivery: Delivery) -> Iterator[tuple[int, Fields] | Rejected | Blank]:
    """Yield each JSON object of a file with its place, and each record that is none rejected."""
    for value in delivery.values():
        if not isinstance(value, Value):
            yield value
            continue
        try:
            record = msgspec.json.decode(value.raw)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            yield Rejected(value.line, str(error), value.raw)
            continue
        if isinstance(record, dict):
            yield value.line, record
        else:
            yield Rejected(value.line, f"expected an object, got {kind_of(record)}", value.raw)


def kind_of(value: Any) -> str:
    """Name the JSON type of a value, for a reason that a person reads."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "an array"}
    return names.get(type(value), "an object")


def rejected(line: int, reason: str, record: Any) -> Rejected:
    """Reject a record that was already decoded, with its JSON."""
    raw = json_of(record)
    return Rejected(line, reason, raw, whole=bool(raw))


def json_of(value: Any) -> bytes:
    """Write a value as JSON; empty where it nests too deep, as what came out of a JSON text in a JSON text may."""
    try:
        return msgspec.json.encode(value)
    except RecursionError:
        return b""


def snake_case(record: dict[str, Any]) -> Fields:
    """Give a record's fields under snake_case names; of two spellings of one name, the one that says something wins."""
    fields: Fields = {}
    for key, value in record.items():
        name = snake_name(key)
        if name not in fields or is_empty(fields[name]):
            fields[name] = value
    return fields


@lru_cache(maxsize=1024)
def snake_name(name: str) -> str:
    """Write a name in snake_case."""
    return CAMEL.sub("_", name).lower()


def is_empty(value: Any) -> bool:
    """Say whether a value says nothing: null, an empty text, object or array. 0 and false say something."""
    return value is None or (isinstance(value, str | dict | list) and not value)


def merged(first: Fields, second: Fields) -> Fields:
    """Lay one record over another of the same thing; what says nothing hides nothing."""
    return first | {key: value for key, value in second.items() if key not in first or not is_empty(value)}


def identifier(fields: Fields, *names: str) -> str:
    """Read an id that a record must have, under the first of its names that is there."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value:
            if len(value) > LONGEST_ID:
                raise BadRecordError(f"$.{name} is longer than {LONGEST_ID} characters")
            return value
        if value is not None and value != "":
            raise BadRecordError(f"expected a string, got {kind_of(value)} - at `$.{name}`")
    raise BadRecordError(f"`{names[0]}` is missing")


def text(value: Any) -> str | None:
    """Give a text that is there and not empty."""
    return value if isinstance(value, str) and value else None


def shortened(value: Any) -> str | None:
    """Give a name or id as a text of at most 512 characters."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    if isinstance(value, int) and abs(value) >= 2**128:
        return None
    return str(value)[:LONGEST_ID] or None


def count(value: Any) -> int | None:
    """Give a count of tokens, None where it is none; ClickHouse writes large integers as texts."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value) if 0 <= value < 2**63 else None


def amount(value: Any) -> float | None:
    """Give a finite number, also from a string that is one; a boolean is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if abs(read) < 1e300 else None


def moment(value: Any) -> datetime | None:
    """Read a moment: ISO 8601 (without a zone it is UTC), or a count since 1970 in any usual unit; None for neither."""
    try:
        if isinstance(value, str):
            read = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            return None
        units = ((SECONDS_UNTIL, 1), (MILLISECONDS_UNTIL, 10**3), (MICROSECONDS_UNTIL, 10**6))
        unit = next((unit for until, unit in units if value < until), 10**9)
        if isinstance(value, int):
            return EPOCH + timedelta(microseconds=value * 10**6 // unit)
        return datetime.fromtimestamp(value / unit, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def later(start: datetime | None, seconds: float | None) -> datetime | None:
    """Give the moment some seconds after another; None where either is not told, or it lies beyond the year 9999."""
    if start is None or seconds is None:
        return None
    try:
        return start + timedelta(seconds=seconds)
    except OverflowError:
        return None


def needed_moment(fields: Fields, *names: str) -> datetime | None:
    """Read the moment a record belongs to; one that is there and cannot be read makes the record a bad one."""
    for name in names:
        value = fields.get(name)
        if not is_empty(value):
            if read := moment(value):
                return read
            raise BadRecordError(f"no moment in time - at `$.{name}`")
    return None


def object_in(value: Any) -> Fields:
    """Give the object that a field holds or encodes; an empty one where there is none."""
    value = decoded(value)
    return value if isinstance(value, dict) else {}


def list_in(value: Any) -> list[Any]:
    """Give the list that a field holds or encodes; an empty one where there is none."""
    value = decoded(value)
    return value if isinstance(value, list) else []


def small_metadata(*sources: Fields) -> Fields:
    """Keep plain values and short lists of plain values, forty at most, texts cut at 500 characters."""
    kept: Fields = {}
    for source in sources:
        for key, value in source.items():
            if len(kept) >= MOST_KEPT:
                return kept
            if not is_empty(value) and (small := small_value(value)) is not None:
                kept[str(key)[:100]] = small
    return kept


def small_value(value: Any) -> Any:
    """Cut a value to what metadata keeps; None where it is too large or nested."""
    if isinstance(value, str):
        return value[:LONGEST_KEPT]
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    if isinstance(value, list) and len(value) <= MOST_KEPT and all(isinstance(item, str) for item in value):
        return [item[:LONGEST_KEPT] for item in value]
    return None


def tenant_in(metadata: Fields) -> str | None:
    """Read the tenant out of metadata, by its usual names."""
    return next((name for key in TENANT_KEYS if (name := shortened(metadata.get(key)))), None)


def source_by_name(name: str) -> ScoreSource:
    """Say who gave a score of which only the name tells: one named like users' feedback is a person's."""
    return "human" if USERS_WORDS.search(name) else "unknown"


def labelled(value: Any) -> tuple[float | None, str | None]:
    """Give a score's number and label: a truth value is both, a text is a label, anything larger its JSON."""
    if isinstance(value, bool):
        return float(value), str(value).lower()
    if isinstance(value, int | float):
        return amount(value), None
    if is_empty(value):
        return None, None
    said = value if isinstance(value, str) else json_of(value).decode()
    return None, said[:LONGEST_LABEL]


def hash_of(*parts: Any) -> str:
    """Name a record without an id by what it says."""
    return blake2b(msgspec.json.encode(parts, order="deterministic"), digest_size=16).hexdigest()
