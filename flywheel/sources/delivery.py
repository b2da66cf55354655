"""A file being taken in: unpacked, bounded in every direction, its bytes hashed as they pass."""

import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from io import RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec
import zstandard
from blake3 import blake3

from eval.errors import UserError
from flywheel.sources.head import PARQUET, UNDECODABLE, UNREADABLE, Head, is_csv, look_at
from flywheel.sources.json_text import BOM, nests_deeper, without_nul
from flywheel.sources.records import Blank, Rejected

__all__ = [
    "CHUNK", "GZIP", "KEPT_OF_A_LONG_LINE", "PARQUET", "ZSTD", "Delivery", "Head", "Limits", "Value", "is_text",
    "is_whole_zstd", "opened",
]  # fmt: skip

CHUNK = 1 << 20
KEPT_OF_A_LONG_LINE = 4096
"""Bytes of an oversized line that go to quarantine: enough to recognise it by."""

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
SKIPPABLE = b"\x2a\x4d\x18"
MAGIC = (GZIP, PARQUET, ZSTD)
BOMBS_FROM = 256 << 20
"""Unpacked bytes below which no archive is taken for a bomb."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may hold: the bytes of a line and of a whole document, the nesting of JSON, how far it may unpack.

    `unpacking` is the most unpacked bytes for each packed one. `envelope_bytes` is for a line of JSON in the formats of
    others, which may hold many records: what an exporter sends at once.
    """

    line_bytes: int = 1024 * 1024
    document_bytes: int = 256 * 1024 * 1024
    nesting: int = 64
    unpacking: int = 200
    envelope_bytes: int = 64 * 1024 * 1024

    @property
    def value_bytes(self) -> int:
        """The most bytes of a line that is read as a JSON value."""
        return max(self.line_bytes, self.envelope_bytes)


@dataclass(frozen=True, slots=True)
class Value:
    """One JSON text of a file, not decoded yet, and the line, or the place in an array, where it stands (from 1)."""

    line: int
    raw: bytes


class Delivery:
    """A file being taken in. It is read once, as `lines()`, as `values()` or as one `document()`.

    What the file held when it was opened is read; of one that grows, a last line without its end is left for the next
    time, always so where `holds_back` is set. Afterwards `digest` is the hash of the bytes that were read, packed
    as they are, and `size` their number; `given` counts them unpacked. `start` skips bytes that were read before (they
    are hashed all the same).
    """

    def __init__(
        self,
        path: Path,
        limits: Limits | None = None,
        *,
        name: str | None = None,
        start: int = 0,
        first_line: int = 1,
        holds_back: bool = False,
    ) -> None:
        self.path = path
        self.limits = limits or Limits()
        self.name = name or path.name
        self.start = start
        self.first_line = first_line
        self.holds_back = holds_back
        self.hasher = blake3()
        self.size = 0
        self.given = 0
        self.longest = self.limits.line_bytes

    @property
    def digest(self) -> str:
        """The BLAKE3 hash, 64 hex digits, of the bytes that were read."""
        return self.hasher.hexdigest()

    @cached_property
    def modified(self) -> datetime:
        """When the file was last written, in UTC: the time of records that carry none of their own."""
        return datetime.fromtimestamp(self.path.stat().st_mtime, UTC)

    @cached_property
    def packing(self) -> bytes:
        """The magic bytes of how the file is packed, empty where it is not."""
        with opened(self.path) as file:
            start = file.read(4)
        return next((magic for magic in (GZIP, ZSTD) if start.startswith(magic)), b"")

    def continues_at(self, size: int) -> bool:
        """Tell whether the first `size` bytes can be skipped: the file is plain lines of JSON, and one ends there.

        Of a table a line may end inside a cell: it is read whole again.
        """
        if self.packing or self.head.is_document or is_csv(self.head):
            return False
        with opened(self.path) as file:
            file.seek(size - 1)
            return file.read(1) == b"\n"

    @cached_property
    def head(self) -> Head:
        """Look at the beginning of the file."""
        return look_at(self)

    def anew(self) -> "Delivery":
        """Give the same file to be read from its beginning by somebody else."""
        return Delivery(self.path, self.limits, name=self.name)

    def document(self) -> bytes:
        """Read the whole file, unpacked; a `UserError` where it is larger than a document may be."""
        read = bytearray()
        try:
            for chunk in self.chunks(by_line=False):
                read += chunk
                if len(read) > self.limits.document_bytes:
                    raise UserError(
                        f"{self.name} is one document of more than {self.limits.document_bytes} bytes, which has to "
                        "fit into memory; export it as JSON lines or in parts, or raise ingest.max_document_bytes"
                    )
        except UNREADABLE as error:
            raise UserError(f"{self.name} is damaged ({error}); nothing was added, deliver it again") from error
        return bytes(read)

    def lines(self, limit: int | None = None) -> Iterator[tuple[int, bytes, bool]]:
        """Yield (number, bytes, whole) of each line; one over the limit (`line_bytes`) comes cut, with `whole` False.

        Only LF ends a line: U+2028 and form feeds are content.
        """
        self.longest = limit = self.limits.line_bytes if limit is None else limit
        number = self.first_line - 1
        pending = bytearray()
        try:
            for chunk in self.chunks():
                pieces = chunk.split(b"\n")
                if len(pieces) > 1:
                    pieces[0] = bytes(pending) + pieces[0]
                    pending.clear()
                pending += pieces.pop()
                del pending[limit + 1 :]
                for piece in pieces:
                    number += 1
                    if len(piece) > limit:
                        yield number, piece[:KEPT_OF_A_LONG_LINE], False
                    else:
                        yield number, piece, True
        except UNREADABLE as error:
            raise UserError(
                f"{self.name}, after line {number}: the file is damaged ({error}); nothing was added, deliver it again"
            ) from error
        if pending:
            whole = len(pending) <= limit
            yield number + 1, bytes(pending if whole else pending[:KEPT_OF_A_LONG_LINE]), whole

    def values(self) -> Iterator[Value | Rejected | Blank]:
        """Yield each JSON text of the file: of JSON lines each line, of one document the document.

        A document that is an array comes element by element. Lines too long (`envelope_bytes`) or nested too deep come
        rejected.
        """
        if self.head.start.startswith(PARQUET) and not self.head.columns:
            raise UserError(f"{self.name} is a damaged Parquet file; nothing was added, deliver it again")
        if self.head.is_document:
            yield from self.elements()
            return
        limit = self.limits.value_bytes
        for number, raw, whole in self.lines(limit):
            yield self.checked(number, raw) if whole else self.too_long(number, raw, limit)

    def elements(self) -> Iterator[Value | Rejected | Blank]:
        """Yield the elements of a document that is an array, or the document; an empty array is a blank."""
        raw = self.document()
        text = raw.removeprefix(BOM).strip()
        if not text.startswith(b"["):
            yield self.checked(1, text)
            return
        try:
            elements = msgspec.json.decode(text, type=list[msgspec.Raw])
        except UNDECODABLE as error:
            yield Rejected(1, f"the document is no JSON: {error}", raw[:KEPT_OF_A_LONG_LINE], whole=False)
            return
        if not elements:
            yield Blank(1)
        for place, element in enumerate(elements, start=1):
            yield self.checked(place, bytes(element))

    def too_long(self, number: int, raw: bytes, limit: int | None = None) -> Rejected:
        """Refuse a line that came cut."""
        most = self.limits.line_bytes if limit is None else limit
        return Rejected(number, f"the line is longer than {most} bytes", raw, whole=False)

    def bare(self, raw: bytes) -> bytes:
        """Take off what does not belong to a record: white space around it, a byte order mark."""
        return raw.strip(b" \t\r\n").removeprefix(BOM).strip(b" \t\r\n")

    def checked(self, number: int, raw: bytes) -> Value | Rejected | Blank:
        """Refuse a record that nests too deep, and drop NUL characters."""
        text = self.bare(raw)
        if not text:
            return Blank(number)
        if not is_text(text):
            return Rejected(number, "it begins like an archive or a Parquet file", raw, whole=False)
        if nests_deeper(text, self.limits.nesting):
            return Rejected(number, f"the JSON nests deeper than {self.limits.nesting} levels", raw)
        if b"\\u0000" in text:
            try:
                text = msgspec.json.encode(without_nul(msgspec.json.decode(text)))
            except UNDECODABLE as error:
                return Rejected(number, str(error), raw)
        return Value(number, text)

    def skim(self) -> None:
        """Hash the whole file, for a reader that opens `path` by itself."""
        for _ in self.plain(by_line=False):
            pass

    def chunks(self, *, by_line: bool = True) -> Iterator[bytes]:
        """Yield the unpacked bytes, about a megabyte at a time, hashing what is read of the file.

        With `by_line` a last line that is still being written is left out, unless it is longer than a line may be;
        otherwise it is a `UserError`.
        """
        for chunk in self.unpacked() if self.packing else self.plain(by_line):
            self.given += len(chunk)
            yield chunk

    def plain(self, by_line: bool) -> Iterator[bytes]:
        """Yield what a plain file held when it was opened."""
        with opened(self.path) as file:
            left = os.fstat(file.fileno()).st_size
            skipped = 0
            tail = bytearray()
            while chunk := file.read(min(CHUNK, left)):
                left -= len(chunk)
                if skipped < self.start:
                    skip = min(self.start - skipped, len(chunk))
                    self.take(chunk[:skip])
                    skipped += skip
                    chunk = chunk[skip:]
                end = chunk.rfind(b"\n") + 1 if by_line else len(chunk)
                if not end:
                    tail += chunk
                    if len(tail) <= max(CHUNK, self.longest):  # a longer line is cut anyway
                        continue
                    ready, tail = bytes(tail), bytearray()
                else:
                    ready, tail = bytes(tail) + chunk[:end], bytearray(chunk[end:])
                self.take(ready)
                yield ready
            is_growing = os.fstat(file.fileno()).st_size > self.size + len(tail)
        if is_growing and not by_line:
            raise UserError(f"{self.name} is still being written; nothing was added, run the command again")
        if tail and not self.holds_back and not is_growing:
            self.take(bytes(tail))
            yield bytes(tail)

    def take(self, read: bytes) -> None:
        """Count and hash bytes."""
        self.hasher.update(read)
        self.size += len(read)

    def unpacked(self) -> Iterator[bytes]:
        """Yield the unpacked bytes of an archive; one that unpacks without end is a `UserError`."""
        if self.packing == ZSTD and not is_whole_zstd(self.path):
            raise UserError(f"{self.name}: the file is damaged (it is cut off); nothing was added, deliver it again")
        with opened(self.path) as file:
            packed = cast("BinaryIO", Tapped(self, file))
            stream = gzip.GzipFile(fileobj=packed) if self.packing == GZIP else zstandard.open(packed, "rb")
            while chunk := stream.read(CHUNK):
                if self.given > BOMBS_FROM and self.given > self.limits.unpacking * self.size:
                    raise UserError(
                        f"{self.name} unpacks to more than {self.limits.unpacking} times its size, like a zip bomb; "
                        "nothing was added; if you trust it, unpack it yourself or raise ingest.max_unpacking"
                    )
                yield chunk
            while file_rest := file.read(CHUNK):
                self.take(file_rest)


class Tapped(RawIOBase):
    """A file whose bytes a delivery counts and hashes as somebody else reads them."""

    def __init__(self, delivery: Delivery, file: BinaryIO) -> None:
        self.delivery = delivery
        self.file = file

    def readable(self) -> bool:
        """It is for reading only."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes."""
        read = self.file.read(CHUNK if size is None or size < 0 else size)
        self.delivery.take(read)
        return read

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        read = self.read(len(buffer))
        buffer[: len(read)] = read
        return len(read)


def is_text(raw: bytes) -> bool:
    """Say whether a record, given again as a file of its own, is taken for what it is and not for something packed.

    Where it is not, no retry could read it.
    """
    return not raw.startswith(MAGIC)


def opened(path: Path) -> BinaryIO:
    """Open a file for reading bytes; one that cannot be read is a `UserError`."""
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; check the path and its permissions") from error


def is_whole_zstd(path: Path) -> bool:
    """Walk the frames and blocks of a zstd file (RFC 8878, section 3.1): its reader says nothing of one cut off."""
    size = path.stat().st_size
    place = 0
    with path.open("rb") as file:
        while place < size:
            file.seek(place)
            head = file.read(18)
            if head[1:4] == SKIPPABLE and head[0] >> 4 == 5:
                place += 8 + int.from_bytes(head[4:8], "little")
                continue
            try:
                place += zstandard.frame_header_size(head)
                has_checksum = zstandard.get_frame_parameters(head).has_checksum
            except zstandard.ZstdError:
                return False
            is_last = False
            while not is_last:
                file.seek(place)
                block = int.from_bytes(file.read(3), "little")
                is_last = bool(block & 1) or place >= size
                place += 3 + (1 if block >> 1 & 3 == 1 else block >> 3)
            place += 4 if has_checksum else 0
    return place == size
