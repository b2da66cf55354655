import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from eval.errors import OperationalError, UserError
from flywheel.settings import Warehouse
from flywheel.warehouse import open_warehouse, transaction
from flywheel.warehouse.connection import STORAGE_VERSION
from flywheel.warehouse.migrations import MIGRATIONS
from tests.flywheel.made_traces import open_made, tables

HOLD = """
import sys, time
from pathlib import Path
from flywheel.settings import Warehouse
from flywheel.warehouse import open_warehouse
sys.argv = ["flywheel", "run", "--week", "2026-W45"]
with open_warehouse(Path(sys.stdin.readline().strip()), Warehouse()):
    print("held", flush=True)
    time.sleep(60)
"""
ROOT = Path(__file__).parents[3]


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdin.write(f"{tmp_path / 'warehouse.duckdb'}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_told_who_holds_the_warehouse(tmp_path, holder):
    command = [
        sys.executable,
        "-c",
        "from flywheel.cli.main import main; main()",
        "--workspace",
        str(tmp_path),
        "doctor",
    ]
    asked = subprocess.run(
        [*command[:-1], "ingest", "delivery.jsonl"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 2  # the file is not there: that comes first
    (tmp_path / "delivery.jsonl").write_text("")
    asked = subprocess.run(
        [*command[:-1], "ingest", str(tmp_path / "delivery.jsonl")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 4
    assert asked.stderr.count("\n") == 1
    assert f"is locked by PID {holder.pid} (flywheel run --week 2026-W45, since " in asked.stderr
    assert "wait for it, or stop that process" in asked.stderr


def test_a_holder_that_was_killed_leaves_the_warehouse_free(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with open_made(tmp_path) as db:
        assert db.execute("select count(*) from trace").fetchone() == (0,)


def test_one_process_cannot_open_it_twice_either(tmp_path):
    with (
        open_made(tmp_path),
        pytest.raises(OperationalError, match=f"locked by PID {os.getpid()} "),
        open_made(tmp_path),
    ):
        pass


def test_a_job_that_failed_leaves_the_warehouse_free(tmp_path):
    with pytest.raises(ZeroDivisionError), open_made(tmp_path):
        raise ZeroDivisionError
    with open_made(tmp_path):
        pass


def test_opening_again_keeps_what_is_there(tmp_path):
    with open_made(tmp_path) as db:
        db.execute("insert into growth values ('2026-W45', 'c', 't', 'gate')")
        before = tables(db)
    with open_made(tmp_path) as db:
        assert tables(db) == before


def fill(path):
    with open_warehouse(path, Warehouse()) as db:
        db.execute("insert into growth select '2026-W45', 'case ' || i, 't', 'train' from range(50000) r(i)")
    return bytearray(path.read_bytes())


def flipped(content, first, last):
    return content[:first] + bytes(byte ^ 0x55 for byte in content[first:last]) + content[last:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"this is no database" * 1000,
        lambda content: content[:5000],
        lambda content: flipped(content, 0, 4096),
        lambda content: flipped(content, 4096, 12288),
        lambda content: flipped(content, 12288, 200_000),
        lambda content: flipped(content, 12288 + 262_144, 12288 + 263_144),
    ],
    ids=["text", "cut off", "first header", "both headers", "first block", "a block read later"],
)
def test_a_damaged_file_is_an_operational_error_and_stays_as_it_is(tmp_path, damage):
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(damage(fill(path)))
    before = path.read_bytes()
    with (
        pytest.raises(OperationalError, match=r"warehouse\.duckdb cannot be used: .*restore a backup") as told,
        open_made(tmp_path) as db,
    ):
        db.execute("select max(case_id) from growth").fetchall()
    assert "\n" not in str(told.value)
    assert path.read_bytes() == before


def test_a_file_of_a_newer_storage_version_is_an_operational_error(tmp_path):
    with duckdb.connect() as db:
        db.execute(f"attach '{tmp_path / 'warehouse.duckdb'}' as newest (storage_version 'latest')")
        db.execute("create table newest.made as select 1")
        newest = db.execute(
            "select tags['storage_version'] from duckdb_databases() where database_name = 'newest'"
        ).fetchone()
    if STORAGE_VERSION in newest[0]:
        pytest.skip("this DuckDB knows no newer storage version")
    with pytest.raises(OperationalError, match="storage version"), open_made(tmp_path):
        pass


def test_a_mistake_in_a_statement_stays_a_bug(tmp_path):
    with pytest.raises(duckdb.CatalogException), open_made(tmp_path) as db:
        db.execute("select * from no_such_table")


def test_a_warehouse_of_a_newer_version_is_refused_and_kept(tmp_path):
    with open_made(tmp_path) as db:
        db.execute("insert into migration values (?)", [len(MIGRATIONS)])
    with pytest.raises(UserError, match=r"a newer Flywheel wrote the warehouse .*upgrade"), open_made(tmp_path):
        pass


def add_a_case_and_stop(db):
    db.execute("insert into growth values ('2026-W45', 'c', 't', 'gate')")
    raise KeyboardInterrupt


def test_a_transaction_is_all_or_nothing(tmp_path):
    with open_made(tmp_path) as db:
        with pytest.raises(KeyboardInterrupt), transaction(db):
            add_a_case_and_stop(db)
        assert tables(db)["growth"] == []


def test_limits_are_set_and_no_extension_is_fetched(tmp_path):
    with open_warehouse(tmp_path / "w.duckdb", Warehouse(memory_limit="1GB", threads=1)) as db:
        told = dict(db.execute("select name, value from duckdb_settings()").fetchall())
    assert told["threads"] == "1"
    assert told["memory_limit"].startswith("953")
    assert (told["autoinstall_known_extensions"], told["autoload_known_extensions"]) == ("false", "false")


def test_a_quote_in_the_path_is_part_of_the_path(tmp_path):
    folder = tmp_path / "it's here"
    with open_made(folder):
        pass
    assert (folder / "warehouse.duckdb").exists()


def test_both_supported_lines_of_duckdb_can_read_the_file(tmp_path):
    with open_made(tmp_path) as db:
        tags = db.execute("select tags from duckdb_databases() where database_name = 'warehouse'").fetchone()[0]
    assert "v1.5.0" in tags["storage_version"]
