"""Phase 2 of a week: what people said becomes a rate, a better detector, golden cases and a verdict."""

from dataclasses import asdict
from typing import Any, Final

from eval.cases import read_dataset
from eval.errors import UserError
from eval.statistics.prediction_powered import RateEstimate
from flywheel import phase_one
from flywheel.collect import ADJUDICATED, count_collected, fold_labels
from flywheel.estimate import estimate_week
from flywheel.firewall import Roles, training_side
from flywheel.golden import grow, mask_label
from flywheel.governance.masking import mask_of
from flywheel.labels import queue
from flywheel.labels.decisions import decisions
from flywheel.labels.draws import draw_tasks
from flywheel.labels.passages import relevant_passages
from flywheel.recalibrate import FEWEST_LABELS, recalibrate
from flywheel.settings import Settings
from flywheel.trace import week_title
from flywheel.track import track_week
from flywheel.verdict import compare_with_baseline, gate_inputs, run_golden_suite, suite_inputs
from flywheel.warehouse import draws, modes, scores, traces
from flywheel.warehouse.steps import finished_step
from flywheel.week import Job, Listener, Said, Step, in_workspace, open_job, run_steps, settings_of
from flywheel.workspace import Workspace

PHASE: Final = 2
FIRST_WEEK = "0001-W01"
WHOLE = "whole"


def run_phase_two(workspace: Workspace, week: str, listen: Listener, until: str | None = None) -> dict[str, Any]:
    """Do phase 2 of a week, up to and with the step `until`; give what the last gate said."""
    with open_job(workspace, week, lambda job: str(horizon(job, until))) as job:
        first = finished_step(job.db, week, phase_one.PHASE, phase_one.STEPS[-1].name)
        if first is None:
            raise UserError(
                f"phase 1 of {week} is not finished, so nothing can be continued: flywheel run --week {week}"
            )
        inputs = f"{first.fingerprint} {until or WHOLE} {job.inputs}"
        run_steps(Job(workspace, week, job.db, job.labels, inputs, job.tell), PHASE, STEPS, listen, until)
        gate = finished_step(job.db, week, PHASE, "gate")
        return gate.summary["figures"] if gate else {}


def horizon(job: Job, until: str | None) -> int:
    """Give the last event that phase 2 reads: the one it began with, where it was cut off; else the newest.

    Where only an estimate was asked for, nothing was cut off.
    """
    begun = finished_step(job.db, job.week, PHASE, "collect")
    ended = finished_step(job.db, job.week, PHASE, STEPS[-1].name)
    if until is None and begun and begun.summary["figures"]["until"] == WHOLE:
        seen = int(begun.summary["figures"]["last_event"])
        if ended is None or ended.summary["figures"].get("last_event") != seen:
            return seen
    return queue.last_event_id(job.labels, job.week)


def last_event(job: Job) -> int:
    """The last event that this run of phase 2 reads."""
    return int(job.inputs.split(" ")[2])


def last_step(job: Job) -> str:
    """The step that this run of phase 2 goes up to."""
    return job.inputs.split(" ")[1]


def collect(job: Job) -> Said:
    """Fold what people said into gold labels; nothing newer than the horizon is read."""
    tasks = draw_tasks(job.labels, job.week)
    labels = queue.current_labels(job.labels, job.week, last_event(job))
    adjudications = decisions(job.labels, "adjudication", last_event(job))
    gold = fold_labels(tasks, labels, adjudications)
    governance = job.workspace.settings.governance
    if governance.redact == "store":
        gold = [mask_label(label, mask_of(governance)) for label in gold]
    draws.replace_gold_labels(job.db, job.week, gold)
    count = count_collected(tasks, gold)
    if not count.labelled:
        raise UserError(
            f"none of the {count.drawn} drawn traces of {job.week} has a verdict yet; label some: flywheel annotate app"
        )
    settled = sum(g.origin == ADJUDICATED for g in gold)
    said = f"{count.labelled} of {count.drawn} drawn traces labelled"
    for name, number in (("deferred", count.deferred), ("in disagreement", count.disagreed), ("adjudicated", settled)):
        said += f", {number} {name}" if number else ""
    people = len({name for g in gold for name in g.annotators})
    figures = {**asdict(count), "last_event": last_event(job), "until": last_step(job), "annotators": people}
    return Said(said, figures)


def estimate(job: Job) -> Said:
    """This week's failure rate, with the predictions that were frozen with the draw."""
    frozen = draws.find_draw(job.db, job.week)
    assert frozen is not None, "phase 1 comes first"
    gold = draws.gold_labels(job.db, job.week, job.week)
    outcomes = {g.trace_id: g.verdict == "fail" for g in gold if g.verdict and g.purpose == "random"}
    found = estimate_week(draws.population(job.db, frozen.draw_id), outcomes)
    about = {name: getattr(found, name) for name in ("drawn", "deferred", "lowest", "highest")}
    about["instrument"] = frozen.instrument
    job.db.execute("delete from estimate where week = ?", [job.week])
    for rate in (found.rate, found.process):
        if rate is not None:
            draws.save_estimate(
                job.db, job.week, frozen.draw_id, rate_fields(rate) | about | {"instrument": frozen.instrument}
            )
    rate, process = found.rate, found.process
    said = (
        f"failure rate {rate.value:.1%} [{rate.low * 100:.1f}, {rate.high * 100:.1f}], "
        f"{rate.n} of {rate.population} labelled ({week_title(job.week)}, ok traces)"
    )
    if process:
        said += f"; the process behind it [{process.low * 100:.1f}, {process.high * 100:.1f}]"
    if found.deferred:
        said += f"; {found.deferred} without a verdict: between {found.lowest:.1%} and {found.highest:.1%}"
    figures = rate_fields(rate) | about
    if process:
        figures |= {"process_low": process.low, "process_high": process.high}
    return Said(said, figures)


def rate_fields(rate: RateEstimate) -> dict[str, Any]:
    """The fields of an estimate, as they are stored."""
    return {
        name: getattr(rate, name) for name in ("estimand", "value", "low", "high", "n", "population", "method", "note")
    }


def learn(job: Job) -> Said:
    """Refit the detector; what it learns serves from the next week on."""
    labels = draws.gold_labels(job.db, FIRST_WEEK, job.week)
    cases = read_dataset(job.workspace.golden_dataset).cases
    settings = job.workspace.settings
    found = recalibrate(job.db, job.week, labels, roles_of(settings), cases, mask_of(settings.governance))
    said = f"the detector from {found.valid_from} on learned from {found.labels} labels"
    if not found.has_learned:
        said = f"the packaged detector stays: {found.labels} labels say too little, {FEWEST_LABELS} are needed"
    said += f"; {found.kept_for_gate} labels kept for the gate" if found.kept_for_gate else ""
    return Said(said, asdict(found))


def roles_of(settings: Settings) -> Roles:
    """The shares of the golden roles."""
    return Roles(settings.golden.train, settings.golden.dev)


def grow_golden(job: Job) -> Said:
    """Labelled failures become golden cases; a label on an older revision makes none, for its text may be another."""
    gold = draws.gold_labels(job.db, job.week, job.week)
    current = traces.revisions(job.db, [label.trace_id for label in gold])
    gold = [label for label in gold if current.get(label.trace_id) == label.revision]
    relevant = relevant_passages(job.labels, job.week, last_event(job))
    samples = scores.read_samples_by_id(job.db, [g.trace_id for g in gold])
    folder = job.workspace.golden_dataset
    roles = roles_of(job.workspace.settings)
    labelled = [label.trace_id for label in draws.gold_labels(job.db, FIRST_WEEK, job.week)]
    mask = mask_of(job.workspace.settings.governance)
    trained = training_side(scores.training_groups(job.db), scores.read_samples_by_id(job.db, labelled), mask)
    mode_of = modes.mode_of_traces(job.db, job.week)
    incomplete = scores.incomplete_passages(job.db, list(samples))
    growth = grow(folder, job.week, gold, samples, relevant, mode_of, roles, trained, mask, incomplete)
    job.db.execute("delete from growth where week = ?", [job.week])
    for case in growth.added:
        job.db.execute("insert into growth values (?, ?, ?, ?)", [job.week, case.case_id, case.source_trace, case.role])
    by_role = {role: sum(case.role == role for case in growth.added) for role in ("train", "dev", "gate")}
    said = f"{len(growth.added)} cases added ({', '.join(f'{n} {role}' for role, n in by_role.items())}), "
    said += f"{growth.cases} in {growth.version}; {growth.repeated} failures had their case already"
    if growth.ungrounded:
        said += f"; {growth.ungrounded} made none: the export left out their passages, and nobody corrected the answer"
    figures = {
        "version": growth.version,
        "cases": growth.cases,
        "added": len(growth.added),
        "repeated": growth.repeated,
        "ungrounded": growth.ungrounded,
    }
    return Said(said, {**figures, "by_role": by_role})


def suite(job: Job) -> Said:
    """Ask the pipeline under test every gate case."""
    return run_golden_suite(job)


def gate(job: Job) -> Said:
    """Compare the run with the blessed baseline."""
    return compare_with_baseline(job)


def report(job: Job) -> Said:
    """The report with the rate, the growth and the verdict in it."""
    from flywheel.weekly_report import write_week_report

    return Said(in_workspace(job, write_week_report(job, PHASE)))


def track(job: Job) -> Said:
    """One MLflow run for the week, a child for each part."""
    said = track_week(job)
    return Said(said.text, {**said.figures, "last_event": last_event(job)})


STEPS: tuple[Step, ...] = (
    Step("collect", collect, settings_of("governance")),
    Step("estimate", estimate),
    Step("recalibrate", learn, settings_of("golden", "governance")),
    Step("grow", grow_golden, settings_of("golden", "governance")),
    Step("suite", suite, suite_inputs),
    Step("gate", gate, gate_inputs),
    Step("report", report),
    Step("mlflow", track, settings_of("tracking")),
)
