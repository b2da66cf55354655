"""The files a gate leaves behind; they are written before its command exits, whatever the verdict."""

from pathlib import Path

from eval.gate import GateResult
from eval.outputs.html import gate_html
from eval.outputs.json_report import failure_json, gate_json
from eval.outputs.junit import failure_junit, gate_junit
from eval.outputs.markdown import failure_markdown, gate_markdown

REPORT = "report.html"


def write_gate(result: GateResult, exit_code: int, folder: Path) -> None:
    """Write `gate.json`, `gate.md`, `junit.xml` and `report.html`."""
    write(folder, "gate.json", gate_json(result, exit_code))
    write(folder, "gate.md", gate_markdown(result))
    write(folder, "junit.xml", gate_junit(result))
    write(folder, REPORT, gate_html(result))


def write_failure(message: str, exit_code: int, folder: Path) -> None:
    """Write that nothing could be decided; an earlier report is removed, so nobody takes it for this one."""
    write(folder, "gate.json", failure_json(message, exit_code))
    write(folder, "gate.md", failure_markdown(message))
    write(folder, "junit.xml", failure_junit(message))
    (folder / REPORT).unlink(missing_ok=True)


def write(folder: Path, name: str, text: str) -> None:
    """Write one file; half a surrogate pair becomes a question mark."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text.encode("utf-8", "replace"))
