"""Lines of a file, plain or compressed, each one bounded in size before it is held in memory."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from eval.errors import UserError

CHUNK = 1 << 20
KEPT_OF_A_LONG_LINE = 4096
"""Bytes of an oversized line that go to quarantine: enough to recognise it by."""

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
SKIPPABLE = b"\x2a\x4d\x18"
UNREADABLE = (OSError, EOFError, zlib.error, zstandard.ZstdError)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a line may be: its bytes, and how deep its JSON may nest.

    `size` is how many bytes of the unpacked file are read from its beginning; all of them where None.
    """

    line_bytes: int = 1024 * 1024
    nesting: int = 64
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that gives no trace: where it stands, why, and its bytes (the first 4 kB of an oversized one)."""

    line: int
    reason: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Blank:
    """A line with nothing on it: neither a trace nor rejected."""

    line: int


def first_bytes(path: Path) -> bytes:
    """Read the four bytes that tell how a file is packed."""
    with path.open("rb") as file:
        return file.read(4)


def is_packed(path: Path) -> bool:
    """Say whether a file is compressed, by its first bytes."""
    return first_bytes(path).startswith((GZIP, ZSTD))


def open_lines(path: Path) -> BinaryIO:
    """Open a file for reading bytes, unpacking gzip and zstd by their first bytes, not by their name."""
    try:
        magic = first_bytes(path)
        if magic.startswith(GZIP):
            return cast("BinaryIO", gzip.open(path, "rb"))
        if magic.startswith(ZSTD):
            if not is_whole_zstd(path):
                raise UserError(f"{path}: the file is damaged (it is cut off); nothing was added, deliver it again")
            return cast("BinaryIO", zstandard.open(path, "rb"))
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


def bounded_lines(path: Path, limit: int, size: int | None = None) -> Iterator[tuple[int, bytes, bool]]:
    """Yield (number, bytes, whole) of each LF-ended line; a line over `limit` comes cut, with `whole` False.

    Only LF ends a line: U+2028 and form feeds are content. A damaged archive is a `UserError`.
    Nothing is read after the first `size` bytes.
    """
    with open_lines(path) as opened:
        file = BufferedReader(opened, CHUNK)  # type: ignore[type-var]
        number = 0
        left = sys.maxsize if size is None else size
        while True:
            try:
                line = file.readline(min(limit + 1, left))
                left -= len(line)
                if not line:
                    return
                number += 1
                whole = len(line) <= limit or line.endswith(b"\n")
                rest = line
                while not whole and rest and not rest.endswith(b"\n"):
                    rest = file.readline(min(CHUNK, left))
                    left -= len(rest)
            except UNREADABLE as error:
                raise UserError(
                    f"{path}, after line {number}: the file is damaged ({error}); nothing was added, deliver it again"
                ) from error
            yield number, line.removesuffix(b"\n") if whole else line[:KEPT_OF_A_LONG_LINE], whole
