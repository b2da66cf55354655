import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar

from eval.statistics.paired import compare_binary, compare_continuous, holm, mcnemar_p, tango_interval

CASES = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.sampled_from(["", "a", "b", "c", "d", "e", "f", "g"])),
    min_size=1,
    max_size=40,
)


def results(worse, better, n):
    """Baseline and candidate with so many flips, and passes otherwise."""
    return [1] * worse + [0] * better + [1] * (n - worse - better), [0] * worse + [1] * (n - worse)


def alone(n):
    return [f"source {number}" for number in range(n)]


@pytest.mark.parametrize(("worse", "better"), [(0, 0), (6, 0), (1, 7), (12, 5), (30, 31)])
def test_mcnemar_agrees_with_statsmodels(worse, better):
    expected = mcnemar([[10, worse], [better, 10]], exact=True).pvalue
    assert mcnemar_p(worse, better).p_two_sided == pytest.approx(expected)


def test_five_one_way_flips_never_reject_and_six_do():
    before, after = results(5, 0, 100)
    assert compare_binary(before, after, alone(100)).high >= 0
    before, after = results(6, 0, 100)
    comparison = compare_binary(before, after, alone(100))
    assert comparison.p_worse == pytest.approx(0.5**6)
    assert comparison.high < 0


def test_tango_interval_agrees_with_the_published_one():
    # Fagerland, Lydersen, Laake 2014, table: 1 and 7 discordant of 21.
    interval = tango_interval(7, 1, 21)
    assert (interval.low, interval.high) == pytest.approx((-0.517, -0.026), abs=6e-4)


def test_no_flip_still_leaves_an_interval():
    comparison = compare_binary([1] * 60, [1] * 60, alone(60))
    assert comparison.low == pytest.approx(-0.0602, abs=1e-3)
    assert comparison.high == pytest.approx(0.0602, abs=1e-3)
    assert (comparison.p_worse, comparison.p_better) == (1.0, 1.0)


def test_no_flip_in_few_large_groups_says_less_than_in_many_small_ones():
    few = compare_binary([1] * 60, [1] * 60, [f"g{number % 6}" for number in range(60)])
    many = compare_binary([1] * 60, [1] * 60, [f"g{number % 30}" for number in range(60)])
    single = compare_binary([1] * 60, [1] * 60, alone(60))
    assert few.low < many.low < single.low < 0


def test_one_flip_in_large_groups_is_no_proof_that_cases_flip_alone():
    before, after = results(1, 0, 60)
    grouped = compare_binary(before, after, [f"g{number % 6}" for number in range(60)])
    assert grouped.low < 2 * compare_binary(before, after, alone(60)).low


def test_cases_without_a_group_stand_alone():
    before, after = results(8, 2, 50)
    assert compare_binary(before, after, [""] * 50) == compare_binary(before, after, alone(50))


def test_p_value_and_interval_agree_for_every_small_table():
    for n in (6, 15, 40, 100):
        for worse in range(min(n, 25) + 1):
            for better in range(min(n - worse, 25) + 1):
                comparison = compare_binary(*results(worse, better, n), alone(n))
                assert (comparison.high < 0) == (comparison.p_worse < 0.025), (worse, better, n)
                assert (comparison.low > 0) == (comparison.p_better < 0.025), (worse, better, n)


@given(CASES)
@settings(max_examples=150, deadline=None)
def test_grouped_comparison_is_consistent_and_mirrors_when_the_runs_are_swapped(cases):
    before, after, groups = zip(*cases, strict=True)
    one, other = compare_binary(before, after, groups), compare_binary(after, before, groups)
    assert one.low <= one.difference <= one.high
    assert (one.high < 0) == (one.p_worse < 0.025)
    assert (one.low > 0) == (one.p_better < 0.025)
    assert (one.p_worse, one.worse) == (pytest.approx(other.p_better), other.better)
    assert (one.low, one.high) == (pytest.approx(-other.high, abs=1e-9), pytest.approx(-other.low, abs=1e-9))


@given(CASES, st.randoms())
@settings(max_examples=50, deadline=None)
def test_the_order_of_cases_does_not_matter(cases, random):
    shuffled = list(cases)
    random.shuffle(shuffled)
    one, other = (compare_binary(*zip(*order, strict=True)) for order in (cases, shuffled))
    assert (one.low, one.high, one.p_worse) == pytest.approx((other.low, other.high, other.p_worse))


def test_flips_that_come_in_one_group_count_for_less():
    before, after = results(8, 0, 80)
    together = [f"g{number // 8}" for number in range(80)]
    assert compare_binary(before, after, alone(80)).p_worse < 0.025
    comparison = compare_binary(before, after, together)
    assert comparison.p_worse > 0.1
    assert comparison.n_groups == 10


@pytest.mark.parametrize(
    ("n", "p_worse", "p_better"), [(50, 0.05, 0.0), (100, 0.05, 0.05), (100, 0.1, 0.02), (200, 0.2, 0.1)]
)
def test_interval_of_single_cases_keeps_its_coverage(n, p_worse, p_better):
    rng = np.random.default_rng(3)
    tables = rng.multinomial(n, [p_worse, p_better, 1 - p_worse - p_better], size=1500)[:, :2].tolist()
    limits = {table: compare_binary(*results(*table, n), alone(n)) for table in {tuple(table) for table in tables}}
    found = [limits[tuple(table)] for table in tables]
    truth = p_better - p_worse
    assert np.mean([row.low <= truth <= row.high for row in found]) >= 0.94 - 0.012
    # What would let a drop pass the gate:
    assert np.mean([row.low > truth for row in found]) <= 0.025 + 0.008


def test_interval_over_groups_keeps_its_coverage_where_one_over_cases_does_not():
    rng = np.random.default_rng(4)
    grouped, naive = [], []
    for _ in range(250):
        sizes = rng.integers(1, 9, 40)
        owner = np.repeat(np.arange(40), sizes)
        leading = rng.choice([-1, 1, 0], size=40, p=[0.15, 0.1, 0.75])[owner]
        moved = np.where(rng.random(len(owner)) < 0.8, leading, 0)
        before = np.where(moved == 0, 1, moved < 0).astype(int)
        truth = 0.8 * (0.1 - 0.15)
        for groups, found in ((owner.astype(str), grouped), (alone(len(owner)), naive)):
            comparison = compare_binary(before, before + moved, list(groups))
            found.append(comparison.low <= truth <= comparison.high)
    assert np.mean(grouped) >= 0.94 - 0.02
    assert np.mean(naive) < 0.85


@pytest.mark.parametrize("compare", [compare_binary, lambda *runs: compare_continuous(*runs, np.random.default_rng(0))])
def test_a_comparison_of_nothing_raises(compare):
    with pytest.raises(ValueError, match="no cases"):
        compare([], [], [])


def test_runs_of_different_length_raise():
    with pytest.raises(ValueError, match="2 baseline results, 1 of the candidate"):
        compare_binary([1, 0], [1], ["a", "b"])


def test_missing_and_graded_results_raise():
    with pytest.raises(ValueError, match="not a finite number"):
        compare_binary([1, float("nan")], [1, 0], ["a", "b"])
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        compare_binary([1, 0.5], [1, 0], ["a", "b"])


def test_bootstrap_finds_a_clear_drop_and_its_p_agrees_with_its_interval():
    rng = np.random.default_rng(5)
    before = rng.normal(0.8, 0.1, 60)
    comparison = compare_continuous(before, before - rng.normal(0.1, 0.05, 60), alone(60), rng)
    assert comparison.high < 0
    assert comparison.p_worse < 0.025 < comparison.p_better
    assert comparison.low <= comparison.difference <= comparison.high


def test_bootstrap_keeps_its_coverage_over_groups():
    rng = np.random.default_rng(6)
    covered = []
    for _ in range(300):
        owner = np.repeat(np.arange(20), rng.integers(1, 6, 20))
        change = rng.normal(size=20)[owner] + rng.normal(size=len(owner)) * 0.5
        comparison = compare_continuous(np.zeros(len(owner)), change, owner.astype(str).tolist(), rng, 500)
        covered.append(comparison.low <= 0 <= comparison.high)
    assert np.mean(covered) >= 0.94 - 0.025


def test_bootstrap_needs_two_groups():
    with pytest.raises(ValueError, match="two at least"):
        compare_continuous([0.1, 0.2], [0.3, 0.4], ["a", "a"], np.random.default_rng(0))


def test_same_seed_same_bootstrap():
    before, after, groups = [0.1, 0.5, 0.7, 0.2], [0.2, 0.4, 0.9, 0.2], ["a", "b", "c", "c"]
    one, other = (compare_continuous(before, after, groups, np.random.default_rng(9)) for _ in range(2))
    assert one == other


def test_holm_gives_the_adjusted_values_of_statsmodels():
    # multipletests([0.04, 0.01, 0.03, 0.005, 0.9], method="holm")[1]
    assert holm([0.04, 0.01, 0.03, 0.005, 0.9]) == pytest.approx([0.09, 0.04, 0.09, 0.025, 0.9])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values):
    adjusted = holm(p_values)
    assert all(old <= new <= 1 for old, new in zip(p_values, adjusted, strict=True))
    assert [new for _, new in sorted(zip(p_values, adjusted, strict=True))] == sorted(adjusted)


def test_holm_of_nothing_is_nothing():
    assert holm([]) == []
