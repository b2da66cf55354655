"""How many cases or labels a decision takes, before anyone works on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
from scipy.special import ndtri, stdtrit

from eval.statistics.intervals import Interval
from eval.statistics.paired import PairedComparison
from eval.statistics.stratified import StratifiedCounts, most_unseen_failures, tilted_interval


@dataclass(frozen=True, slots=True)
class PlannedStratum:
    """A stratum before labelling: its size, and the rate of failures to expect there (0 to 1)."""

    size: int
    expected_rate: float


@dataclass(frozen=True, slots=True)
class CasesToDecide:
    """The cases, those at hand included, that would give a verdict; None where more cases would not."""

    to_pass: int | None
    to_block: int | None


def fewest_flips(alpha: float = 0.025) -> int:
    """How many one-way flips exact McNemar needs before it can reject at all, one-sided: 6 at 2.5 %."""
    return ceil(log2(1 / alpha))


def minimum_detectable_drop(n_cases: int, flip_rate: float, alpha: float = 0.025, power: float = 0.8) -> float | None:
    """The smallest true drop that a paired gate finds with this power; None where it finds none.

    `flip_rate` is the share of cases that change either way. The drop is k sqrt(flip_rate / (n + k^2)) with
    k = z(1 - alpha) + z(power), and no less than the fewest flips that exact McNemar can reject on.
    """
    _check_rates(flip_rate=flip_rate, alpha=alpha, power=power)
    if n_cases < 1:
        raise ValueError(f"{n_cases} cases detect nothing")
    k = float(ndtri(1 - alpha) + ndtri(power))
    drop = max(k * (flip_rate / (n_cases + k * k)) ** 0.5, fewest_flips(alpha) / n_cases)
    return drop if drop <= flip_rate else None


def cases_to_decide(comparison: PairedComparison, margin: float) -> CasesToDecide:
    """The cases that would end INCONCLUSIVE, if difference, flip rate and grouping stay as observed.

    Each side of the interval shrinks with the root of the cases. `margin` is the drop that is tolerated.
    """
    if margin < 0:
        raise ValueError(f"a margin of {margin}; give the tolerated drop as a share of 0 or more")
    below, above = comparison.difference - comparison.low, comparison.high - comparison.difference
    room, drop = comparison.difference + margin, -comparison.difference

    def cases(half: float, distance: float) -> int | None:
        if distance <= 0:
            return None
        return max(1, ceil(comparison.n_cases * (half / distance) ** 2 + 1e-9))

    to_block = cases(above, drop) if drop > margin else None
    return CasesToDecide(to_pass=cases(below, room), to_block=to_block)


def expected_interval(
    strata: Sequence[PlannedStratum],
    allocation: Sequence[int],
    variance_ratio: float = 1.0,
    confidence: float = 0.95,
) -> Interval:
    """The interval of the week's rate that `allocation` labels a stratum would give, if the rates come as expected.

    `variance_ratio` is what the detector leaves of the variance within strata. Strata without labels are left to
    their expected rate: plan at least one label each. Raises ValueError where no label is planned.
    """
    labels = [min(planned, stratum.size) for planned, stratum in zip(allocation, strata, strict=True)]
    if sum(labels) == 0:
        raise ValueError("no labels planned")
    if any(stratum.size and not label for stratum, label in zip(strata, labels, strict=True)):
        raise ValueError(f"an allocation of {list(allocation)} leaves a stratum without a label")
    rates = np.array([stratum.expected_rate for stratum in strata if stratum.size])
    _check_rates(lowest=float(rates.min()), highest=float(rates.max()))
    sizes = np.array([float(stratum.size) for stratum in strata if stratum.size])
    labelled = np.array([float(label) for label in labels if label])
    counts = StratifiedCounts(sizes, labelled, rates * labelled)
    if rates.max() == 0 or rates.min() == 1:
        hidden = most_unseen_failures(sizes, labelled, (1 - confidence) / 2) / sizes.sum()
        return Interval(0.0, hidden) if rates.max() == 0 else Interval(1 - hidden, 1.0)
    freedom = max(int(labelled.sum()) - len(sizes), 1)
    value = float(counts.weights @ rates)
    return tilted_interval(counts, value, variance_ratio, float(stdtrit(freedom, (1 + confidence) / 2)))


def expected_half_width(
    strata: Sequence[PlannedStratum],
    allocation: Sequence[int],
    variance_ratio: float = 1.0,
    confidence: float = 0.95,
) -> float:
    """Half the width of `expected_interval`: the 0.042 in "40 labels: the rate is known to ±4.2 points"."""
    interval = expected_interval(strata, allocation, variance_ratio, confidence)
    return (interval.high - interval.low) / 2


def labels_for_half_width(
    strata: Sequence[PlannedStratum],
    allocate: Callable[[int], Sequence[int]],
    half_width: float,
    variance_ratio: float = 1.0,
    confidence: float = 0.95,
) -> int:
    """The fewest labels whose allocation reaches `half_width`; all traces reach any.

    `allocate` spreads a number of labels over the strata; it is asked for no fewer labels than there are strata.
    """
    if half_width < 0:
        raise ValueError(f"a half width of {half_width}")
    low, high = sum(1 for stratum in strata if stratum.size), sum(stratum.size for stratum in strata)
    while low < high:
        middle = (low + high) // 2
        if expected_half_width(strata, allocate(middle), variance_ratio, confidence) <= half_width:
            high = middle
        else:
            low = middle + 1
    return low


def _check_rates(**rates: float) -> None:
    for name, rate in rates.items():
        if not 0 <= rate <= 1:
            raise ValueError(f"{name} of {rate} does not lie between 0 and 1")
