"""Retrieval against known passages: hit, recall, reciprocal rank and nDCG, each from 0 to 1.

The order of `Sample.passages` is the ranking. A passage id that was retrieved twice counts at its first
rank. A sample without `reference_passage_ids` is not applicable; one that retrieved nothing scores 0.
`k` cuts the ranking; None takes all that the generator saw.
"""

import hashlib
from collections.abc import Callable, Sequence
from math import log2

from eval.sample import Instrument, Sample, Score

HIT = "retrieval_hit"
RECALL = "retrieval_recall"
RECIPROCAL_RANK = "mrr"
NDCG = "ndcg"
CODE_VERSION = "1"

Judgement = Callable[[list[bool], int], float]
"""Takes which ranks hold a relevant passage and how many relevant passages a perfect ranking would show."""


def score_retrieval_hit(samples: Sequence[Sample], k: int | None = None) -> list[Score]:
    """Score 1 where at least one relevant passage was retrieved, else 0."""
    return score_ranking(HIT, samples, k, lambda relevant, _: float(any(relevant)))


def score_retrieval_recall(samples: Sequence[Sample], k: int | None = None) -> list[Score]:
    """Score the share of the relevant passages that was retrieved."""
    return score_ranking(RECALL, samples, k, lambda relevant, total: sum(relevant) / total)


def score_reciprocal_rank(samples: Sequence[Sample], k: int | None = None) -> list[Score]:
    """Score 1 / the rank of the first relevant passage, 0 where there is none."""
    return score_ranking(RECIPROCAL_RANK, samples, k, lambda relevant, _: reciprocal_rank(relevant))


def score_ndcg(samples: Sequence[Sample], k: int | None = None) -> list[Score]:
    """Score the discounted gain of the ranking over that of a perfect one, relevance being 0 or 1.

    The gain at rank r is 1 / log2(r + 1) (Järvelin and Kekäläinen 2002). A perfect ranking shows all
    relevant passages first, as many as k lets it.
    """
    return score_ranking(
        NDCG,
        samples,
        k,
        lambda relevant, total: gain(relevant) / gain([True] * (total if k is None else min(k, total))),
    )


def reciprocal_rank(relevant: Sequence[bool]) -> float:
    """Give 1 / the first rank that is relevant, 0 where none is."""
    return next((1 / rank for rank, is_relevant in enumerate(relevant, start=1) if is_relevant), 0.0)


def gain(relevant: Sequence[bool]) -> float:
    """Sum the gains of the relevant ranks, each discounted by the logarithm of its rank."""
    return sum(1 / log2(rank + 1) for rank, is_relevant in enumerate(relevant, start=1) if is_relevant)


def score_ranking(metric: str, samples: Sequence[Sample], k: int | None, judge: Judgement) -> list[Score]:
    """Score each sample that knows its relevant passages."""
    if k is not None and k < 1:
        raise ValueError(f"k is {k}; a ranking is cut at rank 1 or later")
    instrument = Instrument(metric, CODE_VERSION, "", hashlib.sha256(f"k={k}".encode()).hexdigest(), "nothing").id
    scores = []
    for sample in samples:
        wanted = set(sample.reference_passage_ids)
        if not wanted:
            reason = "no reference passages"
            scores.append(Score(sample.id, metric, None, "not_applicable", reason, instrument=instrument))
            continue
        ranking = list(dict.fromkeys(passage.id for passage in sample.passages))[:k]
        value = judge([passage_id in wanted for passage_id in ranking], len(wanted))
        scores.append(Score(sample.id, metric, value, instrument=instrument))
    return scores
