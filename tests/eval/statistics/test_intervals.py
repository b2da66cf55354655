import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

from eval.statistics.intervals import exact_interval, wilson_interval, wilson_rate

COUNTS = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(("successes", "n"), [(0, 5), (1, 8), (18, 20), (45, 50), (90, 100), (7, 7)])
def test_both_intervals_agree_with_statsmodels(successes, n):
    wilson, exact = wilson_interval(successes, n), exact_interval(successes, n)
    assert (wilson.low, wilson.high) == pytest.approx(proportion_confint(successes, n, method="wilson"))
    assert (exact.low, exact.high) == pytest.approx(proportion_confint(successes, n, method="beta"))


def test_exact_interval_agrees_with_scipy_at_another_confidence():
    expected = binomtest(3, 17).proportion_ci(0.9, "exact")
    assert exact_interval(3, 17, 0.9).low == pytest.approx(expected.low)
    assert exact_interval(3, 17, 0.9).high == pytest.approx(expected.high)


@pytest.mark.parametrize("interval", [wilson_interval, exact_interval])
def test_a_share_of_nothing_raises(interval):
    with pytest.raises(ValueError, match="0 things"):
        interval(0, 0)


@pytest.mark.parametrize(("successes", "n", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0), (1, 2, 95)])
def test_impossible_counts_and_confidences_raise(successes, n, confidence):
    with pytest.raises(ValueError, match=r"successes|confidence"):
        wilson_interval(successes, n, confidence)


@given(COUNTS)
def test_intervals_hold_the_share_and_stay_in_range(counts):
    successes, n = counts
    for interval in (wilson_interval(successes, n), exact_interval(successes, n)):
        assert 0 <= interval.low <= successes / n <= interval.high <= 1


@given(COUNTS)
def test_intervals_mirror_when_failures_are_counted_instead(counts):
    successes, n = counts
    for function in (wilson_interval, exact_interval):
        one, other = function(successes, n), function(n - successes, n)
        assert one.low == pytest.approx(1 - other.high, abs=1e-9)


def test_a_rate_carries_its_number():
    rate = wilson_rate(9, 10)
    assert (rate.value, rate.n) == (0.9, 10)
    assert rate.low < 0.9 < rate.high
