import numpy as np
import pytest
from scipy.special import expit

from eval.statistics.prediction_powered import Stratum, estimate_rate
from eval.statistics.process_rate import estimate_process_rate


def stratum(outcomes, size, name="s"):
    return Stratum(name, size, np.full(size, 0.5), np.full(len(outcomes), 0.5), np.asarray(outcomes, float))


def numbered(count, per_group=1):
    return [f"g{number // per_group}" for number in range(count)]


def draw_week(rng, n_groups, spread, n):
    """A week of groups that share a leaning to fail, its draw, and the groups of all and of the labelled."""
    owner = np.repeat(np.arange(n_groups), rng.poisson(5, n_groups) + 1)
    chance = expit(-1 + spread * rng.normal(size=n_groups)[owner])
    fails = (rng.random(len(owner)) < chance).astype(float)
    predictions = expit(1.5 * fails - 1.5 + rng.normal(size=len(owner)))
    strata, groups, labelled_groups = [], [], []
    for number, part in enumerate(np.array_split(np.argsort(predictions), 5)):
        chosen = rng.choice(part, n // 5, replace=False)
        strata.append(Stratum(f"s{number}", len(part), predictions[part], predictions[chosen], fails[chosen]))
        groups.append(owner[part].astype(str).tolist())
        labelled_groups.append(owner[chosen].astype(str).tolist())
    return strata, groups, labelled_groups


def test_interval_covers_the_process_where_that_of_the_week_does_not():
    rng = np.random.default_rng(31)
    truth = expit(-1 + 1.5 * rng.normal(size=200_000)).mean()
    process, week = [], []
    for _ in range(250):
        strata, groups, labelled_groups = draw_week(rng, 60, 1.5, 100)
        for estimate, found in (
            (estimate_process_rate(strata, groups, labelled_groups), process),
            (estimate_rate(strata), week),
        ):
            found.append(estimate.low <= truth <= estimate.high)
    assert np.mean(process) >= 0.94 - 0.02
    assert np.mean(week) < 0.92


def test_both_estimands_have_the_same_value_and_say_which_they_are():
    strata, groups, labelled_groups = draw_week(np.random.default_rng(32), 60, 1.0, 60)
    process, week = estimate_process_rate(strata, groups, labelled_groups), estimate_rate(strata)
    assert process.value == pytest.approx(week.value)
    assert (process.estimand, week.estimand) == ("the process", "this week")
    assert process.low <= process.value <= process.high


def test_a_census_of_the_week_still_leaves_the_process_open():
    outcomes = [1, 0, 0, 0] * 10
    estimate = estimate_process_rate([stratum(outcomes, 40)], [numbered(40)], [numbered(40)])
    assert estimate.high - estimate.low > 0.2


def test_fewer_groups_say_less():
    outcomes = np.repeat([1, 0, 0, 1, 0, 0, 0, 1, 0, 0], 4)
    single, grouped = (
        estimate_process_rate([stratum(outcomes, 40)], [numbered(40, size)], [numbered(40, size)]) for size in (1, 4)
    )
    assert grouped.high - grouped.low > 1.5 * (single.high - single.low)


def test_labels_that_all_agree_give_an_exact_bound_over_groups():
    single, grouped = (
        estimate_process_rate([stratum([0] * 40, 400)], [numbered(400, size)], [numbered(40, size)]) for size in (1, 4)
    )
    assert (single.value, single.low) == (0.0, 0.0)
    assert single.high == pytest.approx(1 - 0.025 ** (1 / 40))
    assert grouped.high == pytest.approx(1 - 0.025 ** (1 / 10))


def test_merged_strata_keep_the_groups_of_their_traces():
    strata = [stratum([0, 1, 1, 0], 20, "a"), stratum([], 10, "b"), stratum([1, 0], 10, "c")]
    groups = [numbered(20), numbered(10), numbered(10)]
    estimate = estimate_process_rate(strata, groups, [numbered(4), [], numbered(2)])
    assert estimate.population == 40
    assert "no labels in b" in estimate.note


def test_one_group_raises():
    with pytest.raises(ValueError, match="two groups"):
        estimate_process_rate([stratum([0, 1], 4)], [["a"] * 4], [["a"] * 2])


def test_groups_that_do_not_match_the_stratum_raise():
    with pytest.raises(ValueError, match="3 groups for 4 traces"):
        estimate_process_rate([stratum([0, 1], 4)], [["a", "b", "c"]], [["a", "b"]])
