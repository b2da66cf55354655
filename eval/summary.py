"""A run in figures: for each metric its mean with an interval, and on how many answers it stands."""

from dataclasses import dataclass

import numpy as np

from eval.pairing import by_case, is_outside, value_of
from eval.statistics.intervals import exact_interval, wilson_interval
from eval.statistics.paired import compare_continuous
from eval.suite import Run


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """The mean over cases of what a metric said, `n` of the `n_expected` cases it applies to; None of none.

    Where every case has the same value an interval is only known for a metric that is pass or fail.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_expected: int


def summarize(run: Run, rng: np.random.Generator) -> list[MetricSummary]:
    """Summarise each metric of a run; repeats are averaged within a case and whole groups resampled."""
    return [summarize_metric(run, name, rng) for name in run.metrics]


def summarize_metric(run: Run, name: str, rng: np.random.Generator) -> MetricSummary:
    """Summarise one metric."""
    facts, results = run.metrics[name], by_case(run)
    values, groups, expected = [], [], 0
    for case_id, case in run.cases.items():
        repeats = results.get(case_id, ())
        if is_outside(name, repeats) or all(result.answer.status == "not_recorded" for result in repeats):
            continue
        expected += 1
        value = value_of(name, facts, repeats)
        if value is not None:
            values.append(value)
            groups.append(case.group)
    if not values:
        return MetricSummary(name, None, None, None, 0, expected)
    mean, n_groups = sum(values) / len(values), len(set(filter(None, groups))) + groups.count("")
    if facts.kind == "binary" and n_groups == len(values):
        known = wilson_interval(sum(values), len(values))
    elif facts.kind == "binary" and mean in (0.0, 1.0):
        known = exact_interval(mean * n_groups, n_groups)
    elif len(set(values)) > 1 and n_groups > 1:
        found = compare_continuous([0.0] * len(values), values, groups, rng)
        return MetricSummary(name, mean, max(found.low, 0.0), min(found.high, 1.0), len(values), expected)
    else:
        return MetricSummary(name, mean, None, None, len(values), expected)
    return MetricSummary(name, mean, known.low, known.high, len(values), expected)
