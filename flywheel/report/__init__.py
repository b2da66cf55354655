"""The weekly report, written from one frozen record: no SQL, no clock, no network."""

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec

from flywheel.report.facts import WeekFacts
from flywheel.report.summary import find_change, write_headline

SCHEMA = "flywheel.report/1"


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where a week's report lies."""

    html: Path
    markdown: Path
    json: Path


def write_report(facts: WeekFacts, folder: Path) -> ReportFiles:
    """Write `report.html`, `report.md` and `report.json` into a folder; all are made before the first is written.

    Each goes to a temporary file that then takes its name, so that no reader meets half a report.
    """
    from flywheel.report.markdown import render_markdown
    from flywheel.report.page import render_page

    files = ReportFiles(folder / "report.html", folder / "report.md", folder / "report.json")
    texts = {files.html: render_page(facts), files.markdown: render_markdown(facts), files.json: render_json(facts)}
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    return files


def render_json(facts: WeekFacts) -> str:
    """Write the facts and what they come to as JSON; a number that is not finite raises ValueError."""
    change = find_change(facts)
    told = {
        "schema": SCHEMA,
        "headline": write_headline(facts).sentence,
        "change": change and {**msgspec.to_builtins(change), "direction": change.direction},
        **msgspec.to_builtins(facts),
    }
    return json.dumps(told, indent=1, allow_nan=False) + "\n"
