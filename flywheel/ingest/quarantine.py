"""Rejected records kept aside, with file, place, reason and raw bytes: one JSON-lines file for each delivery."""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from eval.errors import UserError
from flywheel.sources.records import Rejected

FOLDER = "quarantine"


@dataclass(frozen=True, slots=True)
class Kept:
    """A rejected record as it is kept. `format` reads `raw` again, unless only its beginning was kept."""

    file: str
    line: int
    reason: str
    format: str
    raw: bytes
    whole: bool


class Quarantine:
    """The rejected records of one delivery, written as they come; nothing appears under its name before `keep`."""

    def __init__(self, folder: Path, file: str, form: str) -> None:
        self.folder = folder
        self.file = file
        self.form = form
        self.half: Path | None = None
        self.opened: BinaryIO | None = None

    def add(self, rejected: Rejected) -> None:
        """Write one record."""
        if self.opened is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.half = self.folder / f"{self.form}.part"
            self.opened = self.half.open("wb")
        self.opened.write(
            line_of(Kept(self.file, rejected.line, rejected.reason, self.form, rejected.raw, rejected.whole))
        )

    def keep(self, digest: str) -> Path | None:
        """Give what was written its name, after the delivery's hash; None where nothing was rejected."""
        if self.opened is None or self.half is None:
            return None
        self.opened.close()
        kept = self.folder / f"{digest[:16]}.jsonl"
        self.half.replace(kept)
        self.opened = None
        return kept

    def drop(self) -> None:
        """Forget what was written and not kept."""
        if self.opened is not None and self.half is not None:
            self.opened.close()
            with suppress(OSError):
                self.half.unlink()


def line_of(kept: Kept) -> bytes:
    """Write a kept record as a line of JSON; its bytes stand there in base64, since they may be anything."""
    fields = {
        "file": kept.file,
        "line": kept.line,
        "reason": kept.reason,
        "format": kept.format,
        "whole": kept.whole,
        "raw": base64.b64encode(kept.raw).decode(),
    }
    return json.dumps(fields).encode() + b"\n"


def read_kept(path: Path) -> Iterator[Kept]:
    """Read a quarantine file; a line that is none of ours is a `UserError`."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                fields = json.loads(line)
                raw = base64.b64decode(fields["raw"], validate=True)
                yield Kept(
                    str(fields["file"]),
                    int(fields["line"]),
                    str(fields["reason"]),
                    str(fields.get("format", "native")),
                    raw,
                    bool(fields.get("whole", True)),
                )
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"{path}, line {number} is no quarantined record ({error}); delete that line, or restore the file"
                ) from error
