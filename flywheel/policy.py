"""The gate's policy, as the settings have it."""

from eval.policy import GatePolicy, OnInconclusive
from flywheel.settings import Gate


def policy_of(
    settings: Gate, on_inconclusive: OnInconclusive | None = None, measured_judges: frozenset[str] = frozenset()
) -> GatePolicy:
    """Make the policy; `measured_judges` are those whose TPR and TNR labels have shown, and which may block."""
    return GatePolicy(
        alpha=settings.alpha,
        margin=settings.margin,
        margins=settings.margins,
        tiers=settings.tiers,
        coverage_floor=settings.coverage_floor,
        on_inconclusive=on_inconclusive or settings.on_inconclusive,
        metrics=settings.metrics,
        measured_judges=measured_judges,
    )
