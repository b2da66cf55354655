import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.statistics.paired import compare_binary, mcnemar_p
from eval.statistics.power import (
    PlannedStratum,
    cases_to_decide,
    expected_half_width,
    expected_interval,
    fewest_flips,
    labels_for_half_width,
    minimum_detectable_drop,
)
from eval.statistics.prediction_powered import Stratum, estimate_rate

WEEK = (PlannedStratum(150, 0.1), PlannedStratum(150, 0.3), PlannedStratum(100, 0.7))


def evenly(n):
    return [n // 3 + (place < n % 3) for place in range(3)]


def compared(worse, better, n):
    before = [1] * worse + [0] * better + [1] * (n - worse - better)
    return compare_binary(before, [0] * worse + [1] * (n - worse), [""] * n)


@pytest.mark.parametrize(
    ("n", "flip_rate", "drop"), [(100, 0.1, 0.085), (200, 0.05, 0.043), (400, 0.2, 0.062), (1000, 0.1, 0.028)]
)
def test_detectable_drop_is_the_tabled_one(n, flip_rate, drop):
    assert minimum_detectable_drop(n, flip_rate) == pytest.approx(drop, abs=6e-4)


def test_a_drop_is_not_detectable_with_fewer_flips_than_mcnemar_needs():
    assert minimum_detectable_drop(50, 0.05) is None
    assert minimum_detectable_drop(5, 1.0) is None


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.01])
def test_fewest_flips_are_those_exact_mcnemar_rejects_on(alpha):
    flips = fewest_flips(alpha)
    assert mcnemar_p(flips, 0).p_worse <= alpha < mcnemar_p(flips - 1, 0).p_worse


def test_the_detectable_drop_is_detected_with_about_the_stated_power():
    n, flip_rate = 200, 0.2
    drop = minimum_detectable_drop(n, flip_rate)
    rng = np.random.default_rng(41)
    tables = rng.multinomial(n, [(flip_rate + drop) / 2, (flip_rate - drop) / 2, 1 - flip_rate], size=2000)
    detected = np.mean([mcnemar_p(int(worse), int(better)).p_worse < 0.025 for worse, better, _ in tables])
    assert 0.72 < detected < 0.85


@given(st.integers(10, 2000), st.floats(0.01, 0.5))
def test_more_cases_never_detect_less(n, flip_rate):
    fewer, more = minimum_detectable_drop(n, flip_rate), minimum_detectable_drop(2 * n, flip_rate)
    assert fewer is None or (more is not None and more <= fewer)


def test_impossible_plans_raise():
    with pytest.raises(ValueError, match="0 cases"):
        minimum_detectable_drop(0, 0.1)
    with pytest.raises(ValueError, match="flip_rate of 10"):
        minimum_detectable_drop(100, 10)
    with pytest.raises(ValueError, match="margin"):
        cases_to_decide(compared(1, 1, 20), -0.05)


def test_an_undecided_comparison_says_how_many_cases_would_pass_it():
    undecided = compared(5, 5, 100)
    assert undecided.low < -0.05
    needed = cases_to_decide(undecided, 0.05)
    assert needed.to_block is None
    assert needed.to_pass > 100
    times = round(needed.to_pass * 1.1 / 100)
    assert compared(5 * times, 5 * times, 100 * times).low > -0.05


def test_an_undecided_drop_says_how_many_cases_would_block_it():
    undecided = compared(9, 3, 100)
    assert undecided.high > 0
    needed = cases_to_decide(undecided, 0.05)
    assert needed.to_pass is None
    assert 100 < needed.to_block < 300
    assert compared(27, 9, 300).high < 0


def test_a_decided_comparison_needs_no_more_cases():
    assert cases_to_decide(compared(1, 1, 400), 0.05).to_pass <= 400


def test_expected_width_is_that_of_the_estimate_if_all_comes_as_expected():
    strata = [
        Stratum(str(place), planned.size, np.full(planned.size, 0.5), np.full(20, 0.5), np.repeat([1.0, 0.0], split))
        for place, (planned, split) in enumerate(zip(WEEK, [(2, 18), (6, 14), (14, 6)], strict=True))
    ]
    estimate, expected = estimate_rate(strata), expected_interval(WEEK, [20, 20, 20])
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))
    assert expected_half_width(WEEK, [20, 20, 20]) == pytest.approx((estimate.high - estimate.low) / 2)


@given(st.integers(6, 300))
@settings(max_examples=40, deadline=None)
def test_more_labels_never_widen_the_interval(n):
    assert expected_half_width(WEEK, evenly(n + 30)) < expected_half_width(WEEK, evenly(n))


def test_the_fewest_labels_reach_the_half_width_and_one_less_does_not():
    labels = labels_for_half_width(WEEK, evenly, 0.06)
    assert expected_half_width(WEEK, evenly(labels)) <= 0.06 < expected_half_width(WEEK, evenly(labels - 1))


def test_a_week_expected_to_pass_gets_the_exact_bound():
    quiet = [PlannedStratum(100, 0.0), PlannedStratum(50, 0.0)]
    assert expected_interval(quiet, [30, 20]).low == 0
    assert expected_interval(quiet, [30, 20]).high > 0.02
    failing = [PlannedStratum(100, 1.0), PlannedStratum(50, 1.0)]
    assert expected_interval(failing, [30, 20]).low == pytest.approx(1 - expected_interval(quiet, [30, 20]).high)


def test_a_plan_that_leaves_a_stratum_out_raises():
    with pytest.raises(ValueError, match="without a label"):
        expected_half_width(WEEK, [10, 0, 10])
    with pytest.raises(ValueError, match="no labels planned"):
        expected_half_width(WEEK, [0, 0, 0])
