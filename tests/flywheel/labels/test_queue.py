import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval.errors import UserError
from flywheel.labels.queue import (
    current_labels,
    last_event_id,
    lease_start,
    next_task,
    progress,
    skip_task,
    submit_label,
    undo_label,
)
from flywheel.labels.records import Label
from flywheel.labels.store import event, open_labels, reading
from tests.flywheel.labels.queues import NOON, WEEK, make_task, open_queue

ROOT = Path(__file__).parents[3]


def judge(task, verdict="pass", annotator="ann", minute=1, **said):
    submitted = NOON + timedelta(minutes=minute)
    return Label(task.task_id, task.trace_id, task.revision, verdict, annotator, submitted, **said)


def later(minutes):
    return NOON + timedelta(minutes=minutes)


def test_tasks_come_in_order_and_purposive_ones_last(tmp_path):
    store = open_queue(tmp_path, tasks=2, purposive=1)
    came = []
    while task := next_task(store, "ann", now=NOON):
        came.append(task.trace_id)
        submit_label(store, judge(task))
    assert came == ["random-0", "random-1", "purposive-0"]


def test_an_empty_store_and_a_finished_week_have_no_next_task(tmp_path):
    assert next_task(open_labels(f"sqlite:///{tmp_path / 'empty.db'}"), "ann") is None
    assert next_task(open_queue(tmp_path, tasks=0), "ann") is None


def test_without_a_week_the_newest_draw_is_worked_first(tmp_path):
    open_queue(tmp_path, week="2026-W45")
    store = open_queue(tmp_path, week="2026-W46")
    assert next_task(store, "ann").week == "2026-W46"
    assert next_task(store, "ann", week="2026-W45").week == "2026-W45"


def test_who_asks_again_gets_the_same_task(tmp_path):
    store = open_queue(tmp_path)
    assert next_task(store, "ann", now=NOON) == next_task(store, "ann", now=later(5))


def test_a_leased_task_goes_to_nobody_else_until_the_lease_ends(tmp_path):
    store = open_queue(tmp_path, tasks=2)
    assert next_task(store, "ann", now=NOON, lease_seconds=600).position == 0
    assert next_task(store, "bob", now=later(9), lease_seconds=60).position == 1
    assert next_task(store, "bob", now=later(11)).position == 0


def test_asking_again_late_renews_the_lease_and_asking_early_writes_nothing(tmp_path):
    store = open_queue(tmp_path, tasks=1)
    next_task(store, "ann", now=NOON, lease_seconds=600)
    written = last_event_id(store)
    next_task(store, "ann", now=later(2), lease_seconds=600)
    assert last_event_id(store) == written
    next_task(store, "ann", now=later(9), lease_seconds=600)
    assert next_task(store, "bob", now=later(11)) is None


def test_a_labelled_task_comes_to_nobody(tmp_path):
    store = open_queue(tmp_path, tasks=1)
    submit_label(store, judge(make_task(0), "defer"))
    assert next_task(store, "bob") is None


def test_a_skipped_task_comes_to_others_at_once_and_not_back(tmp_path):
    store = open_queue(tmp_path, tasks=1)
    task = next_task(store, "ann", now=NOON)
    skip_task(store, task.task_id, "ann", now=later(1))
    skip_task(store, task.task_id, "ann", now=later(2))
    assert next_task(store, "ann", now=later(3)) is None
    assert next_task(store, "bob", now=later(3)) == task


def test_a_label_is_stored_as_it_was_given(tmp_path):
    store = open_queue(tmp_path)
    label = judge(
        make_task(0),
        "fail",
        failure_type="contradiction",
        severity="P1",
        corrected_response="After 14 days.",
        spans=((0, 22),),
        note="=2+2 \x00",
        guideline_version="3",
        started_at=NOON,
    )
    submit_label(store, label)
    assert current_labels(store, WEEK) == [label]


def test_the_same_label_again_changes_nothing(tmp_path):
    store = open_queue(tmp_path)
    first = submit_label(store, judge(make_task(0), minute=1))
    assert submit_label(store, judge(make_task(0), minute=2)) == first
    assert last_event_id(store) == first


def test_another_verdict_replaces_the_first_and_each_annotator_has_their_own(tmp_path):
    store = open_queue(tmp_path)
    for label in (
        judge(make_task(0), "pass"),
        judge(make_task(0), "fail", "bob", 2),
        judge(make_task(0), "fail", minute=3),
        judge(make_task(0), "pass", minute=4),
    ):
        submit_label(store, label)
    assert [(label.annotator, label.verdict) for label in current_labels(store, WEEK)] == [
        ("bob", "fail"),
        ("ann", "pass"),
    ]


def test_a_label_of_a_passage_is_no_verdict_on_the_trace(tmp_path):
    store = open_queue(tmp_path, tasks=1)
    submit_label(store, judge(make_task(0), "fail", target="passage:p1"))
    assert current_labels(store, WEEK) == []
    assert next_task(store, "bob") is not None


def test_labels_for_no_task_or_another_revision_are_refused(tmp_path):
    store = open_queue(tmp_path)
    with pytest.raises(UserError, match="there is no task 'nope'"):
        submit_label(store, replace(judge(make_task(0)), task_id="nope"))
    with pytest.raises(UserError, match="shows trace 'random-0' revision 1"):
        submit_label(store, replace(judge(make_task(0)), revision=2))
    assert last_event_id(store) == 0


def test_undo_brings_the_task_back_to_who_labelled_it(tmp_path):
    store = open_queue(tmp_path)
    task = next_task(store, "ann", now=NOON)
    submit_label(store, judge(task))
    assert next_task(store, "ann", now=later(2)).position == 1
    assert undo_label(store, "ann", now=later(3)) == task
    assert current_labels(store, WEEK) == []
    assert next_task(store, "ann", now=later(3)) == task
    assert next_task(store, "bob", now=later(3)).position == 2


def test_undo_walks_back_act_by_act_skips_too_and_leaves_others_alone(tmp_path):
    store = open_queue(tmp_path)
    submit_label(store, judge(make_task(0), minute=1))
    submit_label(store, judge(make_task(1), annotator="bob", minute=2))
    skip_task(store, make_task(2).task_id, "ann", now=later(3))
    assert undo_label(store, "ann", now=later(4)) == make_task(2)
    assert undo_label(store, "ann", now=later(5)) == make_task(0)
    assert undo_label(store, "ann", now=later(6)) is None
    assert [label.annotator for label in current_labels(store, WEEK)] == ["bob"]


def test_a_label_given_again_after_undo_counts(tmp_path):
    store = open_queue(tmp_path)
    submit_label(store, judge(make_task(0), minute=1))
    undo_label(store, "ann", now=later(2))
    submit_label(store, judge(make_task(0), minute=3))
    assert [label.submitted_at for label in current_labels(store, WEEK)] == [later(3)]


def test_labels_up_to_an_event_stay_what_they_were(tmp_path):
    store = open_queue(tmp_path)
    submit_label(store, judge(make_task(0)))
    seen = last_event_id(store)
    submit_label(store, judge(make_task(1)))
    undo_label(store, "ann")
    undo_label(store, "ann")
    assert [label.task_id for label in current_labels(store, WEEK, up_to_event=seen)] == [make_task(0).task_id]
    assert current_labels(store, WEEK) == []


def test_progress_counts_tasks_by_what_became_of_them(tmp_path):
    store = open_queue(tmp_path, tasks=5)
    submit_label(store, judge(make_task(0), started_at=NOON, minute=1))
    submit_label(store, judge(make_task(0), annotator="bob", started_at=NOON, minute=3))
    submit_label(store, judge(make_task(1), "defer", minute=2))
    skip_task(store, make_task(2).task_id, "ann")
    skip_task(store, make_task(0).task_id, "cid")
    whole = progress(store, WEEK)
    assert (whole.total, whole.done, whole.deferred, whole.skipped, whole.remaining) == (5, 1, 1, 1, 3)
    assert whole.per_annotator == {"ann": 2, "bob": 1}
    assert whole.median_seconds == 120
    assert progress(store, WEEK, "bob").median_seconds == 180
    assert progress(store, WEEK, "cid").median_seconds is None


def test_the_start_of_a_label_is_when_the_task_was_taken(tmp_path):
    store = open_queue(tmp_path)
    task = next_task(store, "ann", now=NOON)
    assert lease_start(store, task, "ann") == NOON
    assert lease_start(store, task, "bob") is None


def test_events_are_only_ever_appended(tmp_path):
    store = open_queue(tmp_path)

    def events():
        with reading(store) as connection:
            return connection.execute(sa.select(event).order_by(event.c.event_id)).all()

    before = events()
    for act in (
        lambda: submit_label(store, judge(make_task(0))),
        lambda: skip_task(store, make_task(1).task_id, "ann"),
        lambda: undo_label(store, "ann"),
        lambda: next_task(store, "bob"),
    ):
        act()
        assert events()[: len(before)] == before
        before = events()


def work_through(url, annotator):
    store, mine = open_labels(url), []
    while task := next_task(store, annotator):
        mine.append(task.position)
        submit_label(store, judge(task, annotator=annotator))
    return mine


def test_threads_never_get_the_same_task(tmp_path):
    open_queue(tmp_path, tasks=40)
    url = f"sqlite:///{tmp_path / 'labels.db'}"
    with ThreadPoolExecutor(4) as pool:
        worked = list(pool.map(lambda who: work_through(url, who), "abcd"))
    assert sorted(position for mine in worked for position in mine) == list(range(40))


def test_processes_never_get_the_same_task(tmp_path):
    open_queue(tmp_path, tasks=30)
    work = "import sys; from tests.flywheel.labels.test_queue import work_through; print(*work_through(*sys.argv[1:]))"
    command = [sys.executable, "-c", work, f"sqlite:///{tmp_path / 'labels.db'}"]
    workers = [subprocess.Popen([*command, who], stdout=subprocess.PIPE, cwd=ROOT, text=True) for who in "ab"]
    worked = [worker.communicate(timeout=60)[0].split() for worker in workers]
    assert sorted(int(position) for mine in worked for position in mine) == list(range(30))


ACTS = st.lists(
    st.tuples(st.sampled_from(["next", "pass", "fail", "skip", "undo"]), st.sampled_from("ab"), st.integers(0, 2)),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTS)
def test_labels_in_force_are_those_of_a_simple_replay(tmp_path_factory, acts):
    store = open_queue(Path(tmp_path_factory.mktemp("queue")))
    history = {"a": [], "b": []}  # what each annotator did, newest last: (task, verdict or "skip")
    for minute, (act, who, number) in enumerate(acts):
        task = make_task(number)
        newest = {n: verdict for n, verdict in history[who] if verdict != "skip"}
        skips = {n for n, verdict in history[who] if verdict == "skip"}
        if act == "next":
            given_task = next_task(store, who, now=later(minute))
            judged = {n for past in history.values() for n, verdict in past if verdict != "skip"}
            assert given_task is None or given_task.position not in judged | skips
        elif act == "skip":
            skip_task(store, task.task_id, who, now=later(minute))
            if number not in skips:
                history[who].append((number, "skip"))
        elif act == "undo":
            undone = undo_label(store, who, now=later(minute))
            assert (undone is None) == (not history[who])
            if undone:
                assert history[who].pop()[0] == undone.position
        else:
            submit_label(store, judge(task, act, who, minute))
            if newest.get(number) != act:
                history[who].append((number, act))
    expected = {(who, n): v for who, past in history.items() for n, v in past if v != "skip"}
    got = {(label.annotator, int(label.trace_id[-1])): label.verdict for label in current_labels(store, WEEK)}
    assert got == expected


def test_a_week_is_estimated_from_its_labels_and_decisions_alone(tmp_path):
    open_queue(tmp_path, week="2026-W46")
    store = open_queue(tmp_path, week=WEEK)
    said = submit_label(store, judge(make_task(0)))
    next_task(store, "bob", week=WEEK)
    next_task(store, "bob", week="2026-W46")
    assert last_event_id(store) > said
    assert (last_event_id(store, WEEK), last_event_id(store, "2026-W46")) == (said, 0)
    undo_label(store, "ann", week=WEEK)
    assert last_event_id(store, WEEK) > said
