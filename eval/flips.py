"""Flips: cases that a change broke or mended, with both answers beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass

from eval.pairing import PairedMetric, PairedRuns
from eval.policy import GatePolicy
from eval.suite import MetricFacts, Result

STEADY_REPEATS = 3
"""A critical case blocks alone only after so many repeats of the candidate."""


@dataclass(frozen=True, slots=True)
class CaseFlip:
    """A case whose pass or fail changed on the metrics named; worse on one of them is worse."""

    case_id: str
    user_input: str
    reference: str | None
    severity: str | None
    mode_id: str | None
    worse_on: tuple[str, ...]
    better_on: tuple[str, ...]
    baseline_response: str
    candidate_response: str
    why: tuple[str, ...]

    @property
    def is_worse(self) -> bool:
        """Say whether the case got worse on any metric."""
        return bool(self.worse_on)


def find_flips(metrics: Sequence[PairedMetric], runs: PairedRuns) -> tuple[CaseFlip, ...]:
    """Give the cases that flipped on a binary metric: worse before better, the severe ones first."""
    worse: dict[str, list[str]] = {}
    better: dict[str, list[str]] = {}
    for metric in metrics:
        if metric.facts.kind != "binary":
            continue
        for value in metric.values:
            if value.baseline != value.candidate:
                rose = value.candidate > value.baseline
                side = better if rose == metric.facts.higher_is_better else worse
                side.setdefault(value.case.case_id, []).append(metric.name)
    facts = {metric.name: metric.facts for metric in metrics}
    flips = []
    for case in runs.cases:
        worse_on, better_on = tuple(worse.get(case.case_id, ())), tuple(better.get(case.case_id, ()))
        if not worse_on and not better_on:
            continue
        old, new = runs.baseline[case.case_id], runs.candidate[case.case_id]
        before, after = telling(old, better_on, facts), telling(new, worse_on, facts)
        reasons = {name: telling(new, (name,), facts).scores[name].reason for name in worse_on}
        why = tuple(f"{name}: {reason}" for name, reason in reasons.items() if reason)
        flips.append(
            CaseFlip(
                case.case_id,
                case.user_input,
                case.reference,
                case.severity,
                case.mode_id,
                worse_on,
                better_on,
                before.answer.response,
                after.answer.response,
                why,
            )
        )
    return tuple(sorted(flips, key=lambda flip: (not flip.is_worse, flip.severity or "P9", flip.case_id)))


def telling(results: Sequence[Result], failed_on: Sequence[str], facts: dict[str, MetricFacts]) -> Result:
    """Give the first repeat that failed on one of the metrics, or else the first that was answered, if one was."""
    failing = [r for r in results if any(passed(name, facts[name], r) is False for name in failed_on)]
    answered = [result for result in results if result.answer.status == "ok"]
    return [*failing, *answered, *results][0]


def passed(name: str, facts: MetricFacts, result: Result) -> bool | None:
    """Say whether one answer passed a binary metric; None where it has no score."""
    value = result.scores[name].value if name in result.scores else None
    return None if value is None else (value > 0.5) == facts.higher_is_better


def broken_critical_cases(metrics: Sequence[PairedMetric], runs: PairedRuns, policy: GatePolicy) -> tuple[str, ...]:
    """Give the critical cases that block alone.

    On one metric such a case fails in all of three or more candidate repeats and passed in all of the baseline.
    """
    broken = []
    for case in runs.cases:
        if case.severity not in policy.critical_severities:
            continue
        old, new = runs.baseline.get(case.case_id, ()), runs.candidate.get(case.case_id, ())
        for metric in metrics:
            if metric.facts.kind != "binary" or len(new) < STEADY_REPEATS or not old:
                continue
            before = {passed(metric.name, metric.facts, result) for result in old}
            after = {passed(metric.name, metric.facts, result) for result in new}
            if before == {True} and after == {False}:
                broken.append(case.case_id)
                break
    return tuple(broken)
