import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.look.human import RATING, compare, majority, read_label, read_scores, scale_of, star_verdicts
from tests.flywheel.look.test_choose import flagged, seen


def score(trace_id, value=None, label=None, name="quality", comment=None):
    """One score of a person."""
    return (trace_id, name, value, label, comment)


@pytest.mark.parametrize("word", ["good", "Thumbs Up", "PASS", "yes", "correct", "👍"])
def test_words_of_praise_are_good(word):
    assert read_label(word, turned=False) == "good"


@pytest.mark.parametrize("word", ["bad", "thumbs-down", "Fail", "no", "hallucinated", "👎"])
def test_words_of_blame_are_bad(word):
    assert read_label(word, turned=False) == "bad"


def test_yes_to_a_score_of_something_bad_is_bad():
    assert read_label("yes", turned=True) == "bad"


def test_zero_and_one_are_bad_and_good():
    said = read_scores([score("a", 0.0), score("b", 1.0)])
    assert said.verdicts == {"quality": {"a": "bad", "b": "good"}}
    assert said.readings == {"quality": "values from 0 to 1, below 0.5 is bad"}


def test_a_scale_of_stars_begins_at_one():
    scale = scale_of("faithfulness", [1, 2, 4])
    assert [scale.verdict(value) for value in (1, 2, 3, 4)] == ["bad", "bad", "good", "good"]


def test_much_of_something_bad_is_bad():
    said = read_scores([score("a", 1.0, name="hallucination"), score("b", 0.0, name="hallucination")])
    assert said.verdicts["hallucination"] == {"a": "bad", "b": "good"}


def test_people_who_are_divided_are_unclear():
    said = read_scores([score("a", label="good"), score("a", label="bad"), score("a", label="what?")])
    assert said.verdicts == {"quality": {"a": "unclear"}}
    assert said.dislikes == {}


def test_an_expected_answer_is_no_verdict():
    assert read_scores([score("a", label="The shop opens at noon.", name="expected")]).verdicts == {}


def test_who_disliked_a_trace_is_quoted_with_the_comment():
    said = read_scores([score("a", 4.0), score("a", 1.0, comment="not in it"), score("a", 1.0), score("b", 5.0)])
    assert said.dislikes == {"a": "quality 1, “not in it”"}


def test_verdicts_are_laid_beside_the_flags():
    said = read_scores([score("a", label="bad"), score("b", label="bad"), score("c", label="good"), score("d", 0.5)])
    table = compare(said.verdicts, said.readings, [flagged("a"), seen("b"), flagged("c"), seen("d")])[0]
    assert (table.bad_flagged, table.bad_not, table.good_flagged, table.good_not) == (1, 1, 1, 0)
    assert table.traces == 4


def test_a_flag_that_only_repeats_a_dislike_does_not_confirm_it():
    said = read_scores([score("a", label="bad")])
    table = compare(said.verdicts, said.readings, [flagged("a", failure_type="negative_feedback")])[0]
    assert (table.bad_flagged, table.bad_not) == (0, 1)


def test_stars_of_users_are_read():
    assert star_verdicts([seen("a", rating=1), seen("b", rating=3), seen("c", rating=5), seen("d")], 2) == {
        "a": "bad",
        "b": "unclear",
        "c": "good",
    }
    assert RATING


CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize("before", range(135, 162))
def test_a_comment_is_masked_before_it_is_cut(before):
    said = read_scores([score("a", 0.0, comment="x" * before + f" {CARD} thanks"), score("b", 1.0)])
    assert "1111" not in said.dislikes["a"]


def test_names_and_labels_of_scores_are_masked():
    mail = "ada.lovelace@example.org"
    said = read_scores([score("a", 0.0, label=mail, name=mail), score("b", 1.0, name=mail)])
    table = compare(said.verdicts, said.readings, [flagged("a"), seen("b")])[0]
    assert "lovelace" not in str(said.dislikes) + table.name


NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.none() | st.text(max_size=8)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.just("s"), NUMBERS, TEXTS, TEXTS)))
def test_any_scores_give_a_verdict_for_each_trace_or_none(scores):
    said = read_scores(scores)
    assert set(said.dislikes) <= {trace for verdicts in said.verdicts.values() for trace in verdicts}


def test_a_majority_counts():
    assert majority(["bad", "bad", "good"]) == "bad"
