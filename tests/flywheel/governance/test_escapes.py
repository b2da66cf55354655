import json

from hypothesis import given
from hypothesis import strategies as st

from flywheel.governance.escapes import redact_escaped
from flywheel.governance.pii import RECOGNISERS, redact

ALL = tuple(RECOGNISERS.values())
MAIL = "ann@example.org"


def test_an_escaped_letter_is_part_of_what_is_masked():
    assert redact_escaped(r"to ann\u0040example.org!", ALL) == f"to [email{'█' * 13}]!"


def test_an_escape_before_a_number_stays_where_it_is():
    assert redact_escaped(r"card:\n4111111111111111", ALL) == r"card:\n[credit_card███]"


def test_escapes_within_escapes_are_read_up_to_four_times():
    text = MAIL.replace("@", "\\u0040")
    for _ in range(3):
        text = json.dumps(text)[1:-1]
        assert "ann" not in redact_escaped(text, ALL)
    assert redact_escaped(json.dumps(json.dumps(text)), ALL) is None


@given(st.text())
def test_a_mask_moves_nothing(text):
    masked = redact_escaped(f"{text} {MAIL}", ALL)
    assert masked is None or len(masked) == len(f"{text} {MAIL}")


@given(st.text(st.characters(exclude_characters="\\\x00")))
def test_a_text_without_escapes_is_masked_as_any_text(text):
    assert redact_escaped(f"{text} {MAIL}", ALL) == redact(f"{text} {MAIL}", ALL)


@given(st.text(st.characters(max_codepoint=0x2FF, exclude_characters="\x00"), max_size=30))
def test_json_stays_json_and_says_the_same_but_for_its_masks(text):
    masked = redact_escaped(json.dumps({"a": f"{text} {MAIL}"}), ALL)
    if masked is not None:
        assert json.loads(masked)["a"].endswith("█]")
