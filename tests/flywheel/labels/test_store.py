import sqlite3

import pytest

from eval.errors import OperationalError, UserError
from flywheel.labels import store as stores
from flywheel.labels.draws import draw_tasks
from flywheel.labels.store import open_labels, reading
from tests.flywheel.labels.queues import WEEK, open_queue


def test_a_store_opened_again_keeps_what_it_held(tmp_path):
    open_queue(tmp_path)
    assert len(draw_tasks(open_labels(f"sqlite:///{tmp_path / 'labels.db'}"), WEEK)) == 3


def test_sqlite_runs_in_wal_mode_and_waits_for_locks(tmp_path):
    with reading(open_queue(tmp_path)) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 10_000


def test_a_locked_store_is_an_operational_error_that_names_it(tmp_path, monkeypatch):
    open_queue(tmp_path)
    monkeypatch.setattr(stores, "BUSY_SECONDS", 0)
    holder = sqlite3.connect(tmp_path / "labels.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match=r"labels\.db cannot be used: database is locked"):
        open_labels(f"sqlite:///{tmp_path / 'labels.db'}")
    holder.close()


def test_an_unreachable_store_is_named_without_its_password(tmp_path):
    with pytest.raises(OperationalError) as raised:
        open_labels("postgresql+psycopg://ann:s3cret@127.0.0.1:1/labels?connect_timeout=1")
    assert "ann:***@127.0.0.1:1/labels" in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_a_file_that_is_no_database_is_an_operational_error(tmp_path):
    (tmp_path / "labels.db").write_bytes(b"not a database, but long enough to be read as one" * 40)
    with pytest.raises(OperationalError, match="file is not a database"):
        open_labels(f"sqlite:///{tmp_path / 'labels.db'}")


@pytest.mark.parametrize("url", ["labels.db", "nosuch://host/labels"])
def test_a_url_that_names_no_store_is_a_user_error(url):
    with pytest.raises(UserError, match=r"labels\.url is no database URL"):
        open_labels(url)
