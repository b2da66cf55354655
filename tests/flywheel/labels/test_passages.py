from dataclasses import replace
from datetime import timedelta

import pytest

from flywheel.labels.passages import passage_labels, relevant_passages
from flywheel.labels.queue import last_event_id, submit_label, undo_label
from flywheel.labels.records import Label
from tests.flywheel.labels.queues import NOON, WEEK, make_task, open_queue

TASK = make_task(0)
LABEL = Label(TASK.task_id, TASK.trace_id, 1, "pass", "ann", NOON, target="passage:p1")


@pytest.fixture
def store(tmp_path):
    return open_queue(tmp_path)


def test_passages_that_hold_the_answer_are_named_in_the_order_people_named_them(store):
    for name in ("p2", "p1", "kb/never retrieved:1"):
        submit_label(store, replace(LABEL, target=f"passage:{name}"))
    assert relevant_passages(store, WEEK) == {TASK.task_id: ["p2", "p1", "kb/never retrieved:1"]}


def test_a_passage_that_two_people_name_is_named_once(store):
    for annotator in ("ann", "bob"):
        submit_label(store, replace(LABEL, annotator=annotator))
    assert relevant_passages(store, WEEK) == {TASK.task_id: ["p1"]}


def test_a_passage_that_does_not_hold_the_answer_is_left_out(store):
    submit_label(store, replace(LABEL, verdict="fail"))
    assert relevant_passages(store, WEEK) == {}
    assert [label.verdict for label in passage_labels(store, WEEK)] == ["fail"]


def test_the_last_word_of_a_person_on_a_passage_counts(store):
    submit_label(store, LABEL)
    submit_label(store, replace(LABEL, verdict="fail", submitted_at=NOON + timedelta(minutes=1)))
    assert relevant_passages(store, WEEK) == {}


def test_what_was_taken_back_does_not_count(store):
    submit_label(store, LABEL)
    undo_label(store, "ann", WEEK)
    assert passage_labels(store, WEEK) == []


def test_what_came_after_the_horizon_is_not_read(store):
    submit_label(store, LABEL)
    horizon = last_event_id(store)
    submit_label(store, replace(LABEL, target="passage:p2"))
    assert relevant_passages(store, WEEK, horizon) == {TASK.task_id: ["p1"]}


def test_verdicts_on_traces_and_sentences_are_no_passages(store):
    submit_label(store, replace(LABEL, target="trace"))
    submit_label(store, replace(LABEL, target="sentence:0-4"))
    assert passage_labels(store, WEEK) == []


def test_tasks_keep_their_passages_apart(store):
    other = make_task(1)
    submit_label(store, LABEL)
    submit_label(store, replace(LABEL, task_id=other.task_id, trace_id=other.trace_id, target="passage:p2"))
    assert relevant_passages(store, WEEK) == {TASK.task_id: ["p1"], other.task_id: ["p2"]}


def test_a_week_without_labels_has_none(store):
    assert relevant_passages(store, "2026-W01") == {}
