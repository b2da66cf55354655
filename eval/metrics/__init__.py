"""The metrics, a plain table: name -> how it is read and how samples are scored with it.

A metric gives one score a sample, in the samples' order. Models load on the first call.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from eval.errors import UserError
from eval.metrics import abstention, answer, ragas, retrieval
from eval.sample import Sample, Score

if TYPE_CHECKING:
    from eval.metrics.hhem import HhemModel

Kind = Literal["binary", "continuous"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as reports and gates know it. Binary values are 0 or 1; continuous ones lie from 0 to 1.

    `is_judge` says that the values are a model's opinion, to be corrected by labels before they are believed;
    `needs` says in words what a sample must have for a value.
    """

    name: str
    title: str
    higher_is_better: bool
    kind: Kind
    is_judge: bool
    needs: str
    score: Callable[[Sequence[Sample]], list[Score]]


def score_groundedness(samples: Sequence[Sample]) -> list[Score]:
    """Score with the packaged detector."""
    from eval.metrics.groundedness import packaged_detector, score_groundedness

    return score_groundedness(samples, packaged_detector())


def score_hhem(samples: Sequence[Sample], model: "HhemModel | None" = None) -> list[Score]:
    """Score with HHEM where it is loaded."""
    from eval.metrics.hhem import score_hhem

    return score_hhem(samples, model)


def score_answer_similarity(samples: Sequence[Sample]) -> list[Score]:
    """Score with the one embedder."""
    from eval.embedding import load_embedder

    return answer.score_answer_similarity(samples, load_embedder())


ANSWER_AND_PASSAGES = "an answer and passages"
ANSWER_AND_REFERENCE = "an answer and a reference answer"
REFERENCE_PASSAGES = "the ids of the passages that hold the answer"

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("groundedness", "Groundedness", True, "continuous", True, ANSWER_AND_PASSAGES, score_groundedness),
        Metric("hhem", "HHEM consistency", True, "continuous", True, f"{ANSWER_AND_PASSAGES}; HHEM", score_hhem),
        Metric(
            ragas.FAITHFULNESS,
            "RAGAS faithfulness",
            True,
            "continuous",
            True,
            f"a question, {ANSWER_AND_PASSAGES}; a judge",
            lambda samples: ragas.score_ragas(samples, None),
        ),
        Metric(
            ragas.ANSWER_RELEVANCY,
            "RAGAS answer relevancy",
            True,
            "continuous",
            True,
            "a question and an answer; a judge",
            lambda samples: ragas.score_ragas(samples, None, "answer_relevancy"),
        ),
        Metric(
            retrieval.HIT, "Retrieval hit", True, "binary", False, REFERENCE_PASSAGES, retrieval.score_retrieval_hit
        ),
        Metric(
            retrieval.RECALL,
            "Retrieval recall",
            True,
            "continuous",
            False,
            REFERENCE_PASSAGES,
            retrieval.score_retrieval_recall,
        ),
        Metric(
            retrieval.RECIPROCAL_RANK,
            "Mean reciprocal rank",
            True,
            "continuous",
            False,
            REFERENCE_PASSAGES,
            retrieval.score_reciprocal_rank,
        ),
        Metric(retrieval.NDCG, "nDCG", True, "continuous", False, REFERENCE_PASSAGES, retrieval.score_ndcg),
        Metric(
            answer.EXACT_MATCH, "Exact match", True, "binary", False, ANSWER_AND_REFERENCE, answer.score_exact_match
        ),
        Metric(answer.TOKEN_F1, "Token F1", True, "continuous", False, ANSWER_AND_REFERENCE, answer.score_token_f1),
        Metric(
            answer.LEXICAL_CORRECTNESS,
            "Lexical correctness (ROUGE-L recall)",
            True,
            "continuous",
            False,
            ANSWER_AND_REFERENCE,
            answer.score_lexical_correctness,
        ),
        Metric(
            answer.SIMILARITY,
            "Similarity to the reference",
            True,
            "continuous",
            False,
            ANSWER_AND_REFERENCE,
            score_answer_similarity,
        ),
        Metric(
            abstention.NAME,
            "Right to abstain or to answer",
            True,
            "binary",
            False,
            "whether the question can be answered",
            abstention.score_abstention,
        ),
    )
}


def with_models(judge: ragas.JudgeEndpoint | None = None, hhem: "HhemModel | None" = None) -> dict[str, Metric]:
    """Give the table with the judge and the HHEM model that are at hand; what is None stays `not_available`."""
    configured = {
        "hhem": lambda samples: score_hhem(samples, hhem),
        ragas.FAITHFULNESS: lambda samples: ragas.score_ragas(samples, judge),
        ragas.ANSWER_RELEVANCY: lambda samples: ragas.score_ragas(samples, judge, "answer_relevancy"),
    }
    return dict(METRICS) | {name: replace(METRICS[name], score=score) for name, score in configured.items()}


def score_metric(name: str, samples: Sequence[Sample], metrics: Mapping[str, Metric] = METRICS) -> list[Score]:
    """Score samples with the metric of that name."""
    if name not in metrics:
        raise UserError(f"there is no metric {name!r}; choose one of {', '.join(sorted(metrics))}")
    return metrics[name].score(samples)
