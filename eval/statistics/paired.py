"""Baseline against candidate on the same cases. Differences are candidate - baseline, and higher is better."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, ndtr, ndtri, stdtr, stdtrit

from eval.statistics.intervals import Interval
from eval.statistics.sign_flip import sign_flip_test

_PRIOR_FLIPS = 2.0
"""How many flips' worth the belief weighs that a group's cases flip together, when the design effect is estimated."""


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """A mean difference with its interval, and the one-sided p-values that the candidate is worse, or better.

    Interval and p-values come from the same test: at 95 % the interval leaves out 0 exactly if one p is below
    2.5 %. `worse` and `better` count the cases that fell and rose.
    """

    difference: float
    low: float
    high: float
    p_worse: float
    p_better: float
    n_cases: int
    n_groups: int
    worse: int
    better: int
    method: str


@dataclass(frozen=True, slots=True)
class McNemar:
    """Exact p-values of McNemar's test."""

    p_worse: float
    p_better: float
    p_two_sided: float


def mcnemar_p(worse: int, better: int) -> McNemar:
    """How likely so many flips one way are, if each flip could as well have gone the other way."""
    if worse < 0 or better < 0:
        raise ValueError(f"{worse} flips to worse, {better} to better")
    p_worse, p_better = _at_least(worse, worse + better), _at_least(better, worse + better)
    return McNemar(p_worse, p_better, min(1.0, 2 * min(p_worse, p_better)))


def compare_binary(
    baseline: Sequence[float], candidate: Sequence[float], groups: Sequence[str], confidence: float = 0.95
) -> PairedComparison:
    """Compare passes (1) and fails (0) case by case. A case with an empty group stands alone.

    Where every group has one case, 0 is tested by exact McNemar and any other difference by Tango's score: the
    interval is the score interval, reaching to 0 where McNemar does not reject 0. Otherwise a difference is
    rejected only if two tests reject it: the sign-flip test over groups, and the former with all counts divided
    by the design effect. So p is the larger of both and the interval spans both. The second is needed because
    the first, seeing no flip, would claim that the difference is exactly 0. Raises ValueError without cases.
    """
    before, after = _aligned(baseline, candidate, groups)
    if not np.isin(before, (0, 1)).all() or not np.isin(after, (0, 1)).all():
        raise ValueError("a binary result is neither 0 nor 1; compare_continuous takes other values")
    difference = after - before
    n = len(difference)
    worse, better = int((difference < 0).sum()), int((difference > 0).sum())
    sums, sizes = _by_group(difference, groups)
    if len(sizes) == n:
        exact = mcnemar_p(worse, better)
        p_worse, p_better, interval = exact.p_worse, exact.p_better, tango_interval(worse, better, n, confidence)
        method = "exact McNemar, score interval"
    else:
        flips = sign_flip_test(sums.astype(int).tolist(), sizes.astype(int).tolist(), confidence)
        effect = _design_effect(difference, sums, sizes)
        deflated = tango_interval(worse / effect, better / effect, n / effect, confidence)
        p_worse = max(flips.p_below, _at_least(worse / effect, (worse + better) / effect))
        p_better = max(flips.p_above, _at_least(better / effect, (worse + better) / effect))
        interval = Interval(min(flips.interval.low, deflated.low), max(flips.interval.high, deflated.high))
        method = f"{'exact' if flips.exact else 'normal'} sign flips over groups, design effect {effect:.2f}"
    interval = _compatible(interval, p_worse, p_better, (1 - confidence) / 2)
    return PairedComparison(
        float(difference.mean()),
        interval.low,
        interval.high,
        p_worse,
        p_better,
        n,
        len(sizes),
        worse,
        better,
        method,
    )


def compare_continuous(
    baseline: Sequence[float],
    candidate: Sequence[float],
    groups: Sequence[str],
    rng: np.random.Generator,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> PairedComparison:
    """Compare any scores case by case: whole groups are drawn with replacement (percentile bootstrap).

    The percentiles are widened for few groups as Student's t is (Hesterberg 2015, "expanded percentile").
    A case with an empty group stands alone. Raises ValueError where there are fewer than two groups.
    """
    before, after = _aligned(baseline, candidate, groups)
    difference = after - before
    sums, sizes = _by_group(difference, groups)
    if len(sizes) < 2:
        raise ValueError(f"{len(sizes)} group of {len(difference)} cases; a bootstrap over groups needs two at least")
    draws = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=resamples).astype(float)
    means = np.sort((draws @ sums) / (draws @ sizes))
    inflation = float(np.sqrt(len(sizes) / (len(sizes) - 1)))
    tail = float(ndtr(inflation * stdtrit(len(sizes) - 1, (1 - confidence) / 2)))
    mean = float(difference.mean())
    low, high = float(np.quantile(means, tail)), float(np.quantile(means, 1 - tail))

    def p_value(beyond: int) -> float:
        return float(stdtr(len(sizes) - 1, ndtri((beyond + 1) / (resamples + 2)) / inflation))

    return PairedComparison(
        mean,
        min(low, mean),
        max(high, mean),
        p_value(int((means >= 0).sum())),
        p_value(int((means <= 0).sum())),
        len(difference),
        len(sizes),
        int((difference < 0).sum()),
        int((difference > 0).sum()),
        f"bootstrap over groups, {resamples} resamples",
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979), in the order given: each holds for all comparisons at once."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def tango_interval(worse: float, better: float, n: float, confidence: float = 0.95) -> Interval:
    """The score interval of (better - worse) / n of Tango (1998): the differences that the counts do not reject,
    each with its own standard error. Counts may be fractions: effective sample sizes are.
    """
    quantile = float(ndtri((1 + confidence) / 2))
    return Interval(-_highest(better, worse, n, quantile), _highest(worse, better, n, quantile))


def _highest(worse: float, better: float, n: float, quantile: float) -> float:
    """The upper end, by bisection: the score falls as the supposed difference rises."""
    low, high = (better - worse) / n, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _tango_score(worse, better, n, middle) > -quantile else (low, middle)
    return high


def _tango_score(worse: float, better: float, n: float, supposed: float) -> float:
    """The distance of the counts from a supposed difference, in standard errors at the likeliest flip rate."""
    b = (2 * n - better + worse) * supposed - better - worse
    c = -worse * supposed * (1 - supposed)
    falls = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    variance = n * (2 * falls + supposed * (1 - supposed))
    distance = better - worse - n * supposed
    return distance / math.sqrt(max(variance, 1e-12))


def _compatible(interval: Interval, p_worse: float, p_better: float, tail: float) -> Interval:
    """Take in 0 where the exact test, the one that is used at 0, does not reject it."""
    return Interval(
        min(interval.low, 0.0) if p_better >= tail else interval.low,
        max(interval.high, 0.0) if p_worse >= tail else interval.high,
    )


def _at_least(count: float, flips: float) -> float:
    """The chance of `count` or more heads in `flips` throws; fractions are taken between."""
    return float(betainc(count, flips - count + 1, 0.5)) if count > 0 else 1.0


def _design_effect(difference: NDArray[np.float64], sums: NDArray[np.float64], sizes: NDArray[np.float64]) -> float:
    """How much more the mean varies because cases of a group flip together; 1 or more.

    Estimated from the flips, and drawn towards the worst case (all cases of a group flip as one) as if that
    had been seen in `_PRIOR_FLIPS` flips: no flip says nothing of how they cluster.
    """
    n, n_groups = len(difference), len(sizes)
    worst = float((sizes**2).sum() / n)
    flips = float(np.abs(difference).sum())
    mean = difference.mean()
    alone = float(((difference - mean) ** 2).sum()) * n / max(n - 1, 1)
    if alone == 0 or n_groups < 2:
        return max(worst, 1.0)
    together = float(((sums - mean * sizes) ** 2).sum()) * n_groups / (n_groups - 1)
    seen = min(max(together / alone, 1.0), max(worst, 1.0))
    return (flips * seen + _PRIOR_FLIPS * max(worst, 1.0)) / (flips + _PRIOR_FLIPS)


def _aligned(
    baseline: Sequence[float], candidate: Sequence[float], groups: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    before, after = np.asarray(baseline, dtype=float), np.asarray(candidate, dtype=float)
    if not len(before) == len(after) == len(groups):
        raise ValueError(f"{len(before)} baseline results, {len(after)} of the candidate, {len(groups)} groups")
    if len(before) == 0:
        raise ValueError("no cases: a difference of nothing is not defined")
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        raise ValueError("a result is not a finite number; leave out what has none, and say how many")
    return before, after


def _by_group(
    difference: NDArray[np.float64], groups: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each group's summed difference and number of cases, in an order that does not hang on the order of cases."""
    gathered: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for place, (group, value) in enumerate(zip(groups, difference.tolist(), strict=True)):
        gathered[(group, -1 if group else place)].append(value)
    pairs = sorted((len(values), sum(sorted(values))) for values in gathered.values())
    return np.array([total for _, total in pairs]), np.array([float(size) for size, _ in pairs])
