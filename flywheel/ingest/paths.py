"""Which files a command means: files, folders, patterns, standard input; nothing that lies outside of them."""

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TextIO

from eval.errors import UserError
from flywheel.ingest.quarantine import FOLDER as QUARANTINE

SUFFIXES = frozenset({".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv", ".binpb", ".pb", ".otlp"})
PACKED = frozenset({".gz", ".zst", ".zstd"})
STANDARD_INPUT = Path("-")
COPIED = 1 << 20


def trace_files(paths: Sequence[Path], on_skip: Callable[[str], None] = lambda _: None) -> list[Path]:
    """List the files that some paths mean, each once: folders with all below them, in name order, and patterns.

    In a folder only names of trace files count. Hidden files, the quarantine, and links that lead out of the folder
    are left out, the links with a word to `on_skip`.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path == STANDARD_INPUT or path.is_file():
            found[path] = None
        elif path.is_dir():
            found.update(dict.fromkeys(files_below(path, on_skip)))
        elif matches := matching(path):
            found.update(dict.fromkeys(trace_files(matches, on_skip)))
        else:
            raise UserError(f"there is no file or folder {path}; check the path")
    return list(found)


def files_below(folder: Path, on_skip: Callable[[str], None]) -> list[Path]:
    """List the trace files below a folder, in name order."""
    home = folder.resolve()
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if any(part.startswith(".") or part == QUARANTINE for part in inside.parts):
            continue
        if not has_trace_name(path) and not (path.is_symlink() and path.is_dir()):
            continue
        if not Path(os.path.realpath(path)).is_relative_to(home):  # `resolve` raises where links go round
            on_skip(f"{path} leads out of {folder}; it was left out, name it by itself if you mean it")
        elif path.is_file():
            found.append(path)
    return found


def has_trace_name(path: Path) -> bool:
    """Tell whether a file is named like one that may hold traces."""
    suffixes = path.suffixes
    packed = bool(suffixes) and suffixes[-1] in PACKED
    kind = suffixes[-2:-1] if packed else suffixes[-1:]
    return bool(kind) and kind[0] in SUFFIXES


def matching(pattern: Path) -> list[Path]:
    """List what matches a shell pattern that the shell left as it is."""
    if not any(sign in str(pattern) for sign in "*?["):
        return []
    root = Path(pattern.anchor) if pattern.is_absolute() else Path()
    relative = pattern.relative_to(pattern.anchor) if pattern.is_absolute() else pattern
    return sorted(root.glob(str(relative)))


def spooled(path: Path, standard_input: TextIO | None) -> AbstractContextManager[Path]:
    """Give a file to read: the path itself, or a copy of standard input on disk, which goes afterwards."""
    if path != STANDARD_INPUT:
        return nullcontext(path)
    if standard_input is None:  # closed, as some schedulers leave it
        raise UserError("there is no standard input; name a file instead of -")
    return Spool(standard_input)


class Spool(AbstractContextManager[Path]):
    """Standard input on disk: it can be looked at twice there, and need not fit into memory."""

    def __init__(self, standard_input: TextIO) -> None:
        self.standard_input = standard_input
        self.folder = tempfile.TemporaryDirectory(prefix="flywheel-")

    def __enter__(self) -> Path:
        path = Path(self.folder.name) / "standard-input.jsonl"
        with path.open("wb") as file:
            while chunk := self.standard_input.buffer.read(COPIED):
                file.write(chunk)
        return path

    def __exit__(self, *_: object) -> None:
        self.folder.cleanup()
