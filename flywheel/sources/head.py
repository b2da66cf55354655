"""The beginning of a file, by which its format is recognised."""

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import zstandard

from eval.errors import UserError
from flywheel.sources.json_text import BOM

if TYPE_CHECKING:
    from flywheel.sources.delivery import Delivery

PARQUET = b"PAR1"
TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.zst", ".tsv.zst")
UNREADABLE = (OSError, EOFError, zlib.error, zstandard.ZstdError)
UNDECODABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)

LOOKED_AT = 1 << 20
"""Bytes at the beginning of a file that its format is recognised by; a first line may be longer."""

LINES_TRIED = 50
ELEMENTS_KEPT = 50
LEVELS_KEPT = 6
"""What of a long JSON text is decoded to look at it: the readers ask for keys on the first few levels."""

SHORTEST_CUT = 100
Beginning: Any = msgspec.defstruct(
    "Beginning", [(f"element{place}", msgspec.Raw, msgspec.Raw()) for place in range(ELEMENTS_KEPT)], array_like=True
)
BEGINNING = msgspec.json.Decoder(Beginning)
"""Of an array the first elements; what follows is checked and never held."""

MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a file, by which its format is recognised.

    `start` is its first megabyte, unpacked. `first` is the first JSON value in it: of the first line that is one, or
    the whole document where the file is one JSON text; None where there is neither. Of a long value it holds the
    beginning, see `glimpse`. `columns` are those of a Parquet file, which names them at its end; none where that is
    damaged. `others` are values of the lines after the first, for a file that begins oddly.
    """

    name: str
    start: bytes
    first: Any
    is_document: bool
    columns: tuple[str, ...] = ()
    others: tuple[Any, ...] = ()


def look_at(delivery: "Delivery") -> Head:
    """Read the beginning of a file, and the first JSON value in it, with a reader of its own."""
    start = beginning_of(delivery)
    if start.startswith(PARQUET) and not delivery.packing:
        return Head(delivery.name, start[:LOOKED_AT], None, is_document=False, columns=columns_of(delivery))
    beginning = start.removeprefix(BOM)
    text = start[:LOOKED_AT].removeprefix(BOM)
    lines = [line for line in beginning.split(b"\n")[:LINES_TRIED] if line.strip()]
    is_lines = len(lines) > 1 or is_one_line(beginning, delivery.limits.line_bytes)
    if lines and is_lines and (first := decoded(lines[0])) is not None:
        return Head(delivery.name, text, first, is_document=False, others=values_of(lines[1:]))
    if text.lstrip()[:1] in (b"{", b"["):
        try:
            whole = delivery.anew().document()
        except UserError:
            whole = b""
        if (first := decoded(whole.removeprefix(BOM))) is not None:
            return Head(delivery.name, text, first, is_document=True)
    first, *others = values_of(lines) or (None,)
    return Head(delivery.name, text, first, is_document=False, others=tuple(others))


def beginning_of(delivery: "Delivery") -> bytes:
    """Read the first megabyte of a file, and more where its first line is JSON and goes on: an export of many spans."""
    start = bytearray()
    longest = delivery.limits.value_bytes
    first = None
    try:
        for chunk in delivery.anew().chunks():
            start += chunk
            if len(start) < LOOKED_AT:
                continue
            if first is None:
                first = len(start) - len(start.removeprefix(BOM).lstrip())
            is_json = bytes(start[first : first + 1]) in (b"{", b"[")
            if not is_json or len(start) > longest or start.find(b"\n", first) >= 0:
                break
    except UNREADABLE as error:
        raise UserError(f"{delivery.name} is damaged ({error}); nothing was added, deliver it again") from error
    return bytes(start)


def values_of(lines: list[bytes]) -> tuple[Any, ...]:
    """Decode those lines that are JSON objects or arrays."""
    return tuple(value for line in lines if (value := decoded(line)) is not None)


def is_one_line(text: bytes, longest: int) -> bool:
    """Tell whether a file of one line may be JSON lines: the line has an end, and its value, an object, fits."""
    line, end, rest = text.lstrip().partition(b"\n")
    return line.startswith(b"{") and bool(end) and not rest.strip() and len(line) <= longest


def is_csv(head: Head) -> bool:
    """Tell a table in text from JSON by its beginning; a table may hold JSON in its cells."""
    if head.start.lstrip()[:1] in (b"{", b"["):
        return False
    return head.first is None or head.name.lower().endswith(TABLES)


def columns_of(delivery: "Delivery") -> tuple[str, ...]:
    """Read the names of a Parquet file's columns; none where its end is damaged, which its readers then say."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return tuple(parquet.read_schema(delivery.path).names)
    except (pa.ArrowException, OSError, UnicodeError):
        return ()


def decoded(text: bytes) -> dict[str, Any] | list[Any] | None:
    """Decode a JSON object or array, a long one as far as `glimpse` goes, or give None."""
    try:
        value = glimpse(msgspec.Raw(text), LOOKED_AT, LEVELS_KEPT)
    except UNDECODABLE:
        return None
    return value if isinstance(value, dict | list) else None


def glimpse(text: msgspec.Raw, most: int, levels: int) -> Any:
    """Decode a JSON text of at most so many bytes, and the beginning of a longer one.

    Of that come the first elements of arrays and all keys of objects, whose values share what may be decoded. A long
    value that is neither, or that lies too deep, comes out empty.
    """
    if len(text) <= max(most, SHORTEST_CUT):
        return msgspec.json.decode(text)
    sign = bytes(memoryview(text)[:LOOKED_AT]).lstrip()[:1]
    if sign == b"[":
        if not levels:
            return []
        beginning = BEGINNING.decode(text)
        elements = [element for field in Beginning.__struct_fields__ if (element := getattr(beginning, field))]
        return [glimpse(element, most // len(elements), levels - 1) for element in elements]
    if sign == b"{":
        members = MEMBERS.decode(text) if levels else {}
        return {key: glimpse(value, most // len(members), levels - 1) for key, value in members.items()}
    return "" if sign == b'"' else msgspec.json.decode(text)
