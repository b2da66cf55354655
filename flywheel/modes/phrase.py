"""A failure and its distilled phrase: what went wrong, what was asked, what was said, without names or figures."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from flywheel.trace import FailureType, Severity

QUESTION_WORDS = 12
SENTENCE_WORDS = 40
READ_CHARACTERS = 600
"""No phrase reads further than this into a text: a question may be a megabyte long."""

MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
MASKS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), word)
    for pattern, word in (
        (r"(?:https?://|www\.)\S+", " link "),
        (r"\S+@\S+\.\w+", " address "),
        (r"\[\d{1,3}\]", " "),
        (r"\b\d{4}-\d\d-\d\d(?:[t ]\d\d:\d\d(?::\d\d)?\S*)?", " date "),
        (r"\b\d{1,2}/\d{1,2}/\d{2,4}\b", " date "),
        (rf"\b{MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? \d{{4}}\b)?", " date "),
        (rf"\b(?:\d{{1,2}}(?:st|nd|rd|th)? )?{MONTH},? \d{{4}}\b", " date "),
        (rf"\b\d{{1,2}}(?:st|nd|rd|th)? {MONTH}\b", " date "),
        (r"\b\d{1,2}(?::\d\d){1,2}(?: ?[ap]\.?m\b\.?)?", " time "),
        (r"\b\d{1,2} ?[ap]\.?m\b\.?", " time "),
        (r"\b(?:1[5-9]|20)\d\d\b", " date "),
        (r"[$€£¥] ?\d[\d.,]*", " amount "),
        (r"\b\d[\d.,]* ?(?:%|percent\b)", " percentage "),
        (r"\b(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]{5,}\b", " identifier "),
        (r"\b\d[\d.,]*(?:st|nd|rd|th)?\b", " number "),
    )
)
MASK_WORDS = frozenset(
    ("link", "address", "date", "time", "amount", "percentage", "identifier", "number", "name")
)
QUOTED = re.compile(r"[\"“«]([^\"“”«»]{1,60})[\"”»]")
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[.!?:;\n]")
STOPS = frozenset(".!?:;\n")
DAYS = frozenset(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"))
KEPT = DAYS | {"i", "i'm", "i've", "i'd", "i'll"}
INSIDE_NAMES = frozenset(("of", "the", "and", "de", "la", "van", "von"))


@dataclass(frozen=True, slots=True)
class Failure:
    """A trace that failed. `worst_sentence` is the least supported one; empty where there is no response.

    `attributes` are what a mode may be over-represented in: model, prompt_version, tenant_id, task.
    """

    trace_id: str
    revision: int
    failure_type: FailureType
    severity: Severity
    user_input: str
    response: str
    worst_sentence: str
    attributes: dict[str, str]


def failure_phrase(failure: Failure) -> str:
    """Distil a failure into what is embedded: its type, the question's opening, its least supported sentence.

    Names, numbers, dates, times, ids and links give way to words for their kinds, so that two failures
    of one kind read alike although they tell of other people and places.
    """
    return variant(failure)


def content_words(failure):
    return f"{first_words(failure.user_input, QUESTION_WORDS)} {first_words(failure.worst_sentence, SENTENCE_WORDS)}"


def first_words(text: str, count: int) -> str:
    return " ".join(masked(text).split()[:count])


def masked(text: str) -> str:
    """Lower the text, its first 600 characters, with a word of its kind in place of each name and figure."""
    text = QUOTED.sub(hide_title, text[:READ_CHARACTERS])
    for pattern, word in MASKS:
        text = pattern.sub(word, text)
    return " ".join(without_names(WORD.findall(text)))


def hide_title(quoted: re.Match[str]) -> str:
    """Mask a short quotation that starts like a title; keep what someone said."""
    inside = quoted[1].strip()
    return " name " if inside[:1].isupper() and len(inside.split()) <= 6 else f" {inside} "


def without_names(words: list[str]) -> list[str]:
    """Put `name` for each run of capitalised words; one that only opens a sentence is no name.

    Where most words are capitalised (a headline, shouting) capitals say nothing, and no word is hidden.
    """
    spoken = [word for word in words if word not in STOPS]
    if sum(word[0].isupper() for word in spoken) > 0.6 * len(spoken):
        return [word.lower() for word in spoken]
    kept: list[str] = []
    opening = True
    for place, word in enumerate(words):
        if word in STOPS:
            opening = True
            continue
        following = words[place + 1] if place + 1 < len(words) else ""
        capital = word[0].isupper() and word.lower() not in KEPT
        if capital and opening and len(word)>1:
            capital = following[:1].isupper() and following.lower() not in KEPT or word[1:2].isupper()
        if capital:
            word = "name"
        elif word in INSIDE_NAMES and kept[-1:] == ["name"] and following[:1].isupper():
            continue
        if word != "name" or kept[-1:] != ["name"]:
            kept.append(word.lower())
        opening = False
    return kept
