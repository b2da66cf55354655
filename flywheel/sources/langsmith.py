"""LangSmith exports: what its SDK sends (`post` and `patch`), runs as the API and bulk exports give them, feedback."""

from collections.abc import Iterator
from typing import Any

from flywheel.sources.delivery import Delivery, Head
from flywheel.sources.langsmith_fields import feedback_score, run_span, scores_of_run
from flywheel.sources.records import Blank, ExportedScore, Found, Record, Span
from flywheel.sources.vendor_fields import BadRecordError, Fields, kind_of, list_in, merged, objects_of, rejected

NAME = "langsmith"
UNIT = "record"
"""A run, a patch of one, or a piece of feedback."""

RUN_FIELDS = frozenset({"inputs", "outputs", "start_time", "dotted_order", "trace_id", "parent_run_id", "session_name"})
MOST_CHILDREN = 100_000


def recognise(head: Head) -> str | None:
    """Say by what a file looks like a LangSmith export, or give None."""
    first = head.first
    if isinstance(first, list):
        first = first[0] if first else None
    if not isinstance(first, dict):
        return None
    if is_payload(first):
        return "it holds `post` and `patch` lists of runs, as LangSmith's SDK sends them"
    if is_page(first):
        return "it is a page of LangSmith runs"
    if is_run(first):
        return "its first record has the fields of a LangSmith run"
    return "its first record has the fields of LangSmith feedback" if is_feedback(first) else None


def read(delivery: Delivery) -> Iterator[Record]:
    """Yield the runs of a file and the feedback on them; a patch without its post is a part of its run."""
    for item in objects_of(delivery):
        if not isinstance(item, tuple):
            yield item
            continue
        line, record = item
        if holds_nothing(record):
            yield Blank(line)
        elif is_payload(record):
            yield from read_payload(line, record)
        elif is_page(record):
            for run in record["runs"]:
                yield from read_one(line, run)
        else:
            yield from read_one(line, record)


def is_payload(record: Fields) -> bool:
    """Say whether an object is what the SDK sends in one request."""
    lists = [record[key] for key in ("post", "patch") if key in record]
    return bool(lists) and all(isinstance(runs, list) for runs in lists) and "id" not in record


def is_page(record: Fields) -> bool:
    """Say whether an object is an answer of the API's run query."""
    runs = record.get("runs")
    return isinstance(runs, list) and (not runs or any(isinstance(run, dict) and is_run(run) for run in runs))


def holds_nothing(record: Fields) -> bool:
    """Say whether an object is a request or a page without any run."""
    if is_payload(record):
        return not record.get("post") and not record.get("patch")
    return is_page(record) and not record["runs"]


def is_run(record: Fields) -> bool:
    """Say whether an object is a run."""
    return isinstance(record.get("run_type"), str) and not RUN_FIELDS.isdisjoint(record)


def is_feedback(record: Fields) -> bool:
    """Say whether an object is feedback on a run."""
    return "run_id" in record and isinstance(record.get("key"), str) and ("score" in record or "value" in record)


def read_payload(line: int, payload: Fields) -> Iterator[Record]:
    """Read the runs of one request, each post with the patch that completes it laid over it."""
    posted: dict[str, Fields] = {}
    for run in list_in(payload.get("post")):
        if isinstance(run, dict) and isinstance(run.get("id"), str):
            posted[run["id"]] = merged(posted[run["id"]], run) if run["id"] in posted else run
        else:
            yield from read_one(line, run)
    patched: dict[str, Fields] = {}
    for run in list_in(payload.get("patch")):
        name = run.get("id") if isinstance(run, dict) else None
        if isinstance(name, str):
            known = posted if name in posted else patched
            known[name] = merged(known[name], run) if name in known else run
        else:
            yield from read_one(line, run, "patch")
    for run in posted.values():
        yield from read_one(line, run)
    for run in patched.values():
        yield from read_one(line, run, "patch")


def read_one(line: int, record: Any, part: str = "") -> Iterator[Record]:
    """Read a run with the runs inside it, and the scores it carries, or feedback."""
    if isinstance(record, dict) and is_feedback(record) and not is_run(record):
        try:
            yield Found(line, feedback_score(record))
        except BadRecordError as error:
            yield rejected(line, str(error), record)
        return
    waiting = [record]
    read = 0
    while waiting and read < MOST_CHILDREN:
        run = waiting.pop()
        read += 1
        if not isinstance(run, dict):
            yield rejected(line, f"expected a run, got {kind_of(run)}", run)
            continue
        children = list_in(run.get("child_runs"))
        alone = {key: value for key, value in run.items() if key != "child_runs"} if children else run
        try:
            if not part and not isinstance(alone.get("run_type"), str):
                raise BadRecordError("it has the fields of no run and no feedback of LangSmith (`run_type` is missing)")
            found: list[Span | ExportedScore] = [run_span(alone, part), *scores_of_run(alone)]
        except BadRecordError as error:
            yield rejected(line, str(error), {"patch": [alone]} if part else alone)
        else:
            yield from (Found(line, what) for what in found)
        waiting.extend(reversed(children))
