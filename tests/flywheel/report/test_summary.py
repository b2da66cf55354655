from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.statistics.intervals import wilson_rate
from flywheel.report.facts import Rate, WeekRate
from flywheel.report.summary import (
    compare_rates,
    count_states,
    describe_drift,
    explain_empty,
    find_change,
    growth_of,
    half_width,
    half_width_with,
    missing_lines,
    segments,
    sort_modes,
    widest_half,
    worth_of_labels,
    write_headline,
)

THIN = "\u202f"


def rate_of(value: float, low: float, high: float, n: int = 100, population: int = 500) -> Rate:
    return Rate(value, low, high, n, population, "this week", "", "", n, 0, value, value, "d")


@st.composite
def rates(draw):
    low, value, high = sorted(draw(st.lists(st.floats(0, 1), min_size=3, max_size=3)))
    return rate_of(value, low, high)


def test_an_unlabelled_week_says_flagged_and_asks_for_labels(flagged_week):
    said = write_headline(flagged_week).sentence
    assert said == (
        f"240 of 504 ok traces flagged (47.6{THIN}%), unlabelled, no interval: label 100 to know the failure rate"
    )


def test_a_labelled_week_says_its_rate_with_interval_and_labels(labelled_week):
    said = write_headline(labelled_week).sentence
    assert said == f"Failure rate 18.4{THIN}% [15.1, 22.0], 96 of 504 labelled, this week's ok traces"


def test_a_week_without_ok_traces_has_no_figure(empty_week):
    headline = write_headline(empty_week)
    assert headline.value == ""
    assert headline.action == "flywheel ingest PATH"


def test_a_continued_week_without_verdicts_stays_with_the_flagged_share(labelled_week):
    assert "unlabelled" in write_headline(replace(labelled_week, rate=None)).sentence


def test_change_equals_the_published_example_of_newcombe():
    # Newcombe 1998, table II (a), method 10: 56/70 less 48/80.
    now, before = wilson_rate(56, 70), wilson_rate(48, 80)
    change = compare_rates(
        rate_of(now.value, now.low, now.high), rate_of(before.value, before.low, before.high), "2026-W44"
    )
    assert (change.low, change.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


@given(rates(), rates())
def test_change_turns_around_with_its_weeks(one, other):
    there, back = compare_rates(one, other, "w"), compare_rates(other, one, "w")
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    assert there.low <= there.value <= there.high


def test_change_is_up_or_down_only_where_its_interval_leaves_zero_out():
    low, high = rate_of(0.1, 0.08, 0.12), rate_of(0.3, 0.27, 0.33)
    assert compare_rates(high, low, "w").direction == "up"
    assert compare_rates(low, high, "w").direction == "down"
    assert compare_rates(rate_of(0.12, 0.09, 0.15), low, "w").direction == "no clear change"


def test_change_looks_past_a_week_nobody_labelled(labelled_week):
    before, now = labelled_week.history
    gap = replace(before, week="2026-W44", rate=None)
    change = find_change(replace(labelled_week, history=(replace(before, week="2026-W43"), gap, now)))
    assert change
    assert change.week == "2026-W43"


def test_no_change_is_claimed_before_people_label(flagged_week):
    assert find_change(flagged_week) is None


def test_a_line_breaks_at_a_gap_and_at_a_new_instrument():
    history = [WeekRate(f"2026-W{40 + n}", None, 0.5, 9, name) for n, name in enumerate("aaabba")]
    assert segments(history, [True, True, False, True, True, True]) == [0, 0, 0, 3, 3, 5]


@given(st.integers(1, 400))
def test_more_labels_never_widen_the_interval(more):
    rate = rate_of(0.2, 0.12, 0.3)
    assert half_width_with(rate, more) < half_width(rate)


def test_a_week_labelled_to_the_end_has_no_interval_left():
    assert half_width_with(rate_of(0.2, 0.1, 0.3, 100, 500), 400) == 0
    assert widest_half(500, 500) == 0


def test_widest_half_of_an_endless_population_is_the_textbook_one():
    assert widest_half(100, 10**9) == pytest.approx(0.098, abs=1e-4)


def test_labels_beyond_the_population_are_not_offered(labelled_week):
    few = replace(labelled_week, rate=rate_of(0.2, 0.1, 0.3, 100, 130))
    assert [more for more, _ in worth_of_labels(few)] == [20]


def test_regressed_modes_come_first(labelled_week):
    assert [mode.state for mode in sort_modes(labelled_week.modes)] == ["regressed", "ongoing"]
    assert count_states(labelled_week.modes) == [("regressed", 1), ("ongoing", 1)]


def test_growth_is_against_the_week_the_mode_was_seen_before(labelled_week):
    assert growth_of(labelled_week.modes[0], "2026-W45") == ("2026-W44", 34)
    assert growth_of(replace(labelled_week.modes[0], sizes_by_week=()), "2026-W45") is None


def test_drift_is_silent_across_instruments(labelled_week):
    before, now = labelled_week.history
    assert "+2.6 points" in describe_drift(labelled_week)
    assert describe_drift(replace(labelled_week, history=(replace(before, instrument="other"), now))) == ""


def test_a_file_that_does_not_add_up_is_caught(labelled_week):
    file = labelled_week.ingest.files[0]
    assert missing_lines(file) == 0
    assert missing_lines(replace(file, rejected=5)) == 3


def test_every_empty_section_names_a_command(empty_week):
    for name, empty in explain_empty(empty_week).items():
        assert empty.reason.endswith("."), name
        assert empty.command.startswith("flywheel "), name
