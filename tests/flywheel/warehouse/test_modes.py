import numpy as np
import pytest

from flywheel.modes import Lift, Member, Mode, ModeWeek
from flywheel.settings import Warehouse
from flywheel.warehouse import modes, open_warehouse, scores

WEEK, NEXT_WEEK = "2026-W45", "2026-W46"


@pytest.fixture
def db(tmp_path):
    with open_warehouse(tmp_path / "warehouse.duckdb", Warehouse(threads=1)) as opened:
        yield opened


def add_failure(db, trace_id="t1", failure_type="unsupported_claim", flagged=True, response="One. Two.", **fields):
    told = {"model": None, "prompt_version": None, "tenant_id": None, "error": None, "status": "ok"} | fields
    db.execute(
        f"""
        insert into trace (trace_id, revision, content_hash, week, "timestamp", group_id, user_input, response,
                           retrieved_contexts, contexts_missing, delivery, line, {", ".join(told)})
        values (?, 2, 'h', ?, timestamp '2026-11-03', 'g', 'Why?', ?, [], false, 1, 1, {", ".join("?" * len(told))})
        """,
        [trace_id, WEEK, response, *told.values()],
    )
    db.execute("insert into triage values (?, 2, ?, ?, ?, 'P1', '')", [trace_id, WEEK, flagged, failure_type])


def add_sentences(db, trace_id, *sentences):
    rows = [(trace_id, 2, WEEK, index, *sentence, None, "") for index, sentence in sentences]
    scores.insert(db, "sentence_score", scores.SENTENCE_COLUMNS, scores.SENTENCE_TYPES, rows)


def make_mode(mode_id="FM-0001", week=WEEK, size=3, **fields):
    told = {"title": "Fees", "terms": ("fee", "euro"), "state": "new", "first_week": WEEK, "last_week": week}
    return Mode(mode_id=mode_id, size=size, centroid=np.array([0.6, 0.8], np.float32), **(told | fields))


def test_a_failure_carries_its_least_supported_sentence_and_what_is_known_of_it(db):
    add_failure(db, model="m1", prompt_version="v2", tenant_id="north")
    add_sentences(db, "t1", (0, (0, 4, 0.2)), (1, (5, 9, 0.9)))
    (found,) = modes.read_failures(db, WEEK)
    assert (found.trace_id, found.revision, found.worst_sentence, found.severity) == ("t1", 2, "Two.", "P1")
    assert found.attributes == {"model": "m1", "prompt version": "v2", "tenant": "north"}


def test_of_equally_doubtful_sentences_the_first_one_speaks(db):
    add_failure(db)
    add_sentences(db, "t1", (1, (5, 9, 0.9)), (0, (0, 4, 0.9)))
    assert [failure.worst_sentence for failure in modes.read_failures(db, WEEK)] == ["One."]


def test_an_error_speaks_by_its_message(db):
    add_failure(db, failure_type="error", response=None, status="error", error="out of memory")
    (found,) = modes.read_failures(db, WEEK)
    assert (found.response, found.worst_sentence, found.attributes) == ("", "out of memory", {})


def test_offsets_count_code_points(db):
    add_failure(db, response="🙂🙂. Ünten.")
    add_sentences(db, "t1", (0, (4, 10, 0.9)))
    assert [failure.worst_sentence for failure in modes.read_failures(db, WEEK)] == ["Ünten."]


def test_slow_answers_dislike_and_what_is_not_flagged_are_no_failures_of_an_answer(db):
    add_failure(db, "slow", "slow")
    add_failure(db, "disliked", "negative_feedback")
    add_failure(db, "fine", None, flagged=False)
    add_failure(db, "bad")
    assert [failure.trace_id for failure in modes.read_failures(db, WEEK)] == ["bad"]
    assert modes.read_failures(db, NEXT_WEEK) == []


def test_a_weeks_modes_come_back_as_they_were_stored_the_largest_first(db):
    mode = make_mode(
        failure_types={"slow": 1}, exemplars=("t1",), over_represented=(Lift("tenant", "north", 2.0, 3, 0.01),)
    )
    small = make_mode("FM-0002", size=1)
    member = Member("t1", 2, "FM-0001", 0.9, 1.0, 2.0, "a fee")
    modes.replace_modes(db, ModeWeek((small, mode), (member,)), WEEK)
    first, second = modes.modes_of_week(db, WEEK)
    assert (first["mode_id"], first["title"], first["terms"], first["exemplars"]) == (
        "FM-0001",
        "Fees",
        ["fee", "euro"],
        ["t1"],
    )
    assert (first["failure_types"], first["over_represented"]) == ('{"slow": 1}', '[["tenant", "north", 2.0, 3]]')
    assert second["mode_id"] == "FM-0002"
    assert modes.mode_of_traces(db, WEEK) == {"t1": "FM-0001"}


def test_storing_a_week_again_leaves_nothing_of_before_and_other_weeks_alone(db):
    member = Member("t1", 2, "FM-0001", 0.9, 1.0, 2.0, "a fee")
    for week in (WEEK, NEXT_WEEK):
        modes.replace_modes(db, ModeWeek((make_mode(week=week),), (member,)), week)
    modes.replace_modes(db, ModeWeek((), ()), WEEK)
    assert modes.modes_of_week(db, WEEK) == []
    assert modes.mode_of_traces(db, WEEK) == {}
    assert len(modes.modes_of_week(db, NEXT_WEEK)) == 1


def test_the_registry_is_the_newest_row_of_each_mode_before_the_week(db):
    modes.replace_modes(db, ModeWeek((make_mode(), make_mode("FM-0002", state="new")), ()), WEEK)
    later = make_mode(week=NEXT_WEEK, size=0, state="resolved")
    modes.replace_modes(db, ModeWeek((later,), ()), NEXT_WEEK)
    assert modes.known_modes(db, WEEK) == []
    assert [(mode.mode_id, mode.state) for mode in modes.known_modes(db, NEXT_WEEK)] == [
        ("FM-0001", "new"),
        ("FM-0002", "new"),
    ]
    known = modes.known_modes(db, "2026-W47")
    assert [(mode.mode_id, mode.size_last, mode.state) for mode in known] == [
        ("FM-0001", 0, "resolved"),
        ("FM-0002", 3, "new"),
    ]
    assert known[0].centroid.dtype == np.float32
    assert known[0].centroid == pytest.approx([0.6, 0.8])


def test_sizes_of_a_mode_run_through_the_weeks(db):
    modes.replace_modes(db, ModeWeek((make_mode(size=3),), ()), WEEK)
    modes.replace_modes(db, ModeWeek((make_mode(week=NEXT_WEEK, size=5),), ()), NEXT_WEEK)
    assert modes.sizes_by_week(db, NEXT_WEEK) == {"FM-0001": [(WEEK, 3), (NEXT_WEEK, 5)]}
    assert modes.sizes_by_week(db, WEEK) == {"FM-0001": [(WEEK, 3)]}


def test_a_trace_that_stands_alone_belongs_to_no_mode(db):
    modes.replace_modes(db, ModeWeek((), (Member("t1", 2, None, 0.0, 1.0, 2.0, "x"),)), WEEK)
    assert modes.mode_of_traces(db, WEEK) == {}
