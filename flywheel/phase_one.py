"""Phase 1 of a week: from trace files to a label queue and a first report."""

from dataclasses import asdict
from typing import Final

from eval.errors import OperationalError
from flywheel import ingest as ingestion
from flywheel.enqueue import build_tasks
from flywheel.governance.masking import mask_of
from flywheel.labels import draws as label_draws
from flywheel.plan import draw_week
from flywheel.recalibrate import detector_for
from flywheel.scoring import score_week
from flywheel.signals import add_signals, disliked_in_export
from flywheel.trace import week_title
from flywheel.triage import triage_week
from flywheel.under_test import chosen_metrics
from flywheel.warehouse import draws, modes, spans, traces
from flywheel.week import (
    Event,
    Job,
    Listener,
    Said,
    Step,
    in_workspace,
    open_job,
    run_steps,
    settings_of,
    write_status,
)
from flywheel.workspace import Workspace

PHASE: Final = 1
ORDINAL_STATES = ("new", "ongoing", "regressed", "resolved")


def run_phase_one(workspace: Workspace, week: str, listen: Listener, until: str | None = None) -> None:
    """Do phase 1 of a week, up to and with the step `until`."""
    with open_job(workspace, week) as job:
        take_in(job, listen)
        inputs = inputs_of(job)
        run_steps(Job(workspace, week, job.db, job.labels, inputs, job.tell), PHASE, STEPS, listen, until)


def take_in(job: Job, listen: Listener) -> None:
    """Ingest what landed, file by file; a week without a single trace is an error."""
    import time

    started = time.perf_counter()
    listen(Event("ingest", "start"))
    write_status(job.workspace, job.week, PHASE, "ingest", 0, len(STEPS))
    folder = job.workspace.traces
    files = ingestion.trace_files([folder]) if folder.exists() else []
    how = ingestion.how_to(job.workspace.settings, folder / ingestion.QUARANTINE)
    counted = ingestion.ingest(job.db, files, how)
    total, _ = traces.count_traces(job.db, job.week)
    if not total:
        there = traces.weeks(job.db)
        held = f"the warehouse holds {there[0]} to {there[-1]}" if there else f"put trace files into {folder}"
        raise OperationalError(f"{job.week} holds no traces; {held}, or name another week with --week")
    new = [one for one in counted if not one.was_known and one.failure is None]
    lines = sum(one.count.lines for one in new)
    rejected = sum(one.count.rejected for one in new)
    text = f"{total} traces in {week_title(job.week)}; {lines} new records in {len(new)} files, {rejected} rejected"
    text += "".join(f"; not taken: {one.failure}" for one in counted if one.failure)
    listen(Event("ingest", "done", text, time.perf_counter() - started))


def inputs_of(job: Job) -> str:
    """What phase 1 reads: the week's traces, and the detector in force."""
    return f"{traces.week_fingerprint(job.db, job.week)} {detector_for(job.db, job.week).instrument.id}"


def signals(job: Job) -> Said:
    """Cheap signals of every trace."""
    count = add_signals(job.db, job.week, job.workspace.settings.triage)
    rare = {
        "with an injected instruction": count.injections,
        "with a number of a person in the answer": count.pii_leaks,
        "whose passages the export left out": count.contexts_missing,
        "disliked in the tool that they came from": count.disliked_in_export,
    }
    said = [
        f"{count.errors} errors, {count.slow} slow, {count.empty_retrieval} with nothing retrieved, "
        f"{count.abstentions} abstained, {count.negative_feedback} disliked",
        *(f"{number} {name}" for name, number in rare.items() if number),
    ]
    return Said(", ".join(said), asdict(count))


def score(job: Job) -> Said:
    """Metrics over every answer."""
    detector = detector_for(job.db, job.week)
    metrics = chosen_metrics(job.workspace, job.workspace.settings.scoring.metrics)
    counted = score_week(job.db, job.week, metrics, detector)
    said = ", ".join(f"{m.metric} {m.scored} of {m.scored + m.unscored}" for m in counted)
    reasons = [reason for m in counted for reason in m.reasons]
    return Said(said + (f" ({'; '.join(reasons)})" if reasons else ""), {"metrics": [asdict(m) for m in counted]})


def triage(job: Job) -> Said:
    """Which traces look failed."""
    settings = job.workspace.settings.triage
    threshold = settings.unsupported_from
    if threshold is None:
        threshold = detector_for(job.db, job.week).threshold
    count = triage_week(job.db, job.week, settings, threshold)
    errors = count.flagged - count.ok_flagged
    share = f"{count.flagged_share:.1%}" if count.flagged_share is not None else "none"
    figures = {**asdict(count), "flagged_share": count.flagged_share, "threshold": threshold}
    said = f"{count.ok_flagged} of {count.ok} ok traces flagged ({share}; unlabelled, no interval)"
    return Said(said + (f"; {errors} errors besides" if errors else ""), figures)


def group_modes(job: Job) -> Said:
    """Failing traces into failure modes, matched to those of earlier weeks."""
    from eval.embedding import load_embedder
    from flywheel.modes import find_modes

    settings = job.workspace.settings.modes
    failures = modes.read_failures(job.db, job.week, mask_of(job.workspace.settings.governance))
    found = find_modes(
        failures,
        modes.known_modes(job.db, job.week),
        job.week,
        load_embedder(),
        min_size=settings.min_size,
        match=settings.match,
        seed=0,
        resolved_weeks=settings.resolved_weeks,
        fit_rows=settings.fit_rows,
        taken_ids=modes.ids_of_other_weeks(job.db, job.week),
    )
    modes.replace_modes(job.db, found, job.week)
    states = {state: sum(mode.state == state for mode in found.modes) for state in ORDINAL_STATES}
    said = ", ".join(f"{count} {state}" for state, count in states.items() if count) or "none"
    apart = sum(member.mode_id is None for member in found.members)
    return Said(f"{said}; {apart} of {len(found.members)} flagged traces stand alone", {**states, "alone": apart})


def plan(job: Job) -> Said:
    """Draw what to label. A draw whose tasks people already have stays as it is."""
    settings = job.workspace.settings.plan
    if label_draws.find_draw(job.labels, job.week) and (frozen := draws.find_draw(job.db, job.week)):
        known = {row.trace_id for row in draws.population(job.db, frozen.draw_id)}
        late = sum(c.trace_id not in known for c in draws.candidates(job.db, job.week))
        said = f"the draw {frozen.draw_id} stands" + (f"; {late} traces came too late for it" if late else "")
        return Said(said, {"draw_id": frozen.draw_id, "late": late, "planned_half_width": planned_half_width(job)})
    population = draws.candidates(job.db, job.week)
    if not population:
        raise OperationalError(
            f"{job.week} holds no trace that answered, so there is nothing to label; look at the errors"
        )
    planned = draw_week(job.week, population, settings.labels, settings.score_bins, settings.floor)
    drawn = {one.candidate.trace_id for one in planned.tasks}
    instrument = detector_for(job.db, job.week).instrument.id
    draws.freeze_draw(job.db, job.week, planned, instrument, choose_exemplars(job, settings.exemplars, drawn))
    width = planned_half_width(job)
    said = f"{len(drawn)} of {len(population)} traces drawn in {len(planned.strata)} strata"
    said += f"; expected interval ±{width * 100:.1f} points" if width else ""
    return Said(said, {"draw_id": planned.draw_id, "drawn": len(drawn), "late": 0, "planned_half_width": width})


def planned_half_width(job: Job) -> float | None:
    """The half width that the week's draw should buy, a proportion; None where a stratum gets no label."""
    from eval.statistics.power import PlannedStratum, expected_half_width
    from flywheel.estimate import by_stratum, prediction

    frozen = draws.find_draw(job.db, job.week)
    if frozen is None:
        return None
    allocated = {stratum["name"]: stratum["allocated"] for stratum in frozen.strata}
    if 0 in allocated.values():
        return None
    strata = by_stratum(draws.population(job.db, frozen.draw_id))
    planned = [PlannedStratum(len(rows), sum(map(prediction, rows)) / len(rows)) for rows in strata.values()]
    return expected_half_width(planned, [allocated[name] for name in strata])


def choose_exemplars(job: Job, most: int, drawn: set[str]) -> list[tuple[str, int, str]]:
    """Pick an exemplar of each of the largest modes, beside the draw and outside every rate.

    It is the first that a person disliked in the tool that it came from, else the first.
    """
    chosen: list[tuple[str, int, str]] = []
    disliked = disliked_in_export(job.db, job.week)
    revisions = dict(traces.rows(job.db, job.week, "trace_id", "revision"))
    for mode in modes.modes_of_week(job.db, job.week):
        fresh = [trace_id for trace_id in mode["exemplars"] if trace_id not in drawn]
        if fresh and len(chosen) < most:
            reason = f"exemplar of the failure mode {mode['mode_id']} ({mode['title']}); outside every rate"
            first = next((trace_id for trace_id in fresh if trace_id in disliked), fresh[0])
            chosen.append((first, revisions[first], reason))
    return chosen


def enqueue(job: Job) -> Said:
    """Tasks into the label store: what is there already stays."""
    frozen = draws.find_draw(job.db, job.week)
    assert frozen is not None, "plan comes first"
    record, tasks = build_tasks(job.db, frozen, mask_of(job.workspace.settings.governance))
    label_draws.add_draw(job.labels, record, tasks)
    random = sum(task.purpose == "random" for task in tasks)
    return Said(
        f"{random} random tasks and {len(tasks) - random} exemplars wait",
        {"random": random, "purposive": len(tasks) - random},
    )


def report(job: Job) -> Said:
    """The first report: what is flagged, in which modes, and what to label."""
    from flywheel.weekly_report import write_week_report

    return Said(in_workspace(job, write_week_report(job, PHASE)))


def signals_inputs(job: Job) -> object:
    """What the signals depend on beside the traces: their settings, and scores, which may arrive later and alone."""
    return [settings_of("triage")(job), spans.scores_fingerprint(job.db, job.week)]


def modes_inputs(job: Job) -> object:
    """What the modes depend on: their settings, what is masked, and the modes of the weeks before."""
    return [settings_of("modes", "governance")(job), modes.registry_hash(job.db, job.week)]


STEPS: tuple[Step, ...] = (
    Step("signals", signals, signals_inputs),
    Step("score", score, settings_of("scoring")),
    Step("triage", triage, settings_of("triage")),
    Step("modes", group_modes, modes_inputs),
    Step("plan", plan, settings_of("plan")),
    Step("enqueue", enqueue, settings_of("governance")),
    Step("report", report),
)
