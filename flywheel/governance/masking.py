"""What leaves the warehouse leaves it masked: texts, and the records that carry them out.

Masks are as long as what they hide, so offsets into a text (sentences, spans that people marked) stay true.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache, lru_cache
from hashlib import sha256

from eval.cases import GoldenCase
from eval.sample import Passage, Sample
from flywheel.governance.pii import FILL, chosen_recognisers, redact
from flywheel.settings import Governance

Mask = Callable[[str], str]
"""Takes a text, gives it without personal data and as long as it was; what has none comes back as it is."""

KEPT_TEXTS = 4096
"""Masked texts that are remembered: the same passages come again and again."""

LONGEST_NAME = 512
"""Characters of a masked name: no more than the id of a trace may have."""

WORD = re.compile(r"\w{2,}")


def as_it_is(text: str) -> str:
    """Mask nothing."""
    return text


def mask_of(settings: Governance) -> Mask:
    """Give what masks whatever leaves the warehouse; nothing is masked where the settings switch it off.

    With `redact = "store"` too: what people type and what a pipeline under test answers was never ingested.
    """
    if settings.redact == "off":
        return as_it_is
    recognisers = chosen_recognisers(settings.pii, settings.recognisers, settings.region)
    return lru_cache(KEPT_TEXTS)(lambda text: redact(text, recognisers))


def mask_by_default(text: str) -> str:
    """Mask as the settings do where nobody changed them: a caller that brings no settings leaks nothing."""
    return default_mask()(text)


@cache
def default_mask() -> Mask:
    """Give the mask of the default settings."""
    return mask_of(Governance())


def mask_maybe(text: str | None, mask: Mask) -> str | None:
    """Mask a text that may be missing."""
    return None if text is None else mask(text)


def mask_name(name: str, mask: Mask) -> str:
    """Mask a name that things are told apart by: one that holds personal data gets a hash, so that two stay two.

    A masked name that is too long is cut before the hash, and masked again: what is left of a number may be another.
    """
    masked = mask(name)
    if masked == name:
        return name
    told_apart = f"#{sha256(name.encode('utf-8', 'replace')).hexdigest()[:12]}"
    room = LONGEST_NAME - len(told_apart)
    return (masked if len(masked) <= room else mask(masked[:room])) + told_apart


def note_mask(about: Iterable[str], mask: Mask) -> Mask:
    """Give what masks a note that quotes texts, such as why a sentence is doubted.

    It may quote a piece that is no personal data by itself, four digits of a card or one half of an address: words
    that stand only in what is masked of the texts are hidden too.
    """
    hidden: set[str] = set()
    shown: set[str] = set()
    for text in about:
        masked = mask(text)
        if masked != text:
            hidden.update(
                word[0].casefold() for word in WORD.finditer(text) if masked[word.start() : word.end()] != word[0]
            )
        shown.update(word[0].casefold() for word in WORD.finditer(masked))
    quoted = hidden - shown
    return lambda note: WORD.sub(lambda word: hide_quoted(word[0], quoted), mask(note))


def hide_quoted(word: str, quoted: set[str]) -> str:
    """Hide a word that is one of those quoted out of what is masked."""
    return FILL * len(word) if word.casefold() in quoted else word


def mask_passages(passages: Iterable[Passage], mask: Mask) -> tuple[Passage, ...]:
    """Mask the texts of passages; their ids stay, for retrieval is judged by them."""
    return tuple(Passage(passage.id, mask(passage.text)) for passage in passages)


def mask_sample(sample: Sample, mask: Mask) -> Sample:
    """Mask the texts of a sample; id and group stay, for scores and roles go by them."""
    return replace(
        sample,
        user_input=mask(sample.user_input),
        response=mask(sample.response),
        passages=mask_passages(sample.passages, mask),
        reference=mask_maybe(sample.reference, mask),
    )


def mask_case(case: GoldenCase, mask: Mask) -> GoldenCase:
    """Mask the texts of a case and its group.

    The hashes of passages that it only names stay those of the passages as they are in the corpus.
    """
    return replace(
        case,
        user_input=mask(case.user_input),
        passages=mask_passages(case.passages, mask),
        reference=mask_maybe(case.reference, mask),
        expectation=replace(case.expectation, must_include=tuple(map(mask, case.expectation.must_include))),
        group=mask_name(case.group, mask),
    )
