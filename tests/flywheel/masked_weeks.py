"""A made week whose traces hold personal data everywhere, and what of it is found where."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from flywheel.labels.records import Label, Task
from flywheel.phase_two import run_phase_two
from flywheel.workspace import Workspace
from tests.flywheel.made_weeks import (
    WEEK,
    answer_well,
    answers,
    bless_pipeline,
    first_phase,
    judge,
    label_week,
    make_line,
    make_workspace,
    seed_golden,
    silent,
)

PIPELINE = "tests.flywheel.masked_weeks:answer_with_data"
ASKED, SAID, HELD, TYPED, ANSWERED = (
    ("maria.keller@example.com", "4111 1111 1111 1111"),
    ("+1 202-555-0143", "tom.oneil@example.org"),
    ("desk.office@example.net", "5555 5555 5555 4444"),
    ("(212) 555-0187",),
    ("jo.doe@example.com",),
)
TEXTS = (*ASKED, *SAID, *HELD, *TYPED, *ANSWERED)
"""What may stand nowhere outside: in questions, answers and passages, typed by people, answered by the pipeline."""

FRAGMENTS = (*TEXTS, "keller", "oneil", "desk.office", "jo.doe")
SESSION = "session of maria.keller@example.com"


def line_with_data(number: int, week: str = WEEK) -> dict:
    """A trace of a made week, with personal data in its question, its answer, its passages and its session's name."""
    line = make_line(week, number)
    line["user_input"] += f" Write to {ASKED[0]}, my card is {ASKED[1]}."
    line["session_id"] = f"{SESSION} {number // 2}"
    for passage in line["retrieved_contexts"]:
        passage["text"] += f" Write to {HELD[0]}; the office pays with {HELD[1]}."
    if line["response"]:
        line["response"] = f"Call {SAID[0]}, ask for {SAID[1]}. {line['response']}"
    return line


def add_lines(folder: Path, lines: Iterable[dict]) -> None:
    """Put traces into the landing folder of a workspace."""
    path = folder / "traces" / "traces.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def judge_with_data(task: Task) -> Label:
    """Label a task; whoever corrects an answer types a phone number."""
    label = judge(task)
    if label.corrected_response is None:
        return label
    return replace(label, corrected_response=f"{label.corrected_response} Call {TYPED[0]}.", note="seen")


def answer_with_data(question: str, passages: Sequence[object] = ()) -> dict:
    """A pipeline that knows the sample's questions, whatever follows them, and tells an address."""
    known = next(text for text in answers() if question.startswith(text))
    found = answer_well(known)
    return found | {"answer": f"{found['answer']} Ask {ANSWERED[0]}."}


def play(folder: Path, redact: str | None, traces: int = 30) -> Workspace:
    """Do both phases of a week on traces with personal data, compared with a blessed baseline, in MLflow too."""
    more = f'[governance]\nredact = "{redact}"\n' if redact else ""
    workspace = make_workspace(folder, PIPELINE, labels=15, more=more, is_tracked=True)
    add_lines(folder, map(line_with_data, range(traces)))
    seed_golden(workspace, 40)
    bless_pipeline(workspace, PIPELINE)
    first_phase(workspace)
    label_week(workspace, say=judge_with_data)
    run_phase_two(workspace, WEEK, silent)
    return workspace


def outside(workspace: Workspace) -> dict[str, bytes]:
    """All that lies outside the warehouse and the landing folder, by place; tables as their rows."""
    root = workspace.root
    places = {
        "labels": [path for path in root.glob("labels.db*") if path.is_file()],
        "mlflow": [path for path in root.glob("mlflow.db*") if path.is_file()],
        "artefacts": files(root / "mlartifacts"),
        "reports": files(workspace.report(WEEK)),
        "golden": files(workspace.golden_dataset),
        "runs": [path for path in files(workspace.runs) if "main" not in path.parts],
    }
    return {name: b"\n".join(map(content, paths)) for name, paths in places.items()}


def files(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def content(path: Path) -> bytes:
    """What a file says; of Parquet its rows, for it is compressed."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    return str(duckdb.sql(f"select * from '{path}'").fetchall()).encode()


def found(texts: Iterable[str], held: bytes) -> set[str]:
    """Which of these texts stand in it."""
    return {text for text in texts if text.encode() in held}
