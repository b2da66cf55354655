"""Intervals for a share: `successes` of `n` independent draws from a population much larger than `n`."""

from dataclasses import dataclass

from scipy.special import betaincinv, ndtri


@dataclass(frozen=True, slots=True)
class Interval:
    """Both ends belong to it."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rate:
    """A share, from 0 to 1, of `n` things, with its interval."""

    value: float
    low: float
    high: float
    n: int


def wilson_interval(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """Wilson's score interval (1927), from 0 to 1; its mean coverage is close to `confidence`.

    Counts may be fractions: effective sample sizes are. Raises ValueError where `n` is 0.
    """
    _check(successes, n, confidence)
    return score_interval(successes / n, n, float(ndtri((1 + confidence) / 2)))


def exact_interval(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """The interval of Clopper and Pearson (1934), from 0 to 1; its coverage is never below `confidence`.

    Raises ValueError where `n` is 0.
    """
    _check(successes, n, confidence)
    tail = (1 - confidence) / 2
    low = float(betaincinv(successes, n - successes + 1, tail)) if successes > 0 else 0.0
    high = float(betaincinv(successes + 1, n - successes, 1 - tail)) if successes < n else 1.0
    return Interval(low, high)


def wilson_rate(successes: int, n: int, confidence: float = 0.95) -> Rate:
    """`successes` of `n` with Wilson's interval. Raises ValueError where `n` is 0."""
    interval = wilson_interval(successes, n, confidence)
    return Rate(successes / n, interval.low, interval.high, n)


def score_interval(share: float, n: float, quantile: float) -> Interval:
    """The shares whose own standard error, sqrt(p (1 - p) / n), puts `share` within `quantile` errors of them."""
    shrink = quantile**2 / n
    middle = (share + shrink / 2) / (1 + shrink)
    half: float = (shrink * share * (1 - share) + shrink**2 / 4) ** 0.5 / (1 + shrink)
    low = 0.0 if share == 0 else max(0.0, middle - half)
    high = 1.0 if share == 1 else min(1.0, middle + half)
    return Interval(low, high)


def _check(successes: float, n: float, confidence: float) -> None:
    if n <= 0:
        raise ValueError(f"a share of {n} things is not defined")
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence} does not lie between 0 and 1")
