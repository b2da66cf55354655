from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flywheel.trace import week_of
from flywheel.warehouse import traces
from flywheel.warehouse.traces import Count
from tests.flywheel.made_traces import WEEK, deliver, make_trace, open_made


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
        assert deliver(db, tmp_path, first, b"") == Count(2, 0, 0, 1, 0, 1)
        assert traces.rows(db, WEEK, "revision", "response") == [(3, "first")]
        assert traces.revisions(db, ["t1", "unknown"]) == {"t1": 3}


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


def test_counts_add_up_field_by_field():
    assert Count(6, 1, 1, 1, 2, 1) + Count(1, 1) == Count(7, 2, 1, 1, 2, 1)
