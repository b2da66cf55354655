from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.statistics import sign_flip
from eval.statistics.sign_flip import sign_flip_test

GROUPS = st.lists(
    st.integers(1, 4).flatmap(lambda size: st.tuples(st.integers(-size, size), st.just(size))), min_size=1, max_size=8
)


def by_hand(sums, sizes, supposed):
    """Both p-values of a difference, over all sign patterns."""
    shifted = np.array(sums) - supposed * np.array(sizes)
    flipped = np.array([np.dot(signs, shifted) for signs in product((-1, 1), repeat=len(sums))])
    return np.mean(flipped <= shifted.sum() + 1e-9), np.mean(flipped >= shifted.sum() - 1e-9)


@given(GROUPS)
@settings(max_examples=60, deadline=None)
def test_p_values_are_those_of_all_sign_patterns(groups):
    sums, sizes = zip(*groups, strict=True)
    test = sign_flip_test(sums, sizes, 0.95)
    assert (test.p_below, test.p_above) == pytest.approx(by_hand(sums, sizes, 0.0))


@given(GROUPS)
@settings(max_examples=60, deadline=None)
def test_the_interval_ends_where_the_test_begins_to_reject(groups):
    sums, sizes = zip(*groups, strict=True)
    interval = sign_flip_test(sums, sizes, 0.8).interval
    if interval.high < 1:
        assert by_hand(sums, sizes, interval.high - 1e-6)[0] > 0.1
        assert by_hand(sums, sizes, interval.high + 1e-6)[0] <= 0.1 + 1e-9
    if interval.low > -1:
        assert by_hand(sums, sizes, interval.low + 1e-6)[1] > 0.1
        assert by_hand(sums, sizes, interval.low - 1e-6)[1] <= 0.1 + 1e-9


def test_too_few_groups_exclude_nothing():
    test = sign_flip_test([-3, -3, -2, -3, -1], [3, 3, 3, 3, 3], 0.95)
    assert test.p_below == pytest.approx(0.5**5)
    assert test.interval.high == 1.0


def test_the_normal_limit_is_close_to_the_exact_law(monkeypatch):
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 6, 150)
    sums = [int(rng.integers(-size, size + 1)) - int(rng.random() < 0.3) * (size > 1) for size in sizes]
    sums = [max(-int(size), moved) for size, moved in zip(sizes, sums, strict=True)]
    exact = sign_flip_test(sums, sizes.tolist(), 0.95)
    monkeypatch.setattr(sign_flip, "_MOST_STEPS", 0)
    limit = sign_flip_test(sums, sizes.tolist(), 0.95)
    assert exact.exact
    assert not limit.exact
    assert limit.p_below == pytest.approx(exact.p_below, abs=0.01)
    assert limit.interval.low == pytest.approx(exact.interval.low, abs=0.005)
    assert limit.interval.high == pytest.approx(exact.interval.high, abs=0.005)
