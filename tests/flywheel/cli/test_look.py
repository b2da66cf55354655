import json
import os
import signal

import pytest

from flywheel.cli.look import cleaning_up, lines
from tests.flywheel.cli.commands import run_flywheel
from tests.flywheel.look.exports import small_export, trace, write_export
from tests.flywheel.look.test_page import findings


def test_an_export_becomes_a_report_in_one_command(tmp_path, monkeypatch, capsys):
    path = write_export(tmp_path / "export.jsonl", small_export())
    out = tmp_path / "first-look"
    code, said, told = run_flywheel(monkeypatch, capsys, tmp_path, "look", path, "--out", out)
    assert code == 0
    assert "Flagged, unlabelled:" in said
    assert "flywheel run --week 2026-W45" in said
    assert "ingest" in told
    assert sorted(one.name for one in out.iterdir()) == ["label_first.csv", "report.html", "report.json", "report.md"]


def test_json_goes_to_the_output_stream_alone(tmp_path, monkeypatch, capsys):
    path = write_export(tmp_path / "export.jsonl", small_export()[:3])
    out = tmp_path / "first-look"
    words = ("look", path, "--out", out, "--output", "json")
    code, said, _ = run_flywheel(monkeypatch, capsys, tmp_path, *words)
    assert code == 0
    assert json.loads(said)["schema"] == "flywheel.first_look/1"
    assert said == (out / "report.json").read_text()


def test_a_file_that_is_no_export_is_bad_input(tmp_path, monkeypatch, capsys):
    path = write_export(tmp_path / "logs.jsonl", [{"ts": 1}])
    code, _, told = run_flywheel(monkeypatch, capsys, tmp_path, "look", path, "--out", tmp_path / "out")
    assert code == 2
    assert "--suggest-mapping" in told
    assert not (tmp_path / "out").exists()


def test_where_nothing_could_be_judged_the_report_is_written_and_the_code_says_so(tmp_path, monkeypatch, capsys):
    path = write_export(tmp_path / "export.jsonl", [trace("t1", "Who?", "Somebody else.", None)])
    code, _, told = run_flywheel(monkeypatch, capsys, tmp_path, "look", path, "--out", tmp_path / "out")
    assert code == 4
    assert "no answer could be judged: the export says nothing of passages" in told
    assert (tmp_path / "out" / "report.html").exists()


def test_a_folder_of_other_things_is_kept(tmp_path, monkeypatch, capsys):
    path = write_export(tmp_path / "export.jsonl", small_export()[:1])
    code, _, told = run_flywheel(monkeypatch, capsys, tmp_path, "look", path, "--out", tmp_path)
    assert code == 2
    assert "holds other things" in told


def test_a_format_of_output_is_not_taken_for_one_of_files(tmp_path, monkeypatch, capsys):
    path = write_export(tmp_path / "export.jsonl", small_export()[:1])
    code, _, told = run_flywheel(monkeypatch, capsys, tmp_path, "look", path, "--format", "json")
    assert code == 2
    assert "--output json" in told


def test_a_look_that_is_told_to_stop_ends_in_order():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, cleaning_up():
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_terminal_says_first_how_to_judge_what_was_not(tmp_path):
    told = list(lines(findings(), tmp_path / "report.html", tmp_path / "label_first.csv"))
    place = told.index("\nNext")
    assert told[place + 1].startswith("  flywheel look x --corpus y")
    assert told[place + 2].startswith("  flywheel init")


def test_help_carries_an_example(tmp_path, monkeypatch, capsys):
    _, said, _ = run_flywheel(monkeypatch, capsys, tmp_path, "look", "--help")
    assert "Example: flywheel look" in said
