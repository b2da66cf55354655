from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.sentences import split_sentences

PROSE = st.text(alphabet=st.sampled_from("aA1Zé你 .!?\n\r\t()[]-*•,\"'…。\u2028\u0301😀"), max_size=200)


def texts(text: str) -> list[str]:
    return [sentence.text for sentence in split_sentences(text)]


@given(st.text(max_size=300) | PROSE)
def test_offsets_reproduce_each_sentence_and_sentences_stand_in_order_without_overlap(text: str) -> None:
    end = 0
    for sentence in split_sentences(text):
        assert text[sentence.start : sentence.end] == sentence.text
        assert sentence.text == sentence.text.strip() != ""
        assert sentence.start >= end
        end = sentence.end


@given(st.text(max_size=300) | PROSE)
def test_every_character_that_is_not_space_is_in_a_sentence(text: str) -> None:
    covered = {place for sentence in split_sentences(text) for place in range(sentence.start, sentence.end)}
    assert all(character.isspace() or place in covered for place, character in enumerate(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t ", []),
        ("It rained. We left.", ["It rained.", "We left."]),
        ("Dr. Lee met J. K. Roe in St. Ives.", ["Dr. Lee met J. K. Roe in St. Ives."]),
        ("It costs 3.50 euros. See e.g. Table 2.", ["It costs 3.50 euros.", "See e.g. Table 2."]),
        ("We met at 5 p.m. He left at 6 p.m. sharp.", ["We met at 5 p.m.", "He left at 6 p.m. sharp."]),
        ("The U.S. Senate met. It sat in the U.S. The end.",
         ["The U.S. Senate met.", "It sat in the U.S.", "The end."]),
        ("Foo.\nMr. Bar went.", ["Foo.", "Mr. Bar went."]),
        ("Do this:\n1. Open it.\n2. Close it.", ["Do this:", "1. Open it.", "2. Close it."]),
        ("- apples\n- pears", ["- apples", "- pears"]),
        ("a line that goes\non below. Next", ["a line that goes\non below.", "Next"]),
        ("One paragraph\n\nanother", ["One paragraph", "another"]),
        ("It is so [1][2]. Then this.[3] And [4, 5] that. [6] Last.",
         ["It is so [1][2].", "Then this.[3]", "And [4, 5] that. [6]", "Last."]),
        ('"Go!" She went. Really?! Yes.', ['"Go!"', "She went.", "Really?!", "Yes."]),
        ("你好。再见。", ["你好。", "再见。"]),
        ("See node.js and a.b.c", ["See node.js and a.b.c"]),
        ("She was 12. He was 9.", ["She was 12.", "He was 9."]),
    ],
)  # fmt: skip
def test_splits_where_a_reader_would(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


@pytest.mark.parametrize(
    "unit", [".", " ", "a", "\n ", "[1]", ". [1", "a\n", "a. ", " \t", "A.", "…)", "\x00", "e\u0301"]
)
def test_long_hostile_text_takes_no_quadratic_time(unit: str) -> None:
    started = process_time()
    split_sentences(unit * (200_000 // len(unit)) + "x")
    assert process_time() - started < 2
