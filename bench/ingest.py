"""How fast traces come in, and in how much memory: against DuckDB's own JSON reader on the same file, in one run.

DuckDB's `create table as select * from read_ndjson(...)` validates, deduplicates and rejects nothing. Each step runs
in a process of its own, so that its peak memory is its own. The last line is one JSON object: ratio_to_duckdb,
peak_mb_100k and peak_mb_1m (of a tenth of the traces and of all), reingest_speedup, otlp_ratio, signals_per_second, and
the rates behind them.

Example: python bench/ingest.py --traces 1000000
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def duckdb_alone(file: Path, folder: Path) -> dict[str, Any]:
    """Read the file with DuckDB's own reader into a table of a new database."""
    import duckdb

    db = duckdb.connect(folder / "peer.duckdb")
    row = db.execute(f"create table traces as select * from read_ndjson('{file}')").fetchone()
    db.close()
    return {"traces": row[0] if row else 0}


def flywheel_ingest(file: Path, folder: Path) -> dict[str, Any]:
    """Ingest the file into the warehouse of a workspace."""
    from flywheel import ingest
    from flywheel.settings import Settings
    from flywheel.warehouse import open_warehouse

    settings = Settings()
    with open_warehouse(folder / "warehouse.duckdb", settings.warehouse) as db:
        counted = ingest.ingest_file(db, file, ingest.how_to(settings, folder / "quarantine"))
    traces = counted.traces.added if counted.unit == "span" else counted.count.added + counted.count.unchanged
    return {"traces": traces, "rejected": counted.count.rejected, "was_known": counted.was_known}


def signals(_: Path, folder: Path) -> dict[str, Any]:
    """Compute the signals of all traces of a workspace, week by week."""
    from flywheel.settings import Settings
    from flywheel.signals import add_signals
    from flywheel.warehouse import open_warehouse, traces

    settings = Settings()
    with open_warehouse(folder / "warehouse.duckdb", settings.warehouse) as db:
        weeks = traces.weeks(db)
        started = time.perf_counter()
        counted = sum(add_signals(db, week, settings.triage).traces for week in weeks)
    return {"traces": counted, "work_seconds": time.perf_counter() - started}


STEPS = {"duckdb": duckdb_alone, "ingest": flywheel_ingest, "signals": signals}


def measured(step: str, file: Path, folder: Path) -> dict[str, Any]:
    """Do one step in a process of its own; gives what it says, its seconds, and its peak memory in MB."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--step", step, "--file", str(file), "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{step} failed:\n{done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    rate = told["traces"] / told["seconds"]
    print(f"{step:8} {file.name:16} {told['traces']:>9,} traces {told['seconds']:7.1f} s {rate:9,.0f}/s "
          f"{told['peak_mb']:6,.0f} MB", flush=True)  # fmt: skip
    return {**told, "rate": rate}


def do_step(step: str, file: Path, folder: Path) -> None:
    """Do one step here, and print what it came to as JSON."""
    started = time.perf_counter()
    told = STEPS[step](file, folder)
    seconds = told.pop("work_seconds", None) or time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**told, "seconds": seconds, "peak_mb": peak}))


def compare(count: int, folder: Path) -> dict[str, Any]:
    """Do all steps, and lay the ratios out."""
    sys.path.insert(0, str(HERE))
    from made_traces import write_traces

    started = time.perf_counter()
    few = max(count // 10, 1)
    paths = write_traces(folder, count, few)
    size = paths["all"].stat().st_size
    print(f"made {count:,} traces of {size / count:,.0f} bytes in {time.perf_counter() - started:.0f} s", flush=True)
    # The peer runs before and after, so that a machine that slows down or speeds up meanwhile favours nobody.
    before = measured("duckdb", paths["all"], folder / "peer-1")
    small = measured("ingest", paths["few"], folder / "few")
    large = measured("ingest", paths["all"], folder / "all")
    again = measured("ingest", paths["all"], folder / "all")
    after = measured("duckdb", paths["all"], folder / "peer-2")
    otlp = measured("ingest", paths["few_otlp"], folder / "otlp")
    signalled = measured("signals", paths["all"], folder / "all")
    peer = 2 * count / (before["seconds"] + after["seconds"])
    return {
        "traces": count,
        "ratio_to_duckdb": round(large["rate"] / peer, 3),
        "peak_mb_100k": round(small["peak_mb"]),
        "peak_mb_1m": round(large["peak_mb"]),
        "reingest_speedup": round(large["seconds"] / again["seconds"], 1),
        "otlp_ratio": round(otlp["rate"] / small["rate"], 3),
        "signals_per_second": round(signalled["rate"]),
        "traces_per_second": round(large["rate"]),
        "duckdb_per_second": round(peer),
        "rejected": large["rejected"],
        "signals_peak_mb": round(signalled["peak_mb"]),
        "seconds": round(time.perf_counter() - started),
    }


def main() -> None:
    """Run the benchmark, or one step of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=1_000_000, help="how many traces to make (default 1,000,000)")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    asked = parser.parse_args()
    if asked.step:
        do_step(asked.step, asked.file, asked.folder)
        return
    with tempfile.TemporaryDirectory(dir=asked.folder, prefix="bench-ingest-") as folder:
        print(json.dumps(compare(asked.traces, Path(folder))))


if __name__ == "__main__":
    main()
