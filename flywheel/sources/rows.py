"""Records of JSON lines, JSON arrays, CSV and Parquet, all alike as objects, one after the other."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import replace

from eval.errors import UserError
from flywheel.sources.delivery import KEPT_OF_A_LONG_LINE, Delivery, is_text
from flywheel.sources.head import PARQUET, is_csv
from flywheel.sources.json_text import BOM
from flywheel.sources.parquet_rows import Fields, parquet_rows
from flywheel.sources.records import Blank, Rejected
from flywheel.sources.vendor_fields import objects_of

__all__ = ["is_csv", "rows_of", "unless_a_table"]

DELIMITERS = ",;\t"


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
    header = first_header(delivery, lines) if delivery.start else None
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


def first_header(delivery: Delivery, rest: TextLines) -> list[str] | None:
    """Read the header of a table that has grown, and whose beginning was read another time."""
    whole = TextLines(delivery.anew())
    for row in csv.reader(whole, delimiter=delimiter_of(delivery.head.start), strict=True):
        if any(row):
            whole.keep_header()
            rest.header = whole.header
            return header_of(row, delivery.name)
        whole.next_row()
    return None


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
