"""Traces into the warehouse: every line counted, rejected lines kept aside, a known file skipped."""

import base64
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from eval.errors import UserError
from flywheel.settings import Ingest
from flywheel.sources import READERS, Limits, NativeLine, Rejected
from flywheel.sources.lines import is_packed
from flywheel.trace import Trace
from flywheel.warehouse import traces, transaction
from flywheel.warehouse.traces import Count

BATCH = 5_000
QUARANTINE = "quarantine"
SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst")


@dataclass(frozen=True, slots=True)
class FileCount:
    """A file and what became of its lines; `was_known` when exactly these bytes had been ingested before."""

    path: Path
    count: Count
    was_known: bool
    quarantine: Path | None


@dataclass(frozen=True, slots=True)
class Extent:
    """What is read of a file: its first `size` bytes, all of them where None, and the hash of these bytes."""

    digest: str
    size: int | None
    ends_within_line: bool


class LineStillWrittenError(Exception):
    """The last line had no end, and the file has grown since."""


def trace_files(paths: Sequence[Path]) -> list[Path]:
    """List the trace files under some paths, in name order; folders are searched one level deep."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.iterdir() if file.is_file() and file.name.endswith(SUFFIXES))
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f"there is no file or folder {path}; check the path")
    return found


def ingest(
    db: duckdb.DuckDBPyConnection,
    files: Iterable[Path],
    quarantine: Path,
    settings: Ingest,
    on_file: Callable[[FileCount], None] = lambda _: None,
) -> list[FileCount]:
    """Add the traces of files, each file in one transaction; the same bytes a second time change nothing."""
    counted = []
    for path in files:
        counted.append(ingest_file(db, path, quarantine, settings))
        on_file(counted[-1])
    return counted


def ingest_file(db: duckdb.DuckDBPyConnection, path: Path, quarantine: Path, settings: Ingest) -> FileCount:
    """Add one file. Of one that grows meanwhile goes in what it held at first; the rest is for the next time."""
    try:
        return ingest_extent(db, path, find_extent(path), quarantine, settings)
    except LineStillWrittenError:
        return ingest_extent(db, path, find_extent(path, is_growing=True), quarantine, settings)


def ingest_extent(
    db: duckdb.DuckDBPyConnection, path: Path, extent: Extent, quarantine: Path, settings: Ingest
) -> FileCount:
    """Add what an extent holds of a file. It is hashed again afterwards: other bytes than before are a `UserError`."""
    known = traces.is_known_file(db, extent.digest)
    if known:
        taken = known.added + known.updated + known.unchanged
        return FileCount(path, Count(known.lines, 0, 0, taken, known.rejected, known.blank), True, None)
    with transaction(db):
        traces.stage(db)
        lines, blank, rejected = stage_file(db, path, extent.size, settings)
        added, updated, unchanged = traces.count_staged(db)
        traces.merge_staged(db)
        count = Count(lines, added, updated, unchanged, len(rejected), blank)
        if file_digest(path, extent.size) != extent.digest:
            raise UserError(f"{path} changed while it was read; nothing of it was added, run the command again")
        if extent.size is not None and extent.ends_within_line and file_size(path) > extent.size:
            raise LineStillWrittenError
        kept = write_quarantine(quarantine, path, extent.digest, rejected)
        traces.add_file(db, extent.digest, path.name, count, rejected, datetime.now(UTC).replace(tzinfo=None))
        db.execute("drop table staged")
    return FileCount(path, count, False, kept)


def stage_file(
    db: duckdb.DuckDBPyConnection, path: Path, size: int | None, settings: Ingest
) -> tuple[int, int, list[Rejected]]:
    """Read a file's first bytes (all where `size` is None) into the staging table in batches.

    Gives the number of lines, of blank lines, and the rejected ones.
    """
    lines = blank = 0
    rejected: list[Rejected] = []
    batch: list[tuple[Any, ...]] = []
    for item in READERS["jsonl"](path, Limits(settings.max_line_bytes, settings.max_nesting, size)):
        lines += 1
        if isinstance(item, NativeLine):
            batch.append(traces.staged_row(item, group_of(item.trace, settings.group), metadata_json(item.trace)))
            if len(batch) == BATCH:
                traces.stage_lines(db, batch)
                batch = []
        elif isinstance(item, Rejected):
            rejected.append(item)
        else:
            blank += 1
    if batch:
        traces.stage_lines(db, batch)
    return lines, blank, rejected


def group_of(trace: Trace, field: str) -> str:
    """Name the trace's unit of resampling by a dotted path such as `metadata.source_id`; where null, its own id."""
    value: Any = trace
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
    return str(value) if value is not None else trace.trace_id


def metadata_json(trace: Trace) -> str:
    """Write the metadata as JSON."""
    return msgspec.json.encode(trace.metadata).decode()


def write_quarantine(folder: Path, path: Path, digest: str, rejected: Sequence[Rejected]) -> Path | None:
    """Keep rejected lines aside, with file, line, reason and raw bytes (base64): one file for each source file."""
    if not rejected:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{digest[:16]}.jsonl"
    half = kept.with_suffix(".part")
    with half.open("w", encoding="utf-8") as file:
        for line in rejected:
            raw = base64.b64encode(line.raw).decode()
            file.write(json.dumps({"file": path.name, "line": line.line, "reason": line.reason, "raw": raw}) + "\n")
    half.replace(kept)
    return kept


def find_extent(path: Path, is_growing: bool = False) -> Extent:
    """Find what there is to read of a file now; the end of a plain file that grows is its last LF."""
    with readable(path):
        if is_packed(path):
            return Extent(file_digest(path, None), None, False)
    at_first = file_size(path)
    digest, size = sha256(), 0
    whole_lines, whole_size = digest.copy(), 0
    for chunk in chunks(path, at_first):
        end = chunk.rfind(b"\n") + 1
        digest.update(chunk[:end])
        if end:
            whole_lines, whole_size = digest.copy(), size + end
        digest.update(chunk[end:])
        size += len(chunk)
    if whole_size < size and (is_growing or file_size(path) > at_first):
        return Extent(whole_lines.hexdigest(), whole_size, False)
    return Extent(digest.hexdigest(), size, whole_size < size)


def file_digest(path: Path, size: int | None) -> str:
    """Hash a file's first bytes, all of them where `size` is None."""
    digest = sha256()
    for chunk in chunks(path, size):
        digest.update(chunk)
    return digest.hexdigest()


def file_size(path: Path) -> int:
    """Give a file's size in bytes."""
    with readable(path):
        return path.stat().st_size


def chunks(path: Path, size: int | None) -> Iterator[bytes]:
    """Read a file's first bytes, all of them where `size` is None, a megabyte at a time."""
    left = sys.maxsize if size is None else size
    with readable(path), path.open("rb") as file:
        while chunk := file.read(min(1 << 20, left)):
            left -= len(chunk)
            yield chunk


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn a file that cannot be read into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; check the path and its permissions") from error
