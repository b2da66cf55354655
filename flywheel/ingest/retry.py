"""Rejected records tried again after a fix: of Flywheel, of a limit, of a mapping, or of the kept record itself."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb

from eval.errors import UserError
from flywheel.ingest import FileCount, How, add_file, mapped_by
from flywheel.ingest.quarantine import Kept, read_kept
from flywheel.sources import Format, mapped, named, native
from flywheel.sources.delivery import Delivery
from flywheel.sources.mapping import Mapping
from flywheel.sources.records import Blank, Found, Record, Rejected
from flywheel.warehouse.deliveries import forget_rejected


class NothingMendedError(Exception):
    """Not one record of a quarantine file can be read now."""


def retry(db: duckdb.DuckDBPyConnection, path: Path, how: How) -> FileCount:
    """Try the records of one quarantine file again; those that are good now leave it for the warehouse.

    They are older than what came since: a trace or span that is there by now stays as it is. Where no record is good,
    the file stays as it is.
    """
    first = next(read_kept(path), None)
    if first is None:
        raise UserError(f"{path} holds no records; delete it")
    delivery = Delivery(path, how.limits, name=first.file)
    form = Format(first.format, "record", lambda _: None, lambda _: read_again(path, delivery, how))
    orders = replace(how.orders, only_fills=True)
    try:
        counted = add_file(db, delivery, form, "it was quarantined", replace(how, orders=orders))
    except NothingMendedError:
        return FileCount(path, first.file, first.format, failure=nothing_mended(path, first))
    forget_rejected(db, path.stem)
    path.unlink()
    return replace(counted, path=path)


def nothing_mended(path: Path, first: Kept) -> str:
    """Say why nothing came of a quarantine file, and what to do."""
    if first.format == mapped.NAME:
        remedy = "name their mapping: --retry-quarantine --mapping mapping.toml"
    else:
        remedy = f"deliver {first.file} again once it is mended, and delete {path}"
    return f"{path.name}: none of its records can be read yet (the first: {first.reason[:160]}); {remedy}"


def read_again(path: Path, delivery: Delivery, how: How) -> Iterator[Record]:
    """Yield what the records of a quarantine file give now, at the place where they once stood."""
    delivery.skim()
    is_mended = False
    with tempfile.TemporaryDirectory(prefix="flywheel-") as folder:
        for one in read_kept(path):
            for record in records_of(one, Path(folder) / "record.json", how):
                is_mended = is_mended or isinstance(record, Found)
                yield record
    if not is_mended:
        raise NothingMendedError


def records_of(one: Kept, path: Path, how: How) -> Iterator[Record]:
    """Read one kept record as a file of its own."""
    form = format_again(one.format, how.mapping)
    if not one.whole or form is None:
        yield Rejected(one.line, one.reason, one.raw, one.whole)
        return
    path.write_bytes(one.raw)
    delivery = Delivery(path, how.limits, name=one.file)
    try:
        # A line is read as the line that it was: as a file of its own an array would be a list of traces.
        is_line = one.format == native.NAME
        records = [native.read_alone(delivery, one.line, one.raw)] if is_line else list(form.read(delivery))
    except UserError as error:
        records = [Rejected(one.line, str(error), one.raw)]
    for record in records:
        match record:
            case Found():
                yield Found(one.line, record.what, record.content_hash)
            case Rejected():
                yield Rejected(one.line, record.reason, one.raw)
            case Blank():
                yield Rejected(one.line, "there is nothing in it", one.raw)


def format_again(name: str, mapping: Mapping | None) -> Format | None:
    """Give the format that a record was read as; None for a mapped one without its mapping."""
    if name != mapped.NAME:
        return named(name)
    return mapped_by(mapping) if mapping else None
