import threading

import duckdb
import pytest

from flywheel.ingest.writer import WAITING, Writer
from flywheel.warehouse import transaction


@pytest.fixture
def db():
    with duckdb.connect() as connection:
        connection.execute("create table t (n integer)")
        yield connection


def test_appends_come_in_order_and_are_all_there_after_waiting(db):
    with Writer(db) as writer:
        for n in range(50):
            writer.write(lambda db, n=n: db.execute("insert into t values (?)", [n]) and None)
        writer.wait()
        assert db.execute("select * from t").fetchall() == [(n,) for n in range(50)]


def test_an_append_runs_beside_the_caller(db):
    go = threading.Event()
    with Writer(db) as writer:
        writer.write(lambda _: go.wait(10) and None)
        assert not go.is_set()
        go.set()
        writer.wait()


def fail(_):
    raise ArithmeticError("no")


def write_often(writer, append):
    for _ in range(WAITING + 1):
        writer.write(append)


def test_an_error_of_an_append_is_raised_at_a_later_write_or_at_the_wait(db):
    with Writer(db) as writer:
        writer.write(fail)
        with pytest.raises(ArithmeticError):
            writer.wait()
        with pytest.raises(ArithmeticError):
            write_often(writer, fail)


def write_and_stop(db, append):
    with transaction(db), Writer(db) as writer:
        writer.write(append)
        raise KeyboardInterrupt


def test_when_the_caller_fails_the_append_has_ended_before_anybody_rolls_back(db):
    ended = []

    def append(db):
        db.execute("insert into t select * from range(200000)")
        ended.append(1)

    with pytest.raises(KeyboardInterrupt):
        write_and_stop(db, append)
    assert ended
    assert db.execute("select count(*) from t").fetchone() == (0,)
