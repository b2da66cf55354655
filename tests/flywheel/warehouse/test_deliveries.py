from datetime import datetime

import pytest

from flywheel.sources.records import Rejected
from flywheel.warehouse import arrivals
from flywheel.warehouse.deliveries import (
    Count,
    Known,
    TraceCount,
    add_delivery,
    find_known,
    next_delivery,
    rejected_table,
)
from tests.flywheel.made_traces import open_made

NOW = datetime(2026, 11, 3, 10)
COUNT = Count(21, 1, 2, 3, 5, 10)
TRACES = TraceCount(4, 5, 6)


@pytest.fixture
def db(tmp_path):
    with open_made(tmp_path) as connection:
        yield connection


def add(db, digest, name="a.jsonl", size=100, last_line=21):
    add_delivery(db, next_delivery(db), (digest, name, "native", "why", "line", size, last_line), COUNT, TRACES, NOW)


def test_deliveries_are_numbered_in_their_order(db):
    assert next_delivery(db) == 1
    add(db, "one")
    add(db, "two")
    assert next_delivery(db) == 3


def test_a_delivery_is_read_back_as_it_was_noted(db):
    add(db, "one")
    assert find_known(db, "other name", 100) == [Known("one", 100, "native", "line", COUNT, TRACES, 21)]


def test_a_file_may_repeat_what_is_as_large_or_go_on_with_what_is_smaller_and_has_its_name(db):
    add(db, "smaller", size=50)
    add(db, "smallest", size=10)
    add(db, "smaller, other name", "b.jsonl", 50)
    add(db, "larger", size=200)
    add(db, "as large, other name", "b.jsonl", 100)
    assert [known.digest for known in find_known(db, "a.jsonl", 100)] == ["as large, other name", "smaller", "smallest"]


def test_a_name_is_never_sql(db):
    add(db, "one", "it's; drop table delivery")
    assert [known.digest for known in find_known(db, "it's; drop table delivery", 101)] == ["one"]


def test_rejected_records_are_rows(db):
    arrivals.append(db, "rejected_record", rejected_table(7, "a.jsonl", [Rejected(3, "why 🙂", b"\xff")]))
    assert db.execute("select * from rejected_record").fetchall() == [(7, "a.jsonl", 3, "why 🙂")]


def test_counts_add_up_field_by_field():
    assert Count(6, 1, 1, 1, 2, 1) + Count(1, 1) == Count(7, 2, 1, 1, 2, 1)
    assert TraceCount(1, 2, 3) + TraceCount(1, 1, 1) == TraceCount(2, 3, 4)
