import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.errors import UserError
from flywheel.estimate import by_stratum, estimate_week
from flywheel.plan import Candidate, draw_week
from flywheel.warehouse.draws import PopulationRow


def draw_rows(size, labels, prediction=lambda n, size: n / size, bins=4):
    population = [Candidate(f"t{n:03}", 1, f"g{n}", prediction(n, size)) for n in range(size)]
    draw = draw_week("2026-W45", population, labels, bins, 2)
    return [
        PopulationRow(d.candidate.trace_id, 1, d.candidate.group, d.stratum, d.candidate.prediction, d.position,
                      d.inclusion_probability)
        for d in draw.population
    ]  # fmt: skip


def truth(row):
    """Later traces fail: the detector of `draw_rows` is right."""
    return int(row.trace_id[1:]) % 10 < 4


def drawn(rows):
    return [row for row in rows if row.position is not None]


def test_a_week_labelled_completely_is_known_without_an_interval():
    rows = draw_rows(40, 40)
    found = estimate_week(rows, {row.trace_id: truth(row) for row in rows})
    assert found.rate.value == found.rate.low == found.rate.high == found.lowest == found.highest == 0.4
    assert (found.rate.n, found.rate.population, found.drawn, found.deferred) == (40, 40, 40, 0)


def test_labels_of_traces_that_were_not_drawn_never_count():
    rows = draw_rows(200, 40)
    outcomes = {row.trace_id: truth(row) for row in drawn(rows)}
    exemplars = {row.trace_id: True for row in rows if row.position is None}
    assert estimate_week(rows, outcomes | exemplars) == estimate_week(rows, outcomes)
    assert estimate_week(rows, outcomes | {"of another week": True}) == estimate_week(rows, outcomes)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 39))
def test_what_has_no_verdict_bounds_the_rate(seed, answered):
    rows = draw_rows(200, 40)
    rng = np.random.default_rng(seed)
    worked = sorted(drawn(rows), key=lambda row: row.position)[:answered]
    outcomes = {row.trace_id: bool(rng.random() < 0.3) for row in worked}
    found = estimate_week(rows, outcomes)
    assert (found.drawn, found.deferred, found.rate.n) == (40, 40 - answered, answered)
    assert 0 <= found.lowest <= found.rate.value <= found.highest <= 1
    assert found.lowest < found.highest


def test_the_note_says_how_far_the_interval_reaches_with_what_has_no_verdict():
    rows = draw_rows(200, 40)
    outcomes = {row.trace_id: truth(row) for row in drawn(rows)}
    assert "would reach" not in estimate_week(rows, outcomes).rate.note
    found = estimate_week(rows, dict(list(outcomes.items())[:30])).rate
    low, high = re.search(
        r"the 10 drawn traces without a verdict .* would reach from (\d+\.\d) to (\d+\.\d) %$", found.note
    ).groups()
    assert float(low) < 100 * found.low < 100 * found.high < float(high)


def test_without_a_single_verdict_there_is_no_rate():
    with pytest.raises(UserError, match="none of the 40 drawn traces has a verdict yet; label some"):
        estimate_week(draw_rows(200, 40), {"somebody else's": True})


def test_traces_that_the_detector_could_not_score_are_estimated_too():
    rows = draw_rows(100, 100, lambda n, size: None if n % 2 else n / size)
    assert estimate_week(rows, {row.trace_id: truth(row) for row in rows}).rate.value == 0.4
    sampled = draw_rows(100, 30, lambda n, size: None if n % 2 else n / size)
    found = estimate_week(sampled, {row.trace_id: truth(row) for row in drawn(sampled)})
    assert found.rate.low <= 0.4 <= found.rate.high


def test_a_stratum_without_a_label_is_estimated_with_its_neighbour_and_says_so():
    rows = draw_rows(200, 40)
    top = by_stratum(rows).popitem()[0]
    found = estimate_week(rows, {row.trace_id: truth(row) for row in drawn(rows) if row.stratum != top})
    assert f"no labels in {top}" in found.rate.note


def test_the_order_of_the_rows_does_not_matter():
    rows = draw_rows(200, 40)
    outcomes = {row.trace_id: truth(row) for row in drawn(rows)}
    assert estimate_week(rows[::-1], outcomes) == estimate_week(rows, outcomes)


def test_strata_stand_in_order_of_their_predictions_however_many_there_are():
    rows = draw_rows(400, 60, lambda n, size: None if n % 20 == 0 else n / size, bins=13)
    grouped = by_stratum(rows)
    assert list(grouped)[-1] == "not scored"
    means = [np.mean([row.prediction for row in members]) for name, members in grouped.items() if name != "not scored"]
    assert len(means) == 13
    assert means == sorted(means)


def test_the_interval_holds_the_truth_in_most_weeks():
    rng = np.random.default_rng(45)
    held = 0
    for _ in range(60):
        predictions = rng.beta(1, 3, 400)
        fails = rng.random(400) < predictions
        population = [Candidate(f"t{n:03}", 1, f"g{n}", float(p)) for n, p in enumerate(predictions)]
        draw = draw_week(f"week {rng.random()}", population, 40, 6, 3)
        rows = [
            PopulationRow(d.candidate.trace_id, 1, "", d.stratum, d.candidate.prediction, d.position, 0.1)
            for d in draw.population
        ]
        outcomes = {row.trace_id: bool(fails[int(row.trace_id[1:])]) for row in drawn(rows)}
        rate = estimate_week(rows, outcomes).rate
        held += rate.low <= fails.mean() <= rate.high
    assert held >= 52  # 95 % of 60 is 57; 52 or fewer come with a chance below 1 %


def test_inclusion_probabilities_do_not_enter_only_the_strata_do():
    rows = draw_rows(200, 40)
    outcomes = {row.trace_id: truth(row) for row in drawn(rows)}
    assert estimate_week([replace(row, inclusion_probability=0.5) for row in rows], outcomes) == estimate_week(
        rows, outcomes
    )


def test_the_process_is_less_certain_than_the_week_where_groups_fail_together():
    rows = [
        PopulationRow(f"t{number:03}", 1, f"g{number // 6}", "1: 0.00-1.00", 0.5, number if number < 90 else None, 0.5)
        for number in range(180)
    ]
    outcomes = {row.trace_id: int(row.group[1:]) % 2 == 0 for row in rows if row.position is not None}
    found = estimate_week(rows, outcomes)
    assert found.process.estimand == "the process"
    assert found.process.high - found.process.low > found.rate.high - found.rate.low


def test_labels_of_one_group_say_nothing_of_the_process():
    rows = [PopulationRow(f"t{number}", 1, "g", "1: 0.00-1.00", 0.5, number, 1.0) for number in range(8)]
    assert estimate_week(rows, {row.trace_id: row.trace_id == "t1" for row in rows}).process is None
