"""The detector beside people's verdicts: which share of failures it flags, which share of passes it leaves alone."""

from collections.abc import Sequence

from eval.statistics.intervals import Rate, wilson_interval
from flywheel.recalibrate import detector_for
from flywheel.warehouse import figures
from flywheel.warehouse.steps import finished_step
from flywheel.week import Job


def detector_shares(job: Job) -> tuple[Rate | None, Rate | None, int]:
    """Give TPR, TNR and the number of labels they stand on: this week's random labels on sources it never saw.

    The predictions are those frozen with the draw, the threshold is that of this week's triage.
    """
    triage = finished_step(job.db, job.week, 1, "triage")
    assert triage is not None, "phase 1 comes first"
    threshold = float(triage.summary["figures"]["threshold"])
    seen = detector_for(job.db, job.week).training_groups
    judged = [row for row in figures.judged_predictions(job.db, job.week) if row[0] not in seen]
    flagged = [(weight, p >= threshold) for _, p, fails, weight in judged if fails]
    passed = [(weight, p < threshold) for _, p, fails, weight in judged if not fails]
    return share(flagged), share(passed), len(judged)


def share(weighted: Sequence[tuple[float, bool]]) -> Rate | None:
    """Give a share from a stratified draw, each label weighted by how many traces it stands for.

    The interval is Wilson's at Kish's effective size, (sum w)^2 / sum w^2. None where there is nothing.
    """
    if not weighted:
        return None
    total = sum(weight for weight, _ in weighted)
    value = sum(weight for weight, hit in weighted if hit) / total
    effective = total**2 / sum(weight**2 for weight, _ in weighted)
    interval = wilson_interval(value * effective, effective)
    return Rate(value, interval.low, interval.high, len(weighted))
