"""A failure and its distilled phrase: what went wrong, what was asked, what was said, without names or figures."""

import re
from dataclasses import dataclass

from flywheel.trace import FailureType, Severity

QUESTION_WORDS = 12
SENTENCE_WORDS = 40
READ_CHARACTERS = 600
"""No phrase reads further than this into a text: a question may be a megabyte long."""

MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
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
        (r"[$€£¥] ?\d+(?:[.,]\d+)*", " amount "),
        (r"\b\d+(?:[.,]\d+)* ?(?:%|percent\b)", " percentage "),
        (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", " identifier "),
        (r"\b[a-z]{1,5}[-_]?\d{3,}\b", " identifier "),
        (r"\b(?=\w*\d\w*\d)(?=\w*[a-z])\w{6,}\b", " identifier "),
        (r"\b\d+(?:[.,]\d+)*(?:st|nd|rd|th)?\b", " number "),
        (r"\w*\d\w*", " identifier "),
    )
)
MASK_WORDS = frozenset(("link", "address", "date", "time", "amount", "percentage", "identifier", "number", "name"))
QUOTED = re.compile(r"[\"“«]([^\"“”«»]{1,60})[\"”»]")
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[.!?:;\n]")
MOSTLY = 0.6
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

    Names, numbers, dates, times, ids and links give way to words for their kinds, so that two failures of one kind
    read alike although they tell of other people and places. The question stands twice: against human labels of six
    weeks that gave purer modes than once, most of all where the least supported sentence is only estimated.
    """
    asked, said = asked_and_said(failure)
    return ". ".join(part for part in (type_words(failure), asked, asked, said) if part)


def type_words(failure: Failure) -> str:
    """The failure type as people say it: `unsupported claim`."""
    return failure.failure_type.replace("_", " ")


def asked_and_said(failure: Failure) -> tuple[str, str]:
    """The opening of the question and of the least supported sentence, masked."""
    asked = masked(failure.user_input).split()[:QUESTION_WORDS]
    said = masked(failure.worst_sentence).split()[:SENTENCE_WORDS]
    return " ".join(asked), " ".join(said)


def masked(text: str) -> str:
    """Lower the text, its first 600 characters, with a word of its kind in place of each name and figure."""
    text = QUOTED.sub(hide_title, text[:READ_CHARACTERS])
    for pattern, word in MASKS:
        text = pattern.sub(word, text)
    return " ".join(without_names(WORD.findall(text)))


def hide_title(quoted: re.Match[str]) -> str:
    """Mask a short quotation that starts like a title; keep what someone said."""
    inside = quoted[1].strip()
    is_title = inside[:1].isupper() or inside[:1].isdigit()
    return " name " if is_title and len(inside.split()) <= 6 else f" {inside} "


def without_names(words: list[str]) -> list[str]:
    """Put `name` for each run of capitalised words; a lone one that opens a sentence is no name.

    Where most words are capitalised (a headline, shouting) capitals say nothing, and no word is hidden.
    """
    spoken = [word for word in words if word not in STOPS]
    if sum(word[0].isupper() for word in spoken) > MOSTLY * len(spoken):
        return [word.lower() for word in spoken]
    kept: list[str] = []
    previous = "."
    for word, following in zip(words, [*words, ""][1:], strict=True):
        in_name = kept[-1:] == ["name"] and previous not in STOPS
        if word in STOPS or (in_name and word in INSIDE_NAMES and goes_on(following)):
            pass
        elif not is_name(word, following, opening=previous in STOPS):
            kept.append(word.lower())
        elif not in_name:
            kept.append("name")
        previous = word
    return kept


def is_name(word: str, following: str, opening: bool) -> bool:
    """Judge by capitals; at the opening of a sentence the next letter or the next word must have one too."""
    return is_capital(word) and (not opening or len(word) == 1 or word[1].isupper() or is_capital(following))


def goes_on(following: str) -> bool:
    """Whether a name goes on after a small word in it: `Bank of England`, `Jean de la Tour`."""
    return is_capital(following) or following in INSIDE_NAMES


def is_capital(word: str) -> bool:
    """Whether a word starts in upper case without having to: days of the week and `I` do."""
    return word[:1].isupper() and word.lower() not in KEPT
