"""A first look: from somebody's own export to first findings in one step, with nothing set up and nothing kept."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from eval.errors import UserError
from flywheel.governance.masking import Mask, mask_name, mask_of
from flywheel.ingest import FileCount
from flywheel.look import advice, human, measure, observed
from flywheel.look.choose import Chosen, ModeSeen, choose
from flywheel.look.findings import FileFinding, Findings, ModeFinding, Shown, ToLabel
from flywheel.look.human import HumanVerdicts
from flywheel.look.measure import Export, Taken
from flywheel.look.observed import Observed
from flywheel.report.wording import count_of
from flywheel.warehouse import modes as mode_rows
from flywheel.warehouse import open_warehouse
from flywheel.week import Event, Listener
from flywheel.workspace import Workspace

__all__ = ["Export", "Findings", "look"]

MOST_MODES = 12
EXEMPLARS = 3
MOST_LOOSE = 8
NO_MODE = ("slow", "negative_feedback")
"""Flags that say nothing of the answer itself: they are grouped into no mode."""

FEW_MODES = 3
"""With fewer modes than that, flagged traces that stand alone are listed too."""


def look(
    workspace: Workspace,
    export: Export,
    to_label: int,
    listen: Listener = lambda _: None,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> Findings:
    """Look at an export in a scratch workspace; of the workspace at hand only the settings are read.

    Where no trace can be read, that is a `UserError` that says why, file by file.
    """
    with tempfile.TemporaryDirectory(prefix="flywheel-look-") as folder:
        scratch = Workspace(Path(folder), measure.scratch_settings(workspace.settings))
        with open_warehouse(scratch.warehouse, scratch.settings.warehouse) as db:
            started = time.perf_counter()
            notes: list[str] = []
            taken = measure.take_in(db, scratch, export, notes.append, on_bytes)
            weeks = observed.weeks(db)
            if not weeks:
                raise UserError(measure.explain_nothing(taken, export))
            listen(Event("ingest", "done", say_taken(taken, sum(n for _, n in weeks)), time.perf_counter() - started))
            _, week, figures = measure.as_one_period(db, scratch, listen)
            started = time.perf_counter()
            findings = gather(db, workspace, export, taken, weeks, week, figures, to_label, tuple(notes))
            listen(Event("choose", "done", say_chosen(findings), time.perf_counter() - started))
            return findings


def say_taken(taken: Taken, traces: int) -> str:
    """Say what was read, in a line."""
    records = sum(one.count.lines for one in taken.files)
    rejected = sum(one.count.rejected for one in taken.files)
    forms = sorted({one.format for one in taken.files if one.format})
    failed = sum(one.failure is not None for one in taken.files)
    said = f"{count_of(traces, 'trace')} from {count_of(len(taken.files), 'file')} ({', '.join(forms)}); "
    said += f"{count_of(records, 'record')}, {rejected} rejected"
    said += f"; {count_of(failed, 'file')} not read" if failed else ""
    return said + (f"; the corpus completed {count_of(taken.completed, 'trace')}" if taken.passages else "")


def say_chosen(findings: Findings) -> str:
    """Say what is worth labelling, and how many modes are told."""
    modes = count_of(len(findings.modes), "failure mode")
    return f"{count_of(len(findings.to_label), 'trace')} to label first; {modes} in the report"


def gather(
    db: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    export: Export,
    taken: Taken,
    weeks: tuple[tuple[str, int], ...],
    week: str,
    figures: dict[str, dict[str, Any]],
    to_label: int,
    notes: tuple[str, ...],
) -> Findings:
    """Collect what was found."""
    import numpy as np

    mask = mask_of(workspace.settings.governance)
    traces = observed.observe(db)
    triage, threshold = figures["triage"], float(figures["triage"]["threshold"])
    said = hear(db, traces, workspace.settings.triage.low_rating, mask)
    found = [mode for mode in mode_rows.modes_of_week(db, week) if mode["size"] > 1]
    chosen = choose(
        traces,
        [ModeSeen(mask(mode["title"]), mode["size"], tuple(mode["exemplars"])) for mode in found],
        said.dislikes,
        threshold,
        to_label,
        lambda trace_ids: observed.texts(db, trace_ids),
        np.random.default_rng(measure.seed_of(db, week)),
    )
    alone = stands_alone(traces, mode_rows.mode_of_traces(db, week), {mode["mode_id"] for mode in found})
    loose = alone[:MOST_LOOSE] if len(found) < FEW_MODES else []
    exemplars = [one for mode in found[:MOST_MODES] for one in mode["exemplars"][:EXEMPLARS]]
    shown = observed.show_traces(db, sorted({*exemplars, *loose, *(one.trace_id for one in chosen)}), mask)
    counts = observed.count_unjudged(db)
    scored = figures["score"]["metrics"]
    return Findings(
        written_at=measure.utc_now(),
        sources=tuple(mask_name(path.name or str(path), mask) for path in export.paths),
        traces=triage["traces"],
        ok=triage["ok"],
        errors=triage["traces"] - triage["ok"],
        flagged=triage["flagged"],
        ok_flagged=triage["ok_flagged"],
        judged=counts.get("judged", 0),
        by_type=tuple((name, count) for name, count in triage["by_type"]),
        threshold=threshold,
        instrument=scored[0]["instrument"] if scored else "",
        trained_on=detector_told(),
        modes=tuple(mode_finding(mode, triage["flagged"], shown, mask) for mode in found[:MOST_MODES]),
        alone=len(alone),
        loose=tuple(shown[trace_id] for trace_id in loose),
        to_label=tuple(label_finding(rank, one, shown, mask) for rank, one in enumerate(chosen, start=1)),
        files=file_findings(taken, observed.rejected_reasons(db, mask)),
        unjudged=advice.explain_unjudged(counts, observed.count_partly(db), observed.count_waiting(db), export),
        human=human.compare(said.verdicts, said.readings, traces, mask),
        weeks=weeks,
        next_steps=advice.next_steps(workspace, export, weeks),
        notes=(*notes, *more_notes(db, taken, found, mask)),
    )


def hear(db: duckdb.DuckDBPyConnection, traces: list[Observed], low_rating: int, mask: Mask) -> HumanVerdicts:
    """Read what people said in the source tool, and the stars that users gave."""
    said = human.read_scores(observed.human_scores(db), mask)
    if stars := human.star_verdicts(traces, low_rating):
        said.verdicts[human.RATING] = stars
        said.readings[human.RATING] = "1 to 5 stars, 4 and 5 are good"
        said.dislikes.update(
            {one.trace_id: f"{one.rating} of 5 stars" for one in traces if stars.get(one.trace_id) == "bad"}
        )
    for one in traces:
        if one.is_disliked:
            said.dislikes.setdefault(one.trace_id, "a score of the source tool")
    return said


def stands_alone(traces: list[Observed], mode_of: dict[str, str], modes: set[str]) -> list[str]:
    """Name the flagged traces that were compared with the others, and resemble none."""
    compared = (one for one in traces if one.is_flagged and one.failure_type not in NO_MODE)
    return [one.trace_id for one in compared if mode_of.get(one.trace_id) not in modes]


def detector_told() -> str:
    """Say what the detector in use was trained on."""
    from eval.metrics.groundedness import packaged_detector

    return packaged_detector().trained_on


def mode_finding(mode: dict[str, Any], flagged: int, shown: dict[str, Shown], mask: Mask) -> ModeFinding:
    """Lay out one failure mode."""
    types = sorted(json.loads(mode["failure_types"]).items(), key=lambda pair: (-pair[1], pair[0]))
    lifts = json.loads(mode["over_represented"])
    return ModeFinding(
        mask(mode["title"]),
        mode["size"],
        mode["size"] / flagged,
        tuple(types),
        tuple(mask(term) for term in mode["terms"]),
        tuple((name, mask(value), lift, count) for name, value, lift, count in lifts),
        tuple(shown[one] for one in mode["exemplars"][:EXEMPLARS] if one in shown),
    )


def label_finding(rank: int, chosen: Chosen, shown: dict[str, Shown], mask: Mask) -> ToLabel:
    """Lay out one trace to label."""
    return ToLabel(rank, chosen.lane, mask(chosen.why), tuple(mask(why) for why in chosen.also), shown[chosen.trace_id])


def file_findings(taken: Taken, reasons: dict[str, tuple[tuple[str, int], ...]]) -> tuple[FileFinding, ...]:
    """Lay out what became of each file."""
    return tuple(file_finding(one, reasons.get(one.name, ())) for one in taken.files)


def file_finding(one: FileCount, reasons: tuple[tuple[str, int], ...]) -> FileFinding:
    """Lay out what became of one file; the reasons add up to what was rejected."""
    count = one.count
    told = sum(many for _, many in reasons)
    if told < count.rejected:
        reasons = (*reasons, ("other reasons", count.rejected - told))
    traces = count.added + count.updated if one.unit in ("line", "row") else one.traces.added + one.traces.updated
    return FileFinding(
        one.name, one.format, one.recognised_by, one.unit, count.lines, count.added, count.updated, count.unchanged,
        count.rejected, count.blank, traces, reasons if count.rejected else (), one.failure,
    )  # fmt: skip


def more_notes(db: duckdb.DuckDBPyConnection, taken: Taken, found: list[dict[str, Any]], mask: Mask) -> tuple[str, ...]:
    """Say what else a reader should know."""
    notes = []
    if taken.passages:
        completed = count_of(taken.completed, "trace")
        notes.append(f"the corpus holds {count_of(taken.passages, 'passage')}; {completed} gained a text")
    if machine := observed.machine_scores(db, mask):
        told = ", ".join(f"{name[:60]} ({count})" for name, count in machine[:6])
        notes.append(f"scores that machines gave stand in the export too, and were left alone: {told}")
    if strays := observed.count_strays(db):
        notes.append(f"{count_of(strays, 'score')} belong to traces that the export does not hold")
    if len(found) > MOST_MODES:
        rest = sum(mode["size"] for mode in found[MOST_MODES:])
        notes.append(f"{len(found) - MOST_MODES} smaller failure modes hold {count_of(rest, 'more flagged trace')}")
    return tuple(notes)
