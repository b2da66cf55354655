import numpy as np

from flywheel.look.choose import ModeSeen, choose
from flywheel.look.observed import Observed


def seen(trace_id, unsupported=0.1, **fields):
    """A trace that answered and is not flagged, unless told otherwise."""
    told = {
        "group_id": trace_id, "has_answered": True, "is_flagged": False, "failure_type": None, "severity": None,
        "is_pii_leak": False, "is_injection": False, "is_disliked": False, "rating": None,
    }  # fmt: skip
    return Observed(trace_id, unsupported=unsupported, **(told | fields))


def flagged(trace_id, unsupported=0.9, **fields):
    """A flagged trace."""
    return seen(
        trace_id, unsupported, **({"is_flagged": True, "failure_type": "unsupported_claim", "severity": "P1"} | fields)
    )


def pick(observed, count=20, modes=(), dislikes=None, texts=None, seed=0):
    """Choose of traces whose texts have nothing in common."""
    known = texts or {one.trace_id: f"{one.trace_id} alone" for one in observed}
    return choose(
        observed, modes, dislikes or {}, 0.5, count, lambda ids: {i: known[i] for i in ids}, np.random.default_rng(seed)
    )


def test_the_exemplar_of_the_largest_mode_comes_first():
    observed = [flagged(f"t{n}") for n in range(9)]
    modes = [ModeSeen("opening hours", 6, ("t4", "t5")), ModeSeen("kettles", 3, ("t7",))]
    first = pick(observed, modes=modes)[0]
    assert (first.trace_id, first.lane) == ("t4", "mode")
    assert "opening hours" in first.why
    assert "6 flagged" in first.why


def test_an_answer_near_the_threshold_is_taken_because_the_detector_is_unsure():
    observed = [seen(f"t{n:02}") for n in range(30)] + [seen("edge", 0.49)]
    chosen = {one.trace_id: one for one in pick(observed)}
    assert "unsure: 0.49" in chosen["edge"].why or any("unsure: 0.49" in why for why in chosen["edge"].also)


def test_what_people_disliked_is_taken_first_where_nothing_is_flagged():
    observed = [seen(f"t{n:02}") for n in range(90)] + [flagged("a"), seen("b")]
    chosen = [
        one for one in pick(observed, dislikes={"a": "quality bad", "b": "quality bad"}) if one.lane == "disliked"
    ]
    assert chosen[0].trace_id == "b"
    assert "saw nothing" in chosen[0].why


def test_personal_data_and_injection_have_their_turns():
    observed = [seen(f"t{n:02}") for n in range(30)] + [
        seen("card", is_pii_leak=True),
        seen("trick", is_injection=True),
    ]
    told = {one.trace_id: (one.why, *one.also) for one in pick(observed)}
    assert any("personal data" in why for why in told["card"])
    assert any("other instructions" in why for why in told["trick"])


def test_some_are_drawn_at_random_though_much_is_flagged():
    observed = [flagged(f"f{n:02}") for n in range(50)] + [seen(f"g{n:02}") for n in range(50)]
    lanes = [one.lane for one in pick(observed)]
    assert lanes.count("unflagged") >= 2
    assert lanes.count("random") >= 2


def test_the_same_seed_gives_the_same_list_and_another_seed_another():
    observed = [seen(f"t{n:02}") for n in range(60)]
    assert pick(observed, seed=1) == pick(observed, seed=1)
    assert pick(observed, seed=1) != pick(observed, seed=2)


def test_two_that_say_nearly_the_same_are_not_both_taken_while_there_are_others():
    observed = [flagged("a"), flagged("b"), flagged("c")]
    texts = {"a": "the shop opens at noon on sunday", "b": "the shop opens at noon on sunday too", "c": "kettles"}
    chosen = pick(observed, count=2, texts=texts)
    assert {one.trace_id for one in chosen} in ({"a", "c"}, {"b", "c"})


def test_of_one_session_one_trace_is_taken_while_there_are_others():
    observed = [flagged("a", group_id="s1"), flagged("b", group_id="s1"), flagged("c", group_id="s2")]
    assert len({one.trace_id for one in pick(observed, count=2)} & {"a", "b"}) == 1


def test_a_small_export_is_listed_whole_and_no_trace_twice():
    observed = [flagged("a", group_id="s"), seen("b", group_id="s")]
    chosen = [one.trace_id for one in pick(observed)]
    assert sorted(chosen) == ["a", "b"]


def test_of_nothing_nothing_is_chosen():
    assert pick([]) == []
