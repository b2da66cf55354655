import os

import pytest

from eval.errors import UserError
from flywheel.ingest.watch import Watched, ready_files, watch


def names(paths):
    return [path.name for path in paths]


def test_lines_are_ready_at_once_and_other_files_once_nobody_writes_to_them(tmp_path):
    (tmp_path / "a.jsonl").write_text("x")
    (tmp_path / "b.json").write_text("x")
    watched = Watched()
    assert names(ready_files([tmp_path], watched)[0]) == ["a.jsonl"]
    (tmp_path / "b.json").write_text("xx")
    assert names(ready_files([tmp_path], watched)[0]) == ["a.jsonl"]
    assert names(ready_files([tmp_path], watched)[0]) == ["a.jsonl", "b.json"]


def looking(folder, happenings, answers=None):
    """What a watch takes at each of its looks; after each look something happens."""
    taken: list[list[str]] = []
    looks = iter(happenings)

    def take(ready):
        taken.append(names(ready))
        return True if answers is None else answers[len(taken) - 1]

    def is_over():
        happen = next(looks, None)
        if happen is None:
            return True
        happen()
        return False

    watch([folder], take, 0, is_over)
    return taken


def nothing():
    pass


def test_a_file_is_taken_once_and_again_when_it_has_grown(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("x\n")
    assert looking(tmp_path, [nothing, lambda: path.write_text("x\ny\n"), nothing]) == [["a.jsonl"], ["a.jsonl"]]


def test_a_file_that_lands_later_and_one_that_goes_are_no_trouble(tmp_path):
    path = tmp_path / "late.jsonl"
    assert looking(tmp_path, [nothing, lambda: path.write_text("x"), path.unlink, nothing]) == [["late.jsonl"]]


def test_a_rewritten_file_of_the_same_size_is_taken_again(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("x\n")
    os.utime(path, (1, 1))
    assert looking(tmp_path, [lambda: path.write_text("y\n"), nothing]) == [["a.jsonl"], ["a.jsonl"]]


def test_what_could_not_be_taken_is_offered_again(tmp_path):
    (tmp_path / "a.jsonl").write_text("x")
    assert looking(tmp_path, [nothing] * 3, [False, False, True]) == [["a.jsonl"]] * 3


def test_a_pattern_may_match_nothing_yet(tmp_path):
    late = tmp_path / "a.jsonl"
    assert looking(tmp_path / "*.jsonl", [nothing, lambda: late.write_text("x"), nothing]) == [["a.jsonl"]]


def test_a_folder_that_goes_away_for_a_moment_is_no_trouble(tmp_path):
    folder = tmp_path / "landing"
    folder.mkdir()
    (folder / "a.jsonl").write_text("x")
    away = tmp_path / "away"

    def comes_back():
        away.rename(folder)
        (folder / "b.jsonl").write_text("x")

    happenings = [nothing, lambda: folder.rename(away), nothing, comes_back, nothing]
    assert looking(folder, happenings) == [["a.jsonl"], ["b.jsonl"]]


def test_a_folder_that_was_never_there_is_said_at_once(tmp_path):
    with pytest.raises(UserError, match="there is no file or folder"):
        looking(tmp_path / "typo", [])
