"""A week's job that was killed anywhere and taken up again leaves what an undisturbed one leaves."""

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from flywheel.phase_one import STEPS as FIRST
from flywheel.phase_two import STEPS as SECOND
from tests.flywheel.killed_run import MOMENTS, UNDISTURBED
from tests.flywheel.made_weeks import WEEK

ROOT = Path(__file__).parent.parent.parent
WALL_CLOCK = {"ingested_at", "completed_at", "seconds"}
RUN_ID = re.compile(r'run [0-9a-f]{8} |"run_id": "[0-9a-f]{32}"')
"""MLflow's own names of runs are random; the fingerprints are compared instead."""


def warehouse_rows(folder: Path) -> dict[str, list[str]]:
    """Every row of every table, wall-clock columns left out."""
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as db:
        columns: dict[str, list[str]] = {}
        for table, column in db.execute(
            "select table_name, column_name from duckdb_columns() where not internal"
        ).fetchall():
            columns.setdefault(table, []).append(column)
        return {
            table: sorted(
                RUN_ID.sub("", repr(row))
                for row in db.execute(
                    f"select {', '.join(json.dumps(name) for name in names if name not in WALL_CLOCK)} from {table}"
                ).fetchall()
            )
            for table, names in columns.items()
        }


def label_rows(folder: Path) -> dict[str, list[str]]:
    """The draws and tasks of the label store, without when they were made."""
    rows = {}
    with closing(sqlite3.connect(folder / "labels.db")) as db:
        for table in ("draw", "task"):
            found = [json.loads(body) for (body,) in db.execute(f"select body from {table}")]
            rows[f"labels.{table}"] = sorted(
                repr({k: v for k, v in body.items() if k != "created_at"}) for body in found
            )
    return rows


def golden_files(folder: Path) -> dict[str, bytes]:
    """The golden dataset, byte for byte."""
    return {f"golden {path.name}": path.read_bytes() for path in (folder / "golden_dataset").glob("*")}


def suite_runs(folder: Path) -> dict[str, list[str]]:
    """The runs of the suite: what was answered and scored, without how long it took."""
    return {
        f"run {path.parent.name}": [re.sub(r'"seconds": [\d.e-]+', "", line) for line in path.read_text().splitlines()]
        for path in (folder / "runs").glob("*/results.jsonl")
    }


def tracked_runs(folder: Path) -> dict[str, list[tuple]]:
    """The runs of MLflow by fingerprint: status, parent, figures."""
    if not (folder / "mlflow.db").exists():
        return {}
    named = "(select run_uuid as id, value as name from tags where key = 'fingerprint')"
    queries = {
        "mlflow runs": f"select f.name, r.name, status from runs r join {named} f on id = run_uuid",
        "mlflow unnamed runs": f"select count(*) from runs where run_uuid not in (select id from {named})",
        "mlflow metrics": f"select name, key, value, step from metrics join {named} on id = run_uuid",
        "mlflow params": f"select name, key, value from params join {named} on id = run_uuid",
        "mlflow children": f"select c.name, p.name from tags join {named} c on c.id = run_uuid "
        f"join {named} p on p.id = value where key = 'mlflow.parentRunId'",
    }
    with closing(sqlite3.connect(folder / "mlflow.db")) as db:
        return {what: sorted(db.execute(query)) for what, query in queries.items()}


def report_files(folder: Path) -> dict[str, object]:
    """The names of the report's files, and the rows of its Parquet."""
    place = folder / "reports" / WEEK
    names = sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())
    with duckdb.connect() as db:
        return {"report": names, "parquet": db.execute(f"select * from '{place / 'traces.parquet'}'").fetchall()}


def left_by(folder: Path) -> dict[str, object]:
    """All that a run leaves, wall-clock times aside."""
    return {
        **warehouse_rows(folder), **label_rows(folder), **golden_files(folder), **suite_runs(folder),
        **tracked_runs(folder), **report_files(folder),
    }  # fmt: skip


@pytest.mark.parametrize(("phase", "steps"), [(1, FIRST), (2, SECOND)])
def test_a_killed_and_resumed_run_leaves_what_an_undisturbed_one_leaves(tmp_path, phase, steps):
    driver = [sys.executable, "-m", "tests.flywheel.killed_run", str(tmp_path), str(phase), "20261103"]
    done = subprocess.run(driver, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    ends.pop("seconds")
    assert len(ends) == 3 * len(steps) + (2 if phase == 1 else 0) + MOMENTS
    assert {name for name, (killed, _) in ends.items() if killed != -9} <= {f"moment-{n}" for n in range(MOMENTS)}
    assert [name for name, (_, resumed) in ends.items() if resumed != 0] == [], done.stderr
    expected = left_by(tmp_path / UNDISTURBED)
    for name in ends:
        found = left_by(tmp_path / name)
        differing = [what for what in expected.keys() | found.keys() if expected.get(what) != found.get(what)]
        assert {what: (expected.get(what), found.get(what)) for what in differing} == {}, name
