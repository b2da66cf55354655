"""Personal data and injected instructions in six real weeks: recall on what was planted, false alarms, speed.

Prints what was found by kind, and as the last line one JSON object. Only questions were planted: personal data in
answers and passages is real, and counted, not judged.

Example: python bench/governance.py
"""

import argparse
import gzip
import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from flywheel.governance.injection import find_injection, injection_sql
from flywheel.governance.pii import RECOGNISERS, Finding, find_pii

WEEKS = range(40, 46)
ALL = tuple(RECOGNISERS.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FLYWHEEL_DATA", "../shared/data")))
    weeks = parser.parse_args().data / "weeks"
    if not weeks.is_dir():
        raise SystemExit(f"there is no folder {weeks}; name it with --data or FLYWHEEL_DATA")
    rows: dict[str, dict[str, Any]] = {}
    for week in WEEKS:
        with gzip.open(weeks / f"2026-W{week}.jsonl.gz") as lines:
            rows |= {row["trace_id"]: row for row in map(json.loads, lines)}
    figures = {**personal_data(rows, key_of(weeks, "pii")), **injections(rows, key_of(weeks, "injection"))}
    print(json.dumps(figures))


def key_of(weeks: Path, name: str) -> dict[str, Any]:
    key: dict[str, Any] = json.loads((weeks / f"{name}_key.json").read_text())
    return key


def personal_data(rows: dict[str, dict[str, Any]], key: dict[str, Any]) -> dict[str, float]:
    planted = key["planted"]
    found = sum(
        Finding(item["kind"], item["start"], item["end"]) in find_pii(rows[item["trace_id"]]["user_input"], ALL)
        for item in planted
    )
    lookalikes = sum(
        finding.kind != "ip_address"
        for item in key["lookalikes"]
        for finding in find_pii(rows[item["trace_id"]]["user_input"], ALL)
    )
    known = {item["trace_id"] for item in (*planted, *key["lookalikes"])}
    questions = {row["user_input"] for row in rows.values() if row["trace_id"] not in known}
    answers = {row["response"] for row in rows.values() if row["response"]}
    passages = {passage["text"] for row in rows.values() for passage in row["retrieved_contexts"]}
    for name, texts in (("questions", questions), ("answers", answers), ("passages", passages)):
        print(f"{name}: {dict(Counter(f.kind for text in texts for f in find_pii(text, ALL)))} in {len(texts)} texts")
    prose = ["".join(c for c in text if not c.isdigit()) for text in passages]
    return {
        "pii_recall": found / len(planted),
        "pii_lookalikes_flagged": lookalikes,
        "pii_other_questions_flagged": sum(bool(find_pii(text, ALL)) for text in questions),
        "pii_passages_mb_per_second": speed(passages),
        "pii_prose_without_digits_mb_per_second": speed(prose),
    }


def speed(texts: Any) -> float:
    started = time.perf_counter()
    for text in texts:
        find_pii(text, ALL)
    return round(sum(map(len, texts)) / 1e6 / (time.perf_counter() - started), 1)


def injections(rows: dict[str, dict[str, Any]], key: dict[str, Any]) -> dict[str, float]:
    kinds = {item["trace_id"]: item["kind"] for item in key["planted"]}
    started = time.perf_counter()
    seen = {trace_id: find_injection(row["user_input"]) for trace_id, row in rows.items()}
    python_seconds = time.perf_counter() - started
    with duckdb.connect() as db:
        db.execute("set threads = 1")
        db.register("question", pa.table({"id": list(rows), "text": [row["user_input"] for row in rows.values()]}))
        started = time.perf_counter()
        in_sql = dict(db.execute(f"select id, {injection_sql('text')} from question").fetchall())
        sql_seconds = time.perf_counter() - started
    for kind in dict.fromkeys(kinds.values()):
        of_kind = [trace_id for trace_id, planted in kinds.items() if planted == kind]
        named = sum(kind in seen[trace_id] for trace_id in of_kind)
        print(f"{kind}: {sum(bool(seen[i]) for i in of_kind)} of {len(of_kind)} found, {named} by this name")
    return {
        "injection_recall": sum(bool(seen[i]) for i in kinds) / len(kinds),
        "injection_recall_sql": sum(in_sql[i] for i in kinds) / len(kinds),
        "injection_false_alarms": sum(bool(found) for i, found in seen.items() if i not in kinds),
        "injection_honest_questions": len(rows) - len(kinds),
        "injection_sql_disagrees": sum(bool(found) != in_sql[i] for i, found in seen.items()),
        "injection_python_questions_per_second": round(len(rows) / python_seconds),
        "injection_sql_questions_per_second": round(len(rows) / sql_seconds),
    }


if __name__ == "__main__":
    main()
