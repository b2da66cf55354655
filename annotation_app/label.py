"""The label page: one task a screen, judged without the mouse, written the moment it is submitted."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from annotation_app.stores import label_store, workspace
from annotation_app.task_view import (
    answer_html,
    history_html,
    origin_html,
    passages_html,
    question_html,
    sentence_note,
)
from flywheel.labels.draws import draw_weeks, find_task
from flywheel.labels.marks import doubt_of, most_doubtful
from flywheel.labels.queue import current_labels, next_task, progress, skip_task, submit_label, undo_label
from flywheel.labels.records import Label, Task, Verdict
from flywheel.labels.store import LabelStore
from flywheel.labels.submission import make_label, read_submission
from flywheel.report.wording import duration, words
from flywheel.settings import Labels
from flywheel.trace import FailureType, Severity, week_title

ARE_MARKS_SHOWN_FIRST = True
"""False hides what the machine thinks until a verdict is chosen."""

SEVERITY_WORDS = {"P0": "P0 harmful", "P1": "P1 serious", "P2": "P2 annoying", "P3": "P3 cosmetic"}


@dataclass(frozen=True, slots=True)
class Desk:
    """Who labels, in which week, into which store."""

    store: LabelStore
    settings: Labels
    annotator: str
    week: str


def show() -> None:
    """Show the page."""
    space = workspace()
    store = label_store(space.labels_url)
    weeks = draw_weeks(store)
    if not weeks:
        st.info("No tasks wait yet. Draw some:")
        st.code("flywheel run --week WEEK", language=None)
        return
    bar, row = st.columns([3, 2], vertical_alignment="center")
    controls = row.container(horizontal=True, horizontal_alignment="right")
    steps = controls.container(horizontal=True, width="content")
    desk = choose_desk(store, space.settings.labels, weeks, controls)
    if desk is None:
        bar.info("Say who labels: your name goes with every label. Open “You”.")
        return
    show_progress(desk, bar)
    mine = [label for label in current_labels(store, desk.week) if label.annotator == desk.annotator]
    task = task_in_view(desk)
    with steps:
        show_steps(desk, task, [label.task_id for label in mine])
    if task is None:
        show_empty(desk)
    else:
        show_task(desk, task, next((label for label in mine if label.task_id == task.task_id), None))


def choose_desk(store: LabelStore, settings: Labels, weeks: list[str], controls: DeltaGenerator) -> Desk | None:
    """Ask who labels which week; None until there is a name."""
    with controls.popover("You"):
        name = st.text_input("Your name", value=os.environ.get("FLYWHEEL_ANNOTATOR", ""), key="annotator").strip()
        week = st.selectbox("Week", weeks, format_func=week_title, key="week")
    if st.session_state.get("desk") != (name, week):
        st.session_state.desk = (name, week)
        leave_task()
    return Desk(store, settings, name, week) if name else None


def show_progress(desk: Desk, bar: DeltaGenerator) -> None:
    """Say how far the week is, and how long a task takes this annotator."""
    counted = progress(desk.store, desk.week)
    pace = progress(desk.store, desk.week, desk.annotator).median_seconds
    said = f" · {duration(pace)} a task" if pace is not None else ""
    if news := st.session_state.pop("news", None):
        said += f" · {news}"
    finished = counted.done + counted.deferred
    bar.progress(
        finished / counted.total if counted.total else 0.0,
        text=f"{finished} of {counted.total} done · {week_title(desk.week)}{said}",
    )


def leave_task() -> None:
    """Forget the task in view, so that the next run takes one from the queue."""
    st.session_state.pop("task_id", None)


def view_task(task_id: str) -> None:
    """Bring a task into view with a fresh form."""
    st.session_state.task_id = task_id
    st.session_state.opened_at = datetime.now(UTC)
    st.session_state.visit = st.session_state.get("visit", 0) + 1
    st.session_state.verdict = None


def task_in_view(desk: Desk) -> Task | None:
    """Give the task in view, or take the next one from the queue."""
    if "task_id" in st.session_state:
        return find_task(desk.store, st.session_state.task_id)
    task = next_task(desk.store, desk.annotator, desk.week, desk.settings.lease_seconds)
    if task is not None:
        view_task(task.task_id)
    return task


def show_empty(desk: Desk) -> None:
    """Say that nothing waits, and what comes next."""
    counted = progress(desk.store, desk.week)
    if counted.remaining:
        st.info(
            f"No task of {week_title(desk.week)} waits for you: the {counted.remaining} that are open "
            "are with others, or you skipped them."
        )
    else:
        st.info(f"All {counted.total} tasks of {week_title(desk.week)} are done. Next:")
        st.code(f"flywheel run --week {desk.week} --continue", language=None)


def show_task(desk: Desk, task: Task, given: Label | None) -> None:
    """Show question and answer beside the passages, and under them the form."""
    if st.session_state.verdict is None and given is not None:
        st.session_state.verdict = given.verdict
    are_marks_shown = ARE_MARKS_SHOWN_FIRST or st.session_state.verdict is not None
    payload = task.payload
    left, right = st.columns([6, 5], gap="large")
    with left:
        st.html(question_html(payload))
        if payload.history:
            with st.expander(f"Earlier in this session ({len(payload.history)})"):
                st.html(history_html(payload))
        answer = st.container()
        chosen = choose_sentence(task, are_marks_shown)
        answer.html(answer_html(payload, chosen, are_marks_shown))
        show_form(desk, task, given)
        st.html(origin_html(task.reason, payload, are_marks_shown))
    with right, st.container(key="passages"):
        st.html(passages_html(payload, chosen))


def choose_sentence(task: Task, are_marks_shown: bool) -> int | None:
    """Let people choose a sentence of the answer to compare with the passages; at first the most doubtful one."""
    sentences = task.payload.sentences
    if not sentences:
        return None
    chosen = st.pills(
        "Compare sentence",
        range(1, len(sentences) + 1),
        default=most_doubtful(task.payload) if are_marks_shown else None,
        key=key("sentence", task),
    )
    if chosen is None:
        return None
    st.html(sentence_note(task.payload, chosen, doubt_of(sentences[chosen - 1].unsupported), are_marks_shown))
    return chosen


def key(name: str, task: Task) -> str:
    """Name a widget of this visit to a task: a late click on another task's widget reaches nothing."""
    return f"{name}-{task.task_id}-{st.session_state.visit}"


def show_form(desk: Desk, task: Task, given: Label | None) -> None:
    """Ask for note, verdict and details in one form: each button brings everything typed so far."""
    verdict = st.session_state.verdict
    with st.form(key("form", task), enter_to_submit=False, border=False):
        st.text_area("What is wrong first?", value=given.note if given else "", key=key("note", task), height=68)
        row = st.container(horizontal=True)
        for number, choice in enumerate(get_args(Verdict), start=1):
            is_chosen = verdict == choice
            row.form_submit_button(
                f"{'✓ ' if is_chosen else ''}{choice.capitalize()}",
                key=key(choice, task),
                type="primary" if is_chosen else "secondary",
                shortcut=str(number),
                width="stretch",
                on_click=choose_verdict,
                args=(choice,),
            )
        if problem := st.session_state.pop("problem", None):
            st.info(problem)
        ask_details(task, given)
        st.form_submit_button(
            "Replace my label" if given else "Submit",
            key=key("submit", task),
            type="primary" if verdict else "secondary",
            shortcut="Ctrl+Enter",
            width="stretch",
            on_click=submit,
            args=(desk, task, st.session_state.opened_at),
        )


def ask_details(task: Task, given: Label | None) -> None:
    """Ask what kind of failure it is, how bad, where, and what the answer should have been."""
    kind, severity = st.columns(2)
    types, severities = list(get_args(FailureType)), list(get_args(Severity))
    kind.selectbox(
        "Failure type",
        types,
        index=types.index(given.failure_type) if given and given.failure_type else None,
        format_func=words,
        placeholder="of a fail",
        key=key("type", task),
    )
    severity.selectbox(
        "Severity",
        severities,
        index=severities.index(given.severity) if given and given.severity else None,
        format_func=SEVERITY_WORDS.__getitem__,
        placeholder="of a fail",
        key=key("severity", task),
    )
    with st.expander("Corrected answer, unsupported sentences"):
        correction = given.corrected_response if given else None
        st.text_area("Corrected answer", value=correction or "", key=key("correction", task))
        if sentences := task.payload.sentences:
            spans = given.spans if given else ()
            st.pills(
                "Unsupported sentences",
                range(1, len(sentences) + 1),
                selection_mode="multi",
                default=[n for n, each in enumerate(sentences, start=1) if (each.start, each.end) in spans],
                key=key("spans", task),
            )


def choose_verdict(verdict: Verdict) -> None:
    """Choose a verdict; nothing is stored before it is submitted."""
    st.session_state.verdict = verdict


def submit(desk: Desk, task: Task, opened_at: datetime) -> None:
    """Store what the form says, once, and make room for the next task."""
    if st.session_state.get("task_id") != task.task_id:
        return  # a second press that came after the first was stored
    verdict = st.session_state.verdict
    if verdict is None:
        st.session_state.problem = "Choose pass (1), fail (2) or defer (3) first; nothing is stored yet."
        return
    said: dict[str, Any] = {
        "verdict": verdict,
        "note": answer_to("note", task) or "",
        "corrected_response": answer_to("correction", task),
        "guideline_version": desk.settings.guideline_version,
        "started_at": opened_at,
    }
    if verdict == "fail":
        sentences = task.payload.sentences
        said["failure_type"] = answer_to("type", task)
        said["severity"] = answer_to("severity", task)
        said["spans"] = [(sentences[n - 1].start, sentences[n - 1].end) for n in answer_to("spans", task) or ()]
    submit_label(desk.store, make_label(task, read_submission(said), desk.annotator, datetime.now(UTC)))
    leave_task()
    st.session_state.news = f"saved: {verdict}"


def answer_to(name: str, task: Task) -> Any:
    """Give what was typed or chosen in a field of the form."""
    return st.session_state.get(key(name, task))


def show_steps(desk: Desk, task: Task | None, mine: list[str]) -> None:
    """Offer the way back and on, and undo."""
    here = mine.index(task.task_id) if task and task.task_id in mine else len(mine)
    is_open = task is not None and here == len(mine)
    st.button(
        "Back",
        shortcut="Left",
        disabled=here == 0,
        on_click=view_task,
        args=(mine[here - 1] if here else "",),
        help="Look at the task you labelled before this one",
    )
    st.button("Undo", shortcut="U", on_click=undo_last, args=(desk,), help="Take back your last label or skip")
    st.button(
        "Skip" if is_open else "Next",
        key="on",
        shortcut="Right",
        disabled=task is None,
        on_click=step_on,
        args=(desk, task.task_id if task else "", mine[here + 1 :], is_open),
        help="Leave this task to others" if is_open else "Go on",
    )


def step_on(desk: Desk, task_id: str, later: list[str], is_open: bool) -> None:
    """Go to the next task: an open one is skipped, a labelled one is left as it is."""
    if is_open:
        skip_task(desk.store, task_id, desk.annotator)
    if later:
        view_task(later[0])
    else:
        leave_task()


def undo_last(desk: Desk) -> None:
    """Take back the annotator's last act and show its task again."""
    task = undo_label(desk.store, desk.annotator, desk.week, desk.settings.lease_seconds)
    if task is None:
        st.session_state.news = "nothing of yours to take back"
        return
    view_task(task.task_id)
    st.session_state.news = "taken back"
