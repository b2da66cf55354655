"""What a failure mode is called, and which traces show it best."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from flywheel.modes.phrase import MASK_WORDS, Failure, asked_and_said, type_words

TERMS = 8
TITLE_TERMS = 3
EXEMPLARS = 3
SPOKEN_SHARE = 0.1
"""A term that fewer failures of a mode say tells nothing of it; nor does one that a single failure says, of several."""


def mode_terms(groups: Sequence[Sequence[Failure]], count: int = TERMS) -> list[tuple[str, ...]]:
    """Give the words and pairs of words that set each group apart, the most telling first, by class-based TF-IDF.

    weight(t, g) = f(t, g) / F(g) * log(1 + A / f(t)), where f(t, g) is the number of failures of group g that say t,
    F(g) its sum over t, f(t) its sum over g, and A the mean of F (Grootendorst, BERTopic, arXiv 2203.05794).
    Failures are counted instead of occurrences, so that one wordy answer names no mode. A pair counts double, since
    each of its words is as frequent; terms that share a word with a heavier one are left out.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

    unspoken = ENGLISH_STOP_WORDS | MASK_WORDS
    spoken = [[terms_of(failure, unspoken) for failure in members] for members in groups]
    if not any(terms for members in spoken for terms in members):
        return [() for _ in groups]
    vectorizer = CountVectorizer(analyzer=lambda terms: terms)
    said = vectorizer.fit_transform([sorted(term for terms in members for term in terms) for members in spoken])
    counts = said.toarray().astype(np.float64)
    spoken_in_group = counts.sum(axis=1, keepdims=True)
    rarity = np.log1p(spoken_in_group.mean() / counts.sum(axis=0))
    weights = counts / np.maximum(spoken_in_group, 1.0) * rarity
    names = vectorizer.get_feature_names_out()
    weights *= [1 + name.count(" ") for name in names]
    least = [[min(len(members), max(2, SPOKEN_SHARE * len(members)))] for members in groups]
    return [tellings(names, row, count) for row in np.where(counts >= least, weights, 0.0)]


def terms_of(failure: Failure, unspoken: frozenset[str]) -> set[str]:
    """The words of a failure that carry meaning, and the pairs of them that stand side by side."""
    terms: set[str] = set()
    for part in asked_and_said(failure):
        words = [word if len(word) > 2 and word not in unspoken else "" for word in part.split()]
        terms.update(filter(None, words))
        terms.update(f"{one} {two}" for one, two in pairwise(words) if one and two and one != two)
    return terms


def tellings(names: NDArray[np.object_], weights: NDArray[np.float64], count: int) -> tuple[str, ...]:
    """The heaviest terms, each with words that no heavier one has."""
    chosen: list[str] = []
    used: set[str] = set()
    for place in np.lexsort((names, -weights)):
        if len(chosen) == count or weights[place] == 0:
            break
        if not used & set(names[place].split()):
            chosen.append(str(names[place]))
            used.update(names[place].split())
    return tuple(chosen)


def mode_title(terms: Sequence[str], failures: Sequence[Failure]) -> str:
    """Name a mode by its commonest failure type and its first terms: `unsupported claim: opening hours, monday`."""
    kind = min(Counter(map(type_words, failures)).items(), key=lambda item: (-item[1], item[0]))[0]
    return f"{kind}: {', '.join(terms[:TITLE_TERMS])}" if terms else kind


def choose_exemplars(vectors: NDArray[np.float32], centroid: NDArray[np.float32]) -> list[int]:
    """Choose up to three rows that show a mode: the one nearest its centre, then each farthest from those chosen.

    Only the half nearest the centre may show it.
    """
    cosines = vectors @ centroid
    inner = np.argsort(-cosines, kind="stable")[: max(EXEMPLARS, (len(vectors) + 1) // 2)]
    chosen = [int(inner[0])]
    while len(chosen) < min(EXEMPLARS, len(inner)):
        nearness = (vectors[inner] @ vectors[chosen].T).max(axis=1)
        nearness[np.isin(inner, chosen)] = np.inf
        chosen.append(int(inner[nearness.argmin()]))
    return chosen


def choose_borderline(membership: NDArray[np.float64], exemplars: Sequence[int]) -> int | None:
    """Choose the row that most nearly belongs elsewhere; None where all are exemplars."""
    others = [row for row in range(len(membership)) if row not in exemplars]
    return min(others, key=lambda row: (membership[row], row)) if others else None
