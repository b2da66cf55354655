"""Trace files into the warehouse: every record counted, rejected ones kept aside, a known file skipped."""

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import duckdb
from blake3 import blake3
from xxhash import xxh3_64_hexdigest

from eval.errors import UserError
from flywheel.ingest.corpus import add_corpus_file
from flywheel.ingest.intake import Orders, now, take_in
from flywheel.ingest.paths import STANDARD_INPUT, spooled, trace_files
from flywheel.ingest.quarantine import FOLDER as QUARANTINE
from flywheel.ingest.quarantine import Quarantine
from flywheel.ingest.redaction import redactor_of
from flywheel.settings import Settings
from flywheel.sources import Format, mapped, named, recognise
from flywheel.sources.delivery import CHUNK, Delivery, Limits, opened
from flywheel.sources.mapping import Mapping, read_mapping
from flywheel.sources.suggest import explain_unknown
from flywheel.warehouse import transaction
from flywheel.warehouse.deliveries import Count, Known, TraceCount, add_delivery, find_known, next_delivery

__all__ = ["QUARANTINE", "FileCount", "How", "add_corpus_file", "how_to", "ingest", "ingest_file", "trace_files"]

MAPPING_FILE = "mapping.toml"
STANDARD_NAME = "standard input"
NO_RECORDS = Count()
NO_TRACES = TraceCount()
DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class FileCount:
    """A file and what became of its records.

    `was_known` when exactly these bytes had been ingested before; `continued_at` the line from which on a file that
    had grown was read. `reasons` are why records were rejected, the commonest first. `failure` says why nothing of the
    file could be taken.
    """

    path: Path
    name: str
    format: str = ""
    recognised_by: str = ""
    unit: str = "line"
    count: Count = NO_RECORDS
    traces: TraceCount = NO_TRACES
    was_known: bool = False
    continued_at: int | None = None
    quarantine: Path | None = None
    reasons: tuple[tuple[str, int], ...] = ()
    failure: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class How:
    """How files are taken in.

    `form` names their format, None recognises it. `again` reads files that are known. `holds_back` leaves a last line
    without its end for the next time. `on_bytes` is told how many bytes of the file at hand are read.
    """

    quarantine: Path
    orders: Orders
    limits: Limits = DEFAULT_LIMITS
    form: str | None = None
    mapping: Mapping | None = None
    again: bool = False
    holds_back: bool = False
    on_bytes: Callable[[int], None] = field(default=lambda _: None)


def how_to(settings: Settings, quarantine: Path, *, is_strict: bool = False) -> How:
    """Take the limits, the unit of resampling, and what may be stored from the settings."""
    taken = settings.ingest
    limits = Limits(
        taken.max_line_bytes,
        taken.max_document_bytes,
        taken.max_nesting,
        taken.max_unpacking,
        taken.max_envelope_bytes,
    )
    orders = Orders(taken.group, redactor_of(settings.governance), is_strict)
    return How(quarantine, orders, limits)


def ingest(
    db: duckdb.DuckDBPyConnection,
    files: Iterable[Path],
    how: How,
    on_file: Callable[[FileCount], None] = lambda _: None,
) -> list[FileCount]:
    """Add the traces of files, each file in one transaction; the same bytes a second time change nothing.

    A file that cannot be taken stops only itself, unless every record has to be good.
    """
    counted = []
    for path in files:
        try:
            counted.append(ingest_file(db, path, how))
        except UserError as error:
            if how.orders.is_strict:
                raise
            counted.append(FileCount(path, name_of(path), failure=str(error)))
        on_file(counted[-1])
    return counted


def ingest_file(db: duckdb.DuckDBPyConnection, path: Path, how: How) -> FileCount:
    """Add one file. Of one that grows meanwhile goes in what it held at first; the rest is for the next time."""
    started = time.perf_counter()
    with spooled(path, sys.stdin) as file:
        delivery = Delivery(file, how.limits, name=name_of(path), holds_back=how.holds_back)
        form, why = format_of(delivery, how)
        known = None if how.again else known_delivery(db, delivery, stored_name(form))
        if known and known.bytes == file_size(file):
            return FileCount(path, delivery.name, form.name, why, known.unit, again(known.count), was_known=True)
        if known and delivery.continues_at(known.bytes):
            delivery.start, delivery.first_line = known.bytes, known.last_line + 1
        counted = add_file(db, delivery, form, why, how)
    return replace(counted, path=path, seconds=time.perf_counter() - started)


def add_file(db: duckdb.DuckDBPyConnection, delivery: Delivery, form: Format, why: str, how: How) -> FileCount:
    """Read a delivery into the warehouse, and note it there, all or nothing."""
    aside = Quarantine(how.quarantine, delivery.name, form.name)
    try:
        with transaction(db):
            number = next_delivery(db)
            taken = take_in(db, delivery, form, number, how.orders, aside, how.on_bytes)
            kept = aside.keep(delivery.digest)
            if taken.count.lines or delivery.size == file_size(delivery.path):
                file = (delivery.digest, delivery.name, stored_name(form), why, form.unit)
                add_delivery(db, number, (*file, delivery.size, taken.last_line), taken.count, taken.traces, now())
    finally:
        aside.drop()
    continued_at = delivery.first_line if delivery.start else None
    return FileCount(
        delivery.path,
        delivery.name,
        form.name,
        why,
        form.unit,
        taken.count,
        taken.traces,
        continued_at=continued_at,
        quarantine=kept,
        reasons=taken.reasons,
    )


def format_of(delivery: Delivery, how: How) -> tuple[Format, str]:
    """Find out a file's format and why; one that none fits is a `UserError` that says what was looked for."""
    if how.mapping is not None:
        return mapped_by(how.mapping), "the mapping that was given"
    if how.form is not None:
        return named(how.form), "it was named"
    if recognised := recognise(delivery):
        return recognised
    beside = delivery.path.with_name(MAPPING_FILE)
    if beside.is_file():
        return mapped_by(read_mapping(beside)), f"{MAPPING_FILE} beside it"
    start = delivery.head.start.lstrip()
    if delivery.head.first is None and start[:1] in (b"{", b"["):
        raise UserError(f"{delivery.name} begins like JSON and ends before it is complete; deliver it again")
    shown = delivery.name if delivery.name == STANDARD_NAME else str(delivery.path)
    raise UserError(explain_unknown(shown, delivery))


def mapped_by(mapping: Mapping) -> Format:
    """Make a format of a mapping."""
    variant = xxh3_64_hexdigest(mapping.model_dump_json().encode())
    return Format(mapped.NAME, mapped.UNIT, lambda _: None, partial(mapped.read, mapping=mapping), variant)


def stored_name(form: Format) -> str:
    """Name a format as deliveries note it: the same bytes by another mapping are another delivery."""
    return f"{form.name} {form.variant}".strip()


def known_delivery(db: duckdb.DuckDBPyConnection, delivery: Delivery, form: str) -> Known | None:
    """Find the earlier delivery that a file repeats, or continues: the largest whose bytes the file begins with.

    It was read as the same format then. The file is hashed only where one of its size, or of its name, is known.
    """
    size = file_size(delivery.path)
    candidates = [known for known in find_known(db, delivery.name, size) if known.format == form]
    digests = prefix_digests(delivery.path, sorted({known.bytes for known in candidates if known.bytes or not size}))
    return next((known for known in candidates if digests.get(known.bytes) == known.digest), None)


def prefix_digests(path: Path, sizes: list[int]) -> dict[int, str]:
    """Hash the beginnings of a file, of each of these sizes in rising order, reading it once."""
    digests: dict[int, str] = {}
    hasher, done = blake3(), 0
    if not sizes:
        return digests
    with opened(path) as file:
        for size in sizes:
            while done < size and (chunk := file.read(min(CHUNK, size - done))):
                hasher.update(chunk)
                done += len(chunk)
            digests[size] = hasher.hexdigest()
    return digests


def again(count: Count) -> Count:
    """Count a known file: what was taken of it then is unchanged now."""
    return Count(count.lines, 0, 0, count.added + count.updated + count.unchanged, count.rejected, count.blank)


def name_of(path: Path) -> str:
    """Name a file for people."""
    return STANDARD_NAME if path == STANDARD_INPUT else path.name


def file_size(path: Path) -> int:
    """Give a file's size in bytes."""
    with opened(path) as file:
        return file.seek(0, 2)
