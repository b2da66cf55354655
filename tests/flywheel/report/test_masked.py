from dataclasses import fields, is_dataclass, replace
from typing import get_type_hints

from flywheel.governance.masking import mask_of
from flywheel.report import facts
from flywheel.report.facts import (
    AddedCase,
    Exemplar,
    FileFacts,
    GateFacts,
    GoldenFacts,
    IngestFacts,
    MapPoint,
    MetricFacts,
    ModeFacts,
)
from flywheel.report.masked import TEXTS, mask_facts
from flywheel.settings import Governance

EMAIL = "maria.keller@example.com"
MASK = mask_of(Governance())
OUR_OWN = {
    facts.Rate: {"estimand", "method", "note", "instrument"},
    facts.WeekRate: {"week", "instrument"},
    facts.Traffic: {"by_day"},
    facts.TriageFacts: {"by_type", "by_severity", "by_type_and_severity", "by_week"},
    facts.MetricFacts: {"metric", "instrument"},
    facts.InstrumentFacts: {"id", "trained_on"},
    facts.Exemplar: {"trace_id"},
    facts.ModeFacts: {"mode_id", "state", "first_week", "failure_types", "sizes_by_week"},
    facts.MapPoint: {"mode_id"},
    facts.StratumFacts: {"name"},
    facts.DrawFacts: {"draw_id"},
    facts.LabelFacts: {"failure_types"},
    facts.AddedCase: {"case_id", "role", "why"},
    facts.GoldenFacts: {"version", "by_role"},
    facts.GateRow: {"metric", "verdict"},
    facts.GateFacts: {"verdict", "report_path"},
    facts.RecalibrationFacts: {"valid_from", "instrument", "trained_on"},
    facts.WeekFacts: {"week", "phase", "instrument", "next_steps"},
}
"""Fields with strings that nobody outside wrote: names, weeks, states, words of ours."""


def test_every_field_of_a_report_is_masked_or_known_to_be_our_own_words():
    undecided = []
    for record in vars(facts).values():
        if not (isinstance(record, type) and is_dataclass(record)):
            continue
        hints = get_type_hints(record)
        for field in fields(record):
            has_text = "str" in str(hints[field.name]) or "Literal" in str(hints[field.name])
            is_decided = field.name in TEXTS.get(record, ()) or field.name in OUR_OWN.get(record, ())
            if has_text and not is_decided:
                undecided.append(f"{record.__name__}.{field.name}")
    assert undecided == []


def test_what_traces_and_people_wrote_is_masked(labelled_week):
    mode = ModeFacts(
        "FM-1", f"mode {EMAIL}", "new", 3, "2026-W45", (EMAIL,), (), (Exemplar("t1", EMAIL, EMAIL, EMAIL),),
        (("tenant", EMAIL, 2.0, 3),), owner=EMAIL,
    )  # fmt: skip
    week = replace(
        labelled_week,
        ingest=IngestFacts((FileFacts(f"{EMAIL}.jsonl", 1, 1, 0, 0, 0, 0),), ((f"{EMAIL}.jsonl", 1, f"no {EMAIL}"),)),
        traffic=replace(labelled_week.traffic, by_tenant=((EMAIL, 1, 0),), by_model=((EMAIL, 1, 0),)),
        metrics=(MetricFacts("m", "m@1", 1, 1, 0.5, (f"1 error: {EMAIL}",)),),
        modes=(mode,),
        map_points=(MapPoint(0.0, 0.0, None, EMAIL),),
        golden=GoldenFacts("g-1", 1, (), (AddedCase("c-1", EMAIL, "gate", "contradiction"),)),
        gate=GateFacts("PASS", f"ok {EMAIL}", (), EMAIL),
    )
    assert str(week).count(EMAIL) == 17
    assert EMAIL not in str(mask_facts(week, MASK))


def test_facts_without_personal_data_stay_as_they_are(labelled_week):
    assert mask_facts(labelled_week, MASK) == labelled_week
