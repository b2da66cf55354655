"""The detector learns from the labels of this week and all before; what it learns serves from the next week on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import duckdb

from eval.cases import GoldenCase
from flywheel.firewall import Roles, gate_side, role_of
from flywheel.governance.masking import Mask, mask_by_default
from flywheel.trace import week_of, week_start
from flywheel.warehouse import draws, scores, traces
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
    """Give a week's detector: the one its draw was frozen with, before that the newest that serves it.

    It was trained on labels of earlier weeks only; where there is none it is the packaged one.
    """
    from eval.metrics.groundedness import Detector, packaged_detector

    frozen = draws.find_draw(db, week)
    packaged = packaged_detector()
    if frozen and frozen.instrument == packaged.instrument.id:
        return packaged
    content = scores.find_detector(db, frozen.instrument) if frozen else None
    content = content or scores.detector_in_force(db, week)
    return Detector.from_json(content) if content else packaged


ABOUT_SUPPORT = frozenset({None, "unsupported_claim", "contradiction", "missed_abstention"})
"""Failures that say that the passages do not support the answer; a wrong abstention or a retrieval miss does not."""


def tells_support(label: GoldLabel) -> bool:
    """Whether a label says if the passages support the answer."""
    return label.verdict == "pass" or (label.verdict == "fail" and label.failure_type in ABOUT_SUPPORT)


def spans_of(label: GoldLabel) -> tuple[tuple[int, int], ...] | None:
    """The unsupported parts of an answer: none of it where it passed, None where it failed and nobody marked any."""
    return () if label.verdict == "pass" else label.spans or None


def recalibrate(
    db: duckdb.DuckDBPyConnection,
    week: str,
    labels: Sequence[GoldLabel],
    roles: Roles,
    cases: Sequence[GoldenCase] = (),
    mask: Mask = mask_by_default,
) -> Recalibration:
    """Refit the packaged detector on the labels up to a week, and store it for the weeks after.

    Only labels of groups with the role train are used, and none that touches the gate: its cases (`cases` is the golden
    dataset) or labelled traces that may become some, by group or by text. Nor is a label on a revision that is no
    longer the trace's: its text may be another. It learns from the texts as they are in the warehouse: spans that
    people marked in masked texts mean the same places there.
    """
    from eval.metrics.groundedness import packaged_detector
    from eval.metrics.groundedness_fit import LabelledAnswer, fit_detector

    current = traces.revisions(db, [label.trace_id for label in labels])
    judged = [label for label in labels if tells_support(label) and current.get(label.trace_id) == label.revision]
    samples = scores.read_samples_by_id(db, [label.trace_id for label in judged])
    gate = gate_side(cases, samples.values(), roles, mask)
    usable = [
        label
        for label in judged
        if role_of(samples[label.trace_id].group, roles) == "train" and not gate.holds(samples[label.trace_id])
    ]
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
