"""Texts of passages that exports name by id alone: `--corpus FILE`, kept for traces that come later."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from eval.errors import UserError
from flywheel.ingest.redaction import Redactor
from flywheel.sources.delivery import Delivery, Limits
from flywheel.sources.json_text import without_nul
from flywheel.sources.records import Blank, Rejected
from flywheel.sources.rows import rows_of
from flywheel.warehouse import transaction
from flywheel.warehouse.traces import add_corpus, join_corpus

ID_KEYS: Final = ("id", "passage_id", "document_id", "doc_id", "chunk_id", "_id")
TEXT_KEYS: Final = ("text", "content", "page_content", "passage", "chunk", "body")
BATCH = 5_000


def add_corpus_file(
    db: duckdb.DuckDBPyConnection, path: Path, limits: Limits, redactor: Redactor | None = None
) -> tuple[int, int]:
    """Keep the passages of a file (JSON lines, a JSON array, CSV, Parquet), and complete the traces that lack them.

    Of several with one id the last is kept. With a redactor they are masked as those of traces are, ids too, so that
    they still meet. Gives how many passages the file holds, and how many traces gained a text.
    """
    count = 0
    passages = passages_of(path, limits, redactor)
    with transaction(db):
        while batch := list(islice(passages, BATCH)):
            count += add_corpus(db, passage_table(batch))
        return count, join_corpus(db)


def passages_of(path: Path, limits: Limits, redactor: Redactor | None) -> Iterator[tuple[str, str]]:
    """Yield the id and the text of each passage of a file, as they may be stored."""
    for record in rows_of(Delivery(path, limits)):
        if isinstance(record, Blank):
            continue
        if isinstance(record, Rejected):
            raise UserError(f"{path}, line {record.line}: {record.reason}; mend that line")
        place, fields = record
        name, text = passage_of(fields, path, place)
        yield (name, text) if redactor is None else (redactor.name(name), redactor.text(text))


def passage_table(passages: Sequence[tuple[str, str]]) -> pa.Table:
    """Lay out passages as columns, with the order that they came in."""
    ids, texts = zip(*passages, strict=True)
    return pa.table(
        {
            "passage_id": pa.array(ids, pa.string()),
            "text": pa.array(texts, pa.string()),
            "place": pa.array(range(len(ids)), pa.int64()),
        }
    )


def passage_of(fields: dict[str, Any], path: Path, place: int) -> tuple[str, str]:
    """Read the id and the text of a passage."""
    name = next((fields[key] for key in ID_KEYS if fields.get(key) not in (None, "")), None)
    text = next((fields[key] for key in TEXT_KEYS if isinstance(fields.get(key), str)), None)
    if name is not None and text is not None:
        return without_nul(str(name)), without_nul(text)
    raise UserError(
        f"{path}, record {place} is no passage; each needs an id ({', '.join(ID_KEYS)}) and a text "
        f"({', '.join(TEXT_KEYS)})"
    )
