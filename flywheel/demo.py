"""The whole loop on the embedded sample: a week of traffic with a fault in it, labels, and the gate twice.

Everything runs for real (index, pipeline, HTTP, warehouse, modes, labels, suite, gate, MLflow); only the people are
played: the users by the sample's questions, the annotator by its answer key.
"""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eval.errors import UserError
from flywheel.policy import policy_of
from flywheel.sample import Question, read_documents, read_questions
from flywheel.trace import FailureType, last_complete_week, week_start
from flywheel.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from flywheel.labels.records import Label, Task
    from flywheel.serving.pipeline import RagPipeline

MARKER = ".flywheel-demo"
ANNOTATOR = "scripted annotator"
SEED = 7
SETTINGS = """\
# The demo's workspace. A question of the sample is the unit of resampling: it comes back in many sessions.
[ingest]
group = "metadata.question_id"

[plan]
labels = {labels}

[golden]
train = 0.2
dev = 0.1

[suite]
metrics = ["retrieval_hit", "retrieval_recall", "token_f1", "abstention_correct", "groundedness"]

# A small suite cannot rule out small drops: 10 points is what some fifty cases can decide.
[gate]
margin = 0.10
metrics = ["retrieval_hit", "retrieval_recall", "token_f1", "abstention_correct", "groundedness"]
"""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the demo is: traces in its week, and labels that the scripted annotator gives."""

    traces: int = 420
    labels: int = 150


FULL = Scale()


@dataclass(frozen=True, slots=True)
class Played:
    """What the demo left behind: where its report is, and the folders of the two gates."""

    week: str
    report: Path
    gates: tuple[tuple[str, str, Path], ...]
    """(candidate, verdict, folder) of each gate."""


@contextmanager
def stage(tell: Tell, name: str) -> Iterator[list[str]]:
    """Print one stage's line with its time; what is said about it is appended to the list."""
    started = time.perf_counter()
    said: list[str] = []
    yield said
    tell(f"{name:<15} {'; '.join(said):<88} {time.perf_counter() - started:5.1f} s")


def play(folder: Path, now: datetime, tell: Tell, scale: Scale = FULL) -> Played:
    """Play the demo in a folder of its own; an earlier demo there is replaced, anything else is left alone."""
    from flywheel.phase_one import run_phase_one
    from flywheel.phase_two import run_phase_two
    from flywheel.week import Event, event_lines

    workspace = start_workspace(folder, scale.labels)
    week = last_complete_week(now)

    def step(event: Event) -> None:
        if event.kind in ("done", "kept"):
            for line in event_lines(event):
                tell(f"  {line}")

    with stage(tell, "knowledge") as said:
        whole, half = build_indexes(workspace)
        said.append(f"{whole} documents indexed; the faulty index got only {half} of them")
    with opened_pipelines(workspace) as (fixed, broken):
        with stage(tell, "traffic") as said:
            asked = play_week(workspace, broken, week, scale.traces)
            said.append(f"{asked} questions in {week}, answered with the half-built index and a top-k of 1")
        tell(f"phase 1         flywheel --workspace {folder} run --week {week}")
        run_phase_one(workspace, week, step)
        with stage(tell, "labels") as said:
            passed, failed = annotate(workspace, week)
            said.append(f"{passed} pass, {failed} fail, by a scripted annotator from the answer key (no person)")
        with served(fixed, workspace.root / "suite-traces") as url:
            workspace = with_pipeline(workspace, url)
            tell(f"phase 2         flywheel --workspace {folder} run --week {week} --continue")
            run_phase_two(workspace, week, step)
        with stage(tell, "baseline") as said:
            said.append(bless_newest(workspace, now))
            run_phase_two(workspace, week, lambda _: None)
            said.append("the week's own gate and report now know it")
        gates = []
        for name, pipeline in (("identical", fixed), ("broken", broken)):
            with stage(tell, f"gate {name}") as said:
                verdict, headline, place = gate(workspace, pipeline, name)
                said.append(f"{verdict}: {headline}")
                gates.append((name, verdict, place))
    return Played(week, workspace.report(week) / "report.html", tuple(gates))


def start_workspace(folder: Path, labels: int) -> Workspace:
    """Make the folder, empty but for the sample's documents and the settings."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            raise UserError(f"{folder} is there and is no demo; name another folder with --folder")
        shutil.rmtree(folder)
    (folder / "knowledge_base").mkdir(parents=True)
    (folder / MARKER).touch()
    (folder / "flywheel.toml").write_text(SETTINGS.format(labels=labels), encoding="utf-8")
    for document in read_documents():
        text = f"# {document.title}\n\n{document.text}"
        (folder / "knowledge_base" / f"{document.id}.md").write_text(text, encoding="utf-8")
    return open_workspace(folder)


def build_indexes(workspace: Workspace) -> tuple[int, int]:
    """Index the documents, and every second one of them in an index of its own: the fault."""
    from eval.embedding import load_embedder
    from flywheel.serving.corpus import read_corpus
    from flywheel.serving.index import build_index

    chunks = read_corpus(workspace.root / "knowledge_base")
    build_index(workspace.root / "index", chunks, load_embedder())
    build_index(workspace.root / "index-half-built", chunks[::2], load_embedder())
    return len(chunks), len(chunks[::2])


@contextmanager
def opened_pipelines(workspace: Workspace) -> "Iterator[tuple[RagPipeline, RagPipeline]]":
    """Open the pipeline as it should be, and the one with the fault."""
    from flywheel.serving.index import open_index
    from flywheel.serving.pipeline import open_pipeline

    fixed = open_pipeline(workspace)
    with closing(fixed.index), closing(open_index(workspace.root / "index-half-built")) as half:
        yield fixed, replace(fixed, index=half, top_k=1, prompt_version="v2")


def play_week(workspace: Workspace, pipeline: "RagPipeline", week: str, traces: int) -> int:
    """Ask a week's questions, in sessions of one to four, mostly on weekdays; every answer becomes a trace."""
    from flywheel.serving.trace_log import Asked, TraceLog

    rng = np.random.default_rng(SEED)
    moments = sorted(session_starts(week, traces // 2, rng))
    clock = {"now": moments[0]}
    numbers = iter(range(10**6))
    log = TraceLog(workspace.traces, clock=lambda: clock["now"], new_id=lambda: f"demo-{week}-{next(numbers):05}")
    asked = 0
    questions = read_questions()
    for session, start in enumerate(moments):
        user = int(rng.zipf(1.5)) % 60
        clock["now"] = start
        for _ in range(int(rng.integers(1, 5))):
            if asked == traces:
                return asked
            question = questions[int(rng.integers(len(questions)))]
            about = {"question_id": question.id, "topic": question.topic}
            log.add(
                log.answered(
                    Asked(question.question, f"s-{session:04}", f"u-{user:02}", tenant_of(user), about),
                    pipeline.answer(question.question),
                )
            )
            asked += 1
            clock["now"] += timedelta(seconds=int(rng.integers(20, 240)))
    return asked


def session_starts(week: str, count: int, rng: np.random.Generator) -> list[datetime]:
    """Spread sessions over a week: weekdays three times as busy as weekends, working hours in UTC."""
    days = rng.choice(7, size=count, p=np.array([3, 3, 3, 3, 3, 1, 1]) / 17)
    seconds = rng.normal(13 * 3600, 2.5 * 3600, size=count).clip(6 * 3600, 20 * 3600)
    monday = week_start(week)
    return [monday + timedelta(days=int(d), seconds=int(s)) for d, s in zip(days, seconds, strict=True)]


def tenant_of(user: int) -> str:
    """The office that a user works in."""
    return ("harbour", "hillside", "remote")[user % 3]


def annotate(workspace: Workspace, week: str) -> tuple[int, int]:
    """Label every random task of the week from the answer key; give how many passed and failed."""
    from flywheel.labels.draws import draw_tasks
    from flywheel.labels.queue import submit_label
    from flywheel.labels.store import open_labels

    store = open_labels(workspace.labels_url)
    key = {question.question: question for question in read_questions()}
    counts = {"pass": 0, "fail": 0}
    for task in draw_tasks(store, week):
        if task.purpose == "random":
            labels = judge(task, key[task.payload.user_input])
            counts[labels[0].verdict] += 1
            for label in labels:
                submit_label(store, label)
    return counts["pass"], counts["fail"]


def judge(task: "Task", question: Question) -> "list[Label]":
    """Judge one answer by the key: the verdict on the trace first, then the passages that hold the answer.

    An answer to an answerable question passes when it holds one of the sentences that answer it; an unanswerable
    question passes when the answer abstains.
    """
    from eval.metrics.abstention import is_abstention
    from flywheel.labels.records import Label

    response = task.payload.response
    abstained = is_abstention(response)
    found = {passage.id for passage in task.payload.passages}
    label = Label(
        task.task_id, task.trace_id, task.revision, "pass", ANNOTATOR, datetime.now(UTC), guideline_version="demo"
    )
    if not question.answerable:
        return [label if abstained else replace(label, verdict="fail", failure_type="missed_abstention", severity="P1")]
    if any(" ".join(sentence.split()) in " ".join(response.split()) for sentence in question.evidence):
        return [label]
    missed = not found & set(question.documents)
    kind: FailureType = "retrieval_miss" if missed else "wrong_abstention" if abstained else "incomplete_answer"
    failed = replace(
        label, verdict="fail", failure_type=kind, severity="P2", corrected_response=question.reference or ""
    )
    relevant = [replace(label, target=f"passage:{document}") for document in question.documents]
    return [failed, *relevant]


@contextmanager
def served(pipeline: "RagPipeline", traces: Path) -> Iterator[str]:
    """Serve a pipeline on a free port of this machine; its own traces stay out of the landing folder."""
    import uvicorn

    from flywheel.serving.app import create_app
    from flywheel.serving.listener import listen, url_of
    from flywheel.serving.trace_log import TraceLog

    with listen("127.0.0.1", 0) as listener:
        app = create_app(pipeline, TraceLog(traces))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", server_header=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"{url_of(listener)}/query"
        finally:
            server.should_exit = True
            thread.join()


def with_pipeline(workspace: Workspace, url: str) -> Workspace:
    """Name the pipeline under test."""
    suite = workspace.settings.suite.model_copy(update={"pipeline": url})
    return Workspace(workspace.root, workspace.settings.model_copy(update={"suite": suite}))


def runs_of(workspace: Workspace) -> Sequence[Path]:
    """The finished runs, the oldest first."""
    return sorted((path.parent for path in workspace.runs.glob("*/run.json")), key=lambda path: path.stat().st_mtime)


def bless_newest(workspace: Workspace, now: datetime) -> str:
    """Bless the run of the fixed pipeline."""
    from eval.baseline import bless
    from eval.suite import read_run

    run = read_run(runs_of(workspace)[-1])
    bless(run, "the demo", workspace.runs, now)
    return f"runs/{run.name} is blessed: {len(run.cases)} gate cases, {run.dataset_version}"


def gate(workspace: Workspace, pipeline: "RagPipeline", name: str) -> tuple[str, str, Path]:
    """Run the suite against a candidate over HTTP, and judge it against the blessed baseline."""
    from eval.baseline import read_blessed_run
    from eval.gate import decide
    from eval.metrics import METRICS
    from eval.outputs.artefacts import write_gate
    from eval.outputs.words import headline
    from eval.pipeline import open_pipeline
    from eval.policy import exit_code
    from eval.suite import read_suite, run_suite

    metrics = {metric: METRICS[metric] for metric in workspace.settings.suite.metrics}
    suite = read_suite(workspace.golden_dataset, metrics)
    with served(pipeline, workspace.root / "suite-traces") as url, open_pipeline(url) as candidate:
        run = run_suite(suite, candidate, workspace.runs / f"candidate-{name}")
    _, baseline = read_blessed_run(workspace.runs)
    policy = policy_of(workspace.settings.gate)
    result = decide(baseline, run, policy, np.random.default_rng(SEED))
    folder = workspace.root / f"gate-{name}"
    write_gate(result, exit_code(result.verdict, "warn"), folder)
    return result.verdict, headline(result), folder
