"""The blessed baseline: which run counts as good, by whose word and since when. It never moves by itself."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from eval.errors import UserError
from eval.suite import Run, read_run, replace_file, results_sha256

RECORD = "baseline.json"


@dataclass(frozen=True, slots=True)
class Blessing:
    """A person's decision that a run is the baseline; `run` is relative to the folder of the record."""

    run: str
    by: str
    at: str
    dataset_version: str
    results_sha256: str


def bless(run: Run, by: str, runs: Path, at: datetime) -> Blessing:
    """Record in `runs` that a run is the baseline from now on."""
    if not by.strip():
        raise UserError("a baseline is blessed by somebody; say who with --by NAME")
    folder = run.folder.resolve()
    place = folder.relative_to(runs.resolve()) if folder.is_relative_to(runs.resolve()) else folder
    when = at.isoformat(timespec="seconds")
    blessing = Blessing(place.as_posix(), by.strip(), when, run.dataset_version, results_sha256(folder))
    runs.mkdir(parents=True, exist_ok=True)
    replace_file(runs / RECORD, (json.dumps(asdict(blessing), indent=1, sort_keys=True) + "\n").encode())
    return blessing


def read_blessing(runs: Path) -> Blessing:
    """Read which run is blessed."""
    path = runs / RECORD
    if not path.exists():
        raise UserError(f"no baseline is blessed in {runs}; bless one: flywheel baseline bless RUN --by NAME")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Blessing)
    except msgspec.MsgspecError as error:
        raise UserError(f"{path}: {error}; bless a run again: flywheel baseline bless RUN --by NAME") from error


def read_blessed_run(runs: Path) -> tuple[Blessing, Run]:
    """Read the blessed run; refuse one whose results changed since."""
    blessing = read_blessing(runs)
    run = read_run(runs / blessing.run)
    if results_sha256(run.folder) != blessing.results_sha256:
        raise UserError(
            f"the results of {run.folder} changed after {blessing.by} blessed them on {blessing.at}; "
            "put them back, or bless the run again: flywheel baseline bless RUN --by NAME"
        )
    return blessing, run


def age_in_words(blessing: Blessing, now: datetime) -> str:
    """Say how long ago a baseline was blessed, and by whom."""
    days = (now - datetime.fromisoformat(blessing.at)).days
    ago = "today" if days < 1 else "1 day ago" if days == 1 else f"{days} days ago"
    return f"blessed {ago} by {blessing.by}"
