from collections import Counter
from itertools import pairwise
from math import isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.plan import UNSCORED, Candidate, allocate, draw_week

PREDICTIONS = st.none() | st.floats(0, 1)
POPULATIONS = st.lists(PREDICTIONS, min_size=1, max_size=150).map(
    lambda values: [Candidate(f"t{n}", 1, f"g{n}", value) for n, value in enumerate(values)]
)
NUMBERS = {"labels": st.integers(1, 60), "bins": st.integers(1, 14), "least": st.integers(1, 5)}


def make_population(size, prediction=lambda n, size: n / size):
    return [Candidate(f"t{n:03}", 1, f"g{n}", prediction(n, size)) for n in range(size)]


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=3), st.tuples(st.integers(1, 200), st.floats(0, 1)), min_size=1
    ),
    st.integers(1, 300),
    st.integers(1, 5),
)
def test_an_allocation_adds_up_and_never_exceeds_a_stratum(strata, labels, least):
    sizes = {name: size for name, (size, _) in strata.items()}
    given_out = allocate(sizes, {name: mean for name, (_, mean) in strata.items()}, labels, least)
    assert sum(given_out.values()) == min(labels, sum(sizes.values()))
    assert all(0 <= given_out[name] <= size for name, size in sizes.items())
    floors = {name: min(size, least) for name, size in sizes.items()}
    if sum(floors.values()) <= labels:
        assert all(given_out[name] >= floors[name] for name in sizes)
    elif labels >= len(sizes):
        assert all(given_out.values())


def test_an_uncertain_stratum_gets_more_than_a_certain_one_of_its_size():
    given_out = allocate({"sure": 500, "unsure": 500}, {"sure": 0.02, "unsure": 0.5}, 40, 3)
    assert given_out["unsure"] > 1.5 * given_out["sure"]


@settings(deadline=None)
@given(POPULATIONS, *NUMBERS.values())
def test_inclusion_probabilities_are_the_strata_s_and_sum_to_the_number_drawn(population, labels, bins, least):
    draw = draw_week("2026-W45", population, labels, bins, least)
    drawn = min(labels, len(population))
    assert [one.position for one in draw.tasks] == list(range(drawn))
    assert {one.candidate for one in draw.population} == set(population)
    assert isclose(sum(one.inclusion_probability for one in draw.population), drawn)
    sizes = Counter(one.stratum for one in draw.population)
    taken = Counter(one.stratum for one in draw.tasks)
    assert {s.name: (s.size, s.allocated) for s in draw.strata} == {name: (sizes[name], taken[name]) for name in sizes}
    shares = {s.name: s.allocated / s.size for s in draw.strata}
    assert all(one.inclusion_probability == shares[one.stratum] for one in draw.population)


@settings(deadline=None)
@given(POPULATIONS, *NUMBERS.values())
def test_every_trace_may_be_drawn_where_there_are_labels_enough(population, labels, bins, least):
    draw = draw_week("2026-W45", population, labels, bins, least)
    if labels >= 2:
        assert all(one.inclusion_probability > 0 for one in draw.population)


@settings(deadline=None)
@given(POPULATIONS, *NUMBERS.values())
def test_strata_stand_in_order_of_their_predictions_the_unscored_last(population, labels, bins, least):
    draw = draw_week("2026-W45", population, labels, bins, least)
    ranges = [
        [d.candidate.prediction for d in draw.population if d.stratum == s.name] for s in draw.strata
    ]  # fmt: skip
    scored = [values for values in ranges if values[0] is not None]
    assert all(max(below) <= min(above) for below, above in pairwise(scored))
    assert all((s.name == UNSCORED) == (values[0] is None) for s, values in zip(draw.strata, ranges, strict=True))
    assert all(None not in values or set(values) == {None} for values in ranges)
    assert UNSCORED not in [s.name for s in draw.strata[:-1]]


@settings(deadline=None)
@given(POPULATIONS, *NUMBERS.values(), st.randoms())
def test_the_order_of_the_population_does_not_matter(population, labels, bins, least, random):
    shuffled = list(population)
    random.shuffle(shuffled)
    assert draw_week("2026-W45", population, labels, bins, least) == draw_week(
        "2026-W45", shuffled, labels, bins, least
    )


@settings(deadline=None)
@given(POPULATIONS, *NUMBERS.values())
def test_any_prefix_keeps_the_proportions_of_the_strata(population, labels, bins, least):
    draw = draw_week("2026-W45", population, labels, bins, least)
    allocated = {s.name: s.allocated for s in draw.strata if s.allocated}
    seen = Counter()
    for one in draw.tasks:
        seen[one.stratum] += 1
        # At some point of the queue every stratum is within one trace of its share.
        latest = min((seen[name] + 1) / number for name, number in allocated.items())
        earliest = max((seen[name] - 1) / number for name, number in allocated.items())
        assert earliest <= latest + 1e-9


def test_a_usual_draw_is_within_two_traces_of_its_shares_at_every_prefix():
    for week in range(1, 41):
        draw = draw_week(f"2026-W{week:02}", make_population(859, lambda n, size: (n / size) ** 2), 40, 6, 3)
        share = {s.name: s.allocated / 40 for s in draw.strata}
        for length in range(1, 41):
            seen = Counter(one.stratum for one in draw.tasks[:length])
            assert all(abs(seen[name] - share[name] * length) <= 2 for name in share)


def test_another_week_or_another_revision_draws_anew():
    population = make_population(200)
    first = draw_week("2026-W45", population, 40, 6, 3)
    other_week = draw_week("2026-W46", population, 40, 6, 3)
    changed = [Candidate(c.trace_id, 2 if c.trace_id == "t007" else 1, c.group, c.prediction) for c in population]
    other_revision = draw_week("2026-W45", changed, 40, 6, 3)
    assert len({draw.seed for draw in (first, other_week, other_revision)}) == 3
    assert len({draw.draw_id for draw in (first, other_week, other_revision)}) == 3
    assert first.draw_id.startswith("2026-W45-")
    assert [t.candidate.trace_id for t in first.tasks] != [t.candidate.trace_id for t in other_week.tasks]


def test_over_many_draws_a_trace_comes_as_often_as_its_probability_says():
    population = make_population(60)
    draws = [draw_week(f"week {n}", population, 12, 3, 2) for n in range(400)]
    times = Counter(one.candidate.trace_id for draw in draws for one in draw.tasks)
    for one in draws[0].population:
        expected = one.inclusion_probability
        assert abs(times[one.candidate.trace_id] / 400 - expected) < 5 * (expected * (1 - expected) / 400) ** 0.5


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_population_smaller_than_the_budget_is_drawn_whole(size):
    draw = draw_week("2026-W45", make_population(size), 40, 6, 3)
    assert len(draw.tasks) == size
    assert {one.inclusion_probability for one in draw.population} == {1.0}


def test_traces_without_a_score_are_one_stratum_of_their_own():
    draw = draw_week("2026-W45", make_population(100, lambda *_: None), 10, 6, 3)
    assert [(s.name, s.size, s.allocated, s.mean_prediction) for s in draw.strata] == [(UNSCORED, 100, 10, 0.5)]


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_traces_that_all_have_one_prediction_are_one_stratum(value):
    draw = draw_week("2026-W45", make_population(100, lambda *_: value), 10, 6, 3)
    assert [(s.size, s.allocated) for s in draw.strata] == [(100, 10)]


def test_a_usual_week_has_as_many_strata_as_asked_for():
    assert len(draw_week("2026-W45", make_population(859), 40, 6, 3).strata) == 6
    assert len(draw_week("2026-W45", make_population(859), 40, 12, 3).strata) == 12
    assert len(draw_week("2026-W45", make_population(859), 6, 6, 3).strata) == 2
