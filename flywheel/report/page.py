"""The report as one HTML file that asks the network for nothing: text escaped, styles inside, no script."""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from flywheel.report import charts, wording
from flywheel.report.charts import Drawing, Marker
from flywheel.report.facts import AddedCase, GateRow, ModeFacts, WeekFacts
from flywheel.report.summary import (
    count_states,
    describe_drift,
    explain_empty,
    find_change,
    growth_of,
    half_width,
    missing_lines,
    planned_labels,
    sort_modes,
    widest_half,
    worth_of_labels,
    write_headline,
)
from flywheel.trace import week_title

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent
TEMPLATE = "page.html.jinja"
STYLES = "page.css"
MOST_CARDS = 24
MOST_ROWS = 30
VERDICTS = ("BLOCK", "INCONCLUSIVE", "WARN", "PASS")
STATE_SIGNS = {"new": "+", "ongoing": "→", "regressed": "↺", "resolved": "✓"}
VERDICT_SIGNS = {"PASS": "✓", "WARN": "!", "INCONCLUSIVE": "?", "BLOCK": "✕"}
DIRECTION_SIGNS = {"up": "▲", "down": "▼", "no clear change": "≈"}
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Shown:
    """The first rows of a list, and how many more `report.json` has."""

    rows: tuple[Any, ...]
    more: int


@dataclass(frozen=True, slots=True)
class ModeCard:
    """A failure mode with what the page draws beside it."""

    mode: ModeFacts
    marker: Marker | None
    growth: tuple[str, int] | None
    sparkline: str
    sizes: str


def render_page(facts: WeekFacts) -> str:
    """Write the page."""
    styles = (FOLDER / STYLES).read_text(encoding="utf-8")
    digest = b64encode(sha256(styles.encode()).digest()).decode()
    modes = sort_modes(facts.modes)
    markers = charts.mark_modes(modes, facts.map_points)
    environment = make_environment()
    return environment.get_template(TEMPLATE).render(
        facts=facts,
        styles=styles,
        styles_digest=digest,
        title=week_title(facts.week),
        headline=write_headline(facts),
        change=find_change(facts),
        empty=explain_empty(facts),
        planned=planned_labels(facts),
        widest=widest_half(planned_labels(facts), facts.triage.ok),
        half=half_width(facts.rate) if facts.rate else None,
        worth=worth_of_labels(facts),
        states=count_states(facts.modes),
        cards=[make_card(mode, markers.get(mode.mode_id), facts.week) for mode in modes[:MOST_CARDS]],
        other_modes=show(modes[MOST_CARDS:], MOST_ROWS),
        markers=markers,
        titles={mode.mode_id: mode for mode in modes},
        loose=sum(point.mode_id not in markers for point in facts.map_points),
        attributes=attributes_of(facts),
        type_weeks=tabulate_types(facts),
        gate_rows=show(sort_gate_rows(facts), MOST_ROWS),
        added=show(added_cases(facts), MOST_ROWS),
        files=show(facts.ingest.files, MOST_ROWS),
        rejected=show(facts.ingest.rejected_lines, MOST_ROWS),
        drift=describe_drift(facts),
        drawings=draw_all(facts, markers),
        **{"state_signs": STATE_SIGNS, "verdict_signs": VERDICT_SIGNS, "direction_signs": DIRECTION_SIGNS},
    )


def make_environment() -> "Environment":
    """Set Jinja2 up: everything escaped, a missing name an error, the words of the report as filters."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": wording.number,
        "percent": wording.percent,
        "points": wording.points,
        "signed": wording.signed,
        "moment": wording.moment,
        "duration": wording.duration,
        "milliseconds": wording.milliseconds,
        "words": wording.words,
        "brief": wording.brief,
        "fold": wording.fold,
        "split_step": wording.split_step,
        "is_link": is_link,
        # For the drawings, whose text Vega has escaped, and for the styles; for nothing else.
        "ours": lambda text: Markup(text),  # noqa: S704
    }
    environment.globals |= {
        "interval": wording.interval,
        "points_interval": wording.points_interval,
        "p_value": wording.p_value,
        "count_of": wording.count_of,
        "missing_lines": missing_lines,
    }
    return environment


def draw_all(facts: WeekFacts, markers: dict[str, Marker]) -> dict[str, Drawing]:
    """Draw every chart that has something to show."""
    drawings: dict[str, Drawing] = {}
    if any(week.rate or week.flagged_share is not None for week in facts.history):
        drawings["trend"] = charts.draw_trend(facts.history)
    if facts.map_points:
        drawings["map"] = charts.draw_map(facts.map_points, markers)
    if facts.triage.by_type:
        drawings["types"] = charts.draw_types(facts.triage)
    if facts.draw and facts.draw.strata:
        drawings["labels"] = charts.draw_labels(facts.draw)
    if facts.traffic.by_day:
        drawings["days"] = charts.draw_days(facts.traffic)
    return drawings


def make_card(mode: ModeFacts, marker: Marker | None, week: str) -> ModeCard:
    """Lay out one mode."""
    has_trend = len(mode.sizes_by_week) > 1
    return ModeCard(
        mode,
        marker,
        growth_of(mode, week),
        charts.sparkline(mode.sizes_by_week) if has_trend else "",
        charts.describe_sizes(mode.sizes_by_week) if has_trend else "",
    )


def attributes_of(facts: WeekFacts) -> list[tuple[str, Shown]]:
    """Give the tables of flagged traces by attribute, those with something in them."""
    traffic = facts.traffic
    tables = (("Model", traffic.by_model), ("Prompt version", traffic.by_prompt_version), ("Tenant", traffic.by_tenant))
    return [(name, show(rows, MOST_ROWS)) for name, rows in tables if rows]


def tabulate_types(facts: WeekFacts) -> tuple[list[str], list[tuple[str, list[int]]]]:
    """Lay failure types out by week, the latest eight weeks; both empty where only one week is known."""
    weeks = sorted({week for week, _, _ in facts.triage.by_week})[-8:]
    if len(weeks) < 2:
        return [], []
    counts = {(week, name): count for week, name, count in facts.triage.by_week}
    names = sorted({name for week, name in counts if week in weeks}, key=lambda name: -counts.get((weeks[-1], name), 0))
    return weeks, [(name, [counts.get((week, name), 0) for week in weeks]) for name in names]


def sort_gate_rows(facts: WeekFacts) -> list[GateRow]:
    """Put the worst verdicts first."""
    return sorted(facts.gate.rows if facts.gate else (), key=lambda row: VERDICTS.index(row.verdict))


def added_cases(facts: WeekFacts) -> tuple[AddedCase, ...]:
    """Give the golden cases that the week added."""
    return facts.golden.added if facts.golden else ()


def is_link(path: str) -> bool:
    """Whether a path may be followed from the page: relative, and made of plain names."""
    return re.fullmatch(r"(?:\.\./)*(?:[\w-][\w.-]*/)*[\w-][\w.-]*", path, re.ASCII) is not None


def show(rows: Sequence[Row], most: int) -> Shown:
    """Take what the page has room for."""
    return Shown(tuple(rows[:most]), max(len(rows) - most, 0))
