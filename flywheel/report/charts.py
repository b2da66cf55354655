"""The charts of the report as inline SVG, each drawn twice: for a wide page and for a telephone.

Colours are CSS variables of the page, so one drawing serves light and dark; text is escaped by Vega.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from flywheel.report.facts import DrawFacts, MapPoint, ModeFacts, Traffic, TriageFacts, WeekRate
from flywheel.report.summary import segments
from flywheel.report.wording import brief, day_title, number, words

WIDE = 780
NARROW = 350
LABELS = 132
"""Pixels for the labels of bars."""
MOST_WEEKS = 26
MOST_POINTS = 1200
"""A map of more is thinned evenly; with two drawings it stays far below 2 MB."""
CHECKED = False
"""Whether Altair checks each chart against the schema of Vega-Lite."""
MOST_MARKED = 16
SHAPES = ("circle", "square", "triangle-up", "diamond")
PALETTE = 8
Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""The rows of a chart by name."""
STYLE = {
    "background": "transparent",
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "gridColor": "var(--line)",
        "labelFontSize": 12,
        "labelPadding": 6,
        "domain": False,
        "ticks": False,
        "title": None,
    },
}
SEVERITIES = ("P0", "P1", "P2", "P3")


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart in both widths; `label` says for ears what it shows."""

    wide: str
    narrow: str
    label: str


@dataclass(frozen=True, slots=True)
class Marker:
    """How a mode stands on the map: its number there, its colour of the palette, its shape."""

    number: int
    colour: str
    shape: str


def draw(layers: Sequence[Any], rows: Rows, heights: tuple[Any, Any], label: str) -> Drawing:
    """Draw layers in both widths; `heights` belong to wide and narrow.

    Altair's own checks are left out: they take most of the time, and the tests make them.
    """
    import altair as alt
    from altair.utils.schemapi import debug_mode

    with debug_mode(CHECKED):
        spec = alt.layer(*layers).to_dict()
    return Drawing(to_svg(spec, rows, WIDE, heights[0]), to_svg(spec, rows, NARROW, heights[1]), label)


def to_svg(layered: dict[str, Any], rows: Rows, width: int, height: Any) -> str:
    """Turn a chart into SVG for a page: no size of its own but its proportions, no namespace addresses.

    The rows join it here: passed through Altair each one would be copied and looked at many times.
    """
    import altair
    import vl_convert

    size = {"width": width, "height": height, "autosize": {"type": "fit-x", "contains": "padding"}, "padding": 2}
    spec = layered | size | {"config": STYLE, "datasets": dict(rows)}
    version = altair.SCHEMA_VERSION.rpartition(".")[0]
    svg: str = vl_convert.vegalite_to_svg(spec, vl_version=version, allowed_base_urls=[])
    opening, _, rest = svg.partition(">")
    opening = re.sub(r' (?:xmlns(?::xlink)?|width|height|version)="[^"]*"', "", opening)
    return f'{opening} aria-hidden="true" focusable="false">{rest}'


def draw_trend(history: Sequence[WeekRate]) -> Drawing:
    """The rate by week with its intervals, and hollow beside it the share that is flagged."""
    import altair as alt

    shown = list(history[-MOST_WEEKS:])
    rates = trend_rows(shown, [week.rate.value if week.rate else None for week in shown])
    flagged = trend_rows(shown, [week.flagged_share for week in shown])
    for row, week in zip(rates, [week for week in shown if week.rate], strict=True):
        assert week.rate is not None
        row |= {"low": 100 * week.rate.low, "high": 100 * week.rate.high}
    changes = [{"week": week.week} for before, week in pairwise(shown) if before.instrument != week.instrument]
    order = [week.week for week in shown]

    scale = alt.Scale(type="band", domain=order)
    axis = alt.Axis(labelExpr="slice(datum.label, 5)", labelAngle=0, labelAlign="center", labelOverlap="greedy")
    x = alt.X("week:O", sort=order, scale=scale, axis=axis)
    y = alt.Y("value:Q", axis=alt.Axis(labelExpr="datum.label + ' %'", tickCount=5), scale=alt.Scale(domainMin=0))
    layers = []
    if changes:
        edge = alt.X("week:O", sort=order, bandPosition=0, scale=scale)
        layers.append(chart("changes").mark_rule(color="var(--muted)", strokeDash=[2, 3]).encode(x=edge))
    if flagged:
        base = chart("flagged").encode(x=x, y=y, detail="piece:N")
        layers.append(base.mark_line(color="var(--muted)", strokeDash=[3, 4], strokeWidth=1.2))
        layers.append(base.mark_point(stroke="var(--muted)", fill="var(--paper)", size=46, strokeWidth=1.6, opacity=1))
    if rates:
        base = chart("rates").encode(x=x, y=y, detail="piece:N")
        layers.append(base.mark_line(color="var(--accent)", strokeWidth=1.6))
        layers.append(base.mark_rule(color="var(--accent)", strokeWidth=2.4).encode(y=alt.Y("low:Q"), y2="high:Q"))
        layers.append(
            base.mark_point(fill="var(--accent)", stroke="var(--paper)", size=110, strokeWidth=1.5, opacity=1)
        )
    rows = {"changes": changes, "flagged": flagged, "rates": rates}
    return draw(
        layers,
        rows,
        (230, 200),
        f"Failure rate and flagged share of {len(shown)} weeks; the numbers stand in the table below",
    )


def trend_rows(history: Sequence[WeekRate], values: Sequence[float | None]) -> list[dict[str, Any]]:
    """Lay out the weeks that have a value, in per cent, with the piece of line each belongs to."""
    pieces = segments(history, [value is not None for value in values])
    return [
        {"week": week.week, "value": 100 * value, "piece": piece}
        for week, value, piece in zip(history, values, pieces, strict=True)
        if value is not None
    ]


def left_labels() -> Any:
    """Give an axis whose labels start at the edge of the page, with room for a reader's wider font."""
    import altair as alt

    return alt.Axis(
        labelColor="var(--ink)",
        labelAlign="left",
        labelPadding=LABELS,
        labelLimit=LABELS,
        minExtent=LABELS,
        maxExtent=LABELS,
    )


def draw_types(triage: TriageFacts) -> Drawing:
    """What is flagged by failure type, in the shades of its severity where both are known together."""
    import altair as alt

    cells = triage.by_type_and_severity or tuple((name, "", count) for name, count in triage.by_type)
    rows = [{"type": words(brief(name)), "severity": severity, "count": count} for name, severity, count in cells]
    totals = [{"type": words(brief(name)), "count": count, "text": number(count)} for name, count in triage.by_type]
    order = [words(brief(name)) for name, _ in sorted(triage.by_type, key=lambda kind: -kind[1])]
    for row in rows:
        row["rank"] = SEVERITIES.index(row["severity"]) if row["severity"] in SEVERITIES else len(SEVERITIES)

    y = alt.Y("type:N", sort=order, axis=left_labels())
    scale = alt.Scale(domain=[*SEVERITIES, ""], range=[*(f"var(--{s.lower()})" for s in SEVERITIES), "var(--accent)"])
    bars = (
        chart("rows")
        .mark_bar(height=18)
        .encode(
            x=alt.X("count:Q", axis=None),
            y=y,
            color=alt.Color("severity:N", scale=scale, legend=None),
            order="rank:Q",
        )
    )
    text = chart("texts").mark_text(align="left", dx=7, fontSize=12, color="var(--ink)")
    layers = [bars, text.encode(x="count:Q", y=y, text="text:N")]
    return draw(
        layers,
        {"rows": rows, "texts": totals},
        ({"step": 30}, {"step": 30}),
        "Flagged traces by failure type and severity; the numbers stand in the table below",
    )


def draw_labels(draw_facts: DrawFacts) -> Drawing:
    """How far people are with each stratum: failed, passed, still waiting."""
    import altair as alt

    parts = ("failed", "passed", "waiting")
    rows = [
        {"stratum": brief(s.name), "part": part, "rank": rank, "count": count}
        for s in draw_facts.strata
        for rank, (part, count) in enumerate(
            zip(parts, (s.failed, s.labelled - s.failed, max(s.allocated - s.labelled, 0)), strict=True)
        )
    ]
    texts = [
        {"stratum": brief(s.name), "count": max(s.allocated, s.labelled), "text": f"{s.labelled} of {s.allocated}"}
        for s in draw_facts.strata
    ]
    order = [brief(stratum.name) for stratum in draw_facts.strata]

    y = alt.Y("stratum:N", sort=order, axis=left_labels())
    scale = alt.Scale(domain=parts, range=["var(--p0)", "var(--p2)", "var(--track)"])
    bars = (
        chart("rows")
        .mark_bar(height=14)
        .encode(x=alt.X("count:Q", axis=None), y=y, color=alt.Color("part:N", scale=scale, legend=None), order="rank:Q")
    )
    text = chart("texts").mark_text(align="left", dx=7, fontSize=12, color="var(--muted)")
    layers = [bars, text.encode(x="count:Q", y=y, text="text:N")]
    return draw(
        layers,
        {"rows": rows, "texts": texts},
        ({"step": 27}, {"step": 27}),
        "Labels by stratum of the draw; the numbers stand in the table below",
    )


def draw_days(traffic: Traffic) -> Drawing:
    """The traces of each day, those that failed with an error at the foot."""
    import altair as alt

    rows = [
        {"day": day_title(day), "part": part, "rank": rank, "count": count}
        for day, traces, errors in traffic.by_day
        for rank, (part, count) in enumerate((("error", errors), ("ok", traces - errors)))
    ]
    texts = [{"day": day_title(day), "count": traces, "text": number(traces)} for day, traces, _ in traffic.by_day]
    order = [day_title(day) for day, _, _ in traffic.by_day]

    x = alt.X("day:O", sort=order, axis=alt.Axis(labelAngle=0), scale=alt.Scale(padding=0.35))
    scale = alt.Scale(domain=["error", "ok"], range=["var(--p0)", "var(--p2)"])
    bars = (
        chart("rows")
        .mark_bar()
        .encode(x=x, y=alt.Y("count:Q", axis=None), color=alt.Color("part:N", scale=scale, legend=None), order="rank:Q")
    )
    text = chart("texts").mark_text(dy=-8, fontSize=12, color="var(--ink)")
    layers = [bars, text.encode(x=x, y="count:Q", text="text:N")]
    return draw(
        layers, {"rows": rows, "texts": texts}, (150, 150), "Traces by day; the numbers stand in the table below"
    )


def mark_modes(modes: Sequence[ModeFacts], map_points: Sequence[MapPoint]) -> dict[str, Marker]:
    """Give the largest modes of the map a number, a colour and a shape each, in the order of the modes."""
    placed = {point.mode_id for point in map_points}
    largest = sorted((mode for mode in modes if mode.mode_id in placed), key=lambda mode: -mode.size)[:MOST_MARKED]
    chosen = {mode.mode_id for mode in largest}
    marked = [mode.mode_id for mode in modes if mode.mode_id in chosen]
    return {
        mode_id: Marker(place + 1, f"var(--m{place % PALETTE})", SHAPES[place // PALETTE % len(SHAPES)])
        for place, mode_id in enumerate(marked)
    }


def thin(map_points: Sequence[MapPoint]) -> list[MapPoint]:
    """Keep every so many-th point, so that no more than `MOST_POINTS` are left."""
    if len(map_points) <= MOST_POINTS:
        return list(map_points)
    kept = np.linspace(0, len(map_points) - 1, MOST_POINTS).round().astype(int)
    return [map_points[place] for place in kept]


def draw_map(map_points: Sequence[MapPoint], markers: Mapping[str, Marker]) -> Drawing:
    """The map of failures: near means alike, the axes have no unit; each mode with its number at its middle."""
    import altair as alt

    shown = thin(map_points)
    loose = [{"x": p.x, "y": p.y} for p in shown if p.mode_id not in markers]
    rows = [
        {"x": p.x, "y": p.y, "mode": f"{markers[p.mode_id].number}"}
        for p in shown
        if p.mode_id and p.mode_id in markers
    ]
    texts = [middle_of(marker, [p for p in map_points if p.mode_id == mode_id]) for mode_id, marker in markers.items()]
    domain = [f"{marker.number}" for marker in markers.values()]

    x = alt.X("x:Q", axis=None, scale=alt.Scale(zero=False, nice=False, padding=16))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False, nice=False, padding=16))
    colour = alt.Color(
        "mode:N", scale=alt.Scale(domain=domain, range=[m.colour for m in markers.values()]), legend=None
    )
    shape = alt.Shape("mode:N", scale=alt.Scale(domain=domain, range=[m.shape for m in markers.values()]), legend=None)
    labels = chart("texts").encode(x=x, y=y, text="text:N")
    layers = [
        chart("loose").mark_circle(color="var(--muted)", size=15, opacity=0.4, aria=False).encode(x=x, y=y),
        chart("rows")
        .mark_point(filled=True, size=26, opacity=0.8, aria=False)
        .encode(x=x, y=y, color=colour, shape=shape),
        labels.mark_text(fontSize=15, fontWeight=700, stroke="var(--paper)", strokeWidth=5, strokeJoin="round"),
        labels.mark_text(fontSize=15, fontWeight=700, color="var(--ink)"),
    ]
    return draw(
        layers,
        {"loose": loose, "rows": rows, "texts": texts},
        (420, 300),
        f"Map of {number(len(map_points))} flagged traces; the modes on it are listed below",
    )


def middle_of(marker: Marker, members: Sequence[MapPoint]) -> dict[str, Any]:
    """Place a mode's number at the median of its points, where the most of it lies."""
    return {
        "x": float(np.median([point.x for point in members])),
        "y": float(np.median([point.y for point in members])),
        "text": f"{marker.number}",
    }


def chart(name: str) -> Any:
    """Start a chart of the rows of that name."""
    import altair as alt

    return alt.Chart(alt.NamedData(name=name))


def sparkline(sizes: Sequence[tuple[str, int]], width: int = 132, height: int = 30) -> str:
    """Draw the sizes of a mode by week as a line with a dot at its end; drawn by hand, a mode each."""
    recent = [size for _, size in sizes][-MOST_WEEKS:]
    top = max([*recent, 1])
    step = (width - 8) / max(len(recent) - 1, 1)
    places = [
        (round(4 + (place if len(recent) > 1 else 1) * step, 1), round(height - 4 - size / top * (height - 8), 1))
        for place, size in enumerate(recent)
    ]
    line = " ".join(f"{x},{y}" for x, y in places)
    last_x, last_y = places[-1]
    return (
        f'<svg viewBox="0 0 {width} {height}" class="spark" aria-hidden="true" focusable="false">'
        f'<polyline points="{line}" fill="none" stroke="var(--accent)" stroke-width="1.6" stroke-linejoin="round"/>'
        f'<circle cx="{last_x}" cy="{last_y}" r="3" fill="var(--accent)"/></svg>'
    )


def describe_sizes(sizes: Sequence[tuple[str, int]]) -> str:
    """Say a sparkline in words."""
    return "traces by week: " + ", ".join(f"{week[5:]} {size}" for week, size in sizes[-MOST_WEEKS:])
