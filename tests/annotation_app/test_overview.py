from datetime import UTC, datetime
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from flywheel.report import render_json
from flywheel.report.facts import InstrumentFacts, Rate, Traffic, TriageFacts, WeekFacts

RATE = Rate(0.184, 0.151, 0.22, 100, 504, "this week", "ppi", "", 100, 0, 0.18, 0.19, "groundedness@v1")
FACTS = WeekFacts(
    week="2026-W45",
    phase=2,
    written_at=datetime(2026, 11, 9, 12, tzinfo=UTC),
    traffic=Traffic(504, 504, 0),
    triage=TriageFacts(242, 242, 504),
    instrument=InstrumentFacts("groundedness@v1", "embedded sample", 0.5, 0),
    rate=RATE,
    next_steps=("label <b>more</b>: flywheel annotate app",),
)


def overview():
    from annotation_app import overview

    overview.show()


@pytest.fixture
def open_overview(tmp_path, monkeypatch):
    monkeypatch.setenv("FLYWHEEL_WORKSPACE", str(tmp_path))

    def run():
        page = AppTest.from_function(overview, default_timeout=20).run()
        assert not page.exception
        return page

    return run


def write_report(folder: Path, week: str, content: bytes) -> None:
    (folder / "reports" / week).mkdir(parents=True)
    (folder / "reports" / week / "report.json").write_bytes(content)


def html(page):
    return "\n".join(element.proto.body for element in page.get("html"))


def test_without_a_report_the_page_says_how_to_get_one(open_overview):
    page = open_overview()
    assert "No week has a report yet" in page.info[0].value
    assert page.code[0].value == "flywheel run --week WEEK"


def test_a_report_of_another_version_is_no_crash(open_overview, tmp_path):
    write_report(tmp_path, "2026-W45", b'{"version": 0}')
    page = open_overview()
    assert "written by another version" in page.info[0].value
    assert page.code[0].value == "flywheel report --week 2026-W45"


def test_the_headline_stands_with_its_interval_and_its_n(open_overview, tmp_path):
    write_report(tmp_path, "2026-W45", render_json(FACTS).encode())
    shown = html(open_overview())
    assert "2026-W45 (2-8 Nov) · Failure rate" in shown
    assert "18.4\u202f% <small>[15.1, 22.0]</small>" in shown
    assert "100 of 504 labelled" in shown
    assert "label &lt;b&gt;more&lt;/b&gt;: flywheel annotate app" in shown


def test_the_newest_report_comes_first_and_other_folders_are_passed_over(open_overview, tmp_path):
    for week in ("2026-W44", "2026-W45", "not-a-week"):
        write_report(tmp_path, week, render_json(FACTS).encode())
    page = open_overview()
    assert page.selectbox[0].options == ["2026-W45 (2-8 Nov)", "2026-W44 (26 Oct-1 Nov)"]
