"""The rate of failures in a week, from a detector's word on every trace and people's word on a few.

Within each stratum of the draw the detector is a control variate: the mean of the labels is corrected by
how far the detector's mean on the labelled traces lies from its mean on all (prediction-powered inference,
PPI++, Angelopoulos et al. 2023, arXiv:2311.01453; in survey words the stratified difference estimator).
A detector that is wrong costs nothing but labels: the estimate stays unbiased whatever it says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from eval.statistics.stratified import StratifiedCounts, most_unseen_failures, smoothed_variance, tilted_interval

Estimand = Literal["this week", "the process"]


@dataclass(frozen=True, slots=True, eq=False)
class Stratum:
    """A part of the week's traces and the random sample of it that people labelled.

    `predictions` is the instrument's probability of failure for each of the `size` traces, labelled or not;
    `labelled_predictions` and `outcomes` (1 = fails) belong to the labelled ones, in the same order.
    Strata come in order of their predictions: one without labels is put to its neighbour.
    """

    name: str
    size: int
    predictions: NDArray[np.float64]
    labelled_predictions: NDArray[np.float64]
    outcomes: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(self.predictions) != self.size:
            raise ValueError(f"stratum {self.name}: {len(self.predictions)} predictions for {self.size} traces")
        if len(self.labelled_predictions) != len(self.outcomes):
            raise ValueError(
                f"stratum {self.name}: {len(self.labelled_predictions)} predictions for {len(self.outcomes)} labels"
            )
        if len(self.outcomes) > self.size:
            raise ValueError(f"stratum {self.name}: {len(self.outcomes)} labels for {self.size} traces")
        if not (np.isfinite(self.predictions).all() and np.isfinite(self.labelled_predictions).all()):
            raise ValueError(f"stratum {self.name}: a prediction is missing; give such traces a stratum of their own")
        if not np.isin(self.outcomes, (0, 1)).all():
            raise ValueError(f"stratum {self.name}: an outcome is neither 0 nor 1")


@dataclass(frozen=True, slots=True)
class RateEstimate:
    """A rate of failure from 0 to 1 with its interval, from `n` labels out of `population` traces."""

    value: float
    low: float
    high: float
    n: int
    population: int
    estimand: Estimand
    method: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class NonresponseBounds:
    """The estimates if all missing labels had said pass, and if all had said fail, at the weight of `published`.

    `published` is the estimate without the missing labels. `lowest` and `highest` hold it and, whatever the missing
    labels say, the estimate with them at the same weight. `outer_low` and `outer_high` are the ends of all
    three intervals; that they hold the interval of every other completion is not guaranteed.
    """

    published: RateEstimate
    all_pass: RateEstimate
    all_fail: RateEstimate

    @property
    def lowest(self) -> float:
        """The estimate if all pass, or the published one should that lie lower."""
        return min(self.all_pass.value, self.published.value)

    @property
    def highest(self) -> float:
        """The estimate if all fail, or the published one should that lie higher."""
        return max(self.all_fail.value, self.published.value)

    @property
    def outer_low(self) -> float:
        """The lower end of the interval, whether the missing labels are left out, all pass or all fail."""
        return min(self.all_pass.low, self.published.low, self.all_fail.low)

    @property
    def outer_high(self) -> float:
        """The upper end of the interval, whether the missing labels are left out, all pass or all fail."""
        return max(self.all_fail.high, self.published.high, self.all_pass.high)


@dataclass(frozen=True, slots=True)
class ControlVariate:
    """How much weight the detector gets (lambda of PPI++), and what it leaves of the variance (0 to 1)."""

    weight: float
    variance_ratio: float


def estimate_rate(strata: Sequence[Stratum], confidence: float = 0.95, weight: float | None = None) -> RateEstimate:
    """The share of the week's traces that fail, and the interval it lies in with `confidence`.

    The traces are a fixed population: what is labelled is known, and a week labelled completely has no
    interval left. The detector's `weight` is fitted to the labels unless given. Raises ValueError where nothing
    is labelled.
    """
    merged, merge_note = merge_unlabelled(strata)
    counts = stratified_counts(merged)
    n, population = int(counts.labelled.sum()), int(counts.sizes.sum())
    failed = int(counts.failures.sum())
    if n < population and failed in (0, n):
        return _estimate_unanimous(counts, failed > 0, confidence, merge_note)
    control = fit_control_variate(merged, counts) if weight is None else control_at(weight, merged, counts)
    possible = counts.possible
    value = min(max(corrected_mean(merged, counts, control), possible.low), possible.high)
    freedom = max(n - len(merged), 1)
    interval = tilted_interval(counts, value, control.variance_ratio, float(stdtrit(freedom, (1 + confidence) / 2)))
    return RateEstimate(
        value,
        interval.low,
        interval.high,
        n,
        population,
        "this week",
        f"stratified PPI++ (detector weight {control.weight:.2f}), tilted score interval, finite population",
        _joined(merge_note, control_note(control, n)),
    )


def bound_nonresponse(
    strata: Sequence[Stratum], missing_predictions: Mapping[str, NDArray[np.float64]], confidence: float = 0.95
) -> NonresponseBounds:
    """Bound the rate when drawn traces stayed without a verdict: deferred, or never finished.

    `missing_predictions` holds the predictions for the missing traces by name of stratum. Missing traces are
    counted first as passes, then as failures. The detector keeps the weight that the labels at hand give it: at a
    fixed weight the estimate never falls when a verdict turns from pass to fail, so these two bound every other
    completion. At a weight fitted anew they would not.
    """
    unknown = set(missing_predictions) - {stratum.name for stratum in strata}
    if unknown:
        raise ValueError(f"missing labels of unknown strata {sorted(unknown)}")

    def filled(stratum: Stratum, outcome: float) -> Stratum:
        missing = missing_predictions.get(stratum.name, np.empty(0))
        return replace(
            stratum,
            labelled_predictions=np.concatenate([stratum.labelled_predictions, missing]),
            outcomes=np.concatenate([stratum.outcomes, np.full(len(missing), outcome)]),
        )

    merged, _ = merge_unlabelled(strata)
    weight = fit_control_variate(merged, stratified_counts(merged)).weight
    all_pass, all_fail = (
        estimate_rate([filled(stratum, outcome) for stratum in strata], confidence, weight) for outcome in (0.0, 1.0)
    )
    return NonresponseBounds(estimate_rate(strata, confidence), all_pass, all_fail)


def merge_unlabelled(strata: Sequence[Stratum]) -> tuple[list[Stratum], str]:
    """Put each stratum without labels to the neighbour with the nearest mean prediction, and say so.

    Empty strata are left out. Raises ValueError where no stratum has a label.
    """
    merged = [stratum for stratum in strata if stratum.size]
    if not any(len(stratum.outcomes) for stratum in merged):
        raise ValueError("no labels: a rate of nothing is not defined")
    without = [stratum.name for stratum in merged if not len(stratum.outcomes)]
    while bare := [place for place, stratum in enumerate(merged) if not len(stratum.outcomes)]:
        place = bare[0]
        neighbours = [near for near in (place - 1, place + 1) if 0 <= near < len(merged)]
        own = merged[place].predictions.mean()
        nearest = min(neighbours, key=lambda near: abs(merged[near].predictions.mean() - own))
        first, second = sorted((place, nearest))
        merged[first : second + 1] = [_union(merged[first], merged[second])]
    if not without:
        return merged, ""
    return merged, f"no labels in {', '.join(without)}: estimated together with the neighbouring stratum"


def stratified_counts(strata: Sequence[Stratum]) -> StratifiedCounts:
    """The sizes, labels and failures of the strata."""
    return StratifiedCounts(
        np.array([stratum.size for stratum in strata], dtype=float),
        np.array([len(stratum.outcomes) for stratum in strata], dtype=float),
        np.array([stratum.outcomes.sum() for stratum in strata], dtype=float),
    )


def fit_control_variate(strata: Sequence[Stratum], counts: StratifiedCounts) -> ControlVariate:
    """One weight for all strata: the least-squares one, shrunk by its own uncertainty (James and Stein).

    The weight is 0 where the labels do not show that the detector helps within the strata.
    """
    outcome_variance, detector_variance, covariance = _covariances(strata, counts)
    freedom = _freedom(counts)
    if covariance <= 0 or detector_variance <= 0 or freedom < 1:
        return ControlVariate(0.0, 1.0)
    explained = min(covariance**2 / (outcome_variance * detector_variance), 1.0)
    kept = 1 - (1 - explained) / (explained * freedom)
    ratio = _honest_ratio(1 - explained * (2 * kept - kept**2), freedom)
    if kept <= 0 or ratio >= 1:
        return ControlVariate(0.0, 1.0)
    return ControlVariate(kept * covariance / detector_variance, ratio)


def control_at(weight: float, strata: Sequence[Stratum], counts: StratifiedCounts) -> ControlVariate:
    """What a weight that other labels gave leaves of the variance of these; more than 1 where it does harm."""
    outcome_variance, detector_variance, covariance = _covariances(strata, counts)
    freedom = _freedom(counts)
    moved = weight**2 * detector_variance - 2 * weight * covariance
    # Labels that agree within every stratum have no variance to compare with; the interval smooths them.
    scale = outcome_variance or smoothed_variance(counts)
    if weight == 0 or scale == 0 or freedom < 1:
        return ControlVariate(weight, 1.0)
    return ControlVariate(weight, _honest_ratio(1 + moved / scale, freedom))


def corrected_mean(strata: Sequence[Stratum], counts: StratifiedCounts, control: ControlVariate) -> float:
    """The stratified mean of the labels, corrected by the detector; it may leave 0 to 1."""
    corrected = [
        stratum.outcomes.mean() + control.weight * (stratum.predictions.mean() - stratum.labelled_predictions.mean())
        for stratum in strata
    ]
    return float(counts.weights @ np.array(corrected))


def control_note(control: ControlVariate, n: int) -> str:
    """What the detector is worth within the strata, in labels."""
    if control.weight == 0:
        return "the detector adds nothing within the strata"
    return f"the detector is worth {round(n / control.variance_ratio) - n} labels more"


def _covariances(strata: Sequence[Stratum], counts: StratifiedCounts) -> tuple[float, float, float]:
    """The variances of the stratified means of outcomes and of predictions, and their covariance."""
    worth = counts.weights**2 * counts.unseen / counts.labelled
    outcome_variance = detector_variance = covariance = 0.0
    for weight, stratum in zip(worth, strata, strict=True):
        if len(stratum.outcomes) < 2:
            continue
        table = np.cov(stratum.outcomes, stratum.labelled_predictions)
        outcome_variance += weight * table[0, 0]
        detector_variance += weight * table[1, 1]
        covariance += weight * table[0, 1]
    return outcome_variance, detector_variance, covariance


def _freedom(counts: StratifiedCounts) -> float:
    """Degrees of freedom left after the means of the strata and the weight."""
    return float(np.maximum(counts.labelled - 1, 0).sum()) - 1


def _honest_ratio(left: float, freedom: float) -> float:
    """The share of the variance that is left, with the degree of freedom that the weight took."""
    # Rule of three: agreement on so many labels does not exclude this share of disagreement.
    return max(left * (freedom + 1) / freedom, 3 / (freedom + 3))


def _estimate_unanimous(counts: StratifiedCounts, failed: bool, confidence: float, merge_note: str) -> RateEstimate:
    """All labels agree: the exact bound on how many others there can be, and no bound on the other side."""
    n, population = int(counts.labelled.sum()), int(counts.sizes.sum())
    hidden = most_unseen_failures(counts.sizes, counts.labelled, (1 - confidence) / 2) / population
    return RateEstimate(
        1.0 if failed else 0.0,
        1 - hidden if failed else 0.0,
        1.0 if failed else hidden,
        n,
        population,
        "this week",
        "stratified hypergeometric bound, exact",
        _joined(merge_note, f"all {n} labels {'fail' if failed else 'pass'}: the detector is not used"),
    )


def _union(first: Stratum, second: Stratum) -> Stratum:
    return Stratum(
        f"{first.name} + {second.name}",
        first.size + second.size,
        np.concatenate([first.predictions, second.predictions]),
        np.concatenate([first.labelled_predictions, second.labelled_predictions]),
        np.concatenate([first.outcomes, second.outcomes]),
    )


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
