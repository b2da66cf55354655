"""The detector learns from the labels of this week and all before; what it learns serves from the next week on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import duckdb

from flywheel.golden import Roles, role_of
from flywheel.trace import week_of, week_start
from flywheel.warehouse import scores, traces
from flywheel.warehouse.draws import GoldLabel

if TYPE_CHECKING:
    from eval.metrics.groundedness import Detector

FEWEST_LABELS = 20
"""Below this the packaged weights stay: a refit would follow the noise."""


@dataclass(frozen=True, slots=True)
class Recalibration:
    """The detector that serves from `valid_from` on; `kept_for_gate` labels may never train it."""

    valid_from: str
    instrument: str
    trained_on: str
    labels: int
    kept_for_gate: int
    threshold: float
    has_learned: bool


def detector_for(db: duckdb.DuckDBPyConnection, week: str) -> "Detector":
    """Give the detector in force in a week: trained on labels of earlier weeks only, else the packaged one."""
    from eval.metrics.groundedness import Detector, packaged_detector

    content = scores.detector_in_force(db, week)
    return Detector.from_json(content) if content else packaged_detector()


ABOUT_SUPPORT = frozenset({None, "unsupported_claim", "contradiction", "missed_abstention"})
"""Failures that say that the passages do not support the answer; a wrong abstention or a retrieval miss does not."""


def tells_support(label: GoldLabel) -> bool:
    """Whether a label says if the passages support the answer."""
    return label.verdict == "pass" or (label.verdict == "fail" and label.failure_type in ABOUT_SUPPORT)


def spans_of(label: GoldLabel) -> tuple[tuple[int, int], ...] | None:
    """The unsupported parts of an answer: none of it where it passed, None where it failed and nobody marked any."""
    return () if label.verdict == "pass" else label.spans or None


def recalibrate(db: duckdb.DuckDBPyConnection, week: str, labels: Sequence[GoldLabel], roles: Roles) -> Recalibration:
    """Refit the packaged detector on the labels up to a week, and store it for the weeks after.

    Labels of groups whose golden cases are for the gate are left out: the gate must not judge with weights that
    saw its cases. So are labels on a revision that is no longer the trace's: its text may be another.
    """
    from eval.metrics.groundedness import packaged_detector
    from eval.metrics.groundedness_fit import LabelledAnswer, fit_detector

    current = traces.revisions(db, [label.trace_id for label in labels])
    judged = [label for label in labels if tells_support(label) and current.get(label.trace_id) == label.revision]
    samples = scores.read_samples_by_id(db, [label.trace_id for label in judged])
    usable = [label for label in judged if role_of(samples[label.trace_id].group, roles) != "gate"]
    detector = packaged_detector()
    has_learned = len(usable) >= FEWEST_LABELS
    if has_learned:
        answers = [
            LabelledAnswer(samples[label.trace_id], label.verdict == "pass", spans_of(label)) for label in usable
        ]
        detector = fit_detector(answers, detector, f"{len(usable)} labels of this workspace up to {week}")
    valid_from = week_of(week_start(week) + timedelta(days=7))
    scores.save_detector(db, valid_from, week, detector.instrument.id, len(usable), detector.to_json())
    return Recalibration(
        valid_from,
        detector.instrument.id,
        detector.trained_on,
        len(usable),
        len(judged) - len(usable),
        detector.threshold,
        has_learned,
    )
