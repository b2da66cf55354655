import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from eval.statistics.stratified import StratifiedCounts, most_unseen_failures, tilted_interval

STRATUM = st.integers(1, 60).flatmap(
    lambda size: st.integers(1, size).flatmap(
        lambda labelled: st.tuples(st.just(size), st.just(labelled), st.integers(0, labelled))
    )
)


def counts(*strata):
    sizes, labelled, failures = np.array(strata, dtype=float).T
    return StratifiedCounts(sizes, labelled, failures)


@pytest.mark.parametrize(("size", "labelled"), [(400, 100), (50, 40), (1000, 12)])
def test_bound_without_failures_is_the_hypergeometric_one_in_a_single_stratum(size, labelled):
    most = most_unseen_failures(np.array([float(size)]), np.array([float(labelled)]), 0.025)
    assert hypergeom.cdf(0, size, most, labelled) >= 0.025
    assert hypergeom.cdf(0, size, most + 1, labelled) < 0.025


def test_bound_without_failures_finds_the_worst_spread_over_strata():
    sizes, labelled = (20, 12, 8), (5, 6, 3)
    chance = {
        spread: np.prod([hypergeom.pmf(0, n, k, m) for n, k, m in zip(sizes, spread, labelled, strict=True)])
        for spread in np.ndindex(21, 13, 9)
    }
    worst = max(sum(spread) for spread, likely in chance.items() if likely >= 0.025)
    assert most_unseen_failures(np.array(sizes, float), np.array(labelled, float), 0.025) == worst


def test_nothing_is_unseen_in_a_census():
    assert most_unseen_failures(np.array([10.0, 5.0]), np.array([10.0, 5.0]), 0.025) == 0


@given(st.lists(STRATUM, min_size=1, max_size=6), st.floats(0.05, 1))
@settings(max_examples=150, deadline=None)
def test_interval_holds_the_estimate_and_only_what_is_possible(strata, ratio):
    given_counts = counts(*strata)
    estimate = float(given_counts.weights @ (given_counts.failures / given_counts.labelled))
    interval = tilted_interval(given_counts, estimate, ratio, 1.96)
    possible = given_counts.possible
    assert possible.low - 1e-9 <= interval.low <= estimate + 1e-9
    assert estimate - 1e-9 <= interval.high <= possible.high + 1e-9


@given(st.lists(STRATUM, min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_interval_mirrors_when_passes_are_counted_instead(strata):
    one = counts(*strata)
    other = counts(*((size, labelled, labelled - failed) for size, labelled, failed in strata))
    estimate = float(one.weights @ (one.failures / one.labelled))
    here, there = tilted_interval(one, estimate, 1.0, 1.96), tilted_interval(other, 1 - estimate, 1.0, 1.96)
    assert (here.low, here.high) == pytest.approx((1 - there.high, 1 - there.low), abs=2e-4)


def test_a_stratum_whose_few_labels_agree_is_not_taken_as_known():
    agreeing = counts((200, 5, 0), (200, 40, 20))
    known = counts((200, 200, 0), (200, 40, 20))
    wide, narrow = (tilted_interval(each, 0.25, 1.0, 1.96) for each in (agreeing, known))
    assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)


def test_labels_on_half_of_a_stratum_leave_half_of_the_variance():
    half, little = (tilted_interval(counts((size, 200, 80)), 0.4, 1.0, 1.96) for size in (400, 4_000_000))
    assert half.high - half.low == pytest.approx(0.5**0.5 * (little.high - little.low), rel=0.02)
