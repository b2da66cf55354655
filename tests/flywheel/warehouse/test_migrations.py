import duckdb

from flywheel.warehouse.connection import STORAGE_VERSION
from flywheel.warehouse.deliveries import Count
from flywheel.warehouse.migrations import MIGRATIONS
from tests.flywheel.made_traces import deliver, open_made, tables


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


FILE = "('abc', 'a.jsonl', 'jsonl', 7, 1, 2, 1, 2, 1, '2026-11-03 10:00:00')"
TRACE = """
    ('t1', 3, 'hash', '2026-W45', '2026-11-03 10:00:00', 's1', 'Q', 'A', 's1', null, null, 'prod',
     [{'id': 'p1', 'text': 'T', 'score': 0.5, 'source': null}], 'm', null, 1.5, 1, 2, 0.1, 'ok', null, 4, 'ok',
     '{"a":1}')
"""


def test_what_an_earlier_version_ingested_is_still_there(tmp_path):
    with duckdb.connect() as db:
        db.execute(f"attach '{tmp_path / 'warehouse.duckdb'}' as old (storage_version '{STORAGE_VERSION}')")
        db.execute("use old")
        db.execute("create table migration (number integer primary key)")
        db.execute(MIGRATIONS[0])
        db.execute("insert into migration values (0)")
        db.execute(f"insert into source_file values {FILE}")
        db.execute("insert into rejected_line values ('abc', 'a.jsonl', 3, 'why'), ('abc', 'a.jsonl', 5, 'why not')")
        db.execute(f"insert into trace values {TRACE}")
        db.execute("insert into signal values ('t1', 3, '2026-W45', false, true, false, false, false, 0.5)")
    with open_made(tmp_path) as db:
        assert db.execute("select * exclude (recognised_by, ingested_at) from delivery").fetchall() == [
            (1, "abc", "a.jsonl", "native", "line", 0, 7, 7, 1, 2, 1, 2, 1, 1, 2, 0)
        ]
        assert db.execute("select * from rejected_record order by line").fetchall() == [
            (1, "a.jsonl", 3, "why"), (1, "a.jsonl", 5, "why not")
        ]  # fmt: skip
        assert db.execute("select trace_id, revision, response, contexts_missing, delivery from trace").fetchall() == [
            ("t1", 3, "A", False, 0)
        ]
        assert db.execute("select retrieved_contexts[1].text from trace").fetchall() == [("T",)]
        assert db.execute("select is_slow, is_injection, is_pii_leak from signal").fetchall() == [(True, False, False)]


def test_a_trace_of_an_earlier_version_delivered_again_is_unchanged_or_a_new_revision(tmp_path):
    test_what_an_earlier_version_ingested_is_still_there(tmp_path)
    line = {
        "trace_id": "t1", "timestamp": "2026-11-03T10:00:00Z", "user_input": "Q", "response": "A", "session_id": "s1",
        "environment": "prod", "retrieved_contexts": [{"id": "p1", "text": "T", "score": 0.5}], "model": "m",
        "latency_ms": 1.5, "input_tokens": 1, "output_tokens": 2, "cost_usd": 0.1, "metadata": {"a": 1},
        "feedback": {"rating": 4, "comment": "ok"},
    }  # fmt: skip
    with open_made(tmp_path) as db:
        assert deliver(db, tmp_path, line) == Count(1, unchanged=1)
        assert deliver(db, tmp_path, line | {"response": "B"}) == Count(1, updated=1)
        assert db.execute("select revision, response from trace").fetchall() == [(4, "B")]
