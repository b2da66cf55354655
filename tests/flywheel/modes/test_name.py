import numpy as np

from flywheel.modes.name import choose_borderline, choose_exemplars, mode_terms, mode_title
from flywheel.modes.phrase import Failure


def failure(sentence, failure_type="unsupported_claim"):
    return Failure("t", 1, failure_type, "P2", "tell me about this place", "", sentence, {})


HOURS = [failure(f"the opening hours on {day} are wrong") for day in ("monday", "monday", "friday")]
PARKING = [failure("there is valet parking"), failure("it has a parking garage"), failure("free parking outside")]


def test_terms_are_what_sets_a_mode_apart():
    hours, parking = mode_terms([HOURS, PARKING])
    assert hours[0] == "opening hours"
    assert "monday" in hours
    assert parking[0] == "parking"


def test_what_every_mode_says_names_none_first():
    hours, parking = mode_terms([HOURS, PARKING])
    assert "place" not in (hours[0], parking[0])


def test_a_word_that_one_failure_of_several_says_is_no_term():
    assert "friday" not in mode_terms([HOURS, PARKING])[0]


def test_words_for_masked_kinds_are_no_terms():
    (terms,) = mode_terms([[failure("it opened in 1999 with 20 Rooms For Rent today")]])
    assert not {"number", "date", "name"} & set(terms)


def test_modes_without_words_have_no_terms():
    silent = Failure("t", 1, "error", "P1", "", "", "", {})
    assert mode_terms([[silent]]) == [()]
    assert mode_terms([]) == []


def test_title_is_the_commonest_type_and_three_terms():
    members = [failure("x", "contradiction"), failure("x"), failure("x")]
    assert mode_title(("opening hours", "monday", "friday", "open"), members) == (
        "unsupported claim: opening hours, monday, friday"
    )
    assert mode_title((), members) == "unsupported claim"


def test_exemplars_start_at_the_centre_and_differ():
    vectors = np.array(
        [[1, 0, 0], [1, 0, 0], [0.9, 0.43, 0], [0.5, 0.86, 0], [0.4, 0, 0.9], [0, 1, 0]], dtype=np.float32
    )
    assert choose_exemplars(vectors, np.array([1, 0, 0], dtype=np.float32)) == [0, 2, 1]


def test_one_failure_is_its_own_exemplar():
    vector = np.array([[1, 0]], dtype=np.float32)
    assert choose_exemplars(vector, vector[0]) == [0]


def test_borderline_is_the_least_clear_member_that_is_no_exemplar():
    assert choose_borderline(np.array([0.9, 0.1, 0.3]), exemplars=[1]) == 2
    assert choose_borderline(np.array([0.9]), exemplars=[0]) is None
