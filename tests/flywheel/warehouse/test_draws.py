import pytest

from flywheel.plan import Candidate, draw_week
from flywheel.warehouse import draws
from tests.flywheel.made_traces import WEEK, deliver, make_gold, make_trace, open_made, score_all, tables


@pytest.fixture
def db(tmp_path):
    with open_made(tmp_path) as connection:
        deliver(
            connection,
            tmp_path,
            *(make_trace(f"t{n}", session_id=f"s{n}") for n in range(6)),
            make_trace("failed", status="error"),
            make_trace("other week", timestamp="2026-11-10T10:00:00Z"),
        )
        score_all(connection, {f"t{n}": n / 8 for n in range(5)} | {"t5": None})
        yield connection


def plan_and_freeze(db, labels=3, week=WEEK):
    planned = draw_week(week, draws.candidates(db, week), labels, 2, 1)
    draws.freeze_draw(db, week, planned, "groundedness@made", [("t0", 1, "an exemplar")])
    return planned


def test_the_population_is_the_traces_that_answered_with_the_chance_that_each_fails(db):
    assert draws.candidates(db, WEEK) == [Candidate(f"t{n}", 1, f"s{n}", 1 - n / 8) for n in range(5)] + [
        Candidate("t5", 1, "s5", None)
    ]


def test_a_frozen_draw_is_read_back_as_it_was_planned(db):
    planned = plan_and_freeze(db)
    frozen = draws.find_draw(db, WEEK)
    assert (frozen.draw_id, frozen.week, frozen.seed, frozen.instrument) == (
        planned.draw_id, WEEK, planned.seed, "groundedness@made"
    )  # fmt: skip
    assert [(s["name"], s["size"], s["allocated"]) for s in frozen.strata] == [
        (s.name, s.size, s.allocated) for s in planned.strata
    ]
    assert [
        (r.trace_id, r.revision, r.group, r.prediction, r.stratum, r.position, r.inclusion_probability)
        for r in draws.population(db, planned.draw_id)
    ] == [
        (
            d.candidate.trace_id,
            1,
            d.candidate.group,
            d.candidate.prediction,
            d.stratum,
            d.position,
            d.inclusion_probability,
        )
        for d in planned.population
    ]
    assert draws.purposive(db, planned.draw_id) == [("t0", 1, "an exemplar")]


def test_predictions_stay_as_they_were_when_the_draw_was_frozen(db):
    planned = plan_and_freeze(db)
    before = draws.population(db, planned.draw_id)
    score_all(db, {f"t{n}": 0.99 for n in range(6)})
    assert draws.population(db, planned.draw_id) == before


def test_freezing_the_same_draw_twice_is_freezing_it_once(db):
    plan_and_freeze(db)
    before = tables(db)
    plan_and_freeze(db)
    assert tables(db) == before


def test_a_week_has_one_draw(db):
    first, second = plan_and_freeze(db, 3), plan_and_freeze(db, 4)
    assert draws.find_draw(db, WEEK).draw_id == second.draw_id != first.draw_id
    assert draws.population(db, first.draw_id) == []
    assert draws.find_draw(db, "2026-W46") is None


def test_gold_labels_are_read_back_as_they_were_folded(db):
    labels = [
        make_gold("t1", spans=((0, 3), (5, 9)), annotators=("ann", "bob"), corrected_response="14", note="n"),
        make_gold("t2", None, purpose="purposive", stratum=None),
    ]
    draws.replace_gold_labels(db, WEEK, labels)
    assert draws.gold_labels(db, WEEK, WEEK) == labels


def test_gold_labels_of_a_week_replace_its_own_and_no_other(db):
    draws.replace_gold_labels(db, "2026-W44", [make_gold("t0")])
    draws.replace_gold_labels(db, WEEK, [make_gold("t1")])
    draws.replace_gold_labels(db, WEEK, [make_gold("t2")])
    assert [g.trace_id for g in draws.gold_labels(db, "2026-W01", WEEK)] == ["t0", "t2"]
    assert [g.trace_id for g in draws.gold_labels(db, "0001-W01", "2026-W44")] == ["t0"]
    draws.replace_gold_labels(db, WEEK, [])
    assert draws.gold_labels(db, WEEK, WEEK) == []


def test_an_estimate_made_again_replaces_the_one_before(db):
    fields = dict.fromkeys(("value", "low", "high", "lowest", "highest"), 0.5) | {
        "estimand": "this week", "n": 3, "population": 6, "drawn": 4, "deferred": 1, "method": "m", "note": "",
        "instrument": "i",
    }  # fmt: skip
    draws.save_estimate(db, "2026-W44", "d0", fields)
    draws.save_estimate(db, WEEK, "d1", fields)
    draws.save_estimate(db, WEEK, "d1", fields | {"value": 0.25})
    assert [(e["week"], e["value"]) for e in draws.estimates(db, WEEK)] == [("2026-W44", 0.5), (WEEK, 0.25)]
    assert draws.estimates(db, WEEK)[1] == fields | {"week": WEEK, "draw_id": "d1", "value": 0.25}
    assert len(draws.estimates(db, "2026-W44")) == 1
