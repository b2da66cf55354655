"""What the machine marks for an annotator: doubtful sentences, and the part of a passage that comes closest."""

import re
from dataclasses import dataclass

from eval.sentences import split_sentences
from flywheel.labels.records import TaskPayload

DOUBTS = (("perhaps unsupported", 0.15), ("likely unsupported", 0.4), ("very likely unsupported", 0.7))
"""What a sentence is called at and above each probability that no passage supports it."""

WORD = re.compile(r"\w{3,}|\d+")


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """A piece of the answer: sentence `number` (from 1), or None for what lies between sentences.

    `doubt` is 0 for a sentence without a mark, up to 3 for the strongest.
    """

    text: str
    number: int | None = None
    doubt: int = 0


def answer_parts(payload: TaskPayload) -> list[AnswerPart]:
    """Cut the answer into its sentences and what lies between; joined again they are the whole answer."""
    parts, end = [], 0
    for number, sentence in enumerate(payload.sentences, start=1):
        if sentence.start > end:
            parts.append(AnswerPart(payload.response[end : sentence.start]))
        start = max(sentence.start, end)
        end = max(sentence.end, end)
        parts.append(AnswerPart(payload.response[start:end], number, doubt_of(sentence.unsupported)))
    if payload.response[end:]:
        parts.append(AnswerPart(payload.response[end:]))
    return parts


def doubt_of(unsupported: float | None) -> int:
    """Grade a probability: 0 for none or little doubt, 1 to 3 for the words of `DOUBTS`."""
    return sum(unsupported is not None and unsupported >= at for _, at in DOUBTS)


def most_doubtful(payload: TaskPayload) -> int | None:
    """Give the number of the sentence that most needs a look, None where no sentence carries a mark."""
    marked = [
        (-sentence.unsupported, number)
        for number, sentence in enumerate(payload.sentences, start=1)
        if sentence.unsupported is not None and doubt_of(sentence.unsupported)
    ]
    return min(marked)[1] if marked else None


def closest_part(sentence: str, passage: str) -> tuple[int, int] | None:
    """Find the sentence of a passage that shares most words with a sentence of the answer; None if it shares none."""
    wanted = set(WORD.findall(sentence.lower()))
    shared = [
        (len(wanted & set(WORD.findall(piece.text.lower()))), -piece.start, piece.end)
        for piece in split_sentences(passage)
    ]
    count, start, end = max(shared, default=(0, 0, 0))
    return (-start, end) if count else None
