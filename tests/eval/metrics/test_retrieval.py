from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.metrics.retrieval import score_ndcg, score_reciprocal_rank, score_retrieval_hit, score_retrieval_recall
from eval.sample import Passage, Sample

METRICS = [score_retrieval_hit, score_retrieval_recall, score_reciprocal_rank, score_ndcg]


def sample(retrieved: str, wanted: str) -> Sample:
    """A sample with one passage a letter."""
    return Sample("s", "q", "a", tuple(Passage(i, "") for i in retrieved), reference_passage_ids=tuple(wanted))


def value(score, retrieved, wanted, k=None):
    (found,) = score([sample(retrieved, wanted)], k)
    return found.value


@pytest.mark.parametrize(
    ("retrieved", "wanted", "k", "hit", "recall", "reciprocal_rank", "ndcg"),
    [
        ("abc", "a", None, 1, 1, 1, 1),
        ("abc", "b", None, 1, 1, 1 / 2, 1 / log2(3)),
        ("abc", "c", 2, 0, 0, 0, 0),
        ("abc", "x", None, 0, 0, 0, 0),
        ("abc", "bx", None, 1, 1 / 2, 1 / 2, (1 / log2(3)) / (1 + 1 / log2(3))),
        ("abc", "ac", None, 1, 1, 1, (1 + 1 / 2) / (1 + 1 / log2(3))),
        ("ab", "abcd", 2, 1, 1 / 2, 1, 1),
        ("", "a", None, 0, 0, 0, 0),
    ],
)
def test_values_by_definition(retrieved, wanted, k, hit, recall, reciprocal_rank, ndcg):
    found = [value(score, retrieved, wanted, k) for score in METRICS]
    assert found == pytest.approx([hit, recall, reciprocal_rank, ndcg])


@settings(deadline=None)
@given(st.permutations("abcdefgh"), st.sets(st.sampled_from("abcdefgh"), min_size=1), st.integers(1, 8))
def test_ndcg_agrees_with_scikit_learn(ranking, wanted, k):
    from sklearn.metrics import ndcg_score

    relevance = np.array([[float(passage in wanted) for passage in ranking]])
    expected = ndcg_score(relevance, np.arange(8.0)[None, ::-1], k=k)
    assert value(score_ndcg, "".join(ranking), "".join(wanted), k) == pytest.approx(expected)


def test_a_passage_retrieved_twice_counts_at_its_first_rank():
    for score in METRICS:
        assert value(score, "aab", "b") == value(score, "ab", "b")


def test_a_reference_named_twice_counts_once():
    assert value(score_retrieval_recall, "a", "aab") == 1 / 2


@pytest.mark.parametrize("score", METRICS)
def test_without_reference_passages_nothing_can_be_said(score):
    (found,) = score([sample("ab", "")])
    assert (found.value, found.status, found.reason) == (None, "not_applicable", "no reference passages")


@pytest.mark.parametrize("score", METRICS)
def test_another_cut_is_another_instrument(score):
    (whole,), (cut,) = score([sample("ab", "a")]), score([sample("ab", "a")], k=5)
    assert whole.instrument != cut.instrument


@pytest.mark.parametrize("score", METRICS)
def test_no_samples_give_no_scores(score):
    assert score([]) == []


def test_a_cut_before_the_first_rank_is_refused():
    with pytest.raises(ValueError, match="k is 0"):
        score_ndcg([sample("ab", "a")], k=0)
