"""Answers: the sentences of the passages that fit the question, or one polite refusal; no model needed."""

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from eval.embedding import Embedder
from eval.sentences import split_sentences
from flywheel.serving.index import Hit

ABSTENTION = "I'm sorry, I could not find an answer to that in the documents I have."
"""The one sentence that stands for no answer, whichever answerer gives it."""

OVERLAP_WEIGHT = 0.2
"""Share of the words in a sentence's fit; the rest is the cosine.

On the embedded sample the best sentence is evidence for 77 % of the answerable questions, with the cosine alone for
72 %, and for 69 % where a sentence is embedded without the title of its document.
"""
SECOND_SENTENCE = 0.9
"""A second sentence joins the answer if it fits at least this share as well as the best."""

WORD = re.compile(r"[^\W_]+")
HEADING = re.compile(r"#{1,6}\s")
LIST_MARK = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+")
STOP_WORDS = """
a an and are as at be but by can could did do does for from had has have how i if in is it its me my of on or our
should so that the their them there these they this to was we were what when where which who whom whose why will
with would you your
"""
NO_SUBJECT = frozenset(STOP_WORDS.split())


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answerer gives. Tokens are None where no model counted any."""

    text: str
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that could be an answer, and the title of its document."""

    title: str
    text: str

    @property
    def in_context(self) -> str:
        """The text whose vector stands for the sentence, which alone may not say what it is about."""
        return f"{self.title}: {self.text}" if self.title else self.text


Answerer = Callable[[str, Sequence[Hit]], Reply]
"""Takes a question and the passages found for it."""


def extractive_answer(question: str, hits: Sequence[Hit], embed: Embedder, abstain_below: float) -> str:
    """Give the one or two sentences of the passages that fit the question best, in the order of their passage.

    The fit of a sentence is a weighted mean of its cosine with the question and of the share of the question's
    words that it has. Below `abstain_below` the answer is `ABSTENTION`.
    """
    candidates = candidate_sentences(hits)
    if not candidates:
        return ABSTENTION
    fits = sentence_fits(question, candidates, embed)
    best = int(np.argmax(fits))
    if fits[best] < abstain_below:
        return ABSTENTION
    others = [int(i) for i in np.argsort(-fits, kind="stable") if candidates[int(i)].text != candidates[best].text]
    chosen = [best, *(i for i in others[:1] if fits[i] >= SECOND_SENTENCE * fits[best])]
    return " ".join(candidates[i].text for i in sorted(chosen))


def candidate_sentences(hits: Sequence[Hit]) -> list[Candidate]:
    """List the sentences of the passages that could be an answer: no headings, no marks of lists."""
    return [
        Candidate(hit.passage.title, LIST_MARK.sub("", sentence.text))
        for hit in hits
        for sentence in split_sentences(hit.passage.text)
        if not HEADING.match(sentence.text)
    ]


def sentence_fits(question: str, candidates: Sequence[Candidate], embed: Embedder) -> NDArray[np.float64]:
    """Say how well each sentence fits a question, up to 1."""
    vectors = embed([question, *(candidate.in_context for candidate in candidates)]).astype(np.float64)
    cosines: NDArray[np.float64] = vectors[1:] @ vectors[0]
    wanted = content_words(question)
    if not wanted:
        return cosines
    overlap = np.array([len(wanted & content_words(candidate.text)) / len(wanted) for candidate in candidates])
    return (1 - OVERLAP_WEIGHT) * cosines + OVERLAP_WEIGHT * overlap


def content_words(text: str) -> frozenset[str]:
    """Give the words of a text that carry its subject, in lower case, without a plural's s."""
    words = (word.casefold() for word in WORD.findall(text))
    return frozenset(word.removesuffix("s") if len(word) > 3 else word for word in words if word not in NO_SUBJECT)


def remember(embed: Embedder, capacity: int = 20_000) -> Embedder:
    """Keep the vectors of the texts seen last: the sentences of a knowledge base come up again with every question."""
    kept: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
    lock = Lock()

    def embed_remembering(texts: Sequence[str]) -> NDArray[np.float32]:
        with lock:
            found = {text: kept[text] for text in texts if text in kept}
            for text in found:
                kept.move_to_end(text)
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            found.update(zip(missing, embed(missing), strict=True))
        with lock:
            kept.update((text, found[text]) for text in missing)
            while len(kept) > capacity:
                kept.popitem(last=False)
        return np.stack([found[text] for text in texts])

    return embed_remembering
