"""Recognisers of the user's own: a regular expression, or a function of theirs.

A pattern runs in RE2 (through pyarrow), in time linear in the text whatever the pattern is, and means the same as in
DuckDB. Python's `re` could be made to hang by `(a+)+$` on fifty characters, so a bound on the text would not help.
RE2 gives back texts, not places: it writes a mark around each match, and the places are read off the marks.
"""

import re
from collections.abc import Iterator
from importlib import import_module

import pyarrow as pa
import pyarrow.compute as pc

from eval.errors import UserError
from flywheel.governance.findings import Finding, Recogniser

NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
LONGEST_PATTERN = 1000
MARKS = range(0xE000, 0xF8FF)
"""Code points for private use: two that a text does not hold become its marks."""


def custom_recogniser(name: str, pattern: str) -> Recogniser:
    """Make a recogniser of whatever a regular expression (RE2) matches; `name` is the kind of its findings."""
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} cannot name personal data; use small letters, digits and _, at most 32")
    if len(pattern) > LONGEST_PATTERN:
        raise UserError(f"the pattern of {name!r} has {len(pattern)} characters; at most {LONGEST_PATTERN} are allowed")
    try:
        marked("", pattern, "\ue000", "\ue001")
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        raise UserError(
            f"the pattern {pattern!r} of {name!r} is no regular expression of RE2 ({error}); "
            "put it right: lookaround, backreferences and repeats over 1000 do not exist there"
        ) from error

    def find(text: str) -> Iterator[Finding]:
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-8", "replace").decode()
        held = {c for c in text if "\ue000" <= c <= "\uf8ff"}
        free = (mark for code in MARKS if (mark := chr(code)) not in held)
        opening, closing = next(free, "\ue000"), next(free, "\ue001")
        place = start = 0
        for c in re.split(f"([{opening}{closing}])", marked(text, pattern, opening, closing)):
            if c == opening:
                start = place
            elif c == closing:
                if place > start:
                    yield Finding(name, start, place)
            else:
                place += len(c)

    return find


def marked(text: str, pattern: str, opening: str, closing: str) -> str:
    """Write a mark before and after each match."""
    written: str = pc.replace_substring_regex(
        pa.scalar(text), pattern=pattern, replacement=rf"{opening}\0{closing}"
    ).as_py()
    return written


def load_recogniser(place: str) -> Recogniser:
    """Load a function of the user's own from `module:function`; it takes a text and yields findings."""
    module, _, function = place.partition(":")
    try:
        recogniser = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"the recogniser {place!r} cannot be loaded ({error}); write it as module:function, importable from here"
        ) from error
    if not callable(recogniser):
        raise UserError(f"{place!r} is no function; name one that takes a text and yields findings")
    loaded: Recogniser = recogniser
    return loaded
