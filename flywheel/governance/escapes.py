"""Personal data behind escapes, as in the source of JSON: an `@` as four hex digits, a number after a line end."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from flywheel.governance.findings import Finding, Recogniser
from flywheel.governance.pii import find_pii, with_masks

ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)|\x00", re.DOTALL)
CHARACTERS = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "'": "'", "\\": "\\", "/": "/"}
LEVELS = 4
"""JSON in a string of JSON, and again."""


def redact_escaped(text: str, recognisers: Iterable[Recogniser]) -> str | None:
    """Mask what stands in a text as it is, or once its escapes are read; a mask is as long as what it hides.

    None where escapes stand within escapes deeper than anybody writes them: what is in it cannot be told.
    """
    found = find_escaped(text, tuple(recognisers), LEVELS)
    return None if found is None else with_masks(text, found)


def find_escaped(text: str, recognisers: tuple[Recogniser, ...], levels: int) -> list[Finding] | None:
    """Find personal data with escapes taken for gaps, and with escapes read."""
    seen = ESCAPE.sub(lambda escape: " " * len(escape[0]), text)
    found = list(find_pii(seen, recognisers))
    if seen == text:
        return found
    if levels == 0:
        return None
    escapes = [(match.start(), match.end(), character_of(match[0])) for match in ESCAPE.finditer(text)]
    deeper = find_escaped(unescaped(text, escapes), recognisers, levels - 1)
    return None if deeper is None else joined([*found, *in_source(deeper, escapes)])


def character_of(escape: str) -> str:
    """Read an escape: one that is none is a gap, and a NUL is nothing, for readers drop it."""
    if escape == "\x00":
        return ""
    if len(escape) > 2:
        code = int(escape[2:], 16)
        return "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code) if code else ""
    return CHARACTERS.get(escape[1], " ")


def unescaped(text: str, escapes: Sequence[tuple[int, int, str]]) -> str:
    """Write the characters that escapes stand for."""
    written, place = [], 0
    for start, end, character in escapes:
        written += [text[place:start], character]
        place = end
    return "".join([*written, text[place:]])


def in_source(findings: Iterable[Finding], escapes: Sequence[tuple[int, int, str]]) -> Iterator[Finding]:
    """Give findings the places where they stand in the text with its escapes."""
    begin, end, shift = [], [], [0]
    for start, stop, character in escapes:
        begin.append(start - shift[-1])
        end.append(begin[-1] + len(character))
        shift.append(stop - end[-1])
    for finding in findings:
        start = finding.start + shift[bisect_right(end, finding.start)]
        yield Finding(finding.kind, start, finding.end + shift[bisect_left(begin, finding.end)])


def joined(findings: Iterable[Finding]) -> list[Finding]:
    """Put findings in order, those that overlap as one."""
    apart: list[Finding] = []
    for finding in sorted(findings, key=lambda f: (f.start, -f.end)):
        if apart and finding.start < apart[-1].end:
            last = apart.pop()
            finding = replace(last, end=max(last.end, finding.end))
        apart.append(finding)
    return apart
