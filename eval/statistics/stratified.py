"""Intervals for the share of failures in a finite population, from a random sample within each stratum.

A normal interval fails here: with ten labels a stratum, a stratum whose labels agree claims to be known exactly.
`tilted_interval` asks instead, as Wilson did, which shares would make the estimate a surprise: every
stratum's smoothed share is moved by one amount on the logit scale, and the variance moves with it.
"""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from eval.statistics.intervals import Interval

_TILTS = np.linspace(-15.0, 15.0, 3001)[:, None]
_PRIOR_LABELS = 2.0
"""Each stratum's share is drawn towards the overall one as if by this many labels more.

In simulation 1 let coverage fall to 93 % for rare failures under a detector that cries wolf; 2 did not.
"""


@dataclass(frozen=True, slots=True)
class StratifiedCounts:
    """How many there are, are labelled and failed, stratum by stratum; every stratum has a label."""

    sizes: NDArray[np.float64]
    labelled: NDArray[np.float64]
    failures: NDArray[np.float64]

    @property
    def weights(self) -> NDArray[np.float64]:
        """Each stratum's share of the population."""
        shares: NDArray[np.float64] = self.sizes / self.sizes.sum()
        return shares

    @property
    def unseen(self) -> NDArray[np.float64]:
        """The finite-population factor: 0 for a stratum that is labelled completely."""
        return 1 - self.labelled / self.sizes

    @property
    def possible(self) -> Interval:
        """From "nothing else failed" to "all else failed"."""
        total = self.sizes.sum()
        failed, passed = self.failures.sum(), (self.labelled - self.failures).sum()
        return Interval(float(failed / total), float(1 - passed / total))


def tilted_interval(counts: StratifiedCounts, estimate: float, variance_ratio: float, quantile: float) -> Interval:
    """The shares that lie within `quantile` of their own standard errors of `estimate`.

    `variance_ratio` is what a control variate leaves of the variance, 0 to 1. It has too little to go by when
    all labels agree: use `most_unseen_failures` then.
    """
    moved = expit(logit(smoothed_shares(counts)) + _TILTS)
    moved = np.where(counts.unseen > 0, moved, counts.failures / counts.labelled)
    shares = moved @ counts.weights
    variances = (moved * (1 - moved)) @ _variance_weights(counts)
    possible = counts.possible
    estimate = min(max(estimate, possible.low), possible.high)
    distance = (shares - estimate) / np.sqrt(variances * variance_ratio + 1e-300)
    # The hull of all shares within the quantile, should the distance not rise everywhere.
    low = float(np.interp(-quantile, np.maximum.accumulate(distance), shares))
    high = float(np.interp(quantile, np.minimum.accumulate(distance[::-1])[::-1], shares))
    return Interval(max(min(low, estimate), possible.low), min(max(high, estimate), possible.high))


def smoothed_variance(counts: StratifiedCounts) -> float:
    """The variance of the stratified mean at the smoothed shares, with the finite-population factor."""
    shares = smoothed_shares(counts)
    return float((_variance_weights(counts) * shares * (1 - shares)).sum())


def smoothed_shares(counts: StratifiedCounts) -> NDArray[np.float64]:
    """Each stratum's share of failures, drawn towards the overall share and never 0 or 1."""
    overall = float((counts.weights * counts.failures / counts.labelled).sum())
    least = 0.5 / counts.labelled.sum()
    overall = min(max(overall, least), 1 - least)
    shares: NDArray[np.float64] = (counts.failures + _PRIOR_LABELS * overall) / (counts.labelled + _PRIOR_LABELS)
    return shares


def most_unseen_failures(sizes: NDArray[np.float64], labelled: NDArray[np.float64], tail: float) -> int:
    """The most failures there can be when no label shows one, unless a chance of less than `tail` came true.

    Exact (hypergeometric in each stratum), over every way to spread the failures. Each failure more in a stratum
    costs more of the chance than the one before, so taking the cheapest each time finds the most.
    """
    left = -float(np.log(tail))
    hidden = [0] * len(sizes)
    unlabelled = [int(size - seen) for size, seen in zip(sizes, labelled, strict=True)]

    def next_cost(stratum: int) -> float:
        taken = hidden[stratum]
        return float(np.log(sizes[stratum] - taken) - np.log(unlabelled[stratum] - taken))

    costs = [(next_cost(stratum), stratum) for stratum, rest in enumerate(unlabelled) if rest]
    heapq.heapify(costs)
    while costs:
        cost, stratum = heapq.heappop(costs)
        if left - cost < 0:
            break
        left -= cost
        hidden[stratum] += 1
        if hidden[stratum] < unlabelled[stratum]:
            heapq.heappush(costs, (next_cost(stratum), stratum))
    return sum(hidden)


def _variance_weights(counts: StratifiedCounts) -> NDArray[np.float64]:
    """What p (1 - p) of each stratum is worth in the variance of the stratified mean.

    `(n + k) / (n + k - 1)` undoes that shares estimated from few labels look too sure.
    """
    finite = counts.sizes / np.maximum(counts.sizes - 1, 1)
    known = counts.labelled + _PRIOR_LABELS
    weights: NDArray[np.float64] = counts.weights**2 * counts.unseen / counts.labelled * finite * known / (known - 1)
    return weights
