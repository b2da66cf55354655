import os
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from eval.errors import UserError
from flywheel.ingest.paths import STANDARD_INPUT, spooled, trace_files


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(found, folder):
    return [str(path.relative_to(folder)) for path in found]


def test_folders_give_their_trace_files_in_name_order_and_nothing_else(tmp_path):
    touch(tmp_path, "b.jsonl", "a.jsonl.gz", "c.ndjson.zst", "notes.txt", "d.jsonl.part", "mapping.toml", "e.gz")
    touch(tmp_path, "export.json", "rows.parquet", "rows.csv.gz", "rows.tsv", "spans.binpb", "spans.pb.zstd", "s.otlp")
    touch(tmp_path, "quarantine/x.jsonl", ".hidden.jsonl", ".hidden/y.jsonl")
    assert names(trace_files([tmp_path]), tmp_path) == [
        "a.jsonl.gz", "b.jsonl", "c.ndjson.zst", "export.json", "rows.csv.gz", "rows.parquet", "rows.tsv", "s.otlp",
        "spans.binpb", "spans.pb.zstd",
    ]  # fmt: skip


def test_a_file_that_is_named_is_taken_whatever_its_name(tmp_path):
    touch(tmp_path, "notes.txt")
    assert trace_files([tmp_path / "notes.txt"]) == [tmp_path / "notes.txt"]


def test_folders_are_searched_to_the_bottom(tmp_path):
    touch(tmp_path, "2026/11/03/a.jsonl", "2026/11/quarantine/b.jsonl", "2026/.git/c.jsonl")
    assert names(trace_files([tmp_path]), tmp_path) == ["2026/11/03/a.jsonl"]


def test_a_path_that_is_not_there_is_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match="there is no file or folder"):
        trace_files([tmp_path / "nothing"])
    with pytest.raises(UserError, match="there is no file or folder"):
        trace_files([tmp_path / "*.jsonl"])


def test_patterns_are_those_of_a_shell_absolute_or_not(tmp_path, monkeypatch):
    touch(tmp_path, "a1.jsonl", "a2.jsonl", "b1.jsonl", "deep/a3.jsonl")
    assert names(trace_files([tmp_path / "a*.jsonl"]), tmp_path) == ["a1.jsonl", "a2.jsonl"]
    assert names(trace_files([tmp_path / "[ab]1.jsonl"]), tmp_path) == ["a1.jsonl", "b1.jsonl"]
    monkeypatch.chdir(tmp_path)
    assert trace_files([Path("**/a3.jsonl")]) == [Path("deep/a3.jsonl")]
    assert trace_files([Path("?2.jsonl")]) == [Path("a2.jsonl")]


def test_a_name_with_signs_of_a_pattern_is_first_of_all_a_name(tmp_path):
    touch(tmp_path, "a[1].jsonl", "a1.jsonl")
    assert names(trace_files([tmp_path / "a[1].jsonl"]), tmp_path) == ["a[1].jsonl"]


def test_each_file_comes_once(tmp_path):
    touch(tmp_path, "a.jsonl", "b.jsonl")
    found = trace_files([tmp_path / "b.jsonl", tmp_path, tmp_path / "*.jsonl", STANDARD_INPUT, STANDARD_INPUT])
    assert found == [tmp_path / "b.jsonl", tmp_path / "a.jsonl", STANDARD_INPUT]


def test_a_link_that_leads_out_of_the_folder_is_left_out_with_a_word(tmp_path):
    touch(tmp_path, "outside/secret.jsonl", "inside/a.jsonl", "inside/deep/b.jsonl")
    inside = tmp_path / "inside"
    (inside / "out.jsonl").symlink_to(tmp_path / "outside" / "secret.jsonl")
    (inside / "folder").symlink_to(tmp_path / "outside", target_is_directory=True)
    (inside / "in.jsonl").symlink_to(inside / "a.jsonl")
    (inside / "gone.jsonl").symlink_to(inside / "nothing.jsonl")
    (inside / "round.jsonl").symlink_to(inside / "round.jsonl")
    heard = []
    assert names(trace_files([inside], heard.append), inside) == ["a.jsonl", "deep/b.jsonl", "in.jsonl"]
    assert [said.split()[0] for said in heard] == [str(inside / "folder"), str(inside / "out.jsonl")]
    assert trace_files([inside / "out.jsonl"]) == [inside / "out.jsonl"]


def test_a_folder_that_is_a_link_itself_is_searched(tmp_path):
    touch(tmp_path, "real/a.jsonl")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert trace_files([tmp_path / "link"]) == [tmp_path / "link" / "a.jsonl"]


def test_what_is_no_plain_file_is_left_out_of_a_folder(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    touch(tmp_path, "a.jsonl")
    assert names(trace_files([tmp_path]), tmp_path) == ["a.jsonl"]


def test_standard_input_lies_on_disk_while_it_is_read_and_is_gone_afterwards():
    with spooled(STANDARD_INPUT, TextIOWrapper(BytesIO(b"x" * 3_000_000))) as path:
        assert path.read_bytes() == b"x" * 3_000_000
    assert not path.exists()


def test_another_path_is_given_as_it_is(tmp_path):
    touch(tmp_path, "a.jsonl")
    with spooled(tmp_path / "a.jsonl", None) as path:
        assert path == tmp_path / "a.jsonl"
    assert path.exists()


def test_where_there_is_no_standard_input_it_cannot_be_read():
    with pytest.raises(UserError, match="there is no standard input; name a file instead of -"):
        spooled(STANDARD_INPUT, None)
