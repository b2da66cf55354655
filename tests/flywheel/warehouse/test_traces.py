import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flywheel.trace import week_of
from flywheel.warehouse import traces
from flywheel.warehouse.deliveries import Count
from tests.flywheel.made_traces import WEEK, deliver, make_trace, open_made, tables


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.datetimes(datetime(1000, 1, 1), datetime(2026, 11, 1), timezones=st.just(UTC)), min_size=50, max_size=90
    )
)
def test_the_warehouse_and_the_code_name_weeks_alike(tmp_path_factory, moments):
    moments += [
        datetime(year, month, day, tzinfo=UTC)
        for year in range(2000, 2027)
        for month, day in ((1, 1), (12, 31))
        if (year, month) != (2026, 12)
    ]
    with open_made(folder := tmp_path_factory.mktemp("weeks")) as db:
        deliver(db, folder, *(make_trace(f"{n:04}", timestamp=moment.isoformat()) for n, moment in enumerate(moments)))
        found = [week for (week,) in db.execute("select week from trace order by trace_id").fetchall()]
    assert found == [week_of(moment) for moment in moments]


def test_a_trace_is_stored_as_it_came(tmp_path):
    full = make_trace(
        "t1",
        session_id="s",
        user_id="u",
        tenant_id="acme",
        environment="prod",
        model="m",
        prompt_version="v",
        latency_ms=1.5,
        input_tokens=3,
        output_tokens=4,
        cost_usd=0.25,
        status="ok",
        error=None,
        feedback={"rating": 4, "comment": "ok 🙂"},
        metadata={"deep": {"list": [1, "zwei", None]}},
        retrieved_contexts=[{"id": "p", "text": 'it\'s "so"', "score": 0.5, "source": "a.md"}, {"id": "q", "text": ""}],
    )
    with open_made(tmp_path) as db:
        deliver(db, tmp_path, full)
        (row,) = traces.rows(
            db,
            WEEK,
            "session_id",
            "user_id",
            "tenant_id",
            "environment",
            "model",
            "prompt_version",
            "latency_ms",
            "input_tokens",
            "output_tokens",
            "cost_usd",
            "status",
            "error",
            "rating",
            "comment",
            "metadata",
            "retrieved_contexts",
        )
    assert row[:14] == ("s", "u", "acme", "prod", "m", "v", 1.5, 3, 4, 0.25, "ok", None, 4, "ok 🙂")
    assert row[14] == '{"deep":{"list":[1,"zwei",null]}}'
    assert row[15] == [
        {"id": "p", "text": 'it\'s "so"', "score": 0.5, "source": "a.md"},
        {"id": "q", "text": "", "score": None, "source": None},
    ]


def test_every_change_counts_one_revision_also_within_a_file_and_back_again(tmp_path):
    first, second = make_trace(response="first"), make_trace(response="second")
    with open_made(tmp_path) as db:
        assert deliver(db, tmp_path, first, first, second, first) == Count(4, 1, 2, 1, 0, 0)
        assert deliver(db, tmp_path, b"", first) == Count(2, 0, 0, 1, 0, 1)
        assert traces.rows(db, WEEK, "revision", "response") == [(3, "first")]
        assert traces.revisions(db, ["t1", "unknown"]) == {"t1": 3}


def other_spelling(line):
    """The same trace: other order of keys, other white space, nulls left out, other ways to write a number."""
    told = {key: value for key, value in reversed(line.items()) if value is not None}
    return json.dumps(told, separators=(" , ", " : ")).encode()


def test_the_same_content_in_other_bytes_is_unchanged(tmp_path):
    line = make_trace(
        session_id=None, metadata={"a": {"c": 1, "d": 2.5}, "b": None}, feedback={"comment": "x", "rating": 1},
        latency_ms=12, cost_usd=None,
    )  # fmt: skip
    turned = line | {"metadata": {"b": None, "a": {"d": 2.5, "c": 1}}, "latency_ms": 12.0}
    with open_made(tmp_path) as db:
        deliver(db, tmp_path, line)
        before = tables(db)["trace"]
        assert deliver(db, tmp_path, other_spelling(turned)) == Count(1, unchanged=1)
        assert deliver(db, tmp_path, b"", other_spelling(line), line) == Count(3, unchanged=2, blank=1)
        assert tables(db)["trace"] == before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"response": None}, {"response": "NULL"}),
        ({"response": None}, {"response": ""}),
        ({"response": "a, b", "model": None}, {"response": "a", "model": "b"}),
        ({"response": "a", "error": "b, c"}, {"response": "a, b", "error": "c"}),
        ({"passages": ("a", "b")}, {"passages": ("a', 'b",)}),
        ({"passages": ("NULL",)}, {"retrieved_contexts": [{"id": "p1", "text": "NULL", "source": "NULL"}]}),
        ({"metadata": {"a": 1}}, {"metadata": {"a": "1"}}),
        ({"metadata": {"a": 1}}, {"metadata": {"a": 1.0}}),
        ({"feedback": None}, {"feedback": {"rating": 1}}),
        ({"timestamp": "2026-11-03T10:00:00Z"}, {"timestamp": "2026-11-03T10:00:00.000001Z"}),
        ({"retrieved_contexts": []}, {"retrieved_contexts": None}),
    ],
)
def test_whatever_differs_is_a_change(tmp_path, one, other):
    with open_made(tmp_path) as db:
        deliver(db, tmp_path, make_trace(**one))
        assert deliver(db, tmp_path, b"", make_trace(**other)) == Count(2, updated=1, blank=1)
        assert traces.revisions(db, ["t1"]) == {"t1": 2}


def test_a_trace_that_moves_to_another_week_drops_what_was_found_of_it(tmp_path):
    with open_made(tmp_path) as db:
        deliver(db, tmp_path, make_trace("moves"), make_trace("stays"), make_trace("changes"))
        for name in ("moves", "stays", "changes"):
            db.execute("insert into triage values (?, 1, ?, true, 'slow', 'P3', 'why')", [name, WEEK])
            db.execute("insert into sentence_score values (?, 1, ?, 0, 0, 1, 0.5, null, '')", [name, WEEK])
            db.execute("insert into score values (?, 1, ?, 'm', 0.5, 'ok', '', 'i', 0, 0)", [name, WEEK])
        deliver(
            db, tmp_path, make_trace("moves", timestamp="2026-11-10T10:00:00Z"), make_trace("changes", response="new")
        )
        for table in ("triage", "sentence_score", "score"):
            left = db.execute(f"select trace_id from {table} order by 1").fetchall()
            assert left == [("changes",), ("stays",)]
        assert traces.count_traces(db, "2026-W46") == (1, 1)


def test_a_trace_that_moves_and_comes_back_in_one_file_keeps_its_week(tmp_path):
    with open_made(tmp_path) as db:
        deliver(db, tmp_path, make_trace())
        away = make_trace(timestamp="2026-11-10T10:00:00Z")
        assert deliver(db, tmp_path, away, make_trace(), away, make_trace(model="m")) == Count(4, updated=4)
        assert traces.rows(db, WEEK, "revision", "model") == [(5, "m")]


def test_the_fingerprint_of_a_week_changes_with_its_traces_and_only_with_them(tmp_path):
    with open_made(tmp_path) as db:
        deliver(db, tmp_path, make_trace("t1"))
        first = traces.week_fingerprint(db, WEEK)
        deliver(db, tmp_path, make_trace("t1"), b"")
        deliver(db, tmp_path, make_trace("t9", timestamp="2026-11-10T10:00:00Z"))
        assert traces.week_fingerprint(db, WEEK) == first
        deliver(db, tmp_path, make_trace("t1", feedback={"rating": 1}))
        second = traces.week_fingerprint(db, WEEK)
        deliver(db, tmp_path, make_trace("t2"))
        assert len({first, second, traces.week_fingerprint(db, WEEK), traces.week_fingerprint(db, "2026-W01")}) == 4


def test_weeks_are_counted_and_listed_in_order(tmp_path):
    with open_made(tmp_path) as db:
        deliver(
            db,
            tmp_path,
            make_trace("t3", timestamp="2026-11-10T10:00:00Z"),
            make_trace("t1"),
            make_trace("t2", status="error"),
        )
        assert traces.weeks(db) == [WEEK, "2026-W46"]
        assert traces.count_traces(db, WEEK) == (2, 1)
        assert traces.count_traces(db, "2026-W01") == (0, 0)
