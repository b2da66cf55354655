import numpy as np
import pytest

from eval.summary import MetricSummary, summarize
from tests.eval.made_runs import BINARY, CONTINUOUS, cases_of, made_run


def summary(values: list[object], continuous: bool = False, **fields: str) -> MetricSummary:
    facts = {"m": CONTINUOUS if continuous else BINARY}
    return summarize(made_run({"m": values}, facts, cases_of(len(values), **fields)), np.random.default_rng(0))[0]


def test_share_stands_with_its_interval() -> None:
    found = summary([1] * 18 + [0] * 2)
    assert (found.value, found.n, found.n_expected) == (0.9, 20, 20)
    assert (found.low, found.high) == pytest.approx((0.699, 0.972), abs=0.001)


def test_what_could_not_be_scored_is_counted_not_averaged() -> None:
    found = summary([1, 1, "timeout", "not_applicable"])
    assert (found.value, found.n, found.n_expected) == (1.0, 2, 3)


def test_mean_of_scores_has_an_interval_over_groups() -> None:
    found = summary(list(np.linspace(0, 1, 50)), continuous=True)
    assert found.value == pytest.approx(0.5)
    assert found.low is not None
    assert found.high is not None
    assert 0.38 < found.low < 0.45 < 0.55 < found.high < 0.62


def test_cases_of_one_group_are_not_as_many_witnesses() -> None:
    alone, together = summary([1] * 20), summary([1] * 20, group="one document")
    assert alone.low is not None
    assert together.low is not None
    assert together.low < 0.05 < 0.8 < alone.low


@pytest.mark.parametrize("values", [[0.5] * 10, [0.5]])
def test_equal_scores_claim_no_interval(values: list[object]) -> None:
    found = summary(values, continuous=True)
    assert (found.value, found.low, found.high) == (0.5, None, None)


def test_nothing_scored_has_no_value() -> None:
    found = summary(["not_available"] * 3)
    assert (found.value, found.n, found.n_expected) == (None, 0, 3)
