"""Two runs side by side: the same cases, one value a case and metric, and what cannot be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from eval.cases import GoldenCase, dataset_version
from eval.errors import OperationalError, UserError
from eval.policy import GatePolicy, Tier
from eval.sample import Score
from eval.suite import MetricFacts, Result, Run

OUTSIDE = frozenset({"not_applicable", "abstained"})
"""Statuses that put a case outside a metric; every other missing score lowers its coverage."""

ANSWERED = "answered"
"""Names what is measured without a metric: whether an answer came, or an error or a timeout in its place."""

ANSWERED_FACTS = MetricFacts("Answered at all", "binary", higher_is_better=True, is_judge=False)


@dataclass(frozen=True, slots=True)
class PairedValue:
    """One case under one metric: the mean over repeats, or for a binary metric what most of them said."""

    case: GoldenCase
    baseline: float
    candidate: float


@dataclass(frozen=True, slots=True)
class PairedMetric:
    """All cases that one metric can compare. `n_expected` also counts those it should have scored."""

    name: str
    facts: MetricFacts
    values: tuple[PairedValue, ...]
    n_expected: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PairedRuns:
    """The answers of two runs by case, each with a score for `ANSWERED`.

    `missing` cases lack an answer in one run, `out_of_scope` are in neither.
    """

    cases: tuple[GoldenCase, ...]
    baseline: Mapping[str, tuple[Result, ...]]
    candidate: Mapping[str, tuple[Result, ...]]
    missing: tuple[str, ...]
    out_of_scope: tuple[str, ...]


def pair_runs(baseline: Run, candidate: Run) -> PairedRuns:
    """Put the results of both runs together by case; refuse runs over different cases."""
    refuse_different_cases(baseline, candidate)
    old, new = with_answered(by_case(baseline)), with_answered(by_case(candidate))
    recorded = {
        case_id
        for results in (old, new)
        for case_id, repeats in results.items()
        if any(result.answer.status != "not_recorded" for result in repeats)
    }
    cases = tuple(case for case_id, case in baseline.cases.items() if case_id in recorded)
    missing = tuple(
        case.case_id
        for case in cases
        if any(r.answer.status != "ok" for results in (old, new) for r in results.get(case.case_id, ()))
    )
    out_of_scope = tuple(case_id for case_id in baseline.cases if case_id not in recorded)
    if not cases:
        raise OperationalError(
            f"neither run answered one of {len(baseline.cases)} cases, so nothing can be compared; "
            "check that the recorded answers carry the case ids of this dataset"
        )
    return PairedRuns(cases, old, new, missing, out_of_scope)


def refuse_different_cases(baseline: Run, candidate: Run) -> None:
    """Raise unless both runs were asked the same cases with the same content."""
    if dataset_version(baseline.cases.values()) == dataset_version(candidate.cases.values()):
        return
    old, new = baseline.cases.keys(), candidate.cases.keys()
    only_old, only_new = sorted(old - new), sorted(new - old)
    edited = sorted(i for i in old & new if baseline.cases[i] != candidate.cases[i])
    raise UserError(
        f"the two runs hold different cases: {len(only_old)} only in the baseline {only_old[:3]}, "
        f"{len(only_new)} only in the candidate {only_new[:3]}, {len(edited)} edited {edited[:3]} "
        f"(versions {baseline.dataset_version} and {candidate.dataset_version}); score both on the same golden version"
    )


def refuse_missing(runs: PairedRuns, floor: float) -> None:
    """Raise where too many cases lack an answer in one of the runs."""
    share = 1 - len(runs.missing) / len(runs.cases)
    if share < floor:
        raise OperationalError(
            f"only {share:.1%} of {len(runs.cases)} cases were answered in both runs, and the gate wants {floor:.0%}: "
            f"{', '.join(runs.missing[:5])} failed or were not recorded; make the runs complete, then gate again"
        )


def refuse_uncovered(metrics: Sequence[PairedMetric], tiers: Mapping[str, Tier], floor: float) -> None:
    """Raise where a blocking metric scored too few of the cases it applies to, or no metric scored any."""
    for metric in metrics:
        share = len(metric.values) / metric.n_expected if metric.n_expected else 1.0
        if tiers[metric.name] != "advisory" and share < floor:
            raise OperationalError(
                f"{metric.name} scored {len(metric.values)} of {metric.n_expected} cases in both runs "
                f"({metric.reason}), and the gate wants {floor:.0%}; score them again, or leave the metric out"
            )
    if not any(metric.values for metric in metrics):
        raise OperationalError(
            "no metric scored a case in both runs, so nothing was measured; "
            "give the golden cases references or expectations, or choose other metrics"
        )


def by_case(run: Run) -> dict[str, tuple[Result, ...]]:
    """Collect the repeats of each case."""
    collected: dict[str, list[Result]] = {}
    for result in run.results:
        collected.setdefault(result.case_id, []).append(result)
    return {case_id: tuple(results) for case_id, results in collected.items()}


def with_answered(results: Mapping[str, tuple[Result, ...]]) -> dict[str, tuple[Result, ...]]:
    """Score each result for whether an answer came."""
    return {
        case_id: tuple(replace(r, scores={**r.scores, ANSWERED: score_answered(r)}) for r in repeats)
        for case_id, repeats in results.items()
    }


def score_answered(result: Result) -> Score:
    """Give 1 for an answer and 0 for an error or a timeout; what was not recorded may have been answered."""
    name, answer = f"{result.case_id}#{result.repeat}", result.answer
    if answer.status == "not_recorded":
        return Score(name, ANSWERED, None, "not_applicable", "not recorded")
    came = answer.status == "ok"
    return Score(name, ANSWERED, float(came), reason="" if came else f"{answer.status}: {answer.reason}")


def shared_metrics(baseline: Run, candidate: Run, policy: GatePolicy) -> dict[str, MetricFacts]:
    """Give the metrics to compare, and refuse one that may block but that a run lacks or two instruments measured.

    An advisory metric that two instruments measured is left out: their scores are never compared.
    """
    wanted = policy.metrics
    names = list(wanted) if wanted is not None else [name for name in baseline.metrics if name in candidate.metrics]
    shared = {}
    for name in names:
        for run in (baseline, candidate):
            if name not in run.metrics:
                raise UserError(
                    f"{run.name} did not measure {name!r} (it measured {', '.join(run.metrics)}); "
                    "score both runs with the same metrics"
                )
        facts = candidate.metrics[name]
        if not two_instruments(name, baseline, candidate):
            shared[name] = facts
        elif policy.tier(name, facts.is_judge) != "advisory":
            raise UserError(
                f"{name} was measured by two instruments, {baseline.metrics[name].instrument} and {facts.instrument}, "
                "which cannot be compared; score the older answers again: "
                f"flywheel eval run --pipeline {baseline.folder / 'results.jsonl'} --out {baseline.folder}-rescored"
            )
    return shared


def two_instruments(metric: str, baseline: Run, candidate: Run) -> bool:
    """Say whether the two runs were measured by different instruments."""
    old, new = baseline.metrics[metric].instrument, candidate.metrics[metric].instrument
    return bool(old and new and old != new)


def pair_metric(name: str, facts: MetricFacts, runs: PairedRuns) -> PairedMetric:
    """Collect the cases that a metric scored in both runs."""
    values, expected, reason = [], 0, ""
    for case in runs.cases:
        old, new = runs.baseline.get(case.case_id, ()), runs.candidate.get(case.case_id, ())
        if is_outside(name, old) or is_outside(name, new):
            continue
        expected += 1
        before, after = value_of(name, facts, old), value_of(name, facts, new)
        if before is not None and after is not None:
            values.append(PairedValue(case, before, after))
        else:
            reason = reason or why_missing(name, old if before is None else new)
    return PairedMetric(name, facts, tuple(values), expected, reason)


def pair_answered(runs: PairedRuns) -> PairedMetric:
    """Say of each case that both runs recorded whether it was answered."""
    return pair_metric(ANSWERED, ANSWERED_FACTS, runs)


def is_outside(metric: str, results: Sequence[Result]) -> bool:
    """Say whether a metric has no business with a case: no repeat was scored, and one says so."""
    statuses = {result.scores[metric].status for result in results if metric in result.scores}
    return "ok" not in statuses and bool(statuses & OUTSIDE)


def value_of(metric: str, facts: MetricFacts, results: Sequence[Result]) -> float | None:
    """Give the mean over the repeats that were scored, or what most of them say; None if none was."""
    found = [result.scores[metric].value for result in results if metric in result.scores]
    values = [value for value in found if value is not None]
    if not values:
        return None
    mean = sum(values) / len(values)
    return float(mean > 0.5) if facts.kind == "binary" else mean


def why_missing(metric: str, results: Sequence[Result]) -> str:
    """Say why a case has no value."""
    for result in results:
        if result.answer.status != "ok":
            return f"{result.answer.status}: {result.answer.reason}"
        if metric in result.scores and result.scores[metric].value is None:
            return f"{result.scores[metric].status}: {result.scores[metric].reason}"
    return "no answer"
