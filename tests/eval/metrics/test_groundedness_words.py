import pytest

from eval.metrics.groundedness_words import normal_number, rarities, read_words, stem_of

FORMS = ("returned returns", "Kettles kettle", "cities city", "running runs", "announcement announced", "dog’s dogs")


@pytest.mark.parametrize("forms", FORMS)
def test_forms_of_a_word_share_a_stem(forms: str) -> None:
    one, other = forms.split()
    assert stem_of(one) == stem_of(other)


def test_one_number_has_one_spelling() -> None:
    assert normal_number("1,000") == normal_number("1000.0") == "1000"
    assert [number for number, _ in read_words("fourteen days, 14 days").numbers] == ["14", "14"]


def test_list_markers_citations_passage_numbers_and_word_counts_are_no_numbers() -> None:
    assert read_words("3. Passage 2 says it is blue [12] in 50 words.").numbers == ()


def test_a_clock_time_without_half_of_day_may_be_either() -> None:
    assert [minutes for minutes, _ in read_words("from 5:30 to 6 pm and 17:15").times] == [
        (330, 1050),
        (1080,),
        (1035,),
    ]


def test_names_are_capitalised_words_after_the_first() -> None:
    assert [word for _, word in read_words("Yesterday Marta Lindqvist spoke.").names] == ["Marta", "Lindqvist"]


def test_contractions_negate() -> None:
    assert read_words("It doesn’t open").is_negated
    assert not read_words("It opens").is_negated


def test_rarities_lie_between_0_and_1_and_common_words_are_less_rare() -> None:
    known = rarities()
    assert all(0 <= value <= 1 for value in known.values())
    assert known[stem_of("people")] < known[stem_of("guitar")] < 1
    assert "violoncellist" not in known
