import csv
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.errors import UserError
from flywheel.labels.exchange import cell, export_labels, export_tasks, import_labels, plain
from flywheel.labels.queue import current_labels, last_event_id, submit_label, undo_label
from flywheel.labels.records import Label
from tests.flywheel.labels.queues import NOON, WEEK, make_task, open_queue


def judged(number=0, **said):
    task = make_task(number)
    return Label(task.task_id, task.trace_id, 1, "fail", "ann", NOON + timedelta(minutes=number), **said)


def write_lines(path, *rows):
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("file_format", ["jsonl", "csv"])
def test_labels_exported_and_imported_elsewhere_are_the_same(tmp_path, file_format):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    store, other = open_queue(here), open_queue(there)
    submit_label(store, judged(0, note='=HYPERLINK("x")', spans=((0, 4), (6, 9)), started_at=NOON, severity="P1"))
    submit_label(store, judged(1, note="two\nlines, 'quoted'", corrected_response="'=1", failure_type="slow"))
    path = tmp_path / f"labels.{file_format}"
    assert export_labels(store, path, WEEK, file_format) == 2
    assert import_labels(other, path, "someone").added == 2
    assert current_labels(other, WEEK) == current_labels(store, WEEK)


@pytest.mark.parametrize("file_format", ["jsonl", "csv"])
def test_importing_ones_own_export_changes_nothing(tmp_path, file_format):
    store = open_queue(tmp_path)
    submit_label(store, judged(note="-1", started_at=NOON))
    path = tmp_path / f"labels.{file_format}"
    export_labels(store, path, file_format=file_format)
    before = last_event_id(store)
    count = import_labels(store, path, "bob")
    assert (count.added, count.unchanged, count.rejected) == (0, 1, [])
    assert last_event_id(store) == before


def test_importing_twice_changes_nothing_even_after_an_undo(tmp_path):
    store = open_queue(tmp_path)
    path = write_lines(tmp_path / "in.jsonl", {"task_id": make_task(0).task_id, "verdict": "pass"})
    assert import_labels(store, path, "ann").added == 1
    undo_label(store, "ann")
    assert import_labels(store, path, "ann").unchanged == 1
    assert current_labels(store, WEEK) == []


def give(store, tmp_path, *verdicts):
    rows = ({"task_id": make_task(0).task_id, "verdict": verdict} for verdict in verdicts)
    count = import_labels(store, write_lines(tmp_path / "in.jsonl", *rows), "ann")
    (label,) = current_labels(store, WEEK)
    return count.added, count.unchanged, label.verdict


def test_a_verdict_given_again_after_another_one_is_in_force(tmp_path):
    store = open_queue(tmp_path)
    assert give(store, tmp_path, "pass") == (1, 0, "pass")
    assert give(store, tmp_path, "fail") == (1, 0, "fail")
    assert give(store, tmp_path, "pass") == (1, 0, "pass")
    assert give(store, tmp_path, "pass") == (0, 1, "pass")


def test_a_file_that_changes_its_mind_changes_nothing_the_second_time(tmp_path):
    store = open_queue(tmp_path)
    assert give(store, tmp_path, "pass", "fail", "pass") == (3, 0, "pass")
    assert give(store, tmp_path, "pass", "fail", "pass") == (0, 3, "pass")
    assert give(store, tmp_path, "pass", "fail") == (1, 1, "fail")


def test_what_was_taken_back_does_not_come_in_again_by_the_same_file(tmp_path):
    store = open_queue(tmp_path)
    give(store, tmp_path, "pass")
    give(store, tmp_path, "fail")
    undo_label(store, "ann")
    assert give(store, tmp_path, "fail") == (0, 1, "pass")


def test_an_old_export_does_not_undo_what_was_said_since(tmp_path):
    store = open_queue(tmp_path)
    submit_label(store, judged())
    path = tmp_path / "old.jsonl"
    export_labels(store, path)
    give(store, tmp_path, "pass")
    assert import_labels(store, path, "ann").unchanged == 1
    assert [label.verdict for label in current_labels(store, WEEK)] == ["pass"]


def test_a_row_may_name_its_trace_and_week_instead_of_the_task(tmp_path):
    store = open_queue(tmp_path)
    path = write_lines(
        tmp_path / "in.jsonl",
        {"trace_id": "random-0", "verdict": "pass"},
        {"trace_id": "random-1", "week": WEEK, "verdict": "fail", "annotator": "bob"},
    )
    assert import_labels(store, path, "ann", week=WEEK).added == 2
    assert [label.annotator for label in current_labels(store, WEEK)] == ["ann", "bob"]


def test_rows_that_do_not_fit_are_rejected_by_line_and_the_rest_comes_in(tmp_path):
    store = open_queue(tmp_path)
    mine = make_task(0).task_id
    path = write_lines(
        tmp_path / "in.jsonl",
        {"trace_id": "never-drawn", "verdict": "fail"},
        "\n",
        {"task_id": mine, "verdict": "maybe"},
        "{broken\n",
        '["no object"]\n',
        '{"verdict": ' + "[" * 100_000 + "\n",
        {"task_id": "nope", "verdict": "pass"},
        {"verdict": "pass"},
        {"task_id": mine, "verdict": "pass", "revision": 2},
        {"task_id": mine, "verdict": "pass", "trace_id": "random-1"},
        {"task_id": mine, "verdict": "pass"},
    )
    count = import_labels(store, path, "ann", week=WEEK)
    assert count.added == 1
    assert [(rejected.line, rejected.reason[:30]) for rejected in count.rejected] == [
        (1, "trace 'never-drawn' has no tas"),
        (3, "verdict: Input should be 'pass"),
        (4, "no JSON object: JSON is malfor"),
        (5, "no JSON object: Expected `obje"),
        (6, "no JSON object: maximum recurs"),
        (7, "there is no task 'nope'"),
        (8, "the row names no task; give ta"),
        (9, f"task {mine} shows re"),
        (10, f"task {mine} shows tr"),
    ]


def test_a_task_of_another_week_is_rejected_where_a_week_was_asked_for(tmp_path):
    store = open_queue(tmp_path)
    path = write_lines(tmp_path / "in.jsonl", {"task_id": make_task(0).task_id, "verdict": "pass"})
    count = import_labels(store, path, "ann", week="2026-W46")
    assert "is of 2026-W45, not of 2026-W46" in count.rejected[0].reason


def test_exported_tasks_filled_in_by_a_spreadsheet_come_back_as_labels(tmp_path):
    store = open_queue(tmp_path)
    submit_label(store, judged(2))
    path = tmp_path / "tasks.csv"
    assert export_tasks(store, path, WEEK, "csv") == 2
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["user_input"] == "When does the trial end?"
    assert "suggested_failure_type" not in rows[0]
    assert "0.83" not in path.read_text(encoding="utf-8")
    rows[0] |= {"verdict": "Fail", "spans": "[[0, 22]]", "note": "wrong"}
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    count = import_labels(store, path, "cid")
    assert (count.added, [rejected.reason for rejected in count.rejected]) == (1, ["verdict is empty"])
    assert current_labels(store, WEEK)[-1].spans == ((0, 22),)


def test_a_cell_that_begins_like_a_formula_is_neutralised(tmp_path):
    store = open_queue(tmp_path)
    submit_label(store, judged(note="=cmd|'/c calc'!A0"))
    export_labels(store, tmp_path / "out.csv", file_format="csv")
    assert "'=cmd" in (tmp_path / "out.csv").read_text(encoding="utf-8")


@given(st.text(st.sampled_from("=+-@\t\r'a1 \n"), max_size=6))
def test_no_cell_begins_like_a_formula_and_each_reads_back(text):
    assert not cell("note", text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert plain(cell("note", text)) == text


def test_a_table_in_another_encoding_is_a_user_error_that_names_the_cure(tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes("task_id,verdict,note\nx,pass,é\n".encode("cp1252"))
    with pytest.raises(UserError, match="save it as CSV UTF-8"):
        import_labels(open_queue(tmp_path), path, "ann")


def test_an_export_into_no_folder_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        export_labels(open_queue(tmp_path), tmp_path / "nowhere" / "labels.jsonl")
