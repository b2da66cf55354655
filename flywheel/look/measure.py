"""An export through the stages in a scratch workspace: all its traces as one period, nothing kept afterwards."""

import shlex
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb

from eval.errors import UserError
from flywheel import ingest as ingestion
from flywheel.governance.masking import Mask, mask_maybe, mask_name, mask_of
from flywheel.ingest.paths import STANDARD_INPUT
from flywheel.labels.store import open_labels
from flywheel.look.observed import name_rejected
from flywheel.phase_one import STEPS
from flywheel.report.wording import count_of
from flywheel.settings import Labels, Paths, Scoring, Settings
from flywheel.sources.mapping import read_mapping
from flywheel.warehouse import transaction
from flywheel.warehouse.traces import as_one_week, week_fingerprint
from flywheel.week import Event, Job, Listener
from flywheel.workspace import Workspace

FEWEST, A_SHARE_OF = 2, 40
"""A failure mode has at least two traces, or a fortieth of what is flagged, up to what the settings say."""


TOLD_FILES = 5
TAKES_LONGEST = "grouping what is flagged; this takes longest ..."


@dataclass(frozen=True, slots=True)
class Export:
    """What to look at: files and folders, and how to read them. `form` is None where the format is recognised."""

    paths: tuple[Path, ...]
    form: str | None = None
    mapping: Path | None = None
    corpus: Path | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken in: the count of each file, the passages of the corpus, and the traces that gained a text."""

    files: tuple[ingestion.FileCount, ...]
    passages: int
    completed: int


def scratch_settings(settings: Settings) -> Settings:
    """Keep what the settings say of reading, judging and masking; stores are those of the scratch workspace."""
    return settings.model_copy(
        update={"paths": Paths(), "labels": Labels(), "scoring": Scoring(hhem_path=None), "allow_egress": ()}
    )


def take_in(
    db: duckdb.DuckDBPyConnection, scratch: Workspace, export: Export, on_note: Callable[[str], None],
    on_bytes: Callable[[int], None] = lambda _: None,
) -> Taken:  # fmt: skip
    """Take an export in; where nothing of it is a trace, say why, file by file."""
    mask = mask_of(scratch.settings.governance)
    files = ingestion.trace_files(list(export.paths), lambda note: on_note(mask(note)))
    if not files:
        raise UserError(
            f"there are no trace files in {', '.join(map(str, export.paths))}; name the export itself "
            "(.jsonl, .json, .csv, .parquet, .binpb, packed or not)"
        )
    how = replace(
        ingestion.how_to(scratch.settings, scratch.traces / ingestion.QUARANTINE),
        form=export.form,
        mapping=read_mapping(export.mapping) if export.mapping else None,
        on_bytes=on_bytes,
    )
    names = names_apart(files, mask)

    def on_file(one: ingestion.FileCount) -> None:
        if one.quarantine is not None:
            name_rejected(db, names[one.path])

    counted = ingestion.ingest(db, files, how, on_file)
    told = tuple(
        replace(one, name=names[one.path], failure=mask_maybe(one.failure, mask), recognised_by=mask(one.recognised_by))
        for one in counted
    )
    passages, completed = (0, 0)
    if export.corpus:
        passages, completed = ingestion.add_corpus_file(db, export.corpus, how.limits, how.orders.redactor)
    return Taken(told, passages, completed)


def names_apart(files: Sequence[Path], mask: Mask) -> dict[Path, str]:
    """Name files as people see them: by their path where another has the same name, personal data masked."""
    often = Counter(ingestion.name_of(path) for path in files)
    named = ((path, ingestion.name_of(path)) for path in files)
    return {path: mask_name(name if often[name] == 1 else str(path), mask) for path, name in named}


def explain_nothing(taken: Taken, export: Export) -> str:
    """Say why an export gave no trace, and what to do."""
    told = [one.failure or f"{one.name}: {why_empty(one)}" for one in taken.files[:TOLD_FILES]]
    if len(taken.files) > TOLD_FILES:
        told.append(f"and {len(taken.files) - TOLD_FILES} more files")
    if any("--suggest-mapping" in reason or "rejected" in reason for reason in told):
        first = shlex.quote(str(next((path for path in export.paths if path != STANDARD_INPUT), Path("EXPORT"))))
        told.append(
            f"if the format is your own: flywheel ingest {first} --suggest-mapping > mapping.toml, look it through, "
            f"then: flywheel look {first} --mapping mapping.toml"
        )
    return "\n  ".join(("no trace could be read", *told))


def why_empty(one: ingestion.FileCount) -> str:
    """Say why a file that was read gave no trace."""
    if one.count.lines == one.count.blank:
        return "it is empty"
    if one.count.rejected + one.count.blank == one.count.lines:
        return f"read as {one.format}, and all {one.count.rejected} records were rejected"
    return f"read as {one.format}, {one.count.lines} records, but none of them holds a question"


def as_one_period(
    db: duckdb.DuckDBPyConnection, scratch: Workspace, listen: Listener
) -> tuple[Workspace, str, dict[str, dict[str, Any]]]:
    """Run the stages that judge, over all traces together. Gives the week they stand in, and each stage's figures."""
    week = as_one_week(db)
    labels = open_labels(scratch.labels_url)
    figures: dict[str, dict[str, Any]] = {}
    for step in STEPS:
        if step.name not in ("signals", "score", "triage", "modes"):
            continue
        if step.name == "modes":
            scratch = with_mode_size(scratch, figures["triage"]["flagged"])
        started = time.perf_counter()
        listen(Event(step.name, "start", TAKES_LONGEST if step.name == "modes" else ""))
        with transaction(db):
            said = step.run(Job(scratch, week, db, labels, ""))
        figures[step.name] = said.figures
        text = said.text if step.name != "modes" else say_modes(said.figures)
        listen(Event(step.name, "done", text, time.perf_counter() - started))
    return scratch, week, figures


def say_modes(figures: dict[str, Any]) -> str:
    """Say how many failure modes there are; at a first look none is known from before."""
    return f"{count_of(figures['new'], 'group')} of flagged traces; {figures['alone']} in none"


def with_mode_size(scratch: Workspace, flagged: int) -> Workspace:
    """Let a failure mode be as small as a small export needs."""
    least = max(FEWEST, min(scratch.settings.modes.min_size, flagged // A_SHARE_OF))
    modes = scratch.settings.modes.model_copy(update={"min_size": least})
    return Workspace(scratch.root, scratch.settings.model_copy(update={"modes": modes}))


def seed_of(db: duckdb.DuckDBPyConnection, week: str) -> int:
    """Derive the seed from what was read, so that the same export gives the same list."""
    return int.from_bytes(sha256(week_fingerprint(db, week).encode()).digest()[:8])


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)
