from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import annotation_app
from annotation_app import label, stores
from flywheel.labels.draws import add_draw
from flywheel.labels.queue import current_labels, next_task, submit_label
from flywheel.labels.records import Label, TaskPassage, Turn
from flywheel.labels.store import open_labels
from tests.flywheel.labels.queues import NOON, WEEK, make_draw, make_payload, make_task, open_queue

HOSTILE = "<script>alert(1)</script> ![x](http://evil.example/x.png) $\\latex$ **b** :material/home: \x1b[2J"


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Give a function that opens the label page of a workspace in `tmp_path`."""
    monkeypatch.setenv("FLYWHEEL_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("FLYWHEEL_ANNOTATOR", "ann")

    def run():
        page = AppTest.from_file(str(Path(annotation_app.__file__).parent / "main.py"), default_timeout=20).run()
        assert not page.exception
        return page

    yield run
    stores.label_store.clear()


def html(page):
    return "\n".join(element.proto.body for element in page.get("html"))


def texts(page):
    """Everything that Streamlit would render as Markdown."""
    return [*page.markdown, *page.caption, *page.title, *page.info]


def press(page, name):
    """Press a button by the word on it."""
    (button,) = [button for button in page.button if button.label.removeprefix("✓ ") == name]
    return button.click().run()


def field(kind, name):
    return next(widget for widget in kind if widget.label == name)


def test_a_label_is_stored_and_the_next_task_comes(open_page, tmp_path):
    store = open_queue(tmp_path)
    page = open_page()
    assert "It ends after 30 days." in html(page)
    field(page.text_area, "What is wrong first?").set_value("wrong number")
    field(page.selectbox, "Failure type").set_value("contradiction")
    field(page.selectbox, "Severity").set_value("P1")
    field(page.text_area, "Corrected answer").set_value("After 14 days.")
    field(page.get("button_group"), "Unsupported sentences").set_value([1])
    press(page, "Fail")
    assert current_labels(store, WEEK) == []
    page = press(page, "Submit")
    (given,) = current_labels(store, WEEK)
    assert (given.task_id, given.verdict, given.annotator) == (make_task(0).task_id, "fail", "ann")
    assert (given.note, given.failure_type, given.severity) == ("wrong number", "contradiction", "P1")
    assert (given.corrected_response, given.spans, given.guideline_version) == ("After 14 days.", ((0, 22),), "1")
    assert given.started_at < given.submitted_at
    assert page.session_state.task_id == make_task(1).task_id
    assert field(page.text_area, "What is wrong first?").value == ""
    assert page.session_state.verdict is None


def test_details_of_a_failure_do_not_go_with_a_pass(open_page, tmp_path):
    store = open_queue(tmp_path)
    page = open_page()
    field(page.selectbox, "Severity").set_value("P0")
    press(page, "Pass")
    press(page, "Submit")
    assert [(given.verdict, given.severity) for given in current_labels(store, WEEK)] == [("pass", None)]


def test_nothing_is_stored_before_a_verdict_is_chosen(open_page, tmp_path):
    store = open_queue(tmp_path)
    page = press(open_page(), "Submit")
    assert "Choose pass (1), fail (2) or defer (3) first" in page.info[0].value
    assert current_labels(store, WEEK) == []


def test_undo_brings_the_task_back(open_page, tmp_path):
    store = open_queue(tmp_path)
    page = open_page()
    press(page, "Pass")
    press(page, "Submit")
    page = press(page, "Undo")
    assert current_labels(store, WEEK) == []
    assert page.session_state.task_id == make_task(0).task_id


def press_submit_twice(store, task):
    from datetime import UTC, datetime

    import streamlit as st

    from annotation_app.label import Desk, key, submit, view_task
    from flywheel.settings import Labels

    opened_at = datetime.now(UTC)
    view_task(task.task_id)
    st.session_state.verdict = "fail"
    st.session_state[key("note", task)] = "seen"
    submit(Desk(store, Labels(), "ann", task.week), task, opened_at)
    view_task("the next task")
    st.session_state.verdict = "pass"
    submit(Desk(store, Labels(), "ann", task.week), task, opened_at)


def test_a_second_press_of_submit_stores_nothing_more(tmp_path):
    store = open_queue(tmp_path)
    page = AppTest.from_function(press_submit_twice, args=(store, make_task(0))).run()
    assert not page.exception
    assert [(given.verdict, given.note) for given in current_labels(store, WEEK)] == [("fail", "seen")]


def test_back_shows_ones_own_label_and_replaces_it(open_page, tmp_path):
    store = open_queue(tmp_path)
    page = open_page()
    field(page.text_area, "What is wrong first?").set_value("first thought")
    press(page, "Fail")
    press(page, "Submit")
    page = press(page, "Back")
    assert field(page.text_area, "What is wrong first?").value == "first thought"
    press(page, "Pass")
    page = press(page, "Replace my label")
    assert [given.verdict for given in current_labels(store, WEEK)] == ["pass"]
    assert page.session_state.task_id == make_task(1).task_id


def test_skip_leaves_the_task_to_others(open_page, tmp_path):
    store = open_queue(tmp_path)
    page = press(open_page(), "Skip")
    assert page.session_state.task_id == make_task(1).task_id
    assert next_task(store, "bob").task_id == make_task(0).task_id


def test_text_of_a_trace_is_shown_as_text_only(open_page, tmp_path):
    payload = replace(
        make_payload(HOSTILE),
        user_input=HOSTILE,
        passages=(TaskPassage("p1", HOSTILE, HOSTILE),),
        history=(Turn(HOSTILE, HOSTILE),),
        model=HOSTILE,
        tenant_id=HOSTILE,
    )
    task = replace(make_task(0, payload=payload), reason=HOSTILE)
    add_draw(open_labels(f"sqlite:///{tmp_path / 'labels.db'}"), make_draw(), [task])
    page = open_page()
    assert "<script" not in html(page)
    assert "<img" not in html(page)
    assert html(page).count("&lt;script&gt;alert(1)&lt;/script&gt;") == 9
    assert "\x1b" not in html(page)
    assert not any("evil.example" in text.value for text in texts(page))


def test_marks_show_strength_and_the_closest_passage(open_page, tmp_path):
    open_queue(tmp_path)
    shown = html(open_page())
    assert 'class="fw-chosen fw-doubt-3" title="very likely unsupported (83%)">It ends after 30 days.' in shown
    assert "<mark>Every trial runs 14 days.</mark>" in shown


def test_marks_can_be_hidden_until_a_verdict_is_chosen(open_page, tmp_path, monkeypatch):
    monkeypatch.setattr(label, "ARE_MARKS_SHOWN_FIRST", False)
    open_queue(tmp_path)
    page = open_page()
    assert 'class="fw-chosen' not in html(page)
    assert "83%" not in html(page)
    assert "the detector suggests" not in html(page)
    assert "83%" in html(press(page, "Fail"))


def test_without_a_draw_the_page_says_how_to_get_one(open_page):
    page = open_page()
    assert "No tasks wait yet" in page.info[0].value
    assert page.code[0].value == "flywheel run --week WEEK"


def test_a_finished_week_points_to_the_second_phase(open_page, tmp_path):
    open_queue(tmp_path, tasks=1)
    page = open_page()
    press(page, "Pass")
    page = press(page, "Submit")
    assert "All 1 tasks of 2026-W45 (2-8 Nov) are done" in page.info[0].value
    assert page.code[0].value == "flywheel run --week 2026-W45 --continue"


def test_tasks_that_others_hold_are_named_when_none_is_left(open_page, tmp_path):
    next_task(open_queue(tmp_path, tasks=1), "bob")
    assert "No task of 2026-W45 (2-8 Nov) waits for you: the 1 that are open" in open_page().info[0].value


def test_another_persons_label_is_not_shown(open_page, tmp_path):
    store = open_queue(tmp_path, tasks=1)
    page = open_page()
    given = Label(make_task(0).task_id, "random-0", 1, "fail", "bob", NOON, note="bob was here")
    submit_label(store, given)
    page = page.run()
    assert field(page.text_area, "What is wrong first?").value == ""
    assert page.session_state.verdict is None


def test_without_a_name_nothing_can_be_labelled(open_page, tmp_path, monkeypatch):
    monkeypatch.setenv("FLYWHEEL_ANNOTATOR", "")
    open_queue(tmp_path)
    page = open_page()
    assert "Say who labels" in page.info[0].value
    assert "It ends after" not in html(page)
    field(page.text_input, "Your name").set_value("cid").run()
    assert "It ends after" in html(page)


def test_a_store_that_cannot_be_used_is_said_in_a_line(open_page, tmp_path):
    (tmp_path / "labels.db").write_bytes(b"no database at all, only words" * 100)
    page = open_page()
    assert "cannot be used: file is not a database" in page.text[0].value
