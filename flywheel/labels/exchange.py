"""Labels and tasks as files, for people who label elsewhere: JSON lines or CSV, out and back in."""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
from sqlalchemy.engine import Connection

from eval.errors import UserError
from flywheel.labels.draws import draw_tasks, draw_weeks
from flywheel.labels.queue import append_label, content, label_key, read_acts
from flywheel.labels.records import Label, Task
from flywheel.labels.store import LabelStore, iso, reading, writing
from flywheel.labels.submission import make_label, read_submission

Format = Literal["jsonl", "csv"]
NESTED = ("passages", "history", "spans")
"""Fields that a CSV cell holds as JSON."""

MAX_CELL = 10_000_000
Row = dict[str, Any]
DECODER = msgspec.json.Decoder(Row)

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
VERDICT_FIELDS = ["verdict", "failure_type", "severity", "corrected_response", "spans", "note"]
LABEL_FIELDS = [
    *("week", "task_id", "trace_id", "revision", "target", *VERDICT_FIELDS),
    *("annotator", "guideline_version", "started_at", "submitted_at"),
]
TASK_FIELDS = [
    *("week", "task_id", "trace_id", "revision", "user_input", "response", "passages", "history"),
    *("model", "prompt_version", *VERDICT_FIELDS),
]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that became no label, by its line in the file."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ImportCount:
    """What an import came to: rows that were new, rows that were there already, and rows turned away."""

    added: int
    unchanged: int
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True)
class Given:
    """A label out of a file, with its week; `at` is when the row says it was given, '' where it does not say."""

    week: str
    label: Label
    at: str


def export_labels(store: LabelStore, path: Path, week: str | None = None, file_format: Format = "jsonl") -> int:
    """Write the labels in force of a week, or of all weeks, and count them. Importing the file changes nothing."""
    rows = []
    for each in [week] if week else sorted(draw_weeks(store)):
        with reading(store) as connection:
            rows += [
                {"week": each, **msgspec.to_builtins(label)} for _, label in read_acts(connection, each).in_force()
            ]
    return write_rows(path, rows, LABEL_FIELDS, file_format)


def export_tasks(store: LabelStore, path: Path, week: str | None = None, file_format: Format = "jsonl") -> int:
    """Write the tasks that nobody has judged, with empty fields for a verdict, and count them.

    The machine's marks stay out, so that who labels elsewhere judges blind.
    """
    rows = []
    for each in [week] if week else sorted(draw_weeks(store)):
        with reading(store) as connection:
            judged = {label.task_id for label in read_acts(connection, each).verdicts()}
        waiting = [task for task in draw_tasks(store, each) if task.task_id not in judged]
        rows += [{**asdict(task.payload), **asdict(task)} for task in waiting]
    return write_rows(path, rows, TASK_FIELDS, file_format)


def write_rows(path: Path, rows: Iterable[Row], fields: list[str], file_format: Format) -> int:
    """Write rows beside the file, then put them in its place."""
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent} to write {path.name} into; make it, or choose another place")
    lines = [{field: row.get(field) for field in fields} for row in rows]
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        if file_format == "csv":
            writer = csv.DictWriter(file, fields)
            writer.writeheader()
            writer.writerows({name: cell(name, value) for name, value in line.items()} for line in lines)
        else:
            file.writelines(msgspec.json.encode(line).decode() + "\n" for line in lines)
    partial.replace(path)
    return len(lines)


def cell(name: str, value: Any) -> str:
    """Write a CSV cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False) if name in NESTED else str(value)
    return f"'{text}" if text.startswith((*FORMULA_STARTS, "'")) else text


def plain(text: str) -> str:
    """Undo what `cell` did to a text."""
    return text[1:] if text.startswith("'") and text[1:].startswith((*FORMULA_STARTS, "'")) else text


def import_labels(
    store: LabelStore, path: Path, annotator: str, week: str | None = None, now: datetime | None = None
) -> ImportCount:
    """Add the labels of a JSONL or CSV file, all rows in one transaction; the second time changes nothing.

    A row names its task by `task_id`, or by `trace_id` and the week (its own or the one given here). One
    that names no task, or does not fit, is rejected: a label without a task was never drawn and may enter no rate.
    """
    now = now or datetime.now(UTC)
    tasks = [task for each in draw_weeks(store) for task in draw_tasks(store, each)]
    by_id = {task.task_id: task for task in tasks}
    by_trace = {(task.week, task.trace_id): task for task in tasks}
    given: list[Given] = []
    rejected = []
    for line, row in read_rows(path):
        try:
            if isinstance(row, str):
                raise UserError(row)
            task = find_row_task(row, by_id, by_trace, week)
            sent = read_submission(row)
            label = make_label(task, sent, annotator, now)
        except UserError as error:
            rejected.append(Rejected(line, str(error)))
            continue
        given.append(Given(task.week, label, iso(sent.submitted_at) if sent.submitted_at else ""))
    with writing(store) as connection:
        added = add_labels(connection, given)
    return ImportCount(added, len(given) - added, rejected)


def add_labels(connection: Connection, given: list[Given]) -> int:
    """Append the labels of a file that are new, and count them.

    A label that says when it was given is known by its time. One that does not is compared with the label in force,
    and so is a file that changes its mind: where its last word is in force already, its earlier ones are not new.
    """
    in_force = {
        label_place(label): (number, label)
        for week in {one.week for one in given}
        for number, label in read_acts(connection, week).in_force()
    }
    last = {label_place(one.label): one.label for one in given}
    settled = {place for place, label in last.items() if says_the_same(in_force.get(place), label)}
    added = 0
    for one in given:
        place = label_place(one.label)
        before = in_force.get(place)
        if not one.at and (place in settled or says_the_same(before, one.label)):
            continue
        since = f"after {before[0]}" if before else ""
        number = append_label(connection, one.week, one.label, label_key(one.label, one.at or since))
        if number is not None:
            in_force[place] = number, one.label
            added += 1
    return added


def label_place(label: Label) -> tuple[str, str, str]:
    """Name what one label at a time is in force for."""
    return label.task_id, label.annotator, label.target


def says_the_same(numbered: tuple[int, Label] | None, label: Label) -> bool:
    """Say whether there is a label in force that says what another one says."""
    return numbered is not None and content(numbered[1]) == content(label)


def find_row_task(row: Row, by_id: dict[str, Task], by_trace: dict[tuple[str, str], Task], week: str | None) -> Task:
    """Find the task that a row is about; none, or one that shows something else, is a `UserError`."""
    trace_id, revision, row_week = row.get("trace_id"), row.get("revision"), row.get("week") or week
    if row.get("task_id"):
        task = by_id.get(str(row["task_id"]))
        if task is None:
            raise UserError(f"there is no task {row['task_id']!r}")
    elif trace_id and row_week:
        task = by_trace.get((str(row_week), str(trace_id)))
        if task is None:
            raise UserError(f"trace {trace_id!r} has no task in {row_week}; only what was drawn can be labelled")
    else:
        raise UserError("the row names no task; give task_id, or trace_id and week (or pass --week)")
    if week and task.week != week:
        raise UserError(f"task {task.task_id} is of {task.week}, not of {week}")
    if trace_id and str(trace_id) != task.trace_id:
        raise UserError(f"task {task.task_id} shows trace {task.trace_id!r}, the row says {trace_id!r}")
    if revision not in (None, "", task.revision, str(task.revision)):
        raise UserError(f"task {task.task_id} shows revision {task.revision}, the row judged revision {revision}")
    return task


def read_rows(path: Path) -> Iterator[tuple[int, Row | str]]:
    """Read (line number, row) of a file; in place of a row that cannot be read stands why."""
    return read_csv(path) if path.suffix.lower() == ".csv" else read_jsonl(path)


def read_jsonl(path: Path) -> Iterator[tuple[int, Row | str]]:
    """Read an object a line; blank lines are passed over."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield number, DECODER.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                yield number, f"no JSON object: {error}"


def read_csv(path: Path) -> Iterator[tuple[int, Row | str]]:
    """Read a table with a header, separated by commas, semicolons or tabs as spreadsheets write it."""
    csv.field_size_limit(MAX_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            rows = csv.DictReader(file, delimiter=max(",;\t", key=header.count))
            for row in rows:
                yield rows.line_num, csv_row(row)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}); save it as CSV UTF-8") from error
    except csv.Error as error:
        raise UserError(f"{path} is no CSV table: {error}; save it as CSV UTF-8") from error


def csv_row(cells: dict[str | Any, str | Any]) -> Row | str:
    """Read the cells of a row: empty ones are left out, nested ones are JSON."""
    if None in cells:
        return f"the row has {len(cells[None])} more cells than the header names; quote cells that hold separators"
    row: Row = {name: plain(value) for name, value in cells.items() if value}
    if "spans" in row:
        try:
            row["spans"] = json.loads(row["spans"])
        except ValueError as error:
            return f"spans: {error}; write them like [[0, 12]]"
    return row
