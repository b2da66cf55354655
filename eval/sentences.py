"""The one sentence splitter: sentences with the code-point offsets they have in the text."""

import re
from dataclasses import dataclass

END = re.compile(r"""[.!?…]+["'”’»)\]*_]*(?:[ ]?\[\d{1,3}(?:,[ ]?\d{1,3}){0,9}\])*|[。！？｡]+[」』”’）]*|[\r\n]+\s*""")
"""What may end a sentence. It never fails after a long run, so a search takes linear time."""

MARKER = re.compile(r"(?:[-*•–·▪◦]|\(?(?:\d{1,3}|[a-zA-Z])[.)])(?=\s)")
BEFORE = re.compile(r"(?:^|[\s(\[\"'“‘])((?:[^\W\d_]\.)*[^\W\d_]{1,12}|\(?\d{1,3})$")
TITLES = "mr mrs ms dr prof sen rep gov gen lt col sgt capt rev hon st mt ft"
PARTS = "vs fig figs no nos vol pp approx dept est eq ca cf ed eds al ave blvd rd e.g i.e u.k"
MONTHS = "jan feb mar apr jun jul aug sept sep oct nov dec"
ABBREVIATIONS = frozenset(" ".join((TITLES, PARTS, MONTHS)).split())
EITHER = frozenset({"inc", "ltd", "co", "corp", "jr", "sr", "etc", "bros", "a.m", "p.m"})
"""Abbreviations that stand at the end of a sentence as often as inside one."""
STARTERS = re.compile(
    r"(?:The|This|That|These|Those|It|Its|He|She|They|We|You|I|In|On|At|A|An|However|But|And|If|As|For|There|When|While)\b"
)
LOOK_BACK = 16


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence without the space around it: `text` is `whole[start:end]`, offsets in code points."""

    start: int
    end: int
    text: str


def split_sentences(text: str) -> list[Sentence]:
    """Split a text into sentences, list items and headings; every character that is not space is in exactly one.

    A full stop inside an abbreviation, an initial, a number or a list marker ends nothing. A line break ends a
    sentence unless the next line goes on in lower case. A citation such as [2] stays with what it follows.
    """
    sentences: list[Sentence] = []
    start = 0
    for match in END.finditer(text):
        if match.end() > start and ends_sentence(text, start, match):
            add_sentence(sentences, text, start, match.end())
            start = match.end()
    add_sentence(sentences, text, start, len(text))
    return sentences


def add_sentence(sentences: list[Sentence], text: str, start: int, end: int) -> None:
    """Append text[start:end] without the space around it, if anything is left."""
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        start += len(piece) - len(piece.lstrip())
        sentences.append(Sentence(start, start + len(stripped), stripped))


def ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    """Say whether a sentence that began at `start` ends with this match."""
    found, end = match.group(), match.end()
    if found.isspace():
        return is_line_end(text, start, match.start(), end, found)
    if end == len(text) or found[0] in "。！？｡":
        return True
    if not text[end].isspace():
        return False
    following = text[end : end + LOOK_BACK].lstrip()
    if found[0] != ".":
        return not following[:1].islower()
    return not following[:1].islower() and not is_inner_stop(text, start, match.start(), following)


def is_line_end(text: str, start: int, before: int, after: int, gap: str) -> bool:
    """Say whether a line break ends the sentence: always, but where a hard-wrapped line goes on in lower case."""
    if gap.count("\n") > 1 or before <= start or after >= len(text):
        return True
    return not text[after].islower() or last_before(text, start, before) in ".!?:;" or bool(MARKER.match(text, after))


def last_before(text: str, start: int, end: int) -> str:
    """Give the last character of text[start:end] that is not space, or nothing."""
    while end > start and text[end - 1].isspace():
        end -= 1
    return text[end - 1 : end] if end > start else ""


def is_inner_stop(text: str, start: int, stop: int, following: str) -> bool:
    """Say whether the full stop at `stop` belongs to an abbreviation, an initial or a list marker."""
    lead = max(0, start - 1, stop - LOOK_BACK)
    word = BEFORE.search(text, lead, stop)
    if word is None:
        return False
    name = word.group(1)
    if name.isdigit() or name[0] == "(":
        return not text[start : word.start(1)].strip() if stop - start < LOOK_BACK else False
    lowered = name.lower()
    if lowered in ABBREVIATIONS:
        return not (lowered == "no" and STARTERS.match(following))
    if lowered in EITHER or "." in name:
        return not STARTERS.match(following)
    return len(name) == 1 and name not in "Ia"
