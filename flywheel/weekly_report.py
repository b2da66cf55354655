"""Puts together what the weekly report says, out of the warehouse, and writes it."""

import json
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Literal, TypeVar

from eval.errors import UserError
from flywheel.governance.masking import Mask, mask_of
from flywheel.labels import queue
from flywheel.quality import detector_shares
from flywheel.recalibrate import detector_for
from flywheel.report import write_report
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
from flywheel.report.masked import mask_facts
from flywheel.warehouse import draws, figures, modes, traces
from flywheel.warehouse.steps import finished_step
from flywheel.week import Job, open_job
from flywheel.workspace import Workspace

Record = TypeVar("Record")
MODES_WITH_EXEMPLARS = 24
EXEMPLARS = 3


def write_week_report(job: Job, phase: Literal[1, 2]) -> Path:
    """Write the report of a week as it stands after a phase; give the page's path."""
    folder = job.workspace.report(job.week)
    figures.export_traces(job.db, job.week, folder / "traces.parquet", mask_of(job.workspace.settings.governance))
    return write_report(gather(job, phase), folder).html


def rewrite_report(workspace: Workspace, week: str) -> Path:
    """Write a week's report again, as far as the week has come."""
    with open_job(workspace, week) as job:
        if finished_step(job.db, week, 1, "enqueue") is None:
            raise UserError(f"{week} has no report yet; run phase 1 first: flywheel run --week {week}")
        return write_week_report(job, 2 if finished_step(job.db, week, 2, "gate") else 1)


def gather(job: Job, phase: Literal[1, 2]) -> WeekFacts:
    """Collect a week's facts, personal data in them masked."""
    db, week = job.db, job.week
    is_second = phase == 2
    gate = gate_facts(job) if is_second else None
    mask = mask_of(job.workspace.settings.governance)
    gathered = WeekFacts(
        week=week,
        phase=phase,
        written_at=datetime.now(UTC),
        traffic=traffic(job),
        triage=triage_facts(job),
        instrument=instrument_facts(job, is_second),
        ingest=IngestFacts(tuple(FileFacts(*row) for row in figures.files(db)), tuple(figures.rejected(db))),
        signals=record(SignalFacts, step(job, 1, "signals")),
        metrics=tuple(metric_facts(told) for told in step(job, 1, "score")["metrics"]),
        history=history(job, is_second),
        modes=mode_facts(job, mask),
        map_points=tuple(MapPoint(*row) for row in figures.map_points(db, week)),
        draw=draw_facts(job),
        rate=rates(job).get(week) if is_second else None,
        process=rates(job, "the process").get(week) if is_second else None,
        labels=label_facts(job) if is_second else None,
        golden=golden_facts(job) if is_second else None,
        gate=gate,
        recalibration=record(RecalibrationFacts, step(job, 2, "recalibrate")) if is_second else None,
        next_steps=next_steps(job, gate),
    )
    return mask_facts(gathered, mask)


def step(job: Job, phase: int, name: str) -> dict[str, Any]:
    """What a step of the week said in figures."""
    found = finished_step(job.db, job.week, phase, name)
    return found.summary["figures"] if found else {}


def record(kind: type[Record], told: dict[str, Any]) -> Record:
    """Make a record of the figures that it has fields for."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in told.items() if name in names})


def traffic(job: Job) -> Traffic:
    """The week's traces by day and attribute."""
    total, ok = traces.count_traces(job.db, job.week)
    models, versions, tenants = (figures.by_attribute(job.db, job.week, name) for name in figures.ATTRIBUTES)
    p50, p95 = figures.latency(job.db, job.week)
    return Traffic(total, ok, total - ok, figures.by_day(job.db, job.week), models, versions, tenants, p50, p95)


def triage_facts(job: Job) -> TriageFacts:
    """What is flagged."""
    told = step(job, 1, "triage")
    pairs = figures.flagged_by_type_and_severity(job.db, job.week)
    severities = {severity: 0 for _, severity, _ in sorted(pairs, key=lambda pair: pair[1])}
    for _, severity, count in pairs:
        severities[severity] += count
    return TriageFacts(
        told["flagged"],
        told["ok_flagged"],
        told["ok"],
        tuple((name, count) for name, count in told["by_type"]),
        tuple(severities.items()),
        pairs,
        figures.flagged_by_week(job.db, job.week),
    )


def metric_facts(told: dict[str, Any]) -> MetricFacts:
    """What a metric could say of the week."""
    return record(MetricFacts, {**told, "reasons": tuple(told["reasons"])})


def instrument_facts(job: Job, has_labels: bool) -> InstrumentFacts:
    """The detector of the week; beside people's verdicts where there are some on sources that it has never seen."""
    detector = detector_for(job.db, job.week)
    threshold = step(job, 1, "triage")["threshold"]
    tpr, tnr, _ = detector_shares(job) if has_labels else (None, None, 0)
    parts = [RatePart(part.value, part.low, part.high, part.n) if part else None for part in (tpr, tnr)]
    return InstrumentFacts(detector.instrument.id, detector.trained_on, threshold, 0, None, *parts)


def rates(job: Job, estimand: str = "this week") -> dict[str, Rate]:
    """Every week's estimated rate up to this week."""
    return {told["week"]: record(Rate, told) for told in draws.estimates(job.db, job.week, estimand)}


def history(job: Job, has_rate: bool) -> tuple[WeekRate, ...]:
    """The weeks up to this one, oldest first; this week's rate only once people labelled it."""
    known, processes = rates(job), rates(job, "the process")
    return tuple(
        WeekRate(
            week,
            known.get(week) if has_rate or week != job.week else None,
            flagged / ok if ok else None,
            ok,
            instrument,
            processes.get(week) if has_rate or week != job.week else None,
        )
        for week, ok, flagged, instrument in figures.flagged_shares(job.db, job.week)
    )


def mode_facts(job: Job, mask: Mask) -> tuple[ModeFacts, ...]:
    """The week's failure modes, the largest first."""
    found = modes.modes_of_week(job.db, job.week)
    sizes = modes.sizes_by_week(job.db, job.week)
    labels = figures.labels_by_mode(job.db, job.week)
    shown = [one for mode in found[:MODES_WITH_EXEMPLARS] for one in mode["exemplars"][:EXEMPLARS]]
    told = figures.exemplars(job.db, shown, mask)
    return tuple(
        ModeFacts(
            mode["mode_id"],
            mode["title"],
            mode["state"],
            mode["size"],
            mode["first_week"],
            tuple(mode["terms"]),
            tuple(sorted(json.loads(mode["failure_types"]).items(), key=lambda pair: (-pair[1], pair[0]))),
            tuple(Exemplar(one, *told[one]) for one in mode["exemplars"][:EXEMPLARS] if one in told),
            tuple((name, value, lift, count) for name, value, lift, count in json.loads(mode["over_represented"])),
            tuple(sizes[mode["mode_id"]]),
            *labels.get(mode["mode_id"], (0, 0)),
        )
        for mode in found
    )


def draw_facts(job: Job) -> DrawFacts | None:
    """The week's draw, and how far people are with each stratum."""
    frozen = draws.find_draw(job.db, job.week)
    if frozen is None:
        return None
    labels = figures.labels_by_stratum(job.db, job.week)
    strata = tuple(
        StratumFacts(s["name"], s["size"], s["allocated"], *labels.get(s["name"], (0, 0))) for s in frozen.strata
    )
    return DrawFacts(frozen.draw_id, frozen.seed, strata, len(draws.purposive(job.db, frozen.draw_id)))


def label_facts(job: Job) -> LabelFacts:
    """How far the draw is labelled, and what people named."""
    told = step(job, 2, "collect")
    labels = queue.current_labels(job.labels, job.week, told["last_event"])
    seconds = [(label.submitted_at - label.started_at).total_seconds() for label in labels if label.started_at]
    return record(
        LabelFacts,
        {
            **told,
            "median_seconds": median(seconds) if seconds else None,
            "failure_types": figures.failure_types(job.db, job.week),
        },
    )


def golden_facts(job: Job) -> GoldenFacts:
    """How the golden dataset grew."""
    from eval.cases import read_dataset

    told = step(job, 2, "grow")
    dataset = read_dataset(job.workspace.golden_dataset)
    roles = tuple((role, sum(case.role == role for case in dataset.cases)) for role in ("train", "dev", "gate"))
    added = tuple(
        AddedCase(case.case_id, case.user_input, case.role, (case.failure_type or "failure").replace("_", " "))
        for case in dataset.cases
        if case.added_in == job.week
    )
    return GoldenFacts(dataset.version, len(dataset.cases), roles, added, told["repeated"])


def gate_facts(job: Job) -> GateFacts:
    """What the gate said."""
    told = step(job, 2, "gate")
    rows = tuple(
        GateRow(
            row["title"], row["slice"], row["baseline"], row["candidate"], row["difference"], row["low"], row["high"],
            row["p_worse"], row["verdict"],
        )
        for row in told.get("rows", ())
    )  # fmt: skip
    path = "gate/report.html" if told.get("verdict") else None
    return GateFacts(told.get("verdict"), told.get("headline", ""), rows, told.get("note", ""), path)


def next_steps(job: Job, gate: GateFacts | None) -> tuple[str, ...]:
    """What to do next, as commands."""
    week = job.week
    if gate is None:
        return (
            "label the queue: flywheel annotate app",
            f"then estimate and gate: flywheel run --week {week} --continue",
        )
    steps = []
    told = step(job, 2, "collect")
    waiting = told["open"] + told["deferred"] + told["disagreed"]
    if waiting:
        steps.append(f"{waiting} drawn traces have no verdict yet, label them: flywheel annotate app")
    if gate.note.startswith("no baseline"):
        steps.append(
            f"make this run the baseline: flywheel baseline bless runs/{step(job, 2, 'suite')['run']} --by NAME"
        )
    steps.append("look at the golden dataset: flywheel golden stats")
    return tuple(steps)
