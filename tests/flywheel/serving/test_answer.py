import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.metrics.abstention import score_abstention
from eval.sample import Sample
from flywheel.serving.answer import ABSTENTION, extractive_answer, remember
from flywheel.serving.corpus import Chunk
from flywheel.serving.index import Hit

from .conftest import CHUNKS, hash_words

HITS = [Hit(chunk, 0.5) for chunk in CHUNKS]


def hit(text: str) -> Hit:
    return Hit(Chunk("p", text, "", "p.md"), 0.5)


def test_the_answer_is_the_sentence_that_fits():
    assert extractive_answer("When does the trial of the Plus plan end?", HITS, hash_words, 0.3) == CHUNKS[1].text


def test_it_abstains_when_nothing_fits():
    assert extractive_answer("Quelle est la capitale du Togo", HITS, hash_words, 0.35) == ABSTENTION


def test_it_abstains_without_passages():
    assert extractive_answer("When?", [], hash_words, -1) == ABSTENTION
    assert extractive_answer("When?", [hit(" ")], hash_words, -1) == ABSTENTION


def test_a_second_sentence_that_fits_as_well_joins_in_the_order_of_the_passage():
    found = hit("Blue plans cost ten euros. Nothing else is here. Red plans cost ten euros.")
    assert extractive_answer("What do plans cost?", [found], hash_words, 0.1) == (
        "Blue plans cost ten euros. Red plans cost ten euros."
    )


def test_the_same_sentence_of_two_passages_is_said_once():
    found = hit("Plans cost ten euros.")
    assert extractive_answer("What do plans cost?", [found, found], hash_words, 0.1) == "Plans cost ten euros."


def test_headings_and_list_marks_are_no_part_of_an_answer():
    found = hit("# What plans cost\n\n- Plans cost ten euros.")
    assert extractive_answer("What do plans cost?", [found], hash_words, 0.1) == "Plans cost ten euros."


def test_our_abstention_is_one_to_the_metric():
    sample = Sample("s", "When?", ABSTENTION, (), answerable=False)
    assert [score.value for score in score_abstention([sample])] == [1.0]


@given(st.text(max_size=200))
def test_any_question_gets_sentences_of_the_passages_or_the_abstention(question: str):
    answer = extractive_answer(question, HITS, hash_words, 0.35)
    rest = answer
    for chunk in CHUNKS:
        for sentence in chunk.text.split(". "):
            rest = rest.replace(sentence.strip("."), "")
    assert answer == ABSTENTION or not rest.strip(" .")


def test_the_real_embedder_answers_and_abstains(minilm):
    assert extractive_answer("How long until I get my money back?", HITS, minilm, 0.3) == (
        "A refund takes five working days."
    )
    assert extractive_answer("Who won the 1998 world cup?", HITS, minilm, 0.3) == ABSTENTION


def test_remembered_vectors_are_those_of_the_embedder_and_asked_once():
    asked: list[str] = []

    def embed(texts):
        asked.extend(texts)
        return hash_words(texts)

    remembering = remember(embed)
    for texts in (["a", "b", "a"], ["b", "c"]):
        assert np.array_equal(remembering(texts), hash_words(texts))
    assert asked == ["a", "b", "c"]


def test_the_vectors_used_longest_ago_are_forgotten():
    asked: list[str] = []

    def embed(texts):
        asked.extend(texts)
        return hash_words(texts)

    remembering = remember(embed, capacity=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        remembering([text])
    assert asked == ["a", "b", "c", "b"]


@pytest.mark.parametrize("weight", [-1.0, 1.01])
def test_the_threshold_decides(weight: float):
    answer = extractive_answer("When does the trial of the Plus plan end?", HITS, hash_words, weight)
    assert (answer == ABSTENTION) == (weight > 1)
