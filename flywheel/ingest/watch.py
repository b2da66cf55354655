"""A folder kept under watch: new files are taken as they land, growing ones line by line."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eval.errors import UserError
from flywheel.ingest.paths import trace_files

State = tuple[int, int]
"""A file's size in bytes and when it was last written, in nanoseconds: what changes when somebody writes to it."""

PATTERN_SIGNS = "*?["
WRITTEN_LINE_BY_LINE = frozenset({".jsonl", ".ndjson"})


@dataclass(slots=True)
class Watched:
    """What a watch knows of its folder: the state in which each file was taken, and in which it was last seen."""

    taken: dict[Path, State] = field(default_factory=dict)
    seen: dict[Path, State] = field(default_factory=dict)


def watch(
    folders: Sequence[Path],
    take: Callable[[list[Path]], bool],
    poll_seconds: float,
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Give the files that are ready to `take` until it is over, looking every `poll_seconds`.

    Files that `take` refuses (the warehouse is locked) are offered again. A folder that is not there at first is a
    `UserError`; one that goes away later may come back.
    """
    for folder in folders:
        if not any(sign in str(folder) for sign in PATTERN_SIGNS) and not folder.exists():
            raise UserError(f"there is no file or folder {folder}; check the path")
    watched = Watched()
    while True:
        ready, states = ready_files(folders, watched)
        if ready and take(ready):
            watched.taken.update({path: states[path] for path in ready})
        if is_over():
            return
        time.sleep(poll_seconds)


def ready_files(folders: Sequence[Path], watched: Watched) -> tuple[list[Path], dict[Path, State]]:
    """List the files to take now: JSON lines at once, others once nobody has written to them between two looks."""
    states: dict[Path, State] = {}
    for path in files_there(folders):
        try:
            told = path.stat()
        except OSError:  # it is gone again
            continue
        states[path] = (told.st_size, told.st_mtime_ns)
    ready = [
        path
        for path, state in states.items()
        if watched.taken.get(path) != state and (path.suffix in WRITTEN_LINE_BY_LINE or watched.seen.get(path) == state)
    ]
    watched.seen = states
    return ready, states


def files_there(folders: Sequence[Path]) -> list[Path]:
    """List the trace files that are there now; a pattern may match nothing yet, a folder may be gone for a moment."""
    found: dict[Path, None] = {}
    for folder in folders:
        try:
            found.update(dict.fromkeys(trace_files([folder])))
        except (UserError, OSError):
            continue
    return list(found)
