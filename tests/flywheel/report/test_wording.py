import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.report import wording

THIN = wording.THIN


def test_numbers_have_thin_spaces_between_thousands():
    assert wording.number(1234567) == f"1{THIN}234{THIN}567"
    assert wording.percent(0.184) == f"18.4{THIN}%"


@pytest.mark.parametrize(("share", "said"), [(0.012, "+1.2"), (-0.034, "−3.4"), (0.0001, "0.0"), (-0.0001, "0.0")])
def test_points_carry_a_sign_unless_they_round_to_nothing(share, said):
    assert wording.points(share) == said


def test_times_are_told_in_utc():
    away = datetime(2026, 11, 9, 8, 30, tzinfo=timezone(timedelta(hours=2)))
    assert wording.moment(away) == wording.moment(datetime(2026, 11, 9, 6, 30, tzinfo=UTC)) == "2026-11-09 06:30 UTC"


def test_small_probabilities_are_not_zero():
    assert wording.p_value(0.00001) == "< 0.001"


def test_what_acts_on_a_terminal_is_shown_instead():
    assert wording.visible("a\x1b[31m\x00b\u202ec") == "a␛[31m␀b⟨U+202E⟩c"


def test_joiners_and_line_breaks_stay():
    assert wording.visible("می\u200cخواهم\r\n👩\u200d🔬\t") == "می\u200cخواهم\n👩\u200d🔬\t"


@given(st.text())
def test_nothing_unseen_is_left(text):
    assert not wording.CONTROLS.search(wording.visible(text))


def test_a_long_text_folds_and_the_longest_is_cut():
    folded = wording.fold("x" * 10_240)
    assert (folded.is_folded, folded.is_cut, folded.characters) == (True, True, 10_240)
    assert len(folded.head) == wording.FOLD_CHARACTERS
    assert len(folded.text) == wording.MOST_CHARACTERS


def test_many_lines_fold_after_six():
    assert wording.fold("\n".join("abcdefgh")).head == "\n".join("abcdef")


@given(st.text(max_size=wording.FOLD_CHARACTERS).filter(lambda text: text.count("\n") < 3 and text.isprintable()))
def test_a_short_text_stays_whole(text):
    assert not wording.fold(text).is_folded


@given(st.text(alphabet="`|ab \n\\", max_size=60))
def test_a_code_span_is_one_line_that_nothing_in_it_closes(text):
    span = wording.code_span(text)
    assert "\n" not in span
    fence = re.match("`*", span)[0]
    if fence:
        inside = span[len(fence) : -len(fence)]
        assert span.endswith(fence)
        assert fence not in re.findall("`+", inside)
        assert not re.search(r"(?<!\\)\|", span)


def test_a_step_is_words_and_a_command():
    assert wording.split_step("label more: flywheel annotate app") == ("label more", "flywheel annotate app")
    assert wording.split_step("flywheel status") == ("", "flywheel status")
    assert wording.split_step("ask mira") == ("ask mira", "")
