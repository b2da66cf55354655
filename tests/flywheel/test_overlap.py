import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel import overlap
from flywheel.overlap import overlaps

TEXTS = st.lists(
    st.sampled_from(
        ["trial", "Trial", "trials", "straße", "привет", "٣٤٥٦", "naïve", "an", "的是不了", "x" * 300, "𝟙𝟚𝟛𝟜"]
    )
    | st.text("abcD1_ é“”\u00a0ß€", max_size=20),
    max_size=12,
).map(" ".join)


def words(text):
    """Runs of letters and digits, as the categories of Unicode say."""
    spaced = "".join(c if unicodedata.category(c)[0] in "LN" else " " for c in text.lower())
    return set(spaced.split())


def expected(answer, passages):
    """The share of one answer, said naively; NaN where it has no word."""
    wanted = {word for word in words(answer) if len(word) >= 4}
    return len(wanted & words(passages)) / len(wanted) if wanted else float("nan")


def found(*pairs):
    """The shares of answers and passages."""
    return overlaps(*(pa.array([f"{text}\n" for text in texts], pa.string()) for texts in zip(*pairs, strict=True)))


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8), st.sampled_from([1, 40, 2**20]))
def test_shares_are_what_sets_of_words_give(pairs, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "AT_ONCE", at_once)
        assert np.array_equal(found(*pairs), [expected(*pair) for pair in pairs], equal_nan=True)


@pytest.mark.parametrize(
    ("answer", "passages", "share"),
    [
        ("moonlight", "moonlights", 0.0),
        ("moonlight", "MOONLIGHT!", 1.0),
        ("moonlighting days", "moonlighted days", 0.5),
        ("abcdefgh12345678", "abcdefgh12345679", 0.0),
        ("“Größe” über", "GRÖSSE ÜBER größe", 1.0),
        ("été", "été", float("nan")),
        ("", "", float("nan")),
        ("trial", "", 0.0),
    ],
)
def test_a_word_counts_as_a_whole_and_in_small_letters(answer, passages, share):
    assert np.array_equal(found((answer, passages)), [share], equal_nan=True)


def test_no_trace_finds_its_words_in_the_passages_of_another():
    assert found(("trial", "moon"), ("moon", "trial")).tolist() == [0.0, 0.0]


def test_a_slice_of_a_table_is_read_where_it_begins():
    texts = pa.array(["moonlight\n", "trial\n", "days\n"])
    assert overlaps(texts[1:], pa.array(["trial\n", "trial\n"])).tolist() == [1.0, 0.0]
