import json
import subprocess
import sys
from dataclasses import replace

import msgspec
import pytest

from flywheel.report import SCHEMA, render_json, write_report
from flywheel.report.facts import WeekFacts


def test_a_report_is_three_files_and_nothing_half_written(labelled_week, tmp_path):
    files = write_report(labelled_week, tmp_path / "2026-W45")
    assert sorted(path.name for path in (tmp_path / "2026-W45").iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
    ]
    assert files.html.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_second_report_takes_the_place_of_the_first(empty_week, tmp_path):
    write_report(empty_week, tmp_path)
    files = write_report(replace(empty_week, week="2026-W46"), tmp_path)
    assert "2026-W46" in files.html.read_text(encoding="utf-8")
    assert json.loads(files.json.read_text(encoding="utf-8"))["week"] == "2026-W46"


def test_the_same_facts_give_the_same_bytes(flagged_week, tmp_path):
    one, other = (write_report(flagged_week, tmp_path / name) for name in "ab")
    assert one.html.read_bytes() == other.html.read_bytes()


def test_json_holds_every_fact(labelled_week):
    told = json.loads(render_json(labelled_week))
    assert told["schema"] == SCHEMA == "flywheel.report/1"
    assert told["change"]["direction"] == "no clear change"
    assert msgspec.convert(told, WeekFacts) == labelled_week


def test_a_number_that_is_none_stops_the_report_before_any_file(labelled_week, tmp_path):
    traffic = replace(labelled_week.traffic, p95_ms=float("nan"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(replace(labelled_week, traffic=traffic), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_drawing_libraries_load_only_when_a_report_is_written():
    code = "import sys, flywheel.report.page; print({'altair', 'vl_convert', 'jinja2'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"
