"""Every genuine and replayed trace export of the shared data, ingested: what it was taken for, and what came of it.

Prints a row a file and, as the last line, one JSON object: files, formats, traces, passages, rejected, failed, and of
how many of the 24 replayed MT-RAG rows question, answer and passages are those of MT-RAG, by format.

Example: python bench/exports.py
"""

import gzip
import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from flywheel import ingest
from flywheel.settings import Settings
from flywheel.warehouse import open_warehouse

DATA = Path(os.environ.get("FLYWHEEL_DATA", "../shared/data"))
REPLAYED = ("otlp_replay/openinference.jsonl", "otlp_replay/genai_semconv.jsonl", "mlflow_replay/traces.jsonl")
Content = tuple[str, str, tuple[tuple[str, str], ...]]


def read_mtrag() -> Counter[Content]:
    """Read question, answer and passages of every MT-RAG answer."""
    with gzip.open(DATA / "mtrag" / "reference_subset_with_human_evaluations.json.gz", "rt", encoding="utf-8") as file:
        told: Mapping[str, Any] = json.load(file)
    texts = {document["document_id"]: document["text"] for document in told["documents"]}
    tasks = {task["task_id"]: task for task in told["tasks"]}
    rows: Counter[Content] = Counter()
    for answer in told["evaluations"]:
        task = tasks[answer["task_id"]]
        passages = tuple((c["document_id"], texts[c["document_id"]].strip()) for c in task["contexts"])
        rows[task["input"][-1]["text"].strip(), answer["model_response"].strip(), passages] += 1
    return rows


def ingest_alone(path: Path) -> tuple[ingest.FileCount, list[Content]]:
    """Ingest one file into a warehouse of its own; gives its count and the traces that came of it."""
    settings = Settings()
    with (
        tempfile.TemporaryDirectory() as folder,
        open_warehouse(Path(folder) / "warehouse.duckdb", settings.warehouse) as db,
    ):
        (counted,) = ingest.ingest(db, [path], ingest.how_to(settings, Path(folder)))
        return counted, contents(db)


def contents(db: duckdb.DuckDBPyConnection) -> list[Content]:
    """Give what each trace of a warehouse says."""
    rows = db.execute("select user_input, coalesce(response, ''), retrieved_contexts from trace").fetchall()
    return [
        (question.strip(), answer.strip(), tuple((context["id"], context["text"].strip()) for context in contexts))
        for question, answer, contexts in rows
    ]


def main() -> None:
    """Ingest every file and print the table."""
    mtrag = read_mtrag()
    root = DATA / "traces"
    totals: Counter[str] = Counter()
    formats = set()
    equal = {}
    print("| file | taken for | records | traces | passages | rejected |\n|---|---|---|---|---|---|")
    for path in ingest.trace_files([root]):
        counted, traces = ingest_alone(path)
        name = path.relative_to(root).as_posix()
        passages = sum(len(content[2]) for content in traces)
        print(f"| {name} | {counted.format or counted.failure} | {counted.count.lines} {counted.unit}s | {len(traces)} "
              f"| {passages} | {counted.count.rejected} |")  # fmt: skip
        formats.add(counted.format)
        totals.update(files=1, traces=len(traces), passages=passages, rejected=counted.count.rejected,
                      failed=int(counted.failure is not None))  # fmt: skip
        if name in REPLAYED:
            equal[name] = sum(content in mtrag for content in traces)
    print(json.dumps({**totals, "formats": sorted(formats), "equal_to_mtrag": equal}))


if __name__ == "__main__":
    main()
