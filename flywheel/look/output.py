"""Writes a first look into its folder: page, Markdown, JSON, and the list to label as CSV."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from eval.errors import UserError
from flywheel.look.findings import Findings, ToLabel
from flywheel.look.words import write_headline

SCHEMA = "flywheel.first_look/1"
CSV_FIELDS = [
    *("rank", "why", "also", "trace_id", "timestamp", "user_input", "response", "least_supported", "passages"),
    *("is_flagged", "failure_type", "severity", "unsupported"),
]


@dataclass(frozen=True, slots=True)
class LookFiles:
    """Where a first look lies."""

    html: Path
    markdown: Path
    json: Path
    labels: Path


def files_of(folder: Path) -> LookFiles:
    """Name the files of a folder."""
    return LookFiles(*(folder / name for name in ("report.html", "report.md", "report.json", "label_first.csv")))


def check_folder(folder: Path) -> None:
    """Refuse a folder that something else lives in: nothing of it would be worth losing to a first look."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name another folder with --out")
    if folder.is_dir() and any(folder.iterdir()) and not is_ours(files_of(folder).json):
        raise UserError(f"{folder} holds other things; name another folder with --out")


def is_ours(report: Path) -> bool:
    """Tell whether a first look wrote a file."""
    try:
        with report.open("rb") as file:
            return SCHEMA.encode() in file.read(200)
    except OSError:
        return False


def write_look(findings: Findings, folder: Path) -> LookFiles:
    """Write the four files; all are made before the first is written, and each takes its name once it is whole."""
    from flywheel.labels.exchange import write_rows
    from flywheel.look.markdown import render_markdown
    from flywheel.look.page import render_page

    files = files_of(folder)
    texts = {files.html: render_page(findings), files.markdown: render_markdown(findings)}
    texts[files.json] = render_json(findings)
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    write_rows(files.labels, map(csv_row, findings.to_label), CSV_FIELDS, "csv")
    return files


def render_json(findings: Findings) -> str:
    """Write the findings as JSON; a number that is not finite raises ValueError."""
    told = {"schema": SCHEMA, "headline": write_headline(findings).sentence, **msgspec.to_builtins(findings)}
    return json.dumps(told, indent=1, allow_nan=False) + "\n"


def csv_row(one: ToLabel) -> dict[str, Any]:
    """Lay out one trace to label for a spreadsheet."""
    trace = one.trace
    return {
        "rank": one.rank,
        "why": one.why,
        "also": "; ".join(one.also),
        "trace_id": trace.trace_id,
        "timestamp": f"{trace.when:%Y-%m-%dT%H:%M:%SZ}",
        "user_input": trace.user_input,
        "response": trace.response,
        "least_supported": trace.response[slice(*trace.doubtful)] if trace.doubtful else "",
        "passages": [passage.text for passage in trace.passages],
        "is_flagged": trace.is_flagged,
        "failure_type": trace.failure_type,
        "severity": trace.severity,
        "unsupported": None if trace.unsupported is None else round(trace.unsupported, 4),
    }
