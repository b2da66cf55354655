import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.embedding import load_embedder
from eval.metrics.answer import (
    contains_all,
    longest_common_subsequence,
    missing_phrases,
    score_answer_similarity,
    score_exact_match,
    score_lexical_correctness,
    score_token_f1,
    tokens,
)
from eval.sample import Sample

LEXICAL = [score_exact_match, score_token_f1, score_lexical_correctness]


def value(score, response, reference):
    (found,) = score([Sample("s", "q", response, (), reference)])
    return found.value


@pytest.mark.parametrize(
    ("response", "reference", "exact", "f1", "correctness"),
    [
        ("The mill.", "the MILL", 1, 1, 1),
        ("in 1734", "It was in 1734", 0, 2 * 2 / (2 + 4), 2 / 4),
        ("1734 in", "in 1734", 0, 1, 1 / 2),
        ("a a a", "a", 0, 2 * 1 / (3 + 1), 1),
        ("red", "blue", 0, 0, 0),
        ("", "blue", 0, 0, 0),
        ("?!", "blue", 0, 0, 0),
    ],
)
def test_values_by_definition(response, reference, exact, f1, correctness):
    assert [value(score, response, reference) for score in LEXICAL] == pytest.approx([exact, f1, correctness])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don’t  stop—now!", ["don", "t", "stop", "now"]),
        ("ﬁne Ｆｕｌｌ ｗｉｄｔｈ", ["fine", "full", "width"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("1,000.50 and 3.7.", ["1,000.50", "and", "3.7"]),
        ("-5, −5, 2019-2020", ["-5", "-5", "2019", "2020"]),
        ("C++ or C# at 5 % or $3", ["c", "+", "+", "or", "c", "#", "at", "5", "%", "or", "$", "3"]),
        ("東京は big", ["東", "京", "は", "big"]),
        ("v6.16.0", ["v6.16.0"]),
        (" \n", []),
    ],
)
def test_tokens(text, expected):
    assert tokens(text) == expected


def test_a_composed_and_a_decomposed_letter_are_one():
    assert value(score_exact_match, "cafe\u0301", "caf\u00e9") == 1


def test_a_figure_with_another_sign_is_no_exact_match():
    assert value(score_exact_match, "-5", "5") == 0


@pytest.mark.parametrize("score", [*LEXICAL, lambda samples: score_answer_similarity(samples, load_embedder())])
@pytest.mark.parametrize("reference", [None, "", " …"])
def test_without_a_reference_nothing_can_be_said(score, reference):
    (found,) = score([Sample("s", "q", "a", (), reference)])
    assert (found.value, found.status, found.reason) == (None, "not_applicable", "no reference answer")


@pytest.mark.parametrize(
    ("response", "phrases", "contained"),
    [
        ("It was built in 1734.", ["1734", "BUILT IN"], True),
        ("It was built in 1734.", ["built 1734"], False),
        ("We had a party.", ["art"], False),
        ("首都は東京です。", ["東京"], True),
        ("anything", [], True),
        ("", ["x"], False),
        ("wait…", ["…"], True),
        ("wait", ["…"], False),
    ],
)
def test_phrases_are_contained_as_whole_tokens_in_a_row(response, phrases, contained):
    assert contains_all(response, phrases) is contained


def test_missing_phrases_are_named_as_written():
    assert missing_phrases("It was built in 1734.", ["1734", "The Mill"]) == ["The Mill"]


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_longest_common_subsequence_agrees_with_its_definition(first, second):
    table = np.zeros((len(first) + 1, len(second) + 1), int)
    for row, one in enumerate(first):
        for column, other in enumerate(second):
            longer = max(table[row, column + 1], table[row + 1, column])
            table[row + 1, column + 1] = table[row, column] + 1 if one == other else longer
    assert longest_common_subsequence(first, second) == table[-1, -1]


@given(st.text(), st.text())
def test_every_value_lies_between_0_and_1_and_a_text_matches_itself(response, reference):
    for score in LEXICAL:
        found = value(score, response, reference)
        assert found is None or 0 <= found <= 1
        assert value(score, reference, reference) in (None, 1)


def test_similarity_is_the_cosine_of_the_texts_in_the_samples_order():
    samples = [
        Sample("same", "q", "The mill is old.", (), "The mill is old."),
        Sample("none", "q", "The mill is old.", ()),
        Sample("near", "q", "The mill is old.", (), "It is an ancient mill."),
        Sample("far", "q", "The mill is old.", (), "Revenue grew last quarter."),
        Sample("empty", "q", "", (), "The mill is old."),
    ]
    same, none, near, far, empty = score_answer_similarity(samples, load_embedder())
    assert same.value == pytest.approx(1, abs=1e-5)
    assert none.value is None
    assert near.value > 0.6 > 0.3 > far.value
    assert empty.value == 0


def test_no_samples_give_no_scores():
    assert [score([]) for score in LEXICAL] == [[], [], []]
    assert score_answer_similarity([], load_embedder()) == []
