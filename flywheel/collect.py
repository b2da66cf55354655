"""What people said, folded into one gold label a task. Agreement makes it; disagreement waits for adjudication."""

from collections.abc import Sequence
from dataclasses import dataclass

from flywheel.labels.records import Decision, Label, Task
from flywheel.warehouse.draws import GoldLabel

ADJUDICATED = "adjudicated"


@dataclass(frozen=True, slots=True)
class CollectCount:
    """How far the random tasks of a draw are: with a gold label, deferred, in disagreement, untouched."""

    drawn: int
    labelled: int
    deferred: int
    disagreed: int
    open: int
    purposive: int


def fold_labels(tasks: Sequence[Task], labels: Sequence[Label], adjudications: Sequence[Decision]) -> list[GoldLabel]:
    """Give the gold label of each task that somebody labelled, by task id.

    The newest adjudication of a task decides; without one all who did not defer must agree, and otherwise the verdict
    stays open. Details (type, severity, correction, spans) are those of the newest label with that verdict.
    """
    settled = {d.subject: str(d.payload["verdict"]) for d in sorted(adjudications, key=lambda d: d.created_at)}
    said: dict[str, list[Label]] = {}
    for label in sorted(labels, key=lambda label: label.submitted_at):
        if label.target == "trace":
            said.setdefault(label.task_id, []).append(label)
    return [
        fold(task, said[task.task_id], settled.get(task.task_id))
        for task in sorted(tasks, key=lambda task: task.task_id)
        if task.task_id in said
    ]


def fold(task: Task, labels: Sequence[Label], settled: str | None) -> GoldLabel:
    """Make one gold label of what several people said."""
    verdicts = {label.verdict for label in labels if label.verdict != "defer"}
    verdict = settled or (verdicts.pop() if len(verdicts) == 1 else None)
    origin = ADJUDICATED if settled else "agreed" if verdict else "disagreed" if verdicts else "deferred"
    voice = next((label for label in reversed(labels) if label.verdict == verdict), labels[-1])
    is_failure = verdict == "fail"
    return GoldLabel(
        task.task_id,
        task.trace_id,
        task.revision,
        task.purpose,
        task.stratum,
        verdict,
        voice.failure_type if is_failure else None,
        voice.severity if is_failure else None,
        voice.corrected_response if is_failure else None,
        voice.note or None,
        voice.spans if is_failure else (),
        tuple(sorted({label.annotator for label in labels})),
        origin,
    )


def count_collected(tasks: Sequence[Task], gold: Sequence[GoldLabel]) -> CollectCount:
    """Count how far a draw is."""
    random = [g for g in gold if g.purpose == "random"]
    drawn = sum(task.purpose == "random" for task in tasks)
    return CollectCount(
        drawn,
        sum(g.verdict is not None for g in random),
        sum(g.origin == "deferred" for g in random),
        sum(g.origin == "disagreed" for g in random),
        drawn - len(random),
        sum(g.purpose == "purposive" and g.verdict is not None for g in gold),
    )
