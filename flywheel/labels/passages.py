"""What people say of single passages: which ones hold the answer."""

from flywheel.labels.queue import read_acts
from flywheel.labels.records import Label
from flywheel.labels.store import LabelStore, reading

PASSAGE = "passage:"


def passage_labels(store: LabelStore, week: str, up_to_event: int | None = None) -> list[Label]:
    """Give the last verdict on each passage by each annotator that was not taken back, oldest first."""
    with reading(store) as connection:
        return [
            label
            for _, label in read_acts(connection, week, up_to_event).in_force()
            if label.target.startswith(PASSAGE)
        ]


def relevant_passages(store: LabelStore, week: str, up_to_event: int | None = None) -> dict[str, list[str]]:
    """Give for each task the ids of the passages that somebody says hold the answer, retrieved or not."""
    relevant: dict[str, list[str]] = {}
    for label in passage_labels(store, week, up_to_event):
        name = label.target.removeprefix(PASSAGE)
        if label.verdict == "pass" and name not in relevant.setdefault(label.task_id, []):
            relevant[label.task_id].append(name)
    return {task: names for task, names in relevant.items() if names}
