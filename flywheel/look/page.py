"""A first look as one HTML file that asks the network for nothing: text escaped, styles inside, no script."""

from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

from flywheel.look.findings import Findings
from flywheel.look.observed import add_up
from flywheel.look.words import around, capital, count_lanes, unjudged_traces, write_headline
from flywheel.report import page as report_page
from flywheel.report.wording import FOLD_CHARACTERS, FOLD_LINES, Folded, moment, visible

FOLDER = Path(__file__).parent
MOST_BYTES = 1_900_000
MOST_FILES = 60


@dataclass(frozen=True, slots=True)
class Room:
    """How much of each trace the page shows: passages, and characters of a text."""

    passages: int
    characters: int


ROOMS = (Room(8, 2000), Room(4, 1000), Room(2, 400), Room(0, 200), Room(0, 60))
"""Tried in turn until the page is small enough to be sent around."""


def render_page(findings: Findings) -> str:
    """Write the page, with as much of each trace as leaves it under two megabytes."""
    pages = (render_in(findings, room) for room in ROOMS)
    return next((page for page in pages if len(page.encode()) <= MOST_BYTES), render_in(findings, ROOMS[-1]))


def render_in(findings: Findings, room: Room) -> str:
    """Write the page with so much room for each trace."""
    from jinja2 import FileSystemLoader

    styles = "".join(
        path.read_text(encoding="utf-8") for path in (report_page.FOLDER / report_page.STYLES, FOLDER / "look.css")
    )
    environment = report_page.make_environment()
    environment.loader = FileSystemLoader(FOLDER)
    environment.filters |= {"capital": capital, "utc": utc_moment}
    return environment.get_template("page.html.jinja").render(
        facts=findings,
        styles=styles,
        styles_digest=b64encode(sha256(styles.encode()).digest()).decode(),
        headline=write_headline(findings),
        lanes=count_lanes(findings),
        unjudged_traces=unjudged_traces(findings),
        files=findings.files[:MOST_FILES],
        total=add_up(findings.files),
        room=room,
        folded=partial(fold, most=room.characters),
        around=partial(around, most=min(280, room.characters // 3)),
    )


def fold(text: str, most: int) -> Folded:
    """Fold a text after six lines or some four hundred characters, and show no more of it than `most`."""
    seen = visible(text[: 2 * most])
    head = "\n".join(seen.split("\n")[:FOLD_LINES])[: min(FOLD_CHARACTERS, most)]
    return Folded(head, seen[:most], len(seen) if len(text) <= 2 * most else len(text))


def utc_moment(when: datetime) -> str:
    """Write the time of a trace, which is in UTC without saying so."""
    return moment(when.replace(tzinfo=when.tzinfo or UTC))
