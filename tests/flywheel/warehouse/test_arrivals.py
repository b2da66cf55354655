import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flywheel.warehouse import arrivals
from flywheel.warehouse.arrivals import SCORE_KEY, SPAN_KEY, Settled
from tests.flywheel.made_traces import open_made

SPANS = "select span_id, content, delivery, line from span order by delivery, line"


def rows(delivery, *told):
    """Spans of one trace as they arrive, each told as id and content."""
    return pa.table(
        {
            "trace_id": ["t"] * len(told),
            "span_id": [name for name, _ in told],
            "part": [""] * len(told),
            "content_hash": [content for _, content in told],
            "content": [content for _, content in told],
            "delivery": pa.array([delivery] * len(told), pa.int64()),
            "line": pa.array(range(1, len(told) + 1), pa.int64()),
        }
    )


@pytest.fixture
def db(tmp_path):
    with open_made(tmp_path) as connection:
        yield connection


def deliver(db, number, *told):
    arrivals.append(db, "span", rows(number, *told))
    return arrivals.settle(db, "span", SPAN_KEY, number)


def test_of_each_key_the_newest_row_that_changed_something_stays(db):
    assert deliver(db, 1, ("a", "x"), ("b", "x"), ("a", "x"), ("a", "y"), ("c", "x")) == Settled(3, 1, 1)
    assert db.execute(SPANS).fetchall() == [("b", "x", 1, 2), ("a", "y", 1, 4), ("c", "x", 1, 5)]
    assert deliver(db, 2, ("a", "y"), ("b", "z"), ("d", "x")) == Settled(1, 1, 1)
    assert db.execute(SPANS).fetchall() == [("a", "y", 1, 4), ("c", "x", 1, 5), ("b", "z", 2, 2), ("d", "x", 2, 3)]


def test_a_change_that_is_taken_back_counts_twice(db):
    deliver(db, 1, ("a", "x"))
    assert deliver(db, 2, ("a", "y"), ("a", "x")) == Settled(0, 2, 0)
    assert db.execute(SPANS).fetchall() == [("a", "x", 2, 2)]


def test_an_empty_delivery_settles_to_nothing(db):
    deliver(db, 1, ("a", "x"))
    assert arrivals.settle(db, "span", SPAN_KEY, 2) == Settled()
    assert arrivals.settle(db, "exported_score", SCORE_KEY, 2) == Settled()
    assert db.execute(SPANS).fetchall() == [("a", "x", 1, 1)]


def test_no_table_of_its_own_is_left_behind(db):
    before = db.execute("select table_name from duckdb_tables() order by 1").fetchall()
    deliver(db, 1, ("a", "x"), ("a", "y"))
    assert db.execute("select table_name from duckdb_tables() order by 1").fetchall() == before


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=8), max_size=5))
def test_settling_is_what_a_plain_dictionary_would_do(tmp_path_factory, deliveries):
    held: dict[str, str] = {}
    with open_made(tmp_path_factory.mktemp("settle")) as db:
        for number, told in enumerate(deliveries, start=1):
            added = updated = unchanged = 0
            for name, content in told:
                added += name not in held
                updated += name in held and held[name] != content
                unchanged += held.get(name) == content
                held[name] = content
            if told:
                assert deliver(db, number, *told) == Settled(added, updated, unchanged)
        assert db.execute("select span_id, content from span order by 1").fetchall() == sorted(held.items())


def test_counts_add_field_by_field():
    assert Settled(1, 2, 3) + Settled(10, 20, 30) == Settled(11, 22, 33)
