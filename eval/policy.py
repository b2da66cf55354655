"""The gate's own settings: which metrics block, how large a drop is tolerated, how much must be measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from eval.errors import INCONCLUSIVE, OK, REGRESSION

Tier = Literal["critical", "supporting", "advisory"]
Verdict = Literal["PASS", "WARN", "INCONCLUSIVE", "BLOCK"]
OnInconclusive = Literal["fail", "warn", "pass"]
ORDER: tuple[Verdict, ...] = ("PASS", "WARN", "INCONCLUSIVE", "BLOCK")
"""From the best verdict to the worst."""

TIERS: Mapping[str, Tier] = {
    "expectation": "critical",
    "retrieval_hit": "critical",
    "abstention_correct": "critical",
    "token_f1": "supporting",
    "retrieval_recall": "supporting",
}
"""Tiers where the policy says nothing; any other metric is supporting, any unmeasured judge advisory."""


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What decides. Margins and the coverage floor are proportions: 0.05 is 5 points.

    `metrics` None compares all that both runs measured. `measured_judges` are judges whose TPR and TNR
    against people's labels are known: only they may block. Slices need `slice_cases` cases to be looked at.
    """

    alpha: float = 0.05
    margin: float = 0.05
    advisory_margin: float = 0.10
    margins: Mapping[str, float] = field(default_factory=dict)
    tiers: Mapping[str, Tier] = field(default_factory=dict)
    coverage_floor: float = 0.95
    on_inconclusive: OnInconclusive = "warn"
    metrics: tuple[str, ...] | None = None
    measured_judges: frozenset[str] = frozenset()
    critical_severities: frozenset[str] = frozenset({"P0"})
    slice_cases: int = 20

    def tier(self, metric: str, is_judge: bool) -> Tier:
        """Give a metric's tier; a judge that nobody measured is advisory whatever the settings say."""
        if is_judge and metric not in self.measured_judges:
            return "advisory"
        return self.tiers.get(metric, TIERS.get(metric, "supporting"))

    def margin_of(self, metric: str, tier: Tier) -> float:
        """Give the drop that a metric may have."""
        return self.margins.get(metric, self.advisory_margin if tier == "advisory" else self.margin)


def capped(verdict: Verdict, tier: Tier) -> Verdict:
    """Give what a verdict counts as in its tier."""
    if tier == "advisory":
        return "PASS" if verdict == "PASS" else "WARN"
    return "WARN" if tier == "supporting" and verdict == "INCONCLUSIVE" else verdict


def exit_code(verdict: Verdict, on_inconclusive: OnInconclusive) -> int:
    """Give the code a gate's command ends with."""
    if verdict == "BLOCK":
        return REGRESSION
    return INCONCLUSIVE if verdict == "INCONCLUSIVE" and on_inconclusive == "fail" else OK
