"""Runs a week again and again, each time killed with SIGKILL at another moment and then taken up again.

A program of its own: `python -m tests.flywheel.killed_run FOLDER PHASE SEED`. It imports and warms everything heavy
once, opens no store, and forks a child for each run; what came of the children is one JSON object on standard output.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from random import Random
from shutil import copytree
from threading import Timer

from flywheel import week as job
from flywheel.phase_one import STEPS as FIRST
from flywheel.phase_one import run_phase_one
from flywheel.phase_two import STEPS as SECOND
from flywheel.phase_two import run_phase_two
from flywheel.week import Event
from flywheel.workspace import open_workspace
from tests.flywheel.made_weeks import (
    GOOD_PIPELINE,
    TRACES,
    WEEK,
    add_traces,
    bless_pipeline,
    is_bad,
    label_week,
    make_workspace,
    seed_golden,
    silent,
)

MOMENTS = 5
AT_ONCE = os.cpu_count() or 2
UNDISTURBED = "undisturbed"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "NUMBA_THREADING_LAYER": "workqueue"}
"""A process that forks must not have started OpenMP."""
TEMPLATE = "template"
MOMENT = "moment-"
REPORT = ("altair", "vl_convert", "flywheel.report.charts", "flywheel.report.page", "flywheel.weekly_report")
HEAVY = {
    1: (*REPORT, "eval.statistics.power", "eval.metrics.groundedness"),
    2: (
        *REPORT, "eval.metrics.groundedness_fit", "eval.gate", "eval.outputs.artefacts", "eval.statistics.paired",
        "eval.tracking", "mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store",
    ),
}  # fmt: skip
"""What the steps of each phase import."""


def main(folder: Path, phase: int, seed: int) -> None:
    """Kill a phase at each of its boundaries and at random moments; say how each run ended."""
    os.environ.update(ONE_THREAD)
    warm_up(phase)
    wait(fork(lambda: prepare(folder / TEMPLATE, phase)))
    took = undisturbed(folder, phase)
    rng = Random(seed)
    points: list[tuple[str, Callable[[], None], float | None]] = [
        (f"{step}-{kind}", killing(folder, phase, step, kind), None) for step, kind in boundaries(phase)
    ]
    for number in range(MOMENTS):
        name = f"{MOMENT}{number}"
        # In phase 2 the first three hit the making of MLflow's store, which a kill used to leave broken for good.
        run = (
            soon_killed(folder / name, 0.3 + 0.5 * number)
            if phase == 2 and number < 3
            else running(folder / name, phase)
        )
        points.append((name, run, None if phase == 2 and number < 3 else rng.uniform(0.05, 0.9) * took))
    told: dict[str, object] = {"seconds": took}
    for start in range(0, len(points), AT_ONCE):
        batch = points[start : start + AT_ONCE]
        for name, _, _ in batch:
            start_over(folder, name)
        begun = time.monotonic()
        ends = [wait(*one) for one in [(fork(run), after and begun + after) for _, run, after in batch]]
        again = [wait(pid) for pid in [fork(running(folder / name, phase)) for name, _, _ in batch]]
        told |= {name: ends_of for (name, _, _), *ends_of in zip(batch, ends, again, strict=True)}
    print(json.dumps(told))


def warm_up(phase: int) -> None:
    """Import and load once what every child needs; a first UMAP compiles for seconds."""
    import torch

    from eval.embedding import load_embedder

    for module in HEAVY[phase]:
        import_module(module)
    torch.set_num_threads(1)
    vectors = load_embedder()([f"the {n}th of {n % 7} made-up failures" for n in range(30)])
    if phase == 1:
        from flywheel.modes.group import group

        group(vectors, 5, 0)


def boundaries(phase: int) -> Iterator[tuple[str, str]]:
    """Give every step with the places where it can be cut: before it, with its effects but no commit, and after it."""
    if phase == 1:
        yield from (("ingest", "start"), ("ingest", "done"))
    for step in FIRST if phase == 1 else SECOND:
        yield from ((step.name, kind) for kind in ("start", "effects", "done"))


def prepare(folder: Path, phase: int) -> None:
    """Make the workspace that every run begins with: phase 2 finds phase 1 done and labels given."""
    workspace = make_workspace(folder, GOOD_PIPELINE, labels=60, is_tracked=phase == 2)
    # Phase 2 begins with few failures, so that its preparation needs no UMAP.
    add_traces(folder, numbers=[n for n in range(TRACES) if phase == 1 or not is_bad(n) or n < 25])
    if phase == 2:
        from eval.tracking import connect

        connect(workspace.tracking_uri)
        seed_golden(workspace, 40)
        bless_pipeline(workspace)
        run_phase_one(workspace, WEEK, silent)
        label_week(workspace, chosen=lambda place, _: place % 10 != 9)


def start_over(folder: Path, name: str) -> None:
    """Copy the workspace that every run begins with; a random moment may also hit the making of MLflow's store."""
    copytree(folder / TEMPLATE, folder / name)
    if name == UNDISTURBED or name.startswith(MOMENT):
        (folder / name / "mlflow.db").unlink(missing_ok=True)


def undisturbed(folder: Path, phase: int) -> float:
    """Run a phase without any accident, and give its seconds."""
    start_over(folder, UNDISTURBED)
    started = time.perf_counter()
    assert wait(fork(running(folder / UNDISTURBED, phase))) == 0, "the undisturbed run failed"
    return time.perf_counter() - started


def running(folder: Path, phase: int, listen: Callable[[Event], None] = silent) -> Callable[[], None]:
    """Give what does a phase in a folder."""

    def run() -> None:
        (run_phase_one if phase == 1 else run_phase_two)(open_workspace(folder), WEEK, listen)

    return run


def killing(folder: Path, phase: int, step: str, kind: str) -> Callable[[], None]:
    """Give what does a phase in a folder of its own, and dies by SIGKILL at one place."""

    def listen(event: Event) -> None:
        if (event.step, event.kind) == (step, kind):
            os.kill(os.getpid(), signal.SIGKILL)

    def run() -> None:
        finish = job.finish_step

        def finish_or_die(db: object, week: str, number: int, name: str, *rest: object) -> None:
            if (name, "effects") == (step, kind):
                os.kill(os.getpid(), signal.SIGKILL)
            finish(db, week, number, name, *rest)  # type: ignore[arg-type]

        job.finish_step = finish_or_die  # only in the child that dies
        running(folder / f"{step}-{kind}", phase, listen)()

    return run


def fork(run: Callable[[], None]) -> int:
    """Do something in a child process."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        run()
        code = 0
    except BaseException as error:
        import traceback

        traceback.print_exception(error)
    finally:
        sys.stderr.flush()
        os._exit(code)


def soon_killed(folder: Path, seconds: float) -> Callable[[], None]:
    """Give what does phase 2 in a folder, and dies by SIGKILL some seconds after its last step began."""

    def listen(event: Event) -> None:
        if (event.step, event.kind) == ("mlflow", "start"):
            Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()

    return running(folder, 2, listen)


def wait(pid: int, kill_at: float | None = None) -> int:
    """Wait for a child, killing it at a moment of the monotonic clock; give its exit code, negative for a signal."""
    if kill_at is not None:
        time.sleep(max(0.0, kill_at - time.monotonic()))
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
