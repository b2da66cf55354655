import json

from hypothesis import given
from hypothesis import strategies as st

from flywheel.labels.readable import readable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def test_record_becomes_lines_of_key_and_value():
    record = {"name": "Café", "hours": {"Monday": "9-17"}, "OutdoorSeating": False, "stars": None, "tags": ["a"]}
    assert readable(json.dumps(record)).split("\n") == [
        "name: Café",
        "hours:",
        "  Monday: 9-17",
        "Outdoor seating: no",
        "stars: not known",
        "tags:",
        "  – a",
    ]


def test_other_texts_stay_as_they_are():
    for text in ("Plain words.", "{not json", "[1, 2]", "", "{}"):
        assert readable(text) == text


def test_deep_nesting_stays_as_it_is():
    deep = '{"a":' * 50_000 + "1" + "}" * 50_000
    assert readable(deep[:150_000]) == deep[:150_000]


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_no_text_of_a_record_is_lost(record):
    shown = readable(json.dumps(record))
    for value in record.values():
        if isinstance(value, str):
            assert value in shown
