import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.cases import Expectation, GoldenCase
from eval.sample import Passage, Sample
from flywheel.governance.masking import (
    as_it_is,
    mask_by_default,
    mask_case,
    mask_maybe,
    mask_name,
    mask_of,
    mask_sample,
    note_mask,
)
from flywheel.settings import Governance

EMAIL, CARD = "maria.keller@example.com", "4111 1111 1111 1111"
MASKED_EMAIL, MASKED_CARD = f"[email{'█' * 17}]", f"[credit_card{'█' * 6}]"
MASK = mask_of(Governance())
PIECES = st.lists(st.sampled_from([EMAIL, CARD, "+1 202-555-0143", "word", "🙂", "ü", "Dr.", ": ", ", "]), max_size=12)


def test_off_masks_nothing():
    assert mask_of(Governance(redact="off")) is as_it_is


@pytest.mark.parametrize("redact", ["outputs", "store"])
def test_what_leaves_is_masked_whether_or_not_the_warehouse_is(redact):
    assert mask_of(Governance(redact=redact))(f"Ask {EMAIL}.") == f"Ask {MASKED_EMAIL}."


def test_only_the_kinds_that_are_asked_for_are_masked():
    mask = mask_of(Governance(pii=("credit_card",), recognisers={"project": "Falcon [0-9]+"}))
    assert mask(f"{EMAIL} {CARD} Falcon 77") == f"{EMAIL} {MASKED_CARD} {'█' * 9}"


def test_a_caller_without_settings_leaks_nothing():
    assert mask_by_default(f"Ask {EMAIL}.") == f"Ask {MASKED_EMAIL}."


@settings(max_examples=60)
@given(PIECES)
def test_masking_moves_no_offset_and_twice_is_once(pieces):
    text = " ".join(pieces)
    masked = MASK(text)
    assert len(masked) == len(text)
    assert MASK(masked) == masked


def test_a_missing_text_stays_missing():
    assert mask_maybe(None, MASK) is None


def test_two_names_with_personal_data_stay_two_names():
    one, other = mask_name("session of a.one@example.com", MASK), mask_name("session of b.two@example.com", MASK)
    assert one != other
    assert "example" not in one + other
    assert mask_name(one, MASK) == one
    assert mask_name("s-17", MASK) == "s-17"


def test_a_note_hides_the_pieces_that_it_quotes_of_what_is_masked():
    note = note_mask((f"Pay with {CARD}, ask Keller at {EMAIL} in 1111.",), MASK)
    assert note("'4111' and '1111' are in no passage") == "'████' and '1111' are in no passage"
    assert note("'maria' is not Keller") == "'█████' is not Keller"
    assert note(f"says {EMAIL}") == f"says {MASKED_EMAIL}"


def test_a_note_about_texts_without_personal_data_stays():
    assert note_mask(("It runs 14 days.",), MASK)("'14 days' is in no passage") == "'14 days' is in no passage"


def test_a_sample_is_masked_in_its_texts_and_keeps_what_it_is_known_by():
    sample = Sample("id", EMAIL, CARD, (Passage("p1", f"x {CARD}"),), EMAIL, ("p1",), True, f"group {EMAIL}")
    assert mask_sample(sample, MASK) == Sample(
        "id", MASKED_EMAIL, MASKED_CARD, (Passage("p1", f"x {MASKED_CARD}"),), MASKED_EMAIL, ("p1",), True,
        f"group {EMAIL}",
    )  # fmt: skip


def test_a_case_is_masked_in_its_texts_and_its_group():
    case = GoldenCase(
        "c1", EMAIL, (Passage("p1", CARD),), ("p2",), ("hash",), f"Ask {EMAIL}.", Expectation((CARD,), True, False),
        group="s1", source_trace="t1",
    )  # fmt: skip
    assert mask_case(case, MASK) == GoldenCase(
        "c1", MASKED_EMAIL, (Passage("p1", MASKED_CARD),), ("p2",), ("hash",), f"Ask {MASKED_EMAIL}.",
        Expectation((MASKED_CARD,), True, False), group="s1", source_trace="t1",
    )  # fmt: skip
    assert EMAIL not in mask_case(GoldenCase("c1", "?", group=EMAIL), MASK).group
