"""Attempts to give the model, or its judge, other instructions: a first look at a question or a passage.

A signal for triage and review, never a block: whoever means it can word it so that no expression sees it.
`injection_sql` looks at millions of questions inside DuckDB; `find_injection` looks closer,
at what is scrambled, spelled out, in other letters or encoded.
"""

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Iterator

from flywheel.governance.injection_patterns import PATTERNS, joined

INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
)
"""What has no width of its own: zero-width spaces and joiners, soft hyphens, marks of direction, fillers."""

SPACES = "\t\n\u000b\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

STRIPPED = re.compile(f"[{INVISIBLE}]+")
SPACE = re.compile(f"[{SPACES}]+")
INJECTION_PATTERN = joined(pattern for _, pattern in PATTERNS)
"""All patterns in one RE2 expression, for a normalised text; for many of them `injection_sql` is much faster."""


def kind_patterns() -> dict[str, str]:
    """Give one pattern for each kind, for SQL that names the kinds."""
    return {kind: joined(p for k, p in PATTERNS if k == kind) for kind, _ in PATTERNS}


COMPILED = {kind: re.compile(pattern, re.ASCII) for kind, pattern in kind_patterns().items()}


def normalise(text: str) -> str:
    """Write a text in small letters, without what is invisible, with single spaces.

    `normalise_sql` says the same in DuckDB, which makes small letters one by one: no final sigma, İ becomes i.
    """
    if text.isascii():
        return SPACE.sub(" ", text.lower())
    lowered = text.replace("\u0130", "i").replace("\u03a3", "\u03c3").lower()
    return SPACE.sub(" ", STRIPPED.sub("", lowered))


def normalise_sql(column: str) -> str:
    """Give the DuckDB expression that normalises a column as `normalise` does; `column` is an SQL expression."""
    spaces = "".join(escaped(c) for c in SPACES)
    invisible = "".join(escaped(c) for c in INVISIBLE)
    return f"regexp_replace(regexp_replace(lower({column}), '[{invisible}]+', '', 'g'), '[{spaces}]+', ' ', 'g')"


def injection_sql(column: str) -> str:
    """Give the DuckDB condition that a column shows an attempt, kind by kind: `INJECTION_PATTERN`, forty times faster.

    RE2 gives up its fast automaton for an expression as large as all kinds together.
    """
    plain = normalise_sql(column)
    quoted = (pattern.replace("'", "''") for pattern in kind_patterns().values())
    return "(" + " or ".join(f"regexp_matches({plain}, '{pattern}')" for pattern in quoted) + ")"


def escaped(c: str) -> str:
    """Write a character of a class for RE2."""
    return c if c == "-" else f"\\x{{{ord(c):x}}}"


def find_injection(text: str) -> tuple[str, ...]:
    """Name the kinds of attempt that a text shows, in the order of `PATTERNS`; `encoded` where one was hidden.

    Beside the text itself it looks at the text with swapped letters put right, with look-alike letters as plain ones,
    with spelt-out words joined, and at what its base64, hexadecimal and rot13 say.
    """
    plain = normalise(text)
    kinds = matching(plain)
    repaired = unscrambled(plain)
    if repaired != plain:
        kinds |= matching(repaired)
    hidden: set[str] = set()
    for reading in other_readings(text, plain):
        hidden |= matching(normalise(reading))
    if hidden - kinds or (kinds and LETTERS_APART.search(text)):
        kinds |= hidden | {"encoded"}
    return tuple(kind for kind in COMPILED if kind in kinds)


def matching(plain: str) -> set[str]:
    """Name the kinds whose pattern a normalised text matches."""
    return {kind for kind, pattern in COMPILED.items() if pattern.search(plain)}


LETTERS_APART = re.compile(f"(?:[A-Za-z][{INVISIBLE}]){{3}}")
"""Letters with invisible characters between them: nobody types that."""

TRIGGERS = [
    "ignore",
    "ignoring",
    "disregard",
    "forget",
    "override",
    "overriding",
    "bypass",
    "neglect",
    "discard",
    "dismiss",
    "previous",
    "prior",
    "above",
    "earlier",
    "preceding",
    "initial",
    "original",
    "instructions",
    "instruction",
    "guidelines",
    "directives",
    "directions",
    "system",
    "prompt",
    "prompts",
    "message",
    "reveal",
    "repeat",
    "everything",
    "rules",
    "restrictions",
    "constraints",
    "developer",
    "unrestricted",
    "uncensored",
    "unfiltered",
    "pretend",
    "character",
    "password",
    "passwords",
    "credentials",
    "hidden",
    "secret",
    "verbatim",
    "evaluator",
    "execute",
    "decode",
    "follow",
    "commands",
]
WORD = re.compile(r"[a-z]{5,14}")
LEET_WORD = re.compile(r"[a-z0-9@$]{4,16}")
LEET = str.maketrans("01345@$7", "oieasast")


def letters_of(word: str) -> tuple[str, str, str]:
    """Give what stays of a word when its inner letters change places."""
    return word[0], word[-1], "".join(sorted(word))


UNSCRAMBLED = {letters_of(word): word for word in TRIGGERS if len(word) >= 5}
SPOKEN = frozenset(TRIGGERS)


def unscrambled(plain: str) -> str:
    """Put right the words that are a trigger with its inner letters swapped, or with figures for letters."""

    def right(match: re.Match[str]) -> str:
        word = match[0]
        return word if word in SPOKEN else UNSCRAMBLED.get(letters_of(word), word)

    def read(match: re.Match[str]) -> str:
        word = match[0]
        spelled = word.translate(LEET)
        return spelled if spelled != word and spelled in SPOKEN else word

    return LEET_WORD.sub(read, WORD.sub(right, plain))


BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
HEX = re.compile(r"(?:(?:\\x|%|0x)?[0-9A-Fa-f]{2}[ ,]?){10,}")
HEX_PAIR = re.compile(r"(?:\\x|%|0x)?([0-9A-Fa-f]{2})[ ,]?")
SPELT = re.compile(r"(?<![^\W_])(?:[A-Za-z][ ._*-]){4,200}[A-Za-z](?![^\W_])")
LONGEST_CHUNK = 20_000
CHUNKS = 20
ROT13 = re.compile(r"\b(?:vtaber|qvfertneq|vafgehpgvbaf?|cebzcg|flfgrz|cerivbhf)\b", re.IGNORECASE)
HOMOGLYPHS = str.maketrans(
    "аеорсхуіѕјԁԛѡһкмтнвг" "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαεικνορτυχ",
    "aeopcxyisjdqwhkmthbr" "ABEZHIKMNOPTYXaeiknoptux",
)  # fmt: skip
"""Cyrillic and Greek letters that look like Latin ones."""


def other_readings(text: str, plain: str) -> Iterator[str]:
    """Yield what a text may say besides what it says."""
    if not text.isascii():
        folded = unicodedata.normalize("NFKC", text)
        tags = "".join(chr(ord(c) - 0xE0000) for c in text if "\U000e0020" <= c <= "\U000e007e")
        if tags:
            yield tags
        folded = without_accents(folded).translate(HOMOGLYPHS)
        if normalise(folded) != plain:
            yield folded
    yield from decoded(text)
    if SPELT.search(text):
        yield SPELT.sub(lambda match: re.sub(r"[ ._*-]", "", match[0]), text.replace("   ", "\n").replace("  ", "\n"))
    if ROT13.search(text):
        yield codecs.encode(text, "rot13")


def without_accents(text: str) -> str:
    """Take off combining marks."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def decoded(text: str) -> Iterator[str]:
    """Yield what the first chunks of base64 and of hexadecimal in a text say, where they say something."""
    for place, match in enumerate(BASE64.finditer(text)):
        if place >= CHUNKS:
            break
        chunk = match[0][:LONGEST_CHUNK].rstrip("=").replace("-", "+").replace("_", "/")
        try:
            yield base64.b64decode(chunk[: len(chunk) - (len(chunk) % 4 == 1)] + "==").decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            continue
    for place, match in enumerate(HEX.finditer(text)):
        if place >= CHUNKS:
            break
        try:
            yield bytes.fromhex("".join(HEX_PAIR.findall(match[0][:LONGEST_CHUNK]))).decode("utf-8")
        except ValueError:
            continue
