"""Records of JSON lines, JSON arrays, CSV and Parquet, all alike as objects, one after the other."""

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from eval.errors import UserError
from flywheel.sources.delivery import KEPT_OF_A_LONG_LINE, Delivery, Head, is_text
from flywheel.sources.json_text import BOM
from flywheel.sources.records import Blank, Rejected
from flywheel.sources.vendor_fields import objects_of

Fields = dict[str, Any]
PARQUET = b"PAR1"
TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.zst", ".tsv.zst")
DELIMITERS = ",;\t"
ROWS_AT_ONCE = 256
UNREADABLE_VALUES = (ValueError, OverflowError, TypeError, UnicodeError)
"""What Arrow raises of values that Python cannot hold: years after 9999, text that is not UTF-8."""


def rows_of(
    delivery: Delivery, columns: Iterable[str] | None = None
) -> Iterator[tuple[int, Fields] | Rejected | Blank]:
    """Yield each record with its line or place; of Parquet only `columns` are read where they are given."""
    if delivery.head.start.startswith(PARQUET):
        yield from parquet_rows(delivery, columns)
    elif is_csv(delivery.head):
        yield from csv_rows(delivery)
    else:
        yield from (unless_a_table(item) if isinstance(item, Rejected) else item for item in objects_of(delivery))


def unless_a_table(record: Rejected) -> Rejected:
    """Take back that a record can be tried again where, alone in a file, it would be read as the header of a table."""
    return record if record.raw.lstrip()[:1] in (b"{", b"[") else replace(record, whole=False)


def is_csv(head: Head) -> bool:
    """Tell a table in text from JSON by its beginning; a table may hold JSON in its cells."""
    if head.start.lstrip()[:1] in (b"{", b"["):
        return False
    return head.first is None or head.name.lower().endswith(TABLES)


class TextLines:
    """Lines of a file as the csv module pulls them, as many as a row has; no row is longer than a line may be.

    What it raises ends the row and not the file, unlike in a generator.
    """

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.lines = delivery.lines()
        self.pulled: list[bytes] = []
        self.size = 0
        self.header = b""
        self.line = delivery.first_line

    def __iter__(self) -> "TextLines":
        return self

    def __next__(self) -> str:
        number, raw, whole = next(self.lines)
        if not self.pulled:
            self.line = number
        if self.size == 0 and number == 1:
            raw = raw.removeprefix(BOM)
        self.pulled.append(raw)
        self.size += len(raw) + 1
        limit = self.delivery.limits.line_bytes
        if not whole or self.size > limit + 1:
            raise csv.Error(f"the row is longer than {limit} bytes, or a quote in it is not closed")
        try:
            return raw.decode().replace("\x00", "") + "\n"
        except UnicodeDecodeError as error:
            raise csv.Error(f"the row is not UTF-8: {error}") from error

    def next_row(self) -> None:
        """Forget the lines of the row before."""
        self.pulled = []
        self.size = 0

    def rejected(self, reason: str) -> Rejected:
        """Reject the row that was pulled last; with the header above it, it is a file of its own."""
        row = b"\n".join(self.pulled)
        if self.size > self.delivery.limits.line_bytes + 1:
            return Rejected(self.line, reason, row[:KEPT_OF_A_LONG_LINE], whole=False)
        alone = self.header + row
        return Rejected(self.line, reason, alone, whole=is_text(alone))

    def keep_header(self) -> None:
        """Take the row that was pulled last for the header."""
        self.header = b"\n".join(self.pulled) + b"\n"


def csv_rows(delivery: Delivery) -> Iterator[tuple[int, Fields] | Rejected | Blank]:
    """Yield the rows of a table in text; its first row names the columns, empty cells are null."""
    start = delivery.head.start
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UserError(f"{delivery.name} is UTF-16 text; save it as UTF-8 (in Excel: CSV UTF-8)")
    if csv.field_size_limit() < delivery.limits.line_bytes:  # one limit for the whole process: it is only ever raised
        csv.field_size_limit(delivery.limits.line_bytes)
    lines = TextLines(delivery)
    reader = csv.reader(lines, delimiter=delimiter_of(start), strict=True)
    header = first_header(delivery) if delivery.start else None
    header_line = 0
    while True:
        lines.next_row()
        try:
            row = next(reader)
        except StopIteration:
            if header_line == lines.line:
                yield Blank(header_line)  # a table of nothing but its header
            return
        except csv.Error as error:
            if header is None:
                raise UserError(f"{delivery.name} is no CSV file: its first line, the header, says: {error}") from error
            yield lines.rejected(str(error))
            continue
        if not any(row):
            yield Blank(lines.line)
        elif header is None:
            header = header_of(row, delivery.name)
            header_line = lines.line
            lines.keep_header()
        elif len(row) != len(header):
            yield lines.rejected(f"the row has {len(row)} cells, the header names {len(header)} columns")
        else:
            yield lines.line, {name: cell or None for name, cell in zip(header, row, strict=True)}


def first_header(delivery: Delivery) -> list[str] | None:
    """Read the header of a table that has grown, and whose beginning was read another time."""
    whole = TextLines(Delivery(delivery.path, delivery.limits, name=delivery.name))
    reader = csv.reader(whole, delimiter=delimiter_of(delivery.head.start), strict=True)
    return next((header_of(row, delivery.name) for row in reader if any(row)), None)


def delimiter_of(start: bytes) -> str:
    """Find what separates the cells: what makes most of them in the first line."""
    first = next((line for line in start.removeprefix(BOM).split(b"\n") if line.strip()), b"").decode(
        "utf-8", "replace"
    )
    return max(DELIMITERS, key=lambda delimiter: len(cells_of(first, delimiter)))


def cells_of(line: str, delimiter: str) -> list[str]:
    """Take a line apart."""
    try:
        return next(csv.reader([line.replace("\x00", "")], delimiter=delimiter), [])
    except csv.Error:
        return []


def header_of(row: list[str], name: str) -> list[str]:
    """Give the names of the columns; a name that stands twice is a `UserError`."""
    header = [cell.strip() for cell in row]
    twice = next((cell for cell in header if cell and header.count(cell) > 1), None)
    if twice is not None:
        raise UserError(f"{name} has two columns {twice[:80]!r}; rename one of them")
    return header


def parquet_rows(delivery: Delivery, columns: Iterable[str] | None) -> Iterator[tuple[int, Fields] | Rejected | Blank]:
    """Yield the rows of a Parquet file, one row group in memory at a time."""
    import pyarrow as pa
    from pyarrow import parquet

    if delivery.packing:
        raise UserError(f"{delivery.name} is a packed Parquet file; unpack it first")
    place = 0
    try:
        with parquet.ParquetFile(delivery.path) as file:
            names = file.schema_arrow.names
            wanted = names if columns is None else [name for name in names if name in set(columns)]
            most = delivery.limits.document_bytes
            for group in range(file.num_row_groups):
                if file.metadata.row_group(group).total_byte_size > most:
                    raise UserError(
                        f"{delivery.name}: row group {group + 1} is larger than {most} bytes; "
                        "write the file in smaller row groups, or raise ingest.max_document_bytes"
                    )
                for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=wanted, use_threads=False):
                    for record in records_of(batch):
                        place += 1
                        yield parquet_row(place, record, delivery.limits.nesting)
            if place != file.metadata.num_rows:
                raise UserError(
                    f"{delivery.name}: the Parquet file is damaged (it counts {file.metadata.num_rows} rows and holds "
                    f"{place}); deliver it again"
                )
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise UserError(
            f"{delivery.name}, after row {place}: the Parquet file is damaged ({str(error)[:200]}); deliver it again"
        ) from error
    delivery.skim()


def records_of(batch: Any) -> list[Fields | str]:
    """Turn a batch into records; where one of them cannot be had, into the reason why."""
    try:
        return list(batch.to_pylist())
    except UNREADABLE_VALUES as error:
        if batch.num_rows == 1:
            return [f"the row cannot be read: {str(error)[:200]}"]
        return [record for number in range(batch.num_rows) for record in records_of(batch.slice(number, 1))]


def parquet_row(place: int, record: Fields | str, nesting: int) -> tuple[int, Fields] | Rejected:
    """Give a row its place, or reject it."""
    if isinstance(record, str):
        return Rejected(place, record, b"", whole=False)
    try:
        return place, {name: plain(value, nesting) for name, value in record.items()}
    except ValueError as error:
        return Rejected(place, str(error), b"", whole=False)


def plain(value: Any, levels: int) -> Any:
    """Turn what Arrow gives into what JSON has, and datetimes; nested too deep it is a `ValueError`."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value.replace("\x00", "") if "\x00" in value else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if levels == 0:
        raise ValueError("the row nests too deep")
    if isinstance(value, dict):
        return {str(key).replace("\x00", ""): plain(inner, levels - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, levels - 1) for inner in value]
    if isinstance(value, datetime):  # also pandas' own, which counts nanoseconds
        return datetime.combine(value.date(), value.time(), value.tzinfo)
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else None
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).replace("\x00", "")
