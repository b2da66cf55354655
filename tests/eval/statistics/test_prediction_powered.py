import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import expit

from eval.statistics.prediction_powered import (
    Stratum,
    bound_nonresponse,
    estimate_rate,
    fit_control_variate,
    merge_unlabelled,
    stratified_counts,
)


def stratum(outcomes, size, name="s", predictions=None, labelled_predictions=None):
    """A stratum whose detector says 0.5 of all, unless told."""
    return Stratum(
        name,
        size,
        np.full(size, 0.5) if predictions is None else np.asarray(predictions, float),
        np.full(len(outcomes), 0.5) if labelled_predictions is None else np.asarray(labelled_predictions, float),
        np.asarray(outcomes, float),
    )


def week(rng, size, rate, separation, overconfidence=1.0):
    """A week with exactly this rate, and a detector that tells failures apart as well as it is asked to."""
    fails = np.zeros(size)
    fails[: round(rate * size)] = 1
    evidence = separation * (rng.normal(size=size) + separation * (fails - 0.5))
    return expit(overconfidence * (evidence + np.log(rate / (1 - rate)))), fails


def draw(rng, predictions, fails, n, n_strata, floor=4):
    """A stratified draw as the planner makes it: quantile bins, a floor, the rest where labels tell most."""
    bins = np.array_split(np.argsort(predictions, kind="stable"), n_strata)
    means = np.array([predictions[part].mean() for part in bins])
    worth = np.array([len(part) for part in bins]) * np.sqrt(np.clip(means * (1 - means), 1e-4, None))
    labels = np.minimum(floor + np.floor((n - floor * n_strata) * worth / worth.sum()), [len(part) for part in bins])
    strata = []
    for number, (part, count) in enumerate(zip(bins, labels.astype(int), strict=True)):
        chosen = rng.choice(part, count, replace=False)
        strata.append(stratum(fails[chosen], len(part), f"s{number}", predictions[part], predictions[chosen]))
    return strata


def coverage(rng, predictions, fails, n, n_strata, redraws):
    estimates = [estimate_rate(draw(rng, predictions, fails, n, n_strata)) for _ in range(redraws)]
    covered = np.mean([row.low - 1e-9 <= fails.mean() <= row.high + 1e-9 for row in estimates])
    return covered, np.mean([row.high - row.low for row in estimates]), estimates


@pytest.mark.parametrize(
    ("size", "rate", "separation", "overconfidence", "n", "n_strata"),
    [
        (370, 0.05, 0.9, 1.0, 40, 5),
        (370, 0.1, 0.9, 2.0, 100, 8),
        (500, 0.2, 0.0, 1.0, 100, 6),
        (860, 0.3, 1.6, 1.0, 60, 6),
        (860, 0.6, 0.9, 1.5, 120, 7),
    ],
)
def test_interval_keeps_its_coverage(size, rate, separation, overconfidence, n, n_strata):
    rng = np.random.default_rng(20)
    covered = []
    for _ in range(4):
        predictions, fails = week(rng, size, rate, separation, overconfidence)
        covered.append(coverage(rng, predictions, fails, n, n_strata, 150)[0])
    # 600 redraws: a standard error of 0.009.
    assert np.mean(covered) >= 0.94 - 0.015


def test_estimate_is_unbiased_under_a_detector_that_is_wrong():
    rng = np.random.default_rng(21)
    predictions, fails = week(rng, 500, 0.3, 1.0)
    _, _, estimates = coverage(rng, np.clip(predictions + 0.3, 0, 1), fails, 100, 6, 300)
    assert np.mean([row.value for row in estimates]) == pytest.approx(fails.mean(), abs=0.01)


def test_a_good_detector_shortens_the_interval_and_says_by_how_many_labels():
    rng = np.random.default_rng(22)
    fails = (rng.random(600) < 0.3).astype(float)
    predictions = np.clip(0.8 * fails + 0.1 + rng.normal(0, 0.1, 600), 0, 1)
    chosen = rng.choice(600, 80, replace=False)
    helped = estimate_rate([stratum(fails[chosen], 600, "all", predictions, predictions[chosen])])
    alone = estimate_rate([stratum(fails[chosen], 600, "all")])
    assert helped.high - helped.low < 0.7 * (alone.high - alone.low)
    assert "is worth" in helped.note
    assert alone.note == "the detector adds nothing within the strata"


def test_a_draw_of_traces_that_look_too_good_is_corrected_upwards():
    predictions = np.tile([0.1, 0.9], 100)
    outcomes, seen = [0] * 28 + [1] * 2 + [1] * 9 + [0], [0.1] * 30 + [0.9] * 10
    estimate = estimate_rate([stratum(outcomes, 200, "all", predictions, seen)])
    assert estimate.value == pytest.approx((2 / 30 + 9 / 10) / 2, abs=0.02)
    assert np.mean(outcomes) < 0.3


def test_agreement_with_the_detector_on_few_labels_is_no_proof():
    fails = np.tile([0.0, 1.0], 5)
    estimate = estimate_rate([stratum(fails, 200, "all", np.tile([0.0, 1.0], 100), fails)])
    assert estimate.high - estimate.low > 0.1


def test_a_detector_that_points_the_wrong_way_gets_no_weight():
    fails = np.tile([0.0, 1.0], 20)
    estimate = estimate_rate([stratum(fails, 200, "all", np.tile([0.0, 1.0], 100), 1 - fails)])
    assert estimate.note == "the detector adds nothing within the strata"
    assert estimate.value == 0.5


def test_a_week_labelled_completely_has_no_interval_left():
    estimate = estimate_rate([stratum([1, 0, 0, 0], 4, "a"), stratum([1, 1, 0], 3, "b")])
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((3 / 7, 3 / 7, 3 / 7))
    assert (estimate.n, estimate.population, estimate.estimand) == (7, 7, "this week")
    for outcome in (0.0, 1.0):
        known = estimate_rate([stratum([outcome] * 5, 5)])
        assert (known.value, known.low, known.high) == (outcome, outcome, outcome)


def test_all_passes_leave_room_for_failures_that_were_not_seen():
    estimate = estimate_rate([stratum([0] * 60, 300, "low"), stratum([0] * 40, 100, "high")])
    assert (estimate.value, estimate.low) == (0.0, 0.0)
    assert 0.01 < estimate.high < 0.06
    assert "all 100 labels pass" in estimate.note


def test_all_failures_mirror_all_passes():
    passes = estimate_rate([stratum([0] * 60, 300, "low"), stratum([0] * 40, 100, "high")])
    fails = estimate_rate([stratum([1] * 60, 300, "low"), stratum([1] * 40, 100, "high")])
    assert (fails.value, fails.low, fails.high) == pytest.approx((1.0, 1 - passes.high, 1.0))


def test_the_exact_bound_keeps_its_coverage_when_failures_are_rare():
    rng = np.random.default_rng(23)
    predictions, fails = week(rng, 400, 0.01, 0.0)
    covered, _, estimates = coverage(rng, predictions, fails, 60, 5, 300)
    assert any(row.value == 0 for row in estimates)
    assert covered >= 0.95


def test_a_stratum_without_labels_goes_to_the_nearest_neighbour_and_is_named():
    strata = [
        stratum([0, 0, 1], 50, "low", np.full(50, 0.1), np.full(3, 0.1)),
        stratum([], 30, "middle", np.full(30, 0.6), []),
        stratum([1, 1, 0], 20, "high", np.full(20, 0.7), np.full(3, 0.7)),
    ]
    estimate = estimate_rate(strata)
    assert estimate.value == pytest.approx(0.5 / 3 + 0.5 * 2 / 3)
    assert estimate.population == 100
    assert "no labels in middle" in estimate.note


def test_strata_with_one_label_each_still_get_an_honest_interval():
    estimate = estimate_rate([stratum([outcome], 50, str(number)) for number, outcome in enumerate([0, 1, 0, 1])])
    assert estimate.low < 0.15
    assert estimate.high > 0.85


def test_empty_strata_are_left_out():
    filled = stratum([0, 1, 1], 10)
    assert estimate_rate([stratum([], 0, "empty"), filled]) == estimate_rate([filled])


def test_no_labels_raise():
    with pytest.raises(ValueError, match="no labels"):
        estimate_rate([stratum([], 10)])
    with pytest.raises(ValueError, match="no labels"):
        estimate_rate([])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 9}, "10 predictions for 9 traces"),
        ({"outcomes": np.array([0.0, 0.5])}, "neither 0 nor 1"),
        ({"outcomes": np.array([0.0])}, "2 predictions for 1 labels"),
        ({"predictions": np.full(10, np.nan)}, "prediction is missing"),
        ({"outcomes": np.zeros(11), "labelled_predictions": np.zeros(11)}, "11 labels for 10 traces"),
    ],
)
def test_a_stratum_that_contradicts_itself_raises(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(stratum([0, 1], 10), **changes)


STRATA = st.lists(
    st.integers(1, 25).flatmap(
        lambda size: st.tuples(st.just(size), st.lists(st.integers(0, 1), max_size=size), st.integers(0, 99))
    ),
    min_size=1,
    max_size=5,
).filter(lambda strata: any(outcomes for _, outcomes, _ in strata))


@given(STRATA)
@settings(max_examples=150, deadline=None)
def test_interval_never_contradicts_the_labels_nor_leaves_the_estimate_out(strata):
    rng = np.random.default_rng(sum(seed for _, _, seed in strata))
    built = [
        stratum(outcomes, size, f"s{number}", rng.random(size), rng.random(len(outcomes)))
        for number, (size, outcomes, _) in enumerate(strata)
    ]
    estimate = estimate_rate(built)
    failed = sum(sum(outcomes) for _, outcomes, _ in strata)
    passed = sum(len(outcomes) for _, outcomes, _ in strata) - failed
    total = sum(size for size, _, _ in strata)
    assert failed / total - 1e-9 <= estimate.low <= estimate.value + 1e-9
    assert estimate.value - 1e-9 <= estimate.high <= 1 - passed / total + 1e-9


@given(STRATA, st.randoms())
@settings(max_examples=50, deadline=None)
def test_the_order_of_labels_does_not_matter(strata, random):
    one, other = [], []
    for number, (size, outcomes, _) in enumerate(strata):
        pairs = [(outcome, random.random()) for outcome in outcomes]
        everything = np.linspace(0, 1, size)
        for target in (one, other):
            kept = [outcome for outcome, _ in pairs], [predicted for _, predicted in pairs]
            target.append(stratum(kept[0], size, f"s{number}", everything, kept[1]))
            random.shuffle(pairs)
    here, there = estimate_rate(one), estimate_rate(other)
    assert (here.value, here.low, here.high) == pytest.approx((there.value, there.low, there.high), abs=1e-9)


def test_missing_verdicts_bound_the_rate_on_both_sides():
    strata = [stratum([0, 0, 1, 0, 1, 0], 60, "low"), stratum([1, 1, 0, 1], 40, "high")]
    bounds = bound_nonresponse(strata, {"high": np.array([0.5, 0.5])})
    value = estimate_rate(strata).value
    assert bounds.all_pass.value < value < bounds.all_fail.value
    assert bounds.all_pass.n == bounds.all_fail.n == 12


@st.composite
def unfinished_weeks(draw):
    """Strata with labels, predictions that may mislead, and drawn traces without a verdict; and what those will say."""
    strata, missing, truths = [], {}, {}
    for number in range(draw(st.integers(1, 4))):
        labelled, open_, rest = draw(st.integers(0, 12)), draw(st.integers(0, 8)), draw(st.integers(0, 30))
        rng = np.random.default_rng(draw(st.integers(0, 10**6)))
        everything = rng.random(labelled + open_ + rest) ** draw(st.sampled_from([0.3, 1, 4]))
        helpful = draw(st.sampled_from([0, 0.5, 1]))
        outcomes = (rng.random(labelled) < np.where(rng.random(labelled) < helpful, everything[:labelled], 0.4)) * 1.0
        name = f"s{number}"
        strata.append(stratum(outcomes, len(everything), name, everything, everything[:labelled]))
        missing[name] = everything[labelled : labelled + open_]
        truths[name] = (rng.random(open_) < draw(st.sampled_from([0, 0.3, 1]))) * 1.0
    assume(any(len(part.outcomes) for part in strata))
    return strata, missing, truths


def completed(strata, missing, truths):
    return [
        replace(
            part,
            labelled_predictions=np.concatenate([part.labelled_predictions, missing[part.name]]),
            outcomes=np.concatenate([part.outcomes, truths[part.name]]),
        )
        for part in strata
    ]


@given(unfinished_weeks())
@settings(max_examples=300, deadline=None)
def test_the_published_rate_lies_within_what_missing_verdicts_can_make_of_it(week):
    strata, missing, _ = week
    bounds, rate = bound_nonresponse(strata, missing), estimate_rate(strata)
    assert bounds.lowest <= rate.value <= bounds.highest
    assert bounds.outer_low <= rate.low
    assert rate.high <= bounds.outer_high


@given(unfinished_weeks())
@settings(max_examples=300, deadline=None)
def test_whatever_missing_verdicts_say_the_rate_at_the_same_detector_weight_lies_between(week):
    strata, missing, truths = week
    bounds = bound_nonresponse(strata, missing)
    merged, _ = merge_unlabelled(strata)
    weight = fit_control_variate(merged, stratified_counts(merged)).weight
    filled = estimate_rate(completed(strata, missing, truths), weight=weight)
    assert bounds.lowest - 1e-12 <= filled.value <= bounds.highest + 1e-12


def test_no_missing_verdict_leaves_the_estimate_as_it_is():
    strata = [stratum([0, 1, 1, 0, 1, 0], 60, "s0", np.linspace(0, 1, 60), [0.1, 0.8, 0.9, 0.3, 0.7, 0.2])]
    bounds, rate = bound_nonresponse(strata, {}), estimate_rate(strata)
    assert "weight 0.00" not in rate.method
    assert (bounds.lowest, bounds.highest) == pytest.approx((rate.value, rate.value))
    assert (bounds.outer_low, bounds.outer_high) == pytest.approx((rate.low, rate.high))


def test_detector_that_missing_verdicts_prove_wrong_widens_the_outer_interval():
    predictions = np.linspace(0, 1, 200)
    strata = [stratum([0, 0, 0, 0, 1, 1, 1, 1], 200, "s0", predictions, [0.1, 0.2, 0.1, 0.3, 0.9, 0.8, 0.7, 0.9])]
    surprising = bound_nonresponse(strata, {"s0": np.full(6, 0.95)}).all_pass
    expected = bound_nonresponse(strata, {"s0": np.full(6, 0.05)}).all_pass
    assert surprising.high - surprising.low > expected.high - expected.low


def test_missing_verdicts_of_an_unknown_stratum_raise():
    with pytest.raises(ValueError, match="other"):
        bound_nonresponse([stratum([0, 1], 10)], {"other": np.array([0.5])})


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["2026-W40", "2026-W43", "2026-W45"])
def test_interval_keeps_its_coverage_on_real_weeks(data_dir, name):
    with gzip.open(data_dir / "weeks" / "labels.jsonl.gz", "rt") as file:
        faithful = {label["trace_id"]: label["faithful"] for label in map(json.loads, file)}
    with gzip.open(data_dir / "weeks" / f"{name}.jsonl.gz", "rt") as file:
        traces = {trace["trace_id"]: trace for trace in map(json.loads, file)}
    ok = [trace for trace in traces.values() if trace["status"] == "ok"]
    fails = np.array([faithful[trace["trace_id"]] is False for trace in ok], dtype=float)
    rng = np.random.default_rng(24)
    covered, _, _ = coverage(rng, np.array([unsupported_words(trace) for trace in ok]), fails, 100, 7, 400)
    assert covered >= 0.94 - 0.02


def unsupported_words(trace):
    """A crude detector: the share of the answer's words that are not in the passages, as a probability."""
    known = set(" ".join(passage["text"] for passage in trace["retrieved_contexts"]).lower().split())
    words = trace["response"].lower().split()
    share = np.mean([word not in known for word in words]) if words else 1.0
    return float(expit(8 * (share - 0.35)))
