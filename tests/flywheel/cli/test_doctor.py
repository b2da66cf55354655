import json
from functools import partial

import pytest

from tests.flywheel.cli.commands import run_flywheel
from tests.flywheel.made_traces import make_trace, write_lines


@pytest.fixture
def flywheel(tmp_path, monkeypatch, capsys):
    return partial(run_flywheel, monkeypatch, capsys, tmp_path)


def test_a_new_workspace_is_in_order(flywheel, tmp_path):
    code, out, err = flywheel("doctor", "--format", "json")
    assert (code, err) == (0, "")
    assert [(one["check"], one["ok"]) for one in json.loads(out)] == [
        (name, True) for name in
        ("python", "packages", "embedding weights", "detector weights", "settings", "warehouse", "label store")
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_the_weeks_of_the_warehouse_are_told(flywheel, tmp_path):
    flywheel("ingest", write_lines(tmp_path / "a.jsonl", make_trace("t1")))
    code, out, _ = flywheel("doctor")
    assert code == 0
    assert "ok    warehouse         weeks 2026-W45\n" in out


def test_each_store_that_is_broken_is_told_and_the_others_still_looked_at(flywheel, tmp_path):
    (tmp_path / "warehouse.duckdb").write_bytes(b"no database" * 1000)
    (tmp_path / "labels.db").write_bytes(b"no database either" * 1000)
    code, out, err = flywheel("doctor")
    assert code == 4
    assert "FAIL  warehouse " in out
    assert "FAIL  label store " in out
    assert "ok    settings" in out
    assert err == "error: warehouse, label store not in order; what to do stands above\n"
