from datetime import UTC, date, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.errors import UserError
from flywheel.trace import Trace, last_complete_week, week_end, week_of, week_start, week_title


@pytest.mark.parametrize(
    ("moment", "week"),
    [
        (datetime(2021, 1, 3, 23, 59, 59, tzinfo=UTC), "2020-W53"),
        (datetime(2021, 1, 4, tzinfo=UTC), "2021-W01"),
        (datetime(2024, 12, 30, tzinfo=UTC), "2025-W01"),
        (datetime(2026, 12, 31, tzinfo=UTC), "2026-W53"),
        (datetime(2027, 1, 3, tzinfo=UTC), "2026-W53"),
    ],
)
def test_a_week_has_the_week_based_year(moment, week):
    assert week_of(moment) == week


def test_a_week_is_one_of_utc_wherever_the_clock_stood():
    assert week_of(datetime(2026, 11, 9, 1, 0, tzinfo=timezone(timedelta(hours=2)))) == "2026-W45"


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_every_moment_lies_between_the_ends_of_its_week(moment):
    week = week_of(moment)
    assert week_start(week) <= moment < week_end(week)
    assert week_start(week).weekday() == 0
    assert week_end(week) - week_start(week) == timedelta(days=7)


@given(st.dates(date(1971, 1, 1), date(2200, 1, 1)))
def test_the_last_complete_week_is_over(day):
    now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    assert now - timedelta(days=7) < week_end(last_complete_week(now)) <= now


@pytest.mark.parametrize(
    "name", ["2026-W00", "2026-W54", "2025-W53", "2026-45", "2026-W5", "2026W45", "2026-w45", " 2026-W45", "2026-W45\n",
             "", "0000-W01", "２０２６-W４５", "../2026-W45"]
)  # fmt: skip
def test_a_name_that_is_no_week_says_how_one_is_written(name):
    with pytest.raises(UserError, match="write it like 2026-W45"):
        week_start(name)


def test_a_title_names_both_months_where_the_week_has_two():
    assert week_title("2026-W45") == "2026-W45 (2-8 Nov)"
    assert week_title("2026-W40") == "2026-W40 (28 Sep-4 Oct)"


def test_three_fields_make_a_trace():
    trace = msgspec.json.decode(b'{"trace_id":"t","timestamp":"2026-11-03T10:00:00Z","user_input":"q"}', type=Trace)
    assert (trace.status, trace.retrieved_contexts, trace.response) == ("ok", None, None)


@pytest.mark.parametrize("rating", [0, 6])
def test_a_rating_is_one_to_five(rating):
    line = f'{{"trace_id":"t","timestamp":"2026-11-03T10:00:00Z","user_input":"q","feedback":{{"rating":{rating}}}}}'
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(line.encode(), type=Trace)
