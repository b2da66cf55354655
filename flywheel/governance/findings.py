"""What a recogniser gives, and the cheap looks at a text that spare it the dear ones."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Finding:
    """A piece of personal data in a text; `start` and `end` count code points."""

    kind: str
    start: int
    end: int


Recogniser = Callable[[str], Iterable[Finding]]

GAP = " \u00a0\u2007\u2009\u202f"
"""Spaces that stand between the groups of a number."""

HYPHENS = "\\-\u2010\u2011\u2013"
"""Hyphens that do so, for a character class."""

DIGITS = "0123456789"


@lru_cache(maxsize=1)
def digit_count(text: str) -> int:
    """Count the ASCII digits of a text.

    Every recogniser of numbers asks this of the same text, one after the other: the last answer is kept.
    """
    encoded = text.encode("utf-8", "surrogatepass")
    return len(encoded) - len(encoded.translate(None, DIGITS.encode()))


LONG_NUMBER = re.compile(rf"[0-9](?:[{GAP}.{HYPHENS}/()]{{0,3}}[0-9]){{6}}")


@lru_cache(maxsize=1)
def has_long_number(text: str) -> bool:
    """Tell whether seven digits stand together, with at most spaces, dots, hyphens and brackets between."""
    return digit_count(text) >= 7 and LONG_NUMBER.search(text) is not None


def digits_of(text: str) -> str:
    """Give the ASCII digits of a text."""
    return "".join(c for c in text if c in DIGITS)


def is_near(text: str, start: int, end: int, words: re.Pattern[str], before: int = 50, after: int = 25) -> bool:
    """Tell whether a word of the context stands so many characters before a place, or after it."""
    return bool(words.search(text, max(0, start - before), start) or words.search(text, end, end + after))
