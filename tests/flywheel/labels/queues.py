"""Made-up draws for the tests of the label store, its command line and its pages."""

from datetime import UTC, datetime
from pathlib import Path

from flywheel.labels.draws import add_draw
from flywheel.labels.records import Draw, StratumPlan, Task, TaskPassage, TaskPayload, TaskSentence, Turn, task_id
from flywheel.labels.store import LabelStore, open_labels

WEEK = "2026-W45"
NOON = datetime(2026, 11, 9, 12, tzinfo=UTC)


def make_draw(week: str = WEEK, draw_id: str | None = None) -> Draw:
    strata = (StratumPlan("flagged", 60, 2), StratumPlan("not flagged", 140, 1))
    return Draw(draw_id or f"d-{week}", week, 7, 200, "0" * 64, strata, "groundedness@v1", NOON)


def make_task(position: int, week: str = WEEK, purpose: str = "random", payload: TaskPayload | None = None) -> Task:
    draw = make_draw(week)
    trace = f"{purpose}-{position}"
    is_random = purpose == "random"
    return Task(
        task_id=task_id(draw.draw_id, trace),
        draw_id=draw.draw_id,
        week=week,
        trace_id=trace,
        revision=1,
        purpose="random" if is_random else "purposive",
        stratum="flagged" if is_random else None,
        position=position,
        inclusion_probability=0.2 if is_random else None,
        reason="random draw, stratum 'flagged'" if is_random else "exemplar of FM-0001",
        payload=payload or make_payload(),
    )


def make_payload(response: str = "It ends after 30 days. You can extend it once.") -> TaskPayload:
    first = response.find(".") + 1 or len(response)
    sentences = [TaskSentence(0, first, 0.83, "p1", "no passage names 30 days")]
    if response[first:].strip():
        sentences.append(TaskSentence(first + 1, len(response), 0.12, "p2"))
    return TaskPayload(
        user_input="When does the trial end?",
        response=response,
        passages=(
            TaskPassage("p1", "Every trial runs 14 days. It then turns into the free plan.", "billing/trial.md"),
            TaskPassage("p2", "A trial can be extended once from the settings page.", None),
        ),
        history=(Turn("Do you offer a trial?", "Yes."),),
        sentences=tuple(sentences),
        model="small-1",
        prompt_version="v3",
        suggested_failure_type="unsupported_claim",
    )


def open_queue(folder: Path, tasks: int = 3, purposive: int = 0, week: str = WEEK) -> LabelStore:
    store = open_labels(f"sqlite:///{folder / 'labels.db'}")
    queued = [make_task(n, week) for n in range(tasks)] + [make_task(n, week, "purposive") for n in range(purposive)]
    add_draw(store, make_draw(week), queued)
    return store
