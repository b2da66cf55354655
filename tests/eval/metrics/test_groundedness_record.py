import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.metrics.groundedness_record import Record, conflicts, read_record
from eval.metrics.groundedness_words import read_words

PLACE = {
    "name": "Blue Lantern",
    "address": "12 Street Road",
    "hours": {"Monday": "9:0-17:0", "Tuesday": "9:0-17:0"},
    "attributes": {
        "OutdoorSeating": False,
        "WiFi": "no",
        "Reservations": None,
        "TakeOut": True,
        "Music": None,
        "Parking": {"garage": False, "street": False, "lot": True},
    },
}


def told(sentence: str) -> list[str]:
    record = read_record(json.dumps(PLACE))
    assert isinstance(record, Record)
    return [text for texts in conflicts(record, sentence, read_words(sentence)) for text in texts]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("It has outdoor seating.", ["'OutdoorSeating' is false in the record"]),
        ("It has no outdoor seating.", []),
        ("Wi-Fi is free.", ["'WiFi' is false in the record"]),
        ("They take reservations.", ["'Reservations' is null in the record"]),
        ("The record does not mention reservations.", []),
        ("Takeout is not offered.", ["'TakeOut' is true in the record"]),
        ("Take-out is offered.", []),
        ("There is street parking.", ["'street' is false in the record"]),
        ("You find it at 12 Street Road.", []),
        ("It is open Monday to Tuesday from 9 AM to 5 PM.", []),
        ("It is open Monday to Tuesday from 9 AM to 6 PM.",
         ["the record has 9:00-17:00 for Monday", "the record has 9:00-17:00 for Tuesday"]),
        ("It is open on Sunday from 9 AM to 5 PM.", ["the record has no hours for Sunday"]),
        ("It is closed on Sunday.", []),
    ],
)  # fmt: skip
def test_a_sentence_is_held_against_the_fields_of_the_record(sentence: str, expected: list[str]) -> None:
    assert told(sentence) == expected


@pytest.mark.parametrize(
    "text",
    ["", "plain", "[1, 2]", "{", "{" * 100_000, '{"a":' * 5_000 + "1" + "}" * 5_000, '{"a": ' + "9" * 9_000 + "}"],
)
def test_what_is_no_readable_object_is_no_record(text: str) -> None:
    assert read_record(text) is None


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
OBJECTS = st.dictionaries(
    st.text(max_size=9), LEAVES | st.dictionaries(st.text(max_size=9), LEAVES, max_size=3), max_size=5
)


@settings(max_examples=50, deadline=None)
@given(OBJECTS, st.text(max_size=40))
def test_any_object_and_any_sentence_can_be_compared(value: dict[str, object], sentence: str) -> None:
    record = read_record(json.dumps(value))
    assert record is not None
    conflicts(record, sentence, read_words(sentence))
