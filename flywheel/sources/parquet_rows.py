"""Rows of a Parquet file, a few at a time: what is packed by a dictionary takes no more memory than it has to."""

import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np

from eval.errors import UserError
from flywheel.sources.delivery import Delivery
from flywheel.sources.records import Rejected

Fields = dict[str, Any]
ROWS_AT_ONCE = 256
BYTES_AT_ONCE = 4 << 20
PLAIN_ENCODINGS = frozenset({"PLAIN", "RLE", "BIT_PACKED"})
BYTES_OF_A_NUMBER = 8
UNREADABLE_VALUES = (ValueError, OverflowError, TypeError, UnicodeError)
"""What Arrow raises of values that Python cannot hold: years after 9999, text that is not UTF-8."""


def parquet_rows(delivery: Delivery, columns: Iterable[str] | None) -> Iterator[tuple[int, Fields] | Rejected]:
    """Yield the rows of a Parquet file, one row group in memory at a time; `given` counts their bytes."""
    import pyarrow as pa
    from pyarrow import parquet

    if delivery.packing:
        raise UserError(f"{delivery.name} is a packed Parquet file; unpack it first")
    place = 0
    try:
        packed = texts_in_dictionaries(parquet.read_metadata(delivery.path))
        with parquet.ParquetFile(delivery.path, read_dictionary=packed) as file:
            names = file.schema_arrow.names
            wanted = names if columns is None else [name for name in names if name in set(columns)]
            for group in range(file.num_row_groups):
                check_group(delivery, file.metadata.row_group(group).total_byte_size, group)
                for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=wanted, use_threads=False):
                    for row in rows_of_batch(batch, place, delivery):
                        place += 1
                        yield row
            if place != file.metadata.num_rows:
                raise UserError(
                    f"{delivery.name}: the Parquet file is damaged (it counts {file.metadata.num_rows} rows and holds "
                    f"{place}); deliver it again"
                )
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise UserError(
            f"{delivery.name}, after row {place}: it is a damaged Parquet file ({str(error)[:200]}); deliver it again"
        ) from error
    delivery.skim()


def check_group(delivery: Delivery, size: int, group: int) -> None:
    """Refuse a row group that is larger than a document may be."""
    most = delivery.limits.document_bytes
    if size > most:
        raise UserError(
            f"{delivery.name}: row group {group + 1} is larger than {most} bytes; "
            "write the file in smaller row groups, or raise ingest.max_document_bytes"
        )


def texts_in_dictionaries(metadata: Any) -> list[str]:
    """Name the columns of text whose values stand in the file once for many rows; Arrow would copy them to each."""
    found = {}
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            if column.physical_type == "BYTE_ARRAY" and not PLAIN_ENCODINGS.issuperset(column.encodings):
                found[column.path_in_schema] = True
    return list(found)


def rows_of_batch(batch: Any, before: int, delivery: Delivery) -> Iterator[tuple[int, Fields] | Rejected]:
    """Yield the rows of a batch, as many at once as fit; one of too many bytes is rejected before it is unpacked."""
    limits = delivery.limits
    cells = np.zeros((batch.num_columns + 1, batch.num_rows), np.int64)
    for number, column in enumerate(batch.columns):
        cells[number] = sizes_of(column)
    largest, sizes = cells.max(axis=0).tolist(), cells.sum(axis=0).tolist()
    is_too_large = [
        cell > limits.line_bytes or size > limits.value_bytes for cell, size in zip(largest, sizes, strict=True)
    ]
    start = 0
    while start < batch.num_rows:
        if is_too_large[start]:
            what = f"a cell of the row is larger than {limits.line_bytes} bytes"
            if largest[start] <= limits.line_bytes:
                what = f"the row is larger than {limits.value_bytes} bytes"
            start += 1
            yield Rejected(before + start, what, b"", whole=False)
            continue
        end, held = start, 0
        while end < batch.num_rows and not is_too_large[end] and (end == start or held + sizes[end] <= BYTES_AT_ONCE):
            held += sizes[end]
            end += 1
        for number, record in enumerate(records_of(unpacked(batch.slice(start, end - start))), start=start):
            delivery.given += sizes[number]
            yield parquet_row(before + number + 1, record, limits.nesting)
        start = end


def unpacked(batch: Any) -> Any:
    """Copy texts out of their dictionaries, for Python takes them ten times faster then."""
    import pyarrow as pa

    columns = [column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column for column in batch]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names) if columns else batch


def sizes_of(array: Any) -> Any:
    """Count the bytes of each value of an Arrow array, roughly: the text in it, and eight for anything else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = (pa.StringArray, pa.LargeStringArray, pa.BinaryArray, pa.LargeBinaryArray)
    if isinstance(array, pa.DictionaryArray):
        held = np.append(sizes_of(array.dictionary), 0)
        return held[pc.fill_null(array.indices, len(held) - 1).to_numpy(zero_copy_only=False)]
    if isinstance(array, texts):
        return pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    if isinstance(array, pa.StructArray):
        fields = [sizes_of(array.field(number)) for number in range(array.type.num_fields)]
        return np.sum(fields, axis=0, dtype=np.int64) if fields else np.zeros(len(array), np.int64)
    if isinstance(array, pa.MapArray):
        inner = sizes_of(array.keys) + sizes_of(array.items)
    elif isinstance(array, pa.ListArray | pa.LargeListArray):
        inner = sizes_of(array.values)
    else:
        each = array.type.byte_width if isinstance(array, pa.FixedSizeBinaryArray) else BYTES_OF_A_NUMBER
        return np.full(len(array), each, np.int64)
    offsets = array.offsets.to_numpy(zero_copy_only=False)
    before = np.concatenate(([0], np.cumsum(inner + BYTES_OF_A_NUMBER)))
    return before[offsets[1:]] - before[offsets[:-1]]


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
