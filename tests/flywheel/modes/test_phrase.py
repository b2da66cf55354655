from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.modes.phrase import READ_CHARACTERS, Failure, failure_phrase, masked

FAILURE = Failure(
    "t1", 1, "unsupported_claim", "P2", "When is the Blue Door Cafe open?", "", "It opens on Monday at 5:30 PM.", {}
)


def test_phrase_holds_type_question_twice_and_sentence():
    assert failure_phrase(FAILURE) == (
        "unsupported claim. when is the name open. when is the name open. it opens on monday at time"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://example.org/a?b=1 now", "see link now"),
        ("write to ada@example.org", "write to address"),
        ("it closed on 12 March 2021 for good", "it closed on date for good"),
        ("it closed on 2021-03-12T09:00:00Z", "it closed on date"),
        ("open from 9 a.m. to 17:30", "open from time to time"),
        ("it costs $1,250.00 or 12.5 %", "it costs amount or percentage"),
        ("order AB-10442 and 9f8e7d6c5b", "order identifier and identifier"),
        ("a 5-year-old has 3 of them [2]", "a number year-old has number of them"),
        ("we met Jean de la Tour in Paris", "we met name in name"),
        ('an overview of "Eastside Deli" please', "an overview of name please"),
        ("the Bank of England said", "the name said"),
        ("Restaurants close. Ada Lovelace agrees", "restaurants close name agrees"),
    ],
)
def test_names_and_figures_give_way_to_their_kinds(text, expected):
    assert masked(text) == expected


def test_headline_in_capitals_keeps_its_words():
    assert masked("HOW TO COOK RICE") == "how to cook rice"


def test_failures_of_one_kind_about_different_people_read_alike():
    other = replace(FAILURE, user_input="When is the Red Lion open?", worst_sentence="It opens on Monday at 11 am.")
    assert failure_phrase(other) == failure_phrase(FAILURE)


def test_failure_without_text_is_its_type():
    assert failure_phrase(replace(FAILURE, user_input="", worst_sentence="")) == "unsupported claim"


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_gives_one_bounded_line_without_digits(question, sentence):
    phrase = failure_phrase(replace(FAILURE, user_input=question, worst_sentence=sentence))
    assert phrase == " ".join(phrase.split())
    assert not any(sign in phrase for sign in "0123456789")


def test_a_megabyte_is_read_only_at_its_start():
    assert masked("word " * 250_000) == masked(("word " * 250_000)[:READ_CHARACTERS])
