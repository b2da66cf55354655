"""How much of an answer's wording the passages hold, for many traces at once: words as numbers, no loop over traces.

Each word becomes a 64-bit hash of itself and of the trace it stands in; what an answer and its passages share is then a
search in a sorted array. Two different words share a hash once in far more traces than anybody has.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

SHORTEST = 4
"""Characters of a word that counts."""

LONGEST = 256
"""Bytes of a word that are compared; of two longer words the beginning and the length have to be the same."""

AT_ONCE = 1024 * 1024
"""Bytes of passages that are looked at together: their hashes fit into a processor's cache."""

SPACE = 32
BLOCK = 8
PADDING = b" " * BLOCK
LETTERS = bytes(
    ord(chr(byte).lower()) if byte < 128 and chr(byte).isalnum() else byte if byte >= 128 else SPACE
    for byte in range(256)
)
"""ASCII letters as small ones, every other ASCII character that is no digit as a space."""

FIRST_BYTES = np.array([2 ** (8 * count) - 1 for count in range(BLOCK + 1)], np.uint64)
SPREAD, MIX, SALT = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93))
HALF = np.uint64(32)

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]


def overlaps(answers: pa.Array, passages: pa.Array) -> npt.NDArray[np.float64]:
    """Give the share of each answer's distinct words that its passages hold as a word, NaN where it has no word.

    A word is a run of letters or digits of any script, four characters or more, in small letters. Every text ends
    with a character that belongs to no word.
    """
    shares = np.full(len(answers), np.nan)
    for start, end in pieces(passages):
        shares[start:end] = overlaps_of_piece(answers[start:end], passages[start:end])
    return shares


def pieces(texts: pa.Array) -> Iterator[tuple[int, int]]:
    """Yield ranges of texts that are at most `AT_ONCE` bytes long together, but one text at least."""
    ends = offsets_of(texts)[1:]
    start, done = 0, int(offsets_of(texts)[0])
    while start < len(texts):
        end = max(int(np.searchsorted(ends, done + AT_ONCE, side="right")), start + 1)
        yield start, end
        start, done = end, int(ends[end - 1])


def overlaps_of_piece(answers: pa.Array, passages: pa.Array) -> npt.NDArray[np.float64]:
    """Give the shares of some hundred answers."""
    counts, wanted = words(answers, is_counted=True)
    _, held = words(passages, is_counted=False)
    order = np.argsort(wanted)
    places, wanted = np.repeat(np.arange(len(answers)), counts)[order], wanted[order]
    is_first = np.ones(len(wanted), bool)
    is_first[1:] = wanted[1:] != wanted[:-1]
    places, wanted = places[is_first], wanted[is_first]
    held.sort()
    found_at = np.searchsorted(held, wanted)
    is_held = held.take(found_at, mode="clip") == wanted if len(held) else np.zeros(len(wanted), bool)
    total = np.bincount(places, minlength=len(answers))
    shared = np.bincount(places[is_held], minlength=len(answers))
    shares = np.full(len(answers), np.nan)
    np.divide(shared, total, out=shares, where=total > 0)
    return shares


def words(texts: pa.Array, *, is_counted: bool) -> tuple[Ints, Hashes]:
    """Give how many long words each text has, and their hashes; long in bytes where characters are not counted."""
    data = bytes_of(texts)
    is_ascii = data.isascii()
    if not is_ascii:
        texts = pc.utf8_lower(texts)
        data = bytes_of(texts)
    offsets = offsets_of(texts)
    raw = data.translate(LETTERS) + PADDING
    letters = np.frombuffer(raw if is_ascii else bytearray(raw), np.uint8)
    if not is_ascii:
        blank_what_is_no_letter(letters)
    starts, sizes = runs(letters)
    if is_counted and not is_ascii:
        is_long = characters(letters, starts, sizes) >= SHORTEST
        starts, sizes = starts[is_long], sizes[is_long]
    counts = np.diff(np.searchsorted(starts, offsets[:-1] - offsets[0]), append=len(starts))
    hashes = hashed(letters, starts, sizes)
    hashes += np.repeat(np.arange(len(texts), dtype=np.uint64) * SALT, counts)
    return counts, hashes


def offsets_of(texts: pa.Array) -> npt.NDArray[np.int32]:
    """Give where each text begins in the data of an Arrow array, and where the last one ends."""
    place = texts.offset
    return np.frombuffer(texts.buffers()[1], np.int32)[place : place + len(texts) + 1]


def bytes_of(texts: pa.Array) -> bytes:
    """Give the bytes of all texts, one after the other."""
    offsets, data = offsets_of(texts), texts.buffers()[2]
    return bytes(memoryview(data)[offsets[0] : offsets[-1]]) if data is not None else b""


def runs(letters: Bytes) -> tuple[Ints, Ints]:
    """Give start and size of each run of letters of four bytes or more."""
    ends = np.flatnonzero(letters == SPACE)
    sizes = np.diff(ends, prepend=-1) - 1
    is_long = sizes >= SHORTEST
    sizes = sizes[is_long]
    return ends[is_long] - sizes, sizes


def characters(letters: Bytes, starts: Ints, sizes: Ints) -> Ints:
    """Count the characters of each run."""
    continuing = np.cumsum((letters & 0xC0) == 0x80, dtype=np.int64)
    counts: Ints = sizes - (continuing[starts + sizes] - continuing[starts])
    return counts


def hashed(letters: Bytes, starts: Ints, sizes: Ints) -> Hashes:
    """Give a hash of each run, eight bytes after eight bytes."""
    blocks: Hashes = np.ndarray((len(letters) - BLOCK + 1,), "<u8", letters.data, strides=(1,))
    hashes = blocks[starts]
    hashes &= FIRST_BYTES.take(sizes, mode="clip")
    hashes *= SPREAD
    for place in range(BLOCK, LONGEST, BLOCK):
        longer = np.flatnonzero(sizes > place)
        if not len(longer):
            break
        mixed = hashes[longer]
        mixed ^= mixed >> HALF
        mixed ^= blocks[starts[longer] + place] & FIRST_BYTES.take(sizes[longer] - place, mode="clip")
        hashes[longer] = mixed * MIX
    hashes += sizes.view(np.uint64)
    hashes ^= hashes >> HALF
    return hashes


def blank_what_is_no_letter(letters: Bytes) -> None:
    """Write spaces over the bytes of each character beyond ASCII that is neither a letter nor a digit."""
    leads = np.flatnonzero(letters >= 0xC0)
    sizes = 2 + (letters[leads] >= 0xE0).astype(np.int64) + (letters[leads] >= 0xF0)
    points = letters[leads].astype(np.int64) & (0x7F >> sizes)
    for place in range(1, 4):
        goes_on = sizes > place
        points[goes_on] = (points[goes_on] << 6) | (letters[leads[goes_on] + place] & 0x3F)
    is_none = ~letters_and_digits()[points]
    leads, sizes = leads[is_none], sizes[is_none]
    for place in range(4):
        letters[leads[sizes > place] + place] = SPACE


@cache
def letters_and_digits() -> npt.NDArray[np.bool_]:
    """Say of each code point whether it is a letter or a digit."""
    return np.fromiter((chr(point).isalnum() for point in range(0x110000)), bool, 0x110000)
