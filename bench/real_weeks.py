"""Six real weeks through both phases, labels from the human key for the drawn tasks only.

Prints a row a week and, as the last line, one JSON object: weeks, coverage, seconds, peak_mb, by_week.
Coverage is the share of 95 % intervals that hold the true rate of the week, over redraws of the same population with
the same frozen predictions. The detector is judged only on sources that none of its training labels came from.

Example: python bench/real_weeks.py --labels 100 --redraws 200
"""

import argparse
import gzip
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from eval.sample import Passage, Sample
from eval.statistics.detection import auroc, balanced_accuracy
from flywheel.cli.main import cli
from flywheel.estimate import estimate_week
from flywheel.golden import case_id
from flywheel.labels.draws import draw_tasks
from flywheel.labels.store import open_labels
from flywheel.phase_one import run_phase_one
from flywheel.phase_two import run_phase_two
from flywheel.plan import Candidate, draw_week
from flywheel.recalibrate import detector_for
from flywheel.warehouse import draws, figures, modes, open_warehouse, traces
from flywheel.warehouse.draws import PopulationRow
from flywheel.week import Event
from flywheel.workspace import Workspace, open_workspace

WEEKS = tuple(f"2026-W{number}" for number in range(40, 46))
BASELINE, CANDIDATE = "gpt-4-0613", "llama-2-70b-chat"
DESIGN_WORDS = {"incorrect_refusal": "wrong_abstention", "unanswerable_answered": "missed_abstention",
                "incomplete": "incomplete_answer"}  # fmt: skip
SETTINGS = """\
[ingest]
group = "metadata.source_id"
[plan]
labels = {labels}
[suite]
pipeline = "recorded/candidate.jsonl"
metrics = ["token_f1", "groundedness"]
"""


@dataclass(frozen=True, slots=True)
class WeekRow:
    """What one week came to. Rates and widths are proportions; `auroc` is on sources that the detector never saw."""

    traces: int
    rejected: int
    triaged: float
    detector: str
    unseen: int
    auroc: float
    balanced_accuracy: float
    labels: int
    rate: float
    low: float
    high: float
    width: float
    true_rate: float
    modes_new: int
    modes_ongoing: int
    modes_regressed: int
    modes_resolved: int
    cases_added: int
    gate: str
    seconds: float
    peak_mb: float
    coverage: float = 0.0


def main() -> None:
    """Run the six weeks and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FLYWHEEL_DATA", "../shared/data")))
    parser.add_argument("--labels", type=int, default=100, help="labels a week")
    parser.add_argument("--redraws", type=int, default=200, help="draws a week to measure coverage")
    parser.add_argument("--keep", type=Path, help="leave the workspace in this folder instead of a temporary one")
    chosen = parser.parse_args()
    if not (chosen.data / "weeks").is_dir():
        raise SystemExit(f"there is no folder {chosen.data / 'weeks'}; name it with --data or FLYWHEEL_DATA")
    started = time.perf_counter()
    key = {row["trace_id"]: row for row in read_rows(chosen.data / "weeks" / "labels.jsonl.gz")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.keep or Path(temporary)
        workspace = start(folder, chosen.data / "weeks", chosen.labels)
        by_week = {}
        print(heading(), flush=True)
        for week in WEEKS:
            row = run_week(workspace, week, key, chosen.data / "weeks" / f"{week}.jsonl.gz")
            by_week[week] = replace(row, coverage=coverage(workspace, week, key, chosen.labels, chosen.redraws))
            print(line(week, by_week[week]), flush=True)
    covered = sum(row.coverage for row in by_week.values()) / len(by_week)
    told = {
        "weeks": len(by_week),
        "coverage": round(covered, 4),
        "seconds": round(time.perf_counter() - started, 1),
        "peak_mb": round(peak_mb()),
        "by_week": {week: rounded(asdict(row)) for week, row in by_week.items()},
    }
    print(f"coverage of {chosen.redraws} redraws a week: {covered:.1%}; {told['seconds']} s, peak {told['peak_mb']} MB")
    print(json.dumps(told))


def start(folder: Path, weeks: Path, labels: int) -> Workspace:
    """Make the workspace, with the recorded answers of two named models for every source they both answered."""
    (folder / "traces").mkdir(parents=True, exist_ok=True)
    (folder / "recorded").mkdir(exist_ok=True)
    (folder / "flywheel.toml").write_text(SETTINGS.format(labels=labels), encoding="utf-8")
    answers: dict[str, dict[str, str]] = {BASELINE: {}, CANDIDATE: {}}
    for week in WEEKS:
        for trace in read_rows(weeks / f"{week}.jsonl.gz"):
            if trace["model"] in answers and trace["status"] == "ok":
                passages = tuple(Passage(c["id"], c["text"]) for c in trace["retrieved_contexts"])
                name = case_id(Sample("", trace["user_input"], "", passages), is_retrieval_tested=False)
                answers[trace["model"]][name] = trace["response"]
    for file, model in (("baseline", BASELINE), ("candidate", CANDIDATE)):
        with (folder / "recorded" / f"{file}.jsonl").open("w", encoding="utf-8") as out:
            for name, response in sorted(answers[model].items()):
                out.write(json.dumps({"case_id": name, "response": response, "passages": []}) + "\n")
    return open_workspace(folder)


def run_week(workspace: Workspace, week: str, key: Mapping[str, Any], source: Path) -> WeekRow:
    """Do both phases of a week, the labels in between by `flywheel annotate import`."""
    started = time.perf_counter()
    shutil.copy(source, workspace.traces / source.name)
    run_phase_one(workspace, week, quiet)
    tasks = [t for t in draw_tasks(open_labels(workspace.labels_url), week) if t.purpose == "random"]
    labels = workspace.root / f"labels-{week}.jsonl"
    labels.write_text("".join(json.dumps(label(task.trace_id, key)) + "\n" for task in tasks), encoding="utf-8")
    flywheel(workspace, "annotate", "import", str(labels), "--week", week, "--format", "json")
    gate = run_phase_two(workspace, week, quiet)
    seconds = time.perf_counter() - started
    bless_baseline(workspace, week)
    said = str(gate.get("verdict") or gate["note"].partition(":")[0])
    return measure(workspace, week, key, len(tasks), said, seconds)


def quiet(_: Event) -> None:
    """Print nothing."""


def flywheel(workspace: Workspace, *words: str) -> None:
    """Give a command as a person would."""
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        cli.main(["--workspace", str(workspace.root), *words], standalone_mode=False)


def label(trace_id: str, key: Mapping[str, Any]) -> dict[str, Any]:
    """Say of a drawn trace what the human key says, in our words."""
    told = key[trace_id]
    kind = told["failure_type"]
    return {
        "trace_id": trace_id,
        "verdict": "pass" if told["faithful"] else "fail",
        "failure_type": DESIGN_WORDS.get(kind, kind),
        "corrected_response": told["corrected_response"],
        "spans": [[span["start"], span["end"]] for span in told["spans"]],
        "annotator": "human key",
    }


def bless_baseline(workspace: Workspace, week: str) -> None:
    """Run the suite on the baseline's recorded answers, and bless that run for the weeks to come."""
    out = workspace.runs / f"baseline-{week}"
    spec = str(workspace.root / "recorded" / "baseline.jsonl")
    flywheel(workspace, "eval", "run", "--pipeline", spec, "--out", str(out))
    flywheel(workspace, "baseline", "bless", str(out), "--by", "bench")


def measure(workspace: Workspace, week: str, key: Mapping[str, Any], labels: int, gate: str, seconds: float) -> WeekRow:
    """Read a week's figures out of the warehouse, and compare the estimate with the truth."""
    with open_warehouse(workspace.warehouse, workspace.settings.warehouse) as db:
        rows = population(db, week)
        seen = detector_for(db, week).training_groups
        unseen = [row for row in rows if row.group not in seen and row.prediction is not None]
        fails = [not key[row.trace_id]["faithful"] for row in unseen]
        predictions = [row.prediction or 0.0 for row in unseen]
        threshold = detector_for(db, week).threshold
        found = next(e for e in draws.estimates(db, week) if e["week"] == week)
        states = [mode["state"] for mode in modes.modes_of_week(db, week)]
        added = db.execute("select count(*) from growth where week = ?", [week]).fetchone()
        delivered = f"{week}.jsonl.gz"
        rejected = db.execute("select rejected from delivery where name = ?", [delivered]).fetchone()
        _, ok, flagged, _ = next(row for row in figures.flagged_shares(db, week) if row[0] == week)
        total, _ = traces.count_traces(db, week)
        return WeekRow(
            total,
            rejected[0] if rejected else 0,
            flagged / ok,
            detector_for(db, week).trained_on,
            len(unseen),
            auroc(predictions, fails),
            balanced_accuracy([p >= threshold for p in predictions], fails),
            labels,
            found["value"],
            found["low"],
            found["high"],
            found["high"] - found["low"],
            true_rate(rows, key),
            *(states.count(state) for state in ("new", "ongoing", "regressed", "resolved")),
            added[0] if added else 0,
            gate,
            seconds,
            peak_mb(),
        )


def population(db: Any, week: str) -> list[PopulationRow]:
    """Give the frozen population of a week's draw."""
    frozen = draws.find_draw(db, week)
    assert frozen is not None
    return draws.population(db, frozen.draw_id)


def true_rate(rows: Sequence[PopulationRow], key: Mapping[str, Any]) -> float:
    """The share of the population whose key says that it is unfaithful."""
    return sum(not key[row.trace_id]["faithful"] for row in rows) / len(rows)


def coverage(workspace: Workspace, week: str, key: Mapping[str, Any], labels: int, redraws: int) -> float:
    """Draw again and again from the same population, label by the key, and count the intervals that hold the truth."""
    with open_warehouse(workspace.warehouse, workspace.settings.warehouse) as db:
        rows = population(db, week)
    truth = true_rate(rows, key)
    outcomes = {row.trace_id: not key[row.trace_id]["faithful"] for row in rows}
    people = [Candidate(row.trace_id, row.revision, row.group, row.prediction, row.stratum) for row in rows]
    plan = workspace.settings.plan
    covered = 0
    for number in range(redraws):
        drawn = draw_week(f"{week} redraw {number}", people, labels, plan.score_bins, plan.floor)
        again = [
            PopulationRow(
                one.candidate.trace_id, 1, one.candidate.group, one.stratum, one.candidate.prediction, one.position,
                one.inclusion_probability,
            )
            for one in drawn.population
        ]  # fmt: skip
        rate = estimate_week(
            again, {task.candidate.trace_id: outcomes[task.candidate.trace_id] for task in drawn.tasks}
        ).rate
        covered += rate.low <= truth <= rate.high
    return covered / redraws


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a gzipped JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for text in file:
            if text.strip():
                yield json.loads(text)


def peak_mb() -> float:
    """The process's peak memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Round the figures of a row for reading."""
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


def heading() -> str:
    """The head of the table."""
    return (
        "week      traces rej  triaged  unseen AUROC  BAcc  n    rate  [95 % interval] width  truth  "
        "modes new/on/back/gone  cases  gate          coverage  seconds  peak MB"
    )


def line(week: str, row: WeekRow) -> str:
    """One row of the table."""
    states = f"{row.modes_new}/{row.modes_ongoing}/{row.modes_regressed}/{row.modes_resolved}"
    return "  ".join(
        (
            f"{week}  {row.traces:5} {row.rejected:3}  {row.triaged:6.1%}",
            f" {row.unseen:4} {row.auroc:.3f} {row.balanced_accuracy:.3f} {row.labels:3}",
            f"{row.rate:6.1%} [{row.low:6.1%}, {row.high:6.1%}] {row.width:5.1%} {row.true_rate:6.1%}",
            f"{states:>22}  {row.cases_added:5}  {row.gate:<12}  {row.coverage:8.1%}",
            f"{row.seconds:7.1f}  {row.peak_mb:7.0f}",
        )
    )


if __name__ == "__main__":
    main()
