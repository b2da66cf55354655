"""The gate: whether a candidate run is worse than its baseline, paired by case, with the honest third answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2
from statistics import NormalDist

import numpy as np

from eval.cases import GoldenCase
from eval.flips import CaseFlip, broken_critical_cases, find_flips
from eval.pairing import (
    ANSWERED,
    PairedMetric,
    PairedValue,
    pair_answered,
    pair_metric,
    pair_runs,
    refuse_missing,
    refuse_uncovered,
    shared_metrics,
    two_instruments,
)
from eval.policy import ORDER, GatePolicy, Tier, Verdict, capped
from eval.statistics.paired import PairedComparison, compare_binary, compare_continuous, holm
from eval.statistics.power import cases_to_decide, minimum_detectable_drop
from eval.suite import Run

ALL = "all"
USUAL_FLIP_RATE = 0.10
"""Share of cases taken to flip either way when asking what drop could be seen, unless more did."""


@dataclass(frozen=True, slots=True)
class RunLabel:
    """What a reader must know of a run; `note` is what the caller adds, such as who blessed it."""

    name: str
    pipeline: str
    dataset_version: str
    git_sha: str | None
    finished: str
    repeats: int
    cost_usd: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric on one slice of the cases. `difference` is candidate minus baseline with its interval.

    `verdict` is what the figures say, `counts_as` what that means in the metric's tier, and None where the
    slice is too small to pass even without a flip. `p_adjusted` is Holm's over all blocking comparisons and
    None for an advisory metric. `detectable_drop` is what these cases would find four times in five. An
    INCONCLUSIVE one would pass at `passes_at` cases or block at `blocks_at`, if they go on like these.
    """

    metric: str
    title: str
    slice: str
    tier: Tier
    margin: float
    n_cases: int
    n_expected: int
    n_groups: int
    baseline: float
    candidate: float
    difference: float
    low: float
    high: float
    p_worse: float
    p_better: float
    p_adjusted: float | None
    worse: int
    better: int
    method: str
    verdict: Verdict = "INCONCLUSIVE"
    counts_as: Verdict | None = None
    detectable_drop: float | None = None
    passes_at: int | None = None
    blocks_at: int | None = None


@dataclass(frozen=True, slots=True)
class WorstSlice:
    """The failure mode or type with the largest share of cases that got worse."""

    name: str
    worse: int
    n_cases: int


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict with all that led to it; comparisons stand in the order of the metrics, `all` before slices."""

    verdict: Verdict
    baseline: RunLabel
    candidate: RunLabel
    comparisons: tuple[Comparison, ...]
    flips: tuple[CaseFlip, ...]
    broken_critical_cases: tuple[str, ...]
    n_cases: int
    n_blocking: int
    missing: tuple[str, ...]
    out_of_scope: tuple[str, ...]
    worst_slice: WorstSlice | None
    notes: tuple[str, ...]

    @property
    def worse(self) -> int:
        """Count the cases that got worse on a blocking metric."""
        return sum(flip.is_worse for flip in self.flips)

    @property
    def better(self) -> int:
        """Count the cases that got better on a blocking metric and worse on none."""
        return len(self.flips) - self.worse


@dataclass(frozen=True, slots=True)
class Judged:
    """A comparison that waits for its adjusted p; `paired` is oriented so that a drop is negative."""

    metric: PairedMetric
    slice: str
    tier: Tier
    margin: float
    values: tuple[PairedValue, ...]
    paired: PairedComparison


def decide(baseline: Run, candidate: Run, policy: GatePolicy, rng: np.random.Generator) -> GateResult:
    """Compare two runs and give one verdict.

    That a case was answered at all is compared too, if the runs differ in it for any case: an answer that never
    came has no scores that could be worse. Where only advisory metrics scored a case the verdict is WARN at best.
    Raises UserError for runs that cannot be compared, OperationalError where too little was measured.
    """
    facts = shared_metrics(baseline, candidate, policy)
    runs = pair_runs(baseline, candidate)
    refuse_missing(runs, policy.coverage_floor)
    metrics = [pair_metric(name, fact, runs) for name, fact in facts.items()]
    tiers = {m.name: policy.tier(m.name, m.facts.is_judge) for m in metrics}
    refuse_uncovered(metrics, tiers, policy.coverage_floor)
    answered = pair_answered(runs)
    if any(value.baseline != value.candidate for value in answered.values):
        metrics.append(answered)
        tiers[ANSWERED] = policy.tiers.get(ANSWERED, "critical")
    judged = compare_all([m for m in metrics if m.values], tiers, policy, rng)
    comparisons = give_verdicts(judged, policy)
    blocking = [m for m in metrics if tiers[m.name] != "advisory"]
    flips = find_flips(blocking, runs)
    broken = broken_critical_cases([m for m in metrics if tiers[m.name] == "critical"], runs, policy)
    counted = [c.counts_as for c in comparisons if c.counts_as is not None]
    if not any(metric.values for metric in blocking if metric.name != ANSWERED):
        counted.append("WARN")
    verdict = max([*counted, "BLOCK"] if broken else counted, key=ORDER.index)
    return GateResult(
        verdict=verdict,
        baseline=label_of(baseline),
        candidate=label_of(candidate),
        comparisons=comparisons,
        flips=flips,
        broken_critical_cases=broken,
        n_cases=len(runs.cases),
        n_blocking=sum(c.p_adjusted is not None for c in comparisons),
        missing=runs.missing,
        out_of_scope=runs.out_of_scope,
        worst_slice=worst_slice(flips, runs.cases),
        notes=notes_on(metrics, comparisons, policy, baseline, candidate),
    )


def label_of(run: Run) -> RunLabel:
    """Take what names a run."""
    return RunLabel(run.name, run.pipeline, run.dataset_version, run.git_sha, run.finished, run.repeats, run.cost_usd)


def compare_all(
    metrics: Sequence[PairedMetric], tiers: dict[str, Tier], policy: GatePolicy, rng: np.random.Generator
) -> list[Judged]:
    """Compare each metric over all cases and over each slice that has enough of them."""
    planned = [
        (metric, name, values)
        for metric in metrics
        for name, values in slices_of(metric.values)
        if name == ALL or len(values) >= policy.slice_cases
    ]
    # The smallest p a resampling can give must survive Holm's factor.
    resamples = max(2000, int(8 * len(planned) / policy.alpha))
    return [
        Judged(
            metric,
            name,
            tier := tiers[metric.name],
            policy.margin_of(metric.name, tier),
            values,
            compare(metric, values, policy.alpha, resamples, rng),
        )
        for metric, name, values in planned
    ]


def slices_of(values: Sequence[PairedValue]) -> list[tuple[str, tuple[PairedValue, ...]]]:
    """Give all cases, then those of each failure type and failure mode."""
    found: dict[str, list[PairedValue]] = {}
    for value in values:
        for name in slice_names(value.case):
            found.setdefault(name, []).append(value)
    return [(ALL, tuple(values)), *((name, tuple(found[name])) for name in sorted(found))]


def slice_names(case: GoldenCase) -> list[str]:
    """Name the slices a case belongs to, each once."""
    return list(dict.fromkeys(name for name in (case.failure_type, case.mode_id) if name))


def compare(
    metric: PairedMetric, values: Sequence[PairedValue], alpha: float, resamples: int, rng: np.random.Generator
) -> PairedComparison:
    """Compare the values so that a drop is always for the worse."""
    groups = [value.case.group for value in values]
    flip = not metric.facts.higher_is_better
    old = [1 - value.baseline if flip else value.baseline for value in values]
    new = [1 - value.candidate if flip else value.candidate for value in values]
    if metric.facts.kind == "binary":
        return compare_binary(old, new, groups, 1 - alpha)
    if old == new:
        # A bootstrap of equal values would claim a difference of exactly 0. No case changed, by however
        # little, so the share of cases that change bounds the mean, as values lie between 0 and 1.
        return compare_binary([1.0] * len(old), [1.0] * len(new), groups, 1 - alpha)
    if len({group or value.case.case_id for group, value in zip(groups, values, strict=True)}) < 2:
        return one_group(old, new)
    return compare_continuous(old, new, groups, rng, resamples, 1 - alpha)


def one_group(old: Sequence[float], new: Sequence[float]) -> PairedComparison:
    """Say nothing but the difference: how groups vary cannot be seen in one of them."""
    changes = [after - before for before, after in zip(old, new, strict=True)]
    worse, better = sum(change < 0 for change in changes), sum(change > 0 for change in changes)
    difference = sum(changes) / len(changes)
    return PairedComparison(difference, -1.0, 1.0, 1.0, 1.0, len(old), 1, worse, better, "one group: no interval")


def give_verdicts(judged: Sequence[Judged], policy: GatePolicy) -> tuple[Comparison, ...]:
    """Adjust p over all comparisons that may block, then apply the verdict rule to each."""
    blocking = [place for place, one in enumerate(judged) if one.tier != "advisory"]
    adjusted = dict(zip(blocking, holm([judged[place].paired.p_worse for place in blocking]), strict=True))
    return tuple(conclude(one, adjusted.get(place), len(blocking), policy) for place, one in enumerate(judged))


def conclude(one: Judged, p_adjusted: float | None, n_blocking: int, policy: GatePolicy) -> Comparison:
    """Give one comparison its verdict, and say what its cases could show."""
    paired = one.paired
    verdict = verdict_of(paired, paired.p_worse if p_adjusted is None else p_adjusted, one.margin, policy.alpha)
    counts = one.slice == ALL or verdict != "INCONCLUSIVE" or can_pass(one, policy.alpha)
    up = one.metric.facts.higher_is_better
    passes_at, blocks_at = None, None
    if verdict == "INCONCLUSIVE":
        decided = cases_to_decide(paired, one.margin)
        passes_at, blocks_at = decided.to_pass, decided.to_block
    if blocks_at is not None:
        # The interval is not adjusted but the p that blocks is, so it takes more cases than the interval says.
        strictness = 1 if p_adjusted is None else holm_factor(n_blocking, policy.alpha)
        blocks_at = max(ceil(blocks_at * strictness), paired.n_cases + 1)
    return Comparison(
        metric=one.metric.name,
        title=one.metric.facts.title,
        slice=one.slice,
        tier=one.tier,
        margin=one.margin,
        n_cases=paired.n_cases,
        n_expected=one.metric.n_expected if one.slice == ALL else paired.n_cases,
        n_groups=paired.n_groups,
        baseline=float(np.mean([value.baseline for value in one.values])),
        candidate=float(np.mean([value.candidate for value in one.values])),
        difference=paired.difference if up else -paired.difference,
        low=paired.low if up else -paired.high,
        high=paired.high if up else -paired.low,
        p_worse=paired.p_worse,
        p_better=paired.p_better,
        p_adjusted=p_adjusted,
        worse=paired.worse,
        better=paired.better,
        method=paired.method,
        verdict=verdict,
        counts_as=capped(verdict, one.tier) if counts else None,
        detectable_drop=detectable_drop(one, n_blocking, policy.alpha),
        passes_at=passes_at,
        blocks_at=blocks_at,
    )


def holm_factor(n_blocking: int, alpha: float) -> float:
    """How many times the cases it takes to reject at the first of Holm's steps instead of unadjusted."""
    normal = NormalDist()
    return (normal.inv_cdf(alpha / 2 / n_blocking) / normal.inv_cdf(alpha / 2)) ** 2


def detectable_drop(one: Judged, n_blocking: int, alpha: float) -> float | None:
    """The drop that these cases would find four times in five, None for a metric that is not pass or fail."""
    if one.metric.facts.kind != "binary":
        return None
    flip_rate = max(USUAL_FLIP_RATE, (one.paired.worse + one.paired.better) / one.paired.n_cases)
    return minimum_detectable_drop(one.paired.n_groups, flip_rate, alpha / 2 / max(n_blocking, 1))


def verdict_of(paired: PairedComparison, p: float, margin: float, alpha: float) -> Verdict:
    """Apply the verdict rule, in its order: BLOCK, PASS or WARN, otherwise INCONCLUSIVE."""
    if p < alpha / 2 and -paired.difference > margin:
        return "BLOCK"
    if paired.low > -margin:
        return "WARN" if paired.high < 0 else "PASS"
    return "INCONCLUSIVE"


def can_pass(one: Judged, alpha: float) -> bool:
    """Say whether the slice would pass if no case had flipped."""
    if one.margin <= 0:
        return False
    same = [1.0] * len(one.values)
    return compare_binary(same, same, [value.case.group for value in one.values], 1 - alpha).low > -one.margin


def can_block(comparison: Comparison, n_blocking: int, alpha: float) -> bool:
    """Say whether the comparison would block if every case got worse: p is then at least 1 / 2^groups."""
    return n_blocking * 0.5**comparison.n_groups < alpha / 2


def worst_slice(flips: Sequence[CaseFlip], cases: Sequence[GoldenCase]) -> WorstSlice | None:
    """Give the slice with the largest share of cases that got worse, None if no such case is in a slice."""
    sizes: dict[str, list[int]] = {}
    worse = {flip.case_id for flip in flips if flip.is_worse}
    for case in cases:
        for name in slice_names(case):
            count = sizes.setdefault(name, [0, 0])
            count[0] += case.case_id in worse
            count[1] += 1
    found = [WorstSlice(name, *count) for name, count in sizes.items() if count[0]]
    return max(found, key=lambda s: (s.worse / s.n_cases, s.worse, s.name), default=None)


def notes_on(
    metrics: Sequence[PairedMetric],
    comparisons: Sequence[Comparison],
    policy: GatePolicy,
    baseline: Run,
    candidate: Run,
) -> tuple[str, ...]:
    """Say what limits the verdict, in sentences."""
    notes = []
    blocking = [c for c in comparisons if c.p_adjusted is not None]
    if all(c.metric == ANSWERED for c in blocking):
        notes.append(
            "no metric that may block scored a case: a judge only warns until labels show its TPR and TNR; "
            "give the golden cases references or expectations"
        )
    found = [c for c in blocking if c.slice == ALL and c.detectable_drop is not None]
    if found:
        drops = ", ".join(f"{c.metric} {100 * (c.detectable_drop or 0):.1f}" for c in found)
        notes.append(f"drops that would be found four times in five, in points: {drops}")
    for one in blocking:
        if one.slice == ALL and not can_block(one, len(blocking), policy.alpha):
            needed = ceil(log2(2 * len(blocking) / policy.alpha)) + 1
            notes.append(
                f"{one.metric}: {one.n_groups} independent cases cannot block, however large the drop; "
                f"it takes {needed} that all got worse"
            )
    small = sum(one.counts_as is None for one in comparisons)
    if small:
        notes.append(f"{small} slices are too small to pass even without a flip; they can only block")
    for metric in metrics:
        if not metric.n_expected:
            notes.append(f"{metric.name} applies to no case")
        elif len(metric.values) < metric.n_expected:
            notes.append(f"{metric.name} scored {len(metric.values)} of {metric.n_expected} cases: {metric.reason}")
    for name in baseline.metrics.keys() & candidate.metrics.keys() - {metric.name for metric in metrics}:
        if two_instruments(name, baseline, candidate):
            notes.append(f"{name} is left out: two instruments measured it")
    if baseline.dataset_version != candidate.dataset_version:
        notes.append(
            f"the golden versions differ ({baseline.dataset_version}, {candidate.dataset_version}), "
            "but not in the cases that were asked"
        )
    return tuple(notes)
