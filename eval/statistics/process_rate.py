"""The rate of failures of the process that made the week: what next week would show if nothing changed.

Its unit is the group (source document, session): traces of one group fail together, so a week of 600 traces
from 90 documents says less about other documents than 600 traces would. No finite-population factor.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from eval.statistics.intervals import exact_interval, score_interval
from eval.statistics.prediction_powered import (
    ControlVariate,
    RateEstimate,
    Stratum,
    control_note,
    corrected_mean,
    fit_control_variate,
    merge_unlabelled,
    stratified_counts,
)
from eval.statistics.stratified import StratifiedCounts, smoothed_variance


def estimate_process_rate(
    strata: Sequence[Stratum],
    groups: Sequence[Sequence[str]],
    labelled_groups: Sequence[Sequence[str]],
    confidence: float = 0.95,
) -> RateEstimate:
    """The share of failures among all traces that such groups would bring, for trends and comparisons.

    `groups` names, stratum by stratum, the group of every prediction, `labelled_groups` that of every outcome.
    The variance is the linearised one over groups (a sandwich: what each group adds to the estimate, through
    its predictions and through its labels); the interval is Wilson's at the sample size of that variance, with
    Student's t on the labelled groups less one. Raises ValueError where fewer than two groups are labelled.
    """
    _check_groups(strata, groups, labelled_groups)
    distinct = {group for part in labelled_groups for group in part}
    if len(distinct) < 2:
        raise ValueError(f"labels from {len(distinct)} groups; the process needs two groups at least")
    merged, merge_note = merge_unlabelled(strata)
    counts = stratified_counts(merged)
    n, population = int(counts.labelled.sum()), int(counts.sizes.sum())
    failed = int(counts.failures.sum())
    if failed in (0, n):
        n_effective = _effective_groups(strata, labelled_groups)
        bound = exact_interval(n_effective if failed else 0, n_effective, confidence)
        value, low, high = float(failed > 0), bound.low, bound.high
        method = "exact binomial bound over labelled groups"
        note = f"all {n} labels {'fail' if failed else 'pass'}: the detector is not used"
    else:
        control = fit_control_variate(merged, counts)
        possible = counts.possible
        value = min(max(corrected_mean(merged, counts, control), possible.low), possible.high)
        variance = _group_variance(merged, counts, control, value, _by_merged(merged, groups, labelled_groups))
        # Groups can only add to the variance of single traces; where they seem not to, chance hid it.
        variance = max(variance, smoothed_variance(counts) * control.variance_ratio + value * (1 - value) / population)
        quantile = float(stdtrit(len(distinct) - 1, (1 + confidence) / 2))
        interval = score_interval(value, value * (1 - value) / variance, quantile)
        low, high = interval.low, interval.high
        method = f"stratified PPI++ (detector weight {control.weight:.2f}), variance over {len(distinct)} groups"
        note = control_note(control, n)
    joined = "; ".join(part for part in (merge_note, note) if part)
    return RateEstimate(value, low, high, n, population, "the process", method, joined)


def _group_variance(
    strata: Sequence[Stratum],
    counts: StratifiedCounts,
    control: ControlVariate,
    value: float,
    groups: Sequence[tuple[Sequence[str], Sequence[str]]],
) -> float:
    """The sum over groups of the square of what each adds to the estimate, times G / (G - 1)."""
    added: defaultdict[str, float] = defaultdict(float)
    population = counts.sizes.sum()
    for stratum, (names, labelled_names) in zip(strata, groups, strict=True):
        n = len(stratum.outcomes)
        leaning = control.weight * (stratum.predictions - stratum.labelled_predictions.mean())
        expected = (stratum.outcomes.mean() + leaning - value) / population
        residual = stratum.outcomes - stratum.outcomes.mean()
        residual = residual - control.weight * (stratum.labelled_predictions - stratum.labelled_predictions.mean())
        residual = residual * stratum.size / (population * n) * np.sqrt(n / max(n - 1, 1))
        for name, part in zip(names, expected, strict=True):
            added[name] += part
        for name, part in zip(labelled_names, residual, strict=True):
            added[name] += part
    return float(sum(part**2 for part in added.values()) * len(added) / (len(added) - 1))


def _effective_groups(strata: Sequence[Stratum], labelled_groups: Sequence[Sequence[str]]) -> float:
    """Kish's effective number of labelled groups, each weighing what its labels weigh."""
    weight: defaultdict[str, float] = defaultdict(float)
    for stratum, names in zip(strata, labelled_groups, strict=True):
        for name in names:
            weight[name] += stratum.size / len(names)
    weights = np.array(list(weight.values()))
    return float(weights.sum() ** 2 / (weights**2).sum())


def _by_merged(
    merged: Sequence[Stratum],
    groups: Sequence[Sequence[str]],
    labelled_groups: Sequence[Sequence[str]],
) -> list[tuple[list[str], list[str]]]:
    """The groups of the merged strata; merging joins neighbours and keeps their order."""
    names = [name for part in groups for name in part]
    labelled_names = [name for part in labelled_groups for name in part]
    ends = np.cumsum([stratum.size for stratum in merged])
    labelled_ends = np.cumsum([len(stratum.outcomes) for stratum in merged])
    starts = [0, *ends[:-1]]
    labelled_starts = [0, *labelled_ends[:-1]]
    return [
        (names[start:end], labelled_names[labelled_start:labelled_end])
        for start, end, labelled_start, labelled_end in zip(starts, ends, labelled_starts, labelled_ends, strict=True)
    ]


def _check_groups(
    strata: Sequence[Stratum], groups: Sequence[Sequence[str]], labelled_groups: Sequence[Sequence[str]]
) -> None:
    for stratum, names, labelled_names in zip(strata, groups, labelled_groups, strict=True):
        if len(names) != stratum.size or len(labelled_names) != len(stratum.outcomes):
            raise ValueError(
                f"stratum {stratum.name}: {len(names)} groups for {stratum.size} traces, "
                f"{len(labelled_names)} for {len(stratum.outcomes)} labels"
            )
