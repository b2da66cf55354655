"""How fast the signals of a workspace's traces are computed, beside what DuckDB needs to read all their passages.

`python bench/signals.py WAREHOUSE`: the file is changed only in its signals. The last line is one JSON object.
"""

import argparse
import json
import resource
import time
from pathlib import Path


def signals_per_second(db_path: Path) -> float:
    """Compute the signals of every week of a warehouse; gives traces a second."""
    from flywheel.settings import Settings
    from flywheel.signals import add_signals
    from flywheel.warehouse import open_warehouse, traces

    settings = Settings()
    with open_warehouse(db_path, settings.warehouse) as db:
        weeks = traces.weeks(db)
        started = time.perf_counter()
        counted = sum(add_signals(db, week, settings.triage).traces for week in weeks)
        return counted / (time.perf_counter() - started)


def reads_per_second(db_path: Path) -> float:
    """Let DuckDB measure every passage; gives traces a second."""
    from flywheel.settings import Settings
    from flywheel.warehouse import open_warehouse

    with open_warehouse(db_path, Settings().warehouse) as db:
        started = time.perf_counter()
        rows = db.execute(
            "select count(*), sum(list_sum([length(context.text) for context in retrieved_contexts])) from trace"
        ).fetchall()
        return float(rows[0][0]) / (time.perf_counter() - started)


def main() -> None:
    """Measure the peer before and after, so that a machine that slows down meanwhile favours nobody."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("warehouse", type=Path)
    path = parser.parse_args().warehouse
    before = reads_per_second(path)
    rate = signals_per_second(path)
    peer = 2 / (1 / before + 1 / reads_per_second(path))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {"signals_per_second": rate, "duckdb_reads_per_second": peer, "peak_mb": peak}
    print(json.dumps({name: round(value) for name, value in figures.items()} | {"ratio": round(rate / peer, 3)}))


if __name__ == "__main__":
    main()
