from dataclasses import replace

import pytest

from eval.errors import UserError
from flywheel.labels.draws import add_draw, draw_tasks, draw_weeks, find_draw, find_task
from flywheel.labels.records import task_id
from flywheel.labels.store import open_labels
from tests.flywheel.labels.queues import WEEK, make_draw, make_payload, make_task, open_queue


def test_a_draw_added_twice_adds_nothing(tmp_path):
    store = open_labels(f"sqlite:///{tmp_path / 'labels.db'}")
    tasks = [make_task(0), make_task(1)]
    assert add_draw(store, make_draw(), tasks) == 2
    assert add_draw(store, make_draw(), tasks) == 0


def test_draw_and_tasks_come_back_as_they_were(tmp_path):
    store = open_queue(tmp_path, tasks=2)
    assert find_draw(store, WEEK) == make_draw()
    assert draw_tasks(store, WEEK) == [make_task(0), make_task(1)]
    assert find_task(store, make_task(1).task_id) == make_task(1)


def test_a_week_without_a_draw_has_none(tmp_path):
    store = open_queue(tmp_path)
    assert find_draw(store, "2026-W46") is None
    assert draw_tasks(store, "2026-W46") == []
    assert draw_weeks(store) == [WEEK]


def test_another_draw_for_the_same_week_is_refused(tmp_path):
    with pytest.raises(UserError, match="2026-W45 already has the draw d-2026-W45"):
        add_draw(open_queue(tmp_path), make_draw(draw_id="other"), [])


def test_a_frozen_draw_takes_no_more_random_tasks_and_keeps_none_of_them(tmp_path):
    store = open_queue(tmp_path, tasks=3)
    with pytest.raises(UserError, match="frozen, but 1 random task"):
        add_draw(store, make_draw(), [make_task(3), make_task(0, purpose="purposive")])
    assert len(draw_tasks(store, WEEK)) == 3


def test_purposive_tasks_may_be_added_later_and_stand_last(tmp_path):
    store = open_queue(tmp_path, tasks=2)
    assert add_draw(store, make_draw(), [make_task(0, purpose="purposive")]) == 1
    assert [task.purpose for task in draw_tasks(store, WEEK)] == ["random", "random", "purposive"]


def test_a_trace_that_was_drawn_stays_random_when_it_is_wanted_as_exemplar_too(tmp_path):
    store = open_queue(tmp_path, tasks=1)
    exemplar = replace(make_task(0), purpose="purposive", inclusion_probability=None)
    assert add_draw(store, make_draw(), [exemplar]) == 0
    assert draw_tasks(store, WEEK)[0].purpose == "random"


def test_a_random_task_without_inclusion_probability_is_a_bug(tmp_path):
    with pytest.raises(ValueError, match="inclusion probability"):
        add_draw(open_queue(tmp_path), make_draw(), [replace(make_task(9), inclusion_probability=None)])


def test_a_task_id_depends_on_draw_and_trace_only():
    assert task_id("d1", "t1") == task_id("d1", "t1")
    assert len({task_id("d1", "t1"), task_id("d1", "t2"), task_id("d2", "t1"), task_id("d", "1t1")}) == 4
    assert len(task_id("d1", "t1")) == 16


def test_any_text_of_a_trace_survives_the_store(tmp_path):
    hostile = "'; drop table task; -- \x00 \u202e 🦊 <script>"
    store = open_labels(f"sqlite:///{tmp_path / 'labels.db'}")
    add_draw(store, make_draw(), [make_task(0, payload=make_payload(hostile))])
    assert draw_tasks(store, WEEK)[0].payload.response == hostile


def test_an_unknown_task_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="there is no task 'nope'"):
        find_task(open_queue(tmp_path), "nope")
