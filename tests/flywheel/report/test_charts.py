import re
from dataclasses import replace

import pytest

from flywheel.report import charts
from flywheel.report.facts import DrawFacts, MapPoint, StratumFacts, WeekRate


@pytest.fixture
def checked(monkeypatch):
    monkeypatch.setattr(charts, "CHECKED", True)


def test_every_chart_follows_the_schema_and_loads_nothing(checked, labelled_week):
    facts = labelled_week
    markers = charts.mark_modes(facts.modes, facts.map_points)
    for drawing in (
        charts.draw_trend(facts.history),
        charts.draw_types(facts.triage),
        charts.draw_labels(facts.draw),
        charts.draw_days(facts.traffic),
        charts.draw_map(facts.map_points, markers),
    ):
        for svg in (drawing.wide, drawing.narrow):
            assert svg.startswith("<svg ")
            assert not re.search(r"https?:|url\(|<image|<script|style=", svg)
        assert drawing.label


def lines_of(svg: str) -> int:
    return len(re.findall(r'aria-roledescription="line mark"', svg))


def test_no_line_joins_two_instruments():
    history = [WeekRate(f"2026-W{40 + n}", None, 0.5, 9, "a" if n < 3 else "b") for n in range(6)]
    one = [replace(week, instrument="a") for week in history]
    assert lines_of(charts.draw_trend(one).wide) == 1
    assert lines_of(charts.draw_trend(history).wide) == 2


def test_a_flagged_share_has_no_interval(labelled_week):
    flagged = [replace(week, rate=None) for week in labelled_week.history]
    assert "low" not in charts.draw_trend(flagged).wide
    assert "low" in charts.draw_trend(labelled_week.history).wide


def test_hostile_names_are_text_in_a_chart():
    name = "<script>alert(1)</script>\"'&"
    svg = charts.draw_labels(DrawFacts("d", 1, (StratumFacts(name, 9, 3), StratumFacts("{{7*7}}", 9, 3)))).wide
    assert "<script" not in svg
    assert "&lt;script&gt;alert(1)" in svg
    assert "49" not in svg


def test_colours_follow_the_page():
    svg = charts.draw_labels(DrawFacts("d", 1, (StratumFacts("1", 9, 3, 2, 1),))).wide
    assert "var(--p0)" in svg
    assert not re.search(r'fill="(?:#000|black)"', svg)


def test_a_large_map_is_thinned_evenly():
    points = [MapPoint(float(n), 0.0, None, "") for n in range(10_000)]
    kept = charts.thin(points)
    assert len(kept) == charts.MOST_POINTS
    assert (kept[0], kept[-1]) == (points[0], points[-1])


def test_modes_differ_by_colour_or_shape(labelled_week):
    modes = [replace(labelled_week.modes[0], mode_id=f"FM-{n}") for n in range(40)]
    points = [MapPoint(0.0, 0.0, mode.mode_id, "") for mode in modes]
    markers = charts.mark_modes(modes, points)
    assert len(markers) == charts.MOST_MARKED
    assert len({(marker.colour, marker.shape) for marker in markers.values()}) == len(markers)
    assert [marker.number for marker in markers.values()] == list(range(1, len(markers) + 1))


def test_a_sparkline_stays_in_its_box():
    svg = charts.sparkline([(f"2026-W{n}", n * 3) for n in range(10, 20)])
    places = [tuple(map(float, place.split(","))) for place in re.search('points="([^"]*)"', svg)[1].split()]
    assert all(0 <= x <= 132 and 0 <= y <= 30 for x, y in places)
    assert charts.describe_sizes([("2026-W44", 7), ("2026-W45", 9)]) == "traces by week: W44 7, W45 9"
