import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.sources.json_text import nests_deeper, refuse_repeated_keys, without_nul

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=40,
)


def depth(part):
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(json_values, st.integers(0, 6))
def test_depth_is_counted_as_a_parser_would(value, levels):
    assert nests_deeper(json.dumps(value).encode(), levels) == (depth(value) > levels)


@given(st.binary(max_size=200), st.integers(0, 6))
def test_no_bytes_stop_the_counting(noise, levels):
    assert nests_deeper(noise, levels) in (True, False)


def test_brackets_in_texts_do_not_count():
    assert not nests_deeper(json.dumps({"text": '[{"' * 500 + "\\"}).encode(), 1)


def test_a_text_that_never_ends_is_looked_at_once():
    assert not nests_deeper(b'"' + b"[" * 300_000 + b"\\" * 300_001, 64)
    assert nests_deeper(b"[" * 300_000, 64)


def test_a_repeated_key_is_named():
    with pytest.raises(ValueError, match="the key 'b' stands twice in one object"):
        json.loads('{"a": 1, "b": 2, "b": 2}', object_pairs_hook=refuse_repeated_keys)
    assert json.loads('{"a": {"a": 1}}', object_pairs_hook=refuse_repeated_keys) == {"a": {"a": 1}}


def test_nul_is_dropped_from_keys_too():
    assert without_nul({"a\x00": ["b\x00", 1, None, {"c": "\x00"}]}) == {"a": ["b", 1, None, {"c": ""}]}
