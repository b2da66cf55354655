"""Weeks to report on: one before people label, one after, and one with nothing in it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from flywheel.report.facts import (
    AddedCase,
    DrawFacts,
    Exemplar,
    FileFacts,
    GateFacts,
    GateRow,
    GoldenFacts,
    IngestFacts,
    InstrumentFacts,
    LabelFacts,
    MapPoint,
    MetricFacts,
    ModeFacts,
    Rate,
    RatePart,
    RecalibrationFacts,
    SignalFacts,
    StratumFacts,
    Traffic,
    TriageFacts,
    WeekFacts,
    WeekRate,
)

DETECTOR = "groundedness@aaaaaaaaaaaa"


def make_rate(value: float, low: float, high: float) -> Rate:
    note = "the detector adds nothing"
    return Rate(value, low, high, 96, 504, "this week", "stratified PPI++", note, 100, 4, 0.178, 0.213, DETECTOR)


def make_mode(mode_id: str, title: str, state: str, size: int) -> ModeFacts:
    exemplar = Exemplar(f"trace-of-{mode_id}", "When does it end?", "After 30 days.", "the passage says 14 days")
    return ModeFacts(
        mode_id,
        title,
        state,
        size,
        "2026-W44",
        ("trial", "days"),
        (("unsupported_claim", size),),
        (exemplar, exemplar),
        (("prompt_version", "v3", 3.2, 31),),
        (("2026-W44", 7), ("2026-W45", size)),
        10,
        8,
        1,
        "mira",
    )


@pytest.fixture
def labelled_week() -> WeekFacts:
    rate = make_rate(0.184, 0.151, 0.22)
    return WeekFacts(
        "2026-W45",
        2,
        datetime(2026, 11, 11, 6, 12, tzinfo=UTC),
        Traffic(
            1511,
            504,
            1007,
            (("2026-11-02", 900, 600), ("2026-11-03", 611, 407)),
            (("small-model", 1511, 240),),
            (("v3", 1511, 240),),
            (("northwind", 1511, 240),),
            2310.0,
            8920.0,
        ),
        TriageFacts(
            250,
            240,
            504,
            (("unsupported_claim", 230), ("slow", 20)),
            (("P1", 230), ("P3", 20)),
            (("unsupported_claim", "P1", 230), ("slow", "P3", 20)),
            (("2026-W44", "slow", 11), ("2026-W45", "slow", 20)),
        ),
        InstrumentFacts(DETECTOR, "public answers", 0.41, 312, 0.87, RatePart(0.78, 0.61, 0.9, 26), None),
        IngestFacts((FileFacts("a.jsonl", 1520, 1511, 0, 0, 8, 1),), (("a.jsonl", 7, "$.user_input: Expected str"),)),
        SignalFacts(1511, 1007, 20, 3, 24, 19),
        (MetricFacts("groundedness", DETECTOR, 500, 4, 0.713, ("4 not_applicable: no passages",)),),
        (
            WeekRate("2026-W44", make_rate(0.172, 0.139, 0.212), 0.45, 490, DETECTOR),
            WeekRate("2026-W45", rate, 0.476, 504, DETECTOR),
        ),
        (make_mode("FM-0001", "Trial length", "ongoing", 41), make_mode("FM-0002", "Refunds", "regressed", 12)),
        (MapPoint(0.1, 0.2, "FM-0001", "trial"), MapPoint(1.0, 2.0, "FM-0002", "refund"), MapPoint(3.0, 3.0, None, "")),
        DrawFacts(
            "2026-W45-91ac", 7, (StratumFacts("1: 0.01-0.50", 400, 60, 58, 9), StratumFacts("2", 104, 40, 38, 20)), 6
        ),
        rate,
        LabelFacts(100, 96, 3, 1, 0, 3, 130.0, RatePart(0.71, 0.52, 0.86, 20), (("unsupported_claim", 19),)),
        GoldenFacts("g-91ac", 224, (("gate", 91),), (AddedCase("c-1", "When?", "gate", "failed"),), 3, 2),
        GateFacts(
            "BLOCK",
            "groundedness dropped 7.5 points",
            (
                GateRow("expectation", "all", 0.83, 0.82, -0.01, -0.04, 0.02, 0.41, "PASS"),
                GateRow("groundedness", "all", 0.82, 0.745, -0.075, -0.121, -0.029, 0.0008, "BLOCK"),
            ),
            report_path="gate/report.html",
        ),
        RecalibrationFacts("2026-W46", "groundedness@bbbbbbbbbbbb", "371 labels", 371, 37),
        ("label 12 more in Refunds to decide: flywheel annotate app",),
    )


@pytest.fixture
def flagged_week(labelled_week: WeekFacts) -> WeekFacts:
    before, now = labelled_week.history
    assert labelled_week.draw
    strata = tuple(replace(stratum, labelled=0, failed=0) for stratum in labelled_week.draw.strata)
    return replace(
        labelled_week,
        phase=1,
        rate=None,
        labels=None,
        golden=None,
        gate=None,
        recalibration=None,
        next_steps=(),
        history=(before, replace(now, rate=None)),
        draw=replace(labelled_week.draw, strata=strata),
        instrument=replace(labelled_week.instrument, tpr=None, auroc=None),
    )


@pytest.fixture
def empty_week() -> WeekFacts:
    return WeekFacts(
        "2026-W45",
        1,
        datetime(2026, 11, 9, tzinfo=UTC),
        Traffic(0, 0, 0),
        TriageFacts(0, 0, 0),
        InstrumentFacts(DETECTOR, "public answers", 0.41, 0),
    )
