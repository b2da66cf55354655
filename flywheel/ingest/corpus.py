"""Texts of passages that exports name by id alone: `--corpus FILE`, kept for traces that come later."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from eval.errors import UserError
from flywheel.sources.delivery import Delivery, Limits, Value
from flywheel.sources.json_text import without_nul
from flywheel.sources.records import Rejected
from flywheel.warehouse import transaction
from flywheel.warehouse.traces import add_corpus, join_corpus

ID_KEYS: Final = ("id", "passage_id", "document_id", "doc_id", "chunk_id", "_id")
TEXT_KEYS: Final = ("text", "content", "page_content", "passage", "chunk", "body")
BATCH = 5_000


def add_corpus_file(db: duckdb.DuckDBPyConnection, path: Path, limits: Limits) -> tuple[int, int]:
    """Keep the passages of a file (JSON lines, a JSON array, or Parquet), and complete the traces that lack them.

    Gives how many passages the file holds, and how many traces gained a text.
    """
    passages = parquet_rows(path) if path.suffix == ".parquet" else json_rows(path, limits)
    count = 0
    with transaction(db):
        batch: list[tuple[str, str]] = []
        for place, fields in enumerate(passages, start=1):
            batch.append(passage_of(fields, path, place))
            if len(batch) == BATCH:
                count += add_corpus(db, passage_table(batch))
                batch = []
        if batch:
            count += add_corpus(db, passage_table(batch))
        return count, join_corpus(db)


def passage_table(passages: list[tuple[str, str]]) -> pa.Table:
    """Lay out passages as columns."""
    ids, texts = zip(*passages, strict=True)
    return pa.table({"passage_id": pa.array(ids, pa.string()), "text": pa.array(texts, pa.string())})


def passage_of(fields: Any, path: Path, place: int) -> tuple[str, str]:
    """Read the id and the text of a passage."""
    if isinstance(fields, dict):
        name = next((fields[key] for key in ID_KEYS if fields.get(key) not in (None, "")), None)
        text = next((fields[key] for key in TEXT_KEYS if isinstance(fields.get(key), str)), None)
        if name is not None and text is not None:
            return without_nul(str(name)), without_nul(text)
    raise UserError(
        f"{path}, record {place} is no passage; each needs an id ({', '.join(ID_KEYS)}) and a text "
        f"({', '.join(TEXT_KEYS)})"
    )


def json_rows(path: Path, limits: Limits) -> Iterator[Any]:
    """Yield the records of a JSON file."""
    for value in Delivery(path, limits).values():
        if isinstance(value, Rejected):
            raise UserError(f"{path}, line {value.line}: {value.reason}; mend that line")
        if not isinstance(value, Value):
            continue
        try:
            yield msgspec.json.decode(value.raw)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise UserError(f"{path}, line {value.line}: {error}; mend that line") from error


def parquet_rows(path: Path) -> Iterator[Any]:
    """Yield the rows of a Parquet file, a row group at a time."""
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path} cannot be read: {error}; check the path, or write it again") from error
