from datetime import UTC, datetime, timedelta, timezone

import pytest

from flywheel.ingest.columns import Arrival, contexts_missing, group_of, trace_table
from flywheel.trace import Feedback, RetrievedContext, Trace
from tests.flywheel.made_traces import deliver, make_trace, open_made

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


def made(trace_id="t1", **fields):
    return Trace(**({"trace_id": trace_id, "timestamp": NOON, "user_input": "Q"} | fields))


def rows(*traces, group="session_id"):
    return trace_table([Arrival(n, one, f"hash {n}", n == 2) for n, one in enumerate(traces, 1)], 7, group).to_pylist()


def test_a_trace_is_a_row_with_the_place_where_it_arrived():
    first, second = rows(made("t1"), made("t2", session_id="s"))
    assert (first["delivery"], first["line"], first["content_hash"], first["contexts_missing"]) == (
        7,
        1,
        "hash 1",
        False,
    )
    assert (second["line"], second["group_id"], second["contexts_missing"]) == (2, "s", True)
    assert first["retrieved_contexts"] == []
    assert first["metadata"] == "{}"


def test_a_moment_is_stored_in_utc():
    (row,) = rows(made(timestamp=datetime(2026, 11, 3, 14, tzinfo=timezone(timedelta(hours=2)))))
    assert row["timestamp"] == NOON.replace(tzinfo=None)


def test_passages_keep_their_order_and_their_trace():
    contexts = [RetrievedContext(f"p{n}", f"text {n}", n / 2, "s" if n else None) for n in range(3)]
    found = rows(made("t1", retrieved_contexts=contexts), made("t2"), made("t3", retrieved_contexts=contexts[1:]))
    assert [[c["id"] for c in row["retrieved_contexts"]] for row in found] == [["p0", "p1", "p2"], [], ["p1", "p2"]]
    assert found[2]["retrieved_contexts"][0] == {"id": "p1", "text": "text 1", "score": 0.5, "source": "s"}


def test_feedback_is_split_into_its_parts():
    (none, both) = rows(made(), made(feedback=Feedback(2, "no 🙂")))
    assert (none["rating"], none["comment"]) == (None, None)
    assert (both["rating"], both["comment"]) == (2, "no 🙂")


def test_the_order_of_keys_in_the_metadata_does_not_matter():
    (one, other) = rows(made(metadata={"a": 1, "b": {"c": 2, "d": 3}}), made(metadata={"b": {"d": 3, "c": 2}, "a": 1}))
    assert one["metadata"] == other["metadata"]


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"response": "A"}, True),
        ({"response": "A", "retrieved_contexts": []}, False),
        ({"response": "A", "retrieved_contexts": [RetrievedContext("p", "")]}, True),
        ({"response": "A", "retrieved_contexts": [RetrievedContext("p", "t"), RetrievedContext("q", "")]}, True),
        ({"response": "A", "retrieved_contexts": [RetrievedContext("p", "t")]}, False),
        ({"response": ""}, False),
        ({}, False),
    ],
)
def test_passages_are_missing_where_an_answer_would_have_to_stand_on_them(fields, missing):
    assert contexts_missing(made(**fields)) == missing


@pytest.mark.parametrize(
    ("group", "fields", "expected"),
    [
        ("session_id", {"session_id": "s1"}, "s1"),
        ("session_id", {}, "t1"),
        ("metadata.source_id", {"metadata": {"source_id": 7}}, "7"),
        ("metadata.source.id", {"metadata": {"source": {"id": "deep"}}}, "deep"),
        ("metadata.source.id", {"metadata": {"source": "flat"}}, "t1"),
        ("no_such_field", {}, "t1"),
    ],
)
def test_the_group_is_the_field_the_settings_name_or_else_the_trace_itself(tmp_path, group, fields, expected):
    assert group_of(made(**fields), group) == expected
    with open_made(tmp_path) as db:
        deliver(db, tmp_path, make_trace("t1", **fields), group=group)
        assert db.execute("select group_id from trace").fetchone() == (expected,)
