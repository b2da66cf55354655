import duckdb

from flywheel.warehouse.connection import STORAGE_VERSION
from flywheel.warehouse.migrations import MIGRATIONS
from tests.flywheel.made_traces import open_made, tables


def columns(db):
    return db.execute(
        "select table_name, column_name, data_type from duckdb_columns() where not internal order by all"
    ).fetchall()


def test_an_empty_file_of_the_first_version_is_brought_up_to_date(tmp_path):
    with open_made(tmp_path) as db:
        newest = columns(db)
    old = tmp_path / "old" / "warehouse.duckdb"
    old.parent.mkdir()
    with duckdb.connect() as db:
        db.execute(f"attach '{old}' as old (storage_version '{STORAGE_VERSION}')")
        db.execute("use old")
        db.execute("create table migration (number integer primary key)")
        db.execute(MIGRATIONS[0])
        db.execute("insert into migration values (0)")
    with open_made(old.parent) as db:
        assert columns(db) == newest


def test_each_migration_runs_once(tmp_path):
    for _ in range(2):
        with open_made(tmp_path) as db:
            assert tables(db)["migration"] == [(number,) for number in range(len(MIGRATIONS))]
