"""Lines of a file, plain or compressed, each one bounded in size before it is held in memory."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO

import zstandard

from eval.errors import UserError

CHUNK = 1 << 20
KEPT_OF_A_LONG_LINE = 4096
"""Bytes of an oversized line that go to quarantine: enough to recognise it by."""

UNREADABLE = (OSError, EOFError, zlib.error, zstandard.ZstdError)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a line may be: its bytes, and how deep its JSON may nest."""

    line_bytes: int = 1024 * 1024
    nesting: int = 64


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


def open_lines(path: Path) -> IO[bytes]:
    """Open a file for reading bytes, unpacking gzip and zstd by their first bytes, not by their name."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic[:2] == b"\x1f\x8b":
            return gzip.open(path, "rb")
        if magic == b"\x28\xb5\x2f\xfd":
            return zstandard.open(path, "rb")
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; check the path and its permissions") from error


def bounded_lines(path: Path, limit: int) -> Iterator[tuple[int, bytes, bool]]:
    """Yield (number, bytes, whole) of each LF-ended line; a line over `limit` comes cut, with `whole` False.

    Only LF ends a line: U+2028 and form feeds are content. A damaged archive is a `UserError`.
    """
    with open_lines(path) as opened:
        file = BufferedReader(opened, CHUNK)  # type: ignore[type-var]
        number = 0
        while True:
            try:
                line = file.readline(limit + 1)
                if not line:
                    return
                number += 1
                whole = len(line) <= limit or line.endswith(b"\n")
                rest = line
                while not whole and rest and not rest.endswith(b"\n"):
                    rest = file.readline(CHUNK)
            except UNREADABLE as error:
                raise UserError(
                    f"{path}, after line {number}: the file is damaged ({error}); nothing was added, deliver it again"
                ) from error
            yield number, line.removesuffix(b"\n") if whole else line[:KEPT_OF_A_LONG_LINE], whole
