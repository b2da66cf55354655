"""How well scores find the positives that people named: the detector against the labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.statistics.intervals import Rate, wilson_rate


@dataclass(frozen=True, slots=True)
class DetectorQuality:
    """A detector at one threshold, against people.

    `tpr` is the share of failures that it flags, `tnr` the share of passes that it leaves alone.
    `constant_predictor` is the accuracy of always saying what is commoner: what `accuracy` has to beat.
    """

    auroc: float
    balanced_accuracy: float
    accuracy: float
    constant_predictor: float
    tpr: Rate
    tnr: Rate
    n: int


def detector_quality(
    scores: Sequence[float], positives: Sequence[bool], threshold: float, confidence: float = 0.95
) -> DetectorQuality:
    """Judge the rule "flag from `threshold` up". Raises ValueError unless both classes are there."""
    values, truth = _both_classes(scores, positives)
    flagged = values >= threshold
    return DetectorQuality(
        auroc=auroc(values, truth),
        balanced_accuracy=balanced_accuracy(flagged, truth),
        accuracy=float(np.mean(flagged == truth)),
        constant_predictor=float(max(truth.mean(), 1 - truth.mean())),
        tpr=true_positive_rate(flagged, truth, confidence),
        tnr=true_negative_rate(flagged, truth, confidence),
        n=len(truth),
    )


def auroc(scores: ArrayLike, positives: ArrayLike) -> float:
    """The chance, 0 to 1, that a positive outscores a negative, a tie counting half.

    Raises ValueError unless both classes are there.
    """
    values, truth = _both_classes(scores, positives)
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    midranks = np.cumsum(count) - (count - 1) / 2
    n_positive = int(truth.sum())
    above = midranks[place][truth].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * (len(truth) - n_positive)))


def balanced_accuracy(flagged: ArrayLike, positives: ArrayLike) -> float:
    """The mean of both true rates; 0.5 for a detector that always says the same. Raises as `auroc` does."""
    calls, truth = _both_classes(flagged, positives)
    called = calls.astype(bool)
    return float((called[truth].mean() + (~called[~truth]).mean()) / 2)


def true_positive_rate(flagged: ArrayLike, positives: ArrayLike, confidence: float = 0.95) -> Rate:
    """The share of the positives that is flagged. Raises ValueError where there is no positive."""
    calls, truth = _pairs(flagged, positives)
    called = calls.astype(bool)
    return wilson_rate(int((called & truth).sum()), int(truth.sum()), confidence)


def true_negative_rate(flagged: ArrayLike, positives: ArrayLike, confidence: float = 0.95) -> Rate:
    """The share of the negatives that is not flagged. Raises ValueError where there is no negative."""
    calls, truth = _pairs(flagged, positives)
    called = calls.astype(bool)
    return wilson_rate(int((~called & ~truth).sum()), int((~truth).sum()), confidence)


def expected_calibration_error(probabilities: ArrayLike, positives: ArrayLike, bins: int = 10) -> float:
    """The mean gap, 0 to 1, between what is promised and what comes, over `bins` bins of equal width.

    Raises ValueError where nothing is given or a probability lies outside 0 to 1.
    """
    values, truth = _pairs(probabilities, positives)
    if values.min() < 0 or values.max() > 1:
        raise ValueError(f"probabilities from {values.min()} to {values.max()}")
    place = np.minimum((values * bins).astype(int), bins - 1)
    promised = np.bincount(place, weights=values, minlength=bins)
    came = np.bincount(place, weights=truth.astype(float), minlength=bins)
    return float(np.abs(promised - came).sum() / len(values))


def _pairs(scores: ArrayLike, positives: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, truth = np.asarray(scores, dtype=float), np.asarray(positives, dtype=bool)
    if values.shape != truth.shape or values.ndim != 1:
        raise ValueError(f"{values.shape} scores for {truth.shape} labels")
    if len(values) == 0:
        raise ValueError("no scores")
    if not np.isfinite(values).all():
        raise ValueError("a score is not a finite number; leave out what has none, and say how many")
    return values, truth


def _both_classes(scores: ArrayLike, positives: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, truth = _pairs(scores, positives)
    if truth.all() or not truth.any():
        raise ValueError(f"all {len(truth)} labels are the same; both failures and passes are needed")
    return values, truth
