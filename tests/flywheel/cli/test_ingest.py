import json
from functools import partial

import pytest

from tests.flywheel.cli.commands import run_flywheel
from tests.flywheel.made_traces import make_trace, write_lines


@pytest.fixture
def flywheel(tmp_path, monkeypatch, capsys):
    return partial(run_flywheel, monkeypatch, capsys, tmp_path)


def test_a_file_is_told_with_a_count_that_adds_up(flywheel, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"), make_trace("t1"), b"broken", b"")
    code, out, err = flywheel("ingest", path)
    assert (code, err) == (0, "")
    said, _, kept = out.strip().partition("; rejected lines are in ")
    assert said == "a.jsonl  4 lines = 1 added + 0 updated + 1 unchanged + 1 rejected + 1 blank"
    assert kept.startswith(str(tmp_path / "traces" / "quarantine"))


def test_the_same_file_again_says_that_it_is_known(flywheel, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"))
    flywheel("ingest", path)
    code, out, err = flywheel("ingest", path)
    assert (code, err) == (0, "")
    assert "1 lines = 0 added + 0 updated + 1 unchanged" in out
    assert "(these bytes were ingested before)" in out


def test_without_a_path_the_landing_folder_is_taken(flywheel, tmp_path):
    flywheel("init")
    write_lines(tmp_path / "traces" / "a.jsonl", make_trace("t1"))
    write_lines(tmp_path / "traces" / "b.jsonl", make_trace("t2"), make_trace("t3"))
    code, out, _ = flywheel("ingest")
    assert code == 0
    assert out.splitlines()[-1] == "total  3 lines = 3 added + 0 updated + 0 unchanged + 0 rejected + 0 blank"


def test_json_has_the_files_and_the_total(flywheel, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"))
    code, out, _ = flywheel("ingest", path, "--format", "json")
    counted = {"lines": 1, "added": 1, "updated": 0, "unchanged": 0, "rejected": 0, "blank": 0}
    assert code == 0
    assert json.loads(out) == {"files": [{"file": str(path), "was_known": False, **counted}], "total": counted}


def test_a_missing_file_is_one_line_and_exit_2(flywheel, tmp_path):
    code, out, err = flywheel("ingest", tmp_path / "nothing.jsonl")
    assert (code, out) == (2, "")
    assert err == f"error: there is no file or folder {tmp_path / 'nothing.jsonl'}; check the path\n"


def test_an_empty_landing_folder_is_exit_4_because_nothing_was_ingested(flywheel):
    flywheel("init")
    code, _, err = flywheel("ingest")
    assert code == 4
    assert "there are no trace files in" in err


def test_a_damaged_archive_is_one_line_and_exit_2(flywheel, tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00rubbish")
    code, _, err = flywheel("ingest", tmp_path / "a.jsonl.gz")
    assert code == 2
    assert err.count("\n") == 1
    assert "nothing was added, deliver it again" in err


def test_a_damaged_warehouse_is_one_line_and_exit_4(flywheel, tmp_path):
    (tmp_path / "warehouse.duckdb").write_bytes(b"no database" * 1000)
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"))
    code, _, err = flywheel("ingest", path)
    assert code == 4
    assert err.count("\n") == 1
    assert "restore a backup" in err
