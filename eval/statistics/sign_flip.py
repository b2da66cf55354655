"""Sign-flip test of a mean paired difference over groups, and the interval inverted from it.

If the candidate changed nothing, each group's difference could as well have had the other sign. The difference
`delta` is tested by taking `delta` off every case first. Flipping a set of groups then makes the sum as small
exactly if the mean difference over that set is at least `delta` (Hartigan's typical values, 1969). So the p-value
of every `delta`, and the interval, are read off one law: that of the mean difference over a random set of groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from eval.statistics.intervals import Interval

_MOST_STEPS = 5e8
"""Beyond so many steps (about a second) the normal limit of the law is used; it then stands on many hundred groups."""


@dataclass(frozen=True, slots=True)
class SignFlipTest:
    """One-sided p-values of no difference, and the interval of the mean difference, by the same test."""

    p_below: float
    p_above: float
    interval: Interval
    exact: bool


def sign_flip_test(sums: Sequence[int], sizes: Sequence[int], confidence: float) -> SignFlipTest:
    """Test the groups with these summed differences (-1, 0 or 1 a case) and numbers of cases.

    The law is exact, by adding one group after the other, so nothing here is random.
    """
    total, spread = np.array(sums, dtype=np.int64), np.array(sizes, dtype=np.int64)
    steps = float(np.abs(total).sum() + 1) * float(spread.sum() + 1) * len(total)
    if steps > _MOST_STEPS:
        return _normal_limit(total.astype(float), spread.astype(float), confidence)
    means, chances, nothing = _subset_means(total, spread)
    tail = (1 - confidence) / 2
    return SignFlipTest(
        p_below=min(1.0, float(nothing + chances[means >= 0].sum())),
        p_above=min(1.0, float(nothing + chances[means <= 0].sum())),
        interval=Interval(
            -_upper_limit(-means[::-1], chances[::-1], nothing, tail), _upper_limit(means, chances, nothing, tail)
        ),
        exact=True,
    )


def _subset_means(
    sums: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """The mean differences over all sets of groups in rising order, their chances, and that of the empty set."""
    lowest = int(sums[sums < 0].sum())
    table = np.zeros((int(np.abs(sums).sum()) + 1, int(sizes.sum()) + 1))
    table[-lowest, 0] = 1.0
    for moved, size in zip(sums.tolist(), sizes.tolist(), strict=True):
        table *= 0.5
        kept, shifted = (
            (slice(0, len(table) - moved), slice(moved, None))
            if moved >= 0
            else (slice(-moved, None), slice(0, len(table) + moved))
        )
        table[shifted, size:] += table[kept, : table.shape[1] - size]
    nothing = 0.5 ** len(sums)
    table[-lowest, 0] -= nothing
    row, column = np.nonzero(table)
    row, column = row[column > 0], column[column > 0]
    means = (row + lowest) / column
    order = np.argsort(means, kind="stable")
    return means[order], table[row, column][order], nothing


def _upper_limit(means: NDArray[np.float64], chances: NDArray[np.float64], nothing: float, tail: float) -> float:
    """The largest difference that the test does not reject; 1 where there are too few groups to reject any."""
    if nothing > tail:
        return 1.0
    at_least = nothing + np.cumsum(chances[::-1])[::-1]
    return float(means[at_least > tail].max())


def _normal_limit(sums: NDArray[np.float64], sizes: NDArray[np.float64], confidence: float) -> SignFlipTest:
    spread = float(np.sqrt((sums**2).sum()))
    distance = float(sums.sum()) / spread if spread else 0.0
    square = float(ndtri((1 + confidence) / 2)) ** 2
    # (sum - delta n)^2 = z^2 sum((sum_g - delta n_g)^2), a quadratic in delta.
    a = sizes.sum() ** 2 - square * (sizes**2).sum()
    b = sums.sum() * sizes.sum() - square * (sums * sizes).sum()
    c = sums.sum() ** 2 - square * (sums**2).sum()
    if a <= 0:
        limits = Interval(-1.0, 1.0)
    else:
        root = float(np.sqrt(max(b * b - a * c, 0.0)))
        limits = Interval(float((b - root) / a), float((b + root) / a))
    return SignFlipTest(float(ndtr(distance)), float(ndtr(-distance)), limits, exact=False)
