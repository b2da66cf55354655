"""Made-up weeks for the tests of the weekly job: traces on the sample's documents, labels, and pipelines to ask."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from eval.baseline import bless
from eval.cases import GoldenCase, write_dataset
from eval.metrics import METRICS
from eval.pipeline import open_pipeline
from eval.suite import read_suite, run_suite
from flywheel.labels.draws import draw_tasks
from flywheel.labels.queue import submit_label
from flywheel.labels.records import Label, Task
from flywheel.labels.store import open_labels
from flywheel.phase_one import run_phase_one
from flywheel.sample import Question, read_documents, read_questions
from flywheel.trace import week_start
from flywheel.week import Event
from flywheel.workspace import Workspace, open_workspace

WEEK = "2026-W45"
NEXT_WEEK = "2026-W46"
TRACES = 84
NOON = datetime(2026, 11, 9, 12, tzinfo=UTC)
GOOD_PIPELINE = "tests.flywheel.made_weeks:answer_well"
SHAKY_PIPELINE = "tests.flywheel.made_weeks:answer_most"
BAD_PIPELINE = "tests.flywheel.made_weeks:answer_badly"
SUITE_METRICS = ("token_f1", "abstention_correct", "groundedness")
INVENTED = (
    "You must send form {n}-B to the Lisbon office and pay a fee of {n} euros.",
    "This is only allowed on Sundays before {n} o'clock with a permit from the mayor.",
    "The night porter keeps {n} copies of that key in the basement of the old mill.",
)


def silent(_: Event) -> None:
    """A listener that listens to nothing."""


@cache
def questions() -> tuple[Question, ...]:
    """The sample's questions that have an answer."""
    return tuple(question for question in read_questions() if question.answerable)


def is_bad(number: int) -> bool:
    """Whether a trace of a made week holds an invented answer."""
    return number % 5 in (1, 3)


def make_line(week: str, number: int) -> dict:
    """A trace of a week: its answer is right, invented, or missing because of an error."""
    question = questions()[number % len(questions())]
    texts = {document.id: document.text for document in read_documents()}
    invented = INVENTED[number % len(INVENTED)].format(n=number + 2)
    moment = week_start(week) + timedelta(hours=number)
    line = {
        "trace_id": f"{week}-{number:03}",
        "timestamp": moment.isoformat(),
        "user_input": question.question,
        "session_id": f"s-{week}-{number // 2:03}",
        "tenant_id": ("harbour", "hillside")[number % 2],
        "retrieved_contexts": [{"id": name, "text": texts[name]} for name in question.documents],
        "response": invented if is_bad(number) else " ".join(question.evidence),
        "model": "made-1",
        "prompt_version": "v2" if is_bad(number) else "v1",
        "latency_ms": 900.0 + number,
    }
    if number % 21 == 20:
        line |= {"response": None, "status": "error", "error": f"the model timed out after {number} s"}
    return line


def add_traces(folder: Path, week: str = WEEK, numbers: Iterable[int] = range(TRACES), name: str = "traces") -> Path:
    """Put a file of traces into the landing folder of a workspace."""
    path = folder / "traces" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(make_line(week, number)) + "\n" for number in numbers))
    return path


def settings_text(pipeline: str | None = None, labels: int = 40, more: str = "") -> str:
    """The settings of a made workspace."""
    named = f'pipeline = "{pipeline}"\n' if pipeline else ""
    return (
        f"[plan]\nlabels = {labels}\nexemplars = 3\n[warehouse]\nthreads = 1\n[golden]\ntrain = 0.5\ndev = 0.1\n"
        f"[suite]\n{named}metrics = {json.dumps(SUITE_METRICS)}\n{more}"
    )


def make_workspace(
    folder: Path, pipeline: str | None = None, labels: int = 40, more: str = "", is_tracked: bool = False
) -> Workspace:
    """Start a workspace; without tracking unless a test is about it, for MLflow takes seconds to begin."""
    folder.mkdir(parents=True, exist_ok=True)
    tracking = "" if is_tracked else "[tracking]\nenabled = false\n"
    (folder / "flywheel.toml").write_text(settings_text(pipeline, labels, more + tracking))
    return open_workspace(folder)


def first_phase(workspace: Workspace, week: str = WEEK, until: str | None = None) -> list[Event]:
    """Do phase 1 and give its events, starts left out."""
    events: list[Event] = []
    run_phase_one(workspace, week, events.append, until)
    return [event for event in events if event.kind != "start"]


def number_of(task: Task) -> int:
    """The number of the trace that a task is about."""
    return int(task.trace_id.rpartition("-")[2])


def judge(task: Task) -> Label:
    """What a person who knows the answers says of a task, a minute a task after noon."""
    number = number_of(task)
    at = NOON + timedelta(minutes=number)
    label = Label(task.task_id, task.trace_id, task.revision, "pass", "ann", at, started_at=at - timedelta(seconds=50))
    if not is_bad(number):
        return label
    reference = questions()[number % len(questions())].reference
    return Label(
        *(task.task_id, task.trace_id, task.revision, "fail", "ann", at),
        failure_type="unsupported_claim",
        severity="P1",
        corrected_response=reference,
        spans=((0, len(task.payload.response)),),
        started_at=label.started_at,
    )


def label_week(
    workspace: Workspace,
    week: str = WEEK,
    chosen: Callable[[int, Task], bool] = lambda _place, _task: True,
    say: Callable[[Task], Label] = judge,
) -> Sequence[Task]:
    """Label the chosen tasks of a week, and name the passages that hold the answer of those that fail."""
    store = open_labels(workspace.labels_url)
    done = []
    for place, task in enumerate(draw_tasks(store, week)):
        if not chosen(place, task):
            continue
        label = say(task)
        submit_label(store, label)
        if label.verdict == "fail" and task.payload.passages:
            told = Label(
                *(task.task_id, task.trace_id, task.revision, "pass", "ann", label.submitted_at),
                target=f"passage:{task.payload.passages[0].id}",
            )
            submit_label(store, told)
        done.append(task)
    return done


@cache
def answers() -> dict[str, Question]:
    """The sample's questions by their text."""
    return {question.question: question for question in questions()}


def answer_well(question: str, passages: Sequence[object] = ()) -> dict:
    """A pipeline that gives the right answer with the passages it stands in."""
    known = answers()[question]
    texts = {document.id: document.text for document in read_documents()}
    found = [{"id": name, "text": texts[name]} for name in known.documents]
    return {"answer": known.reference, "passages": found}


def answer_badly(question: str, passages: Sequence[object] = ()) -> dict:
    """A pipeline that does not know anything."""
    return answer_well(question) | {"answer": "I do not know."}


def answer_most(question: str, passages: Sequence[object] = ()) -> dict:
    """The good pipeline, down for about every fourth question."""
    if len(question) % 4 == 0:
        raise TimeoutError("the model does not answer")
    return answer_well(question, passages)


def seed_golden(workspace: Workspace, cases: int) -> str:
    """Give a workspace golden cases for the gate, on questions that no made trace of a week asks."""
    made = [
        GoldenCase(
            f"seed-{n:03}", question.question, reference=question.reference, answerable=True, group=f"seed-{n}",
            passage_ids=question.documents,
        )
        for n, question in enumerate(questions()[-cases:])
    ]  # fmt: skip
    return write_dataset(workspace.golden_dataset, made)


def bless_pipeline(workspace: Workspace, pipeline: str = GOOD_PIPELINE) -> None:
    """Run the suite on what the golden dataset holds, and make that run the baseline."""
    metrics = {name: METRICS[name] for name in SUITE_METRICS}
    with open_pipeline(pipeline) as opened:
        run = run_suite(read_suite(workspace.golden_dataset, metrics), opened, workspace.runs / "main")
    bless(run, "ada", workspace.runs, NOON)
