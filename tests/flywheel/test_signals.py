import unicodedata

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval.metrics.abstention import is_abstention
from flywheel.settings import Triage
from flywheel.signals import SignalCount, add_signals
from tests.flywheel.made_traces import WEEK, deliver, make_trace, open_made, tables

COLUMNS = "is_error, is_slow, is_empty_retrieval, is_abstention, is_negative_feedback, overlap"
TEXTS = st.sampled_from(
    [
        "The trial runs 14 days.",
        "I don't know.",
        "I'm sorry, but the passages do not mention it.",
        "The passages do not say. However, trials usually run for 14 days, and you can extend them in the settings.",
        "Ich weiß es nicht.",
        "Straße über CAFÉ naïve 2026 ٣٤٥٦ привет мир",
        "a an of to 14",
        "trial TRIAL Trial days-of-trial, under_score!",
        "",
        "\n\n",
    ]
) | st.text("abcdé ü-_.ß1234ДЖ", max_size=40)


def words(text):
    """Runs of letters and digits, as the categories of Unicode say."""
    spaced = "".join(c if unicodedata.category(c)[0] in "LN" else " " for c in text.lower())
    return set(spaced.split())


def expected_signals(trace, limits):
    """What one trace's signals are, said naively."""
    answer = {word for word in words(trace["response"] or "") if len(word) >= 4}
    passages = set().union(*(words(context["text"]) for context in trace["retrieved_contexts"]))
    is_ok = trace["status"] == "ok"
    rating = (trace["feedback"] or {}).get("rating")
    return (
        not is_ok,
        trace["latency_ms"] is not None and trace["latency_ms"] > limits.slow_ms,
        is_ok and not trace["retrieved_contexts"],
        trace["response"] is not None and is_abstention(trace["response"]),
        rating is not None and rating <= limits.low_rating,
        len(answer & passages) / len(answer) if answer and trace["retrieved_contexts"] else None,
    )


TRACES = st.builds(
    lambda passages, **fields: make_trace(passages=tuple(passages), **fields),
    passages=st.lists(TEXTS, max_size=3),
    response=st.none() | TEXTS,
    status=st.sampled_from(["ok", "ok", "error"]),
    latency_ms=st.none() | st.sampled_from([0, 14_999.9, 15_000, 15_000.1, 60_000]),
    feedback=st.none() | st.builds(lambda rating: {"rating": rating}, st.none() | st.integers(1, 5)),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(TRACES, min_size=1, max_size=25))
def test_every_signal_is_what_a_plain_reading_of_the_trace_gives(tmp_path_factory, made):
    made = [trace | {"trace_id": f"t{number:02}"} for number, trace in enumerate(made)]
    with open_made(folder := tmp_path_factory.mktemp("signals")) as db:
        deliver(db, folder, *made)
        count = add_signals(db, WEEK, Triage())
        found = db.execute(f"select {COLUMNS} from signal order by trace_id").fetchall()
    assert found == [expected_signals(trace, Triage()) for trace in made]
    assert count == SignalCount(len(made), *(sum(row[place] for row in found) for place in range(5)))


def test_the_limits_are_those_of_the_settings(tmp_path):
    with open_made(tmp_path) as db:
        deliver(db, tmp_path, make_trace("t1", latency_ms=1500, feedback={"rating": 3}))
        assert add_signals(db, WEEK, Triage()).slow == 0
        count = add_signals(db, WEEK, Triage(slow_ms=1000, low_rating=3))
    assert (count.slow, count.negative_feedback) == (1, 1)


def test_signals_of_a_week_replace_those_it_had_and_leave_other_weeks(tmp_path):
    with open_made(tmp_path) as db:
        deliver(db, tmp_path, make_trace("t1"), make_trace("t2", timestamp="2026-11-10T10:00:00Z"))
        add_signals(db, "2026-W46", Triage())
        add_signals(db, WEEK, Triage())
        before = tables(db)
        add_signals(db, WEEK, Triage())
        assert tables(db) == before
        assert db.execute("select trace_id, week from signal order by 1").fetchall() == [
            ("t1", WEEK),
            ("t2", "2026-W46"),
        ]


def test_a_week_without_traces_has_no_signals(tmp_path):
    with open_made(tmp_path) as db:
        assert add_signals(db, WEEK, Triage()) == SignalCount(0, 0, 0, 0, 0, 0)


def test_a_trace_that_a_new_timestamp_moves_to_another_week_takes_nothing_along(tmp_path):
    with open_made(tmp_path) as db:
        deliver(db, tmp_path, make_trace("t1"))
        add_signals(db, WEEK, Triage())
        deliver(db, tmp_path, make_trace("t1", timestamp="2026-11-10T10:00:00Z"))
        assert add_signals(db, "2026-W46", Triage()).traces == 1
        assert db.execute("select week, revision from signal").fetchall() == [("2026-W46", 2)]
