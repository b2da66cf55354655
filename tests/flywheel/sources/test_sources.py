import json
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval.errors import UserError
from flywheel.sources import MODULES, READERS, named, recognise
from flywheel.sources.delivery import Delivery
from flywheel.sources.records import Blank, Found, Rejected
from tests.flywheel.made_otlp import make_spans, request
from tests.flywheel.made_traces import MOMENT, make_trace, write_lines

RUN = {"id": "r1", "trace_id": "t1", "run_type": "chain", "name": "rag", "inputs": {"question": "How long?"},
       "outputs": {"answer": "14 days."}, "start_time": MOMENT, "dotted_order": "1"}  # fmt: skip
INFO = {"trace_id": "tr-1", "trace_location": {}, "request_time": MOMENT, "state": "OK"}
OBSERVATION = {"id": "o1", "traceId": "t1", "type": "SPAN", "name": "rag", "startTime": MOMENT, "input": "How long?"}
FIRST = {
    "native": make_trace(),
    "otlp-json": request(*make_spans("t1")),
    "langfuse": {"trace": {"id": "t1", "name": "rag", "timestamp": MOMENT}, "observations": [OBSERVATION]},
    "langsmith": {"post": [RUN], "patch": []},
    "mlflow": {"info": INFO, "data": {"spans": []}},
    "trulens": {
        "event_id": "e1", "record": {"name": "rag"}, "start_timestamp": MOMENT, "timestamp": MOMENT,
        "record_attributes": {"ai.observability.span_type": "record_root"},
        "trace": {"trace_id": "1", "span_id": "2", "parent_id": ""},
    },
    "phoenix": {
        "name": "rag", "span_kind": "CHAIN", "parent_id": None, "start_time": MOMENT, "end_time": MOMENT,
        "context": {"trace_id": "t1", "span_id": "s1"},
        "attributes": {"input": {"value": "How long?"}, "output": {"value": "14 days."}},
    },
    "attribute-map": {"openinference.span.kind": "LLM", "input.value": "How long?", "output.value": "14 days."},
}  # fmt: skip
"""A first value by which each JSON format is recognised."""

DEEP = (b"[" * 100_000, b'{"a":' * 100_000, b'{"resourceSpans":[{"scopeSpans":[{"spans":[' * 30_000,
        b"[" * 100_000 + b"]" * 100_000)  # fmt: skip


def test_every_format_is_there_by_its_name():
    assert list(READERS) == [module.NAME for module in MODULES]
    assert set(FIRST) | {"otlp-protobuf"} == set(READERS)
    assert named("native") is READERS["native"]


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match="there is no format 'jsonl'; known: auto, native, otlp-json"):
        named("jsonl")


@pytest.mark.parametrize("form", FIRST)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_format_is_recognised_by_its_first_value_whatever_the_name_of_the_file(tmp_path, form, indent):
    path = tmp_path / "file.bin"
    path.write_text(json.dumps(FIRST[form], indent=indent))
    found = recognise(Delivery(path))
    assert found is not None
    assert found[0].name == form
    assert found[1]


@pytest.mark.parametrize("form", FIRST)
@pytest.mark.parametrize("deep", DEEP)
def test_nesting_of_a_hundred_thousand_is_one_rejected_record_in_every_format(tmp_path, form, deep):
    path = write_lines(tmp_path / "file.jsonl", FIRST[form], deep, FIRST[form])
    records = list(READERS[form].read(Delivery(path)))
    assert [record.line for record in records if isinstance(record, Rejected)] == [2]
    assert {record.line for record in records} == {1, 2, 3}
    path.write_bytes(b'[\n{"a": 1},\n' + deep)
    assert all(isinstance(record, Rejected) for record in READERS[form].read(Delivery(path)))


def test_an_empty_file_and_one_of_broken_lines_are_native(tmp_path):
    path = tmp_path / "file.jsonl"
    for content in (b"", b"\n \n", b"broken\nbroken\n"):
        path.write_bytes(content)
        found = recognise(Delivery(path))
        assert found is not None
        assert found[0].name == "native"


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"plain text", b'{"level": "info"}\n{"level": "info"}\n'])
def test_a_file_that_is_none_of_them_is_not_guessed_at(tmp_path, content):
    path = tmp_path / "file.txt"
    path.write_bytes(content)
    assert recognise(Delivery(path)) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(string.printable, max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def replaced(value, place, other):
    """A value with what stands at some place in it replaced, the place told as numbers."""
    if not place or not isinstance(value, dict | list) or not value:
        return other
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = keys[place[0] % len(keys)]
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = replaced(value[key], place[1:], other)
    return copy


@pytest.mark.parametrize("form", FIRST)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(place=st.lists(st.integers(0, 9), min_size=1, max_size=8), other=VALUES)
def test_a_value_nobody_expects_stops_no_reader(tmp_path_factory, form, place, other):
    broken = replaced(FIRST[form], place, other)
    path = write_lines(tmp_path_factory.mktemp("broken") / "file.jsonl", FIRST[form], broken, FIRST[form])
    records = list(READERS[form].read(Delivery(path)))
    assert all(isinstance(record, Found | Rejected | Blank) for record in records)
    assert {record.line for record in records} >= {1, 3} or form == "mlflow"


def test_a_file_whose_first_record_is_odd_is_recognised_by_a_later_one(tmp_path):
    path = tmp_path / "traces.jsonl"
    path.write_bytes(b'{}\n{"trace_id": "a", "timestamp": "2026-11-02T10:00:00Z", "user_input": "q"}\n')
    form, why = recognise(Delivery(path))
    assert form.name == "native"
    assert "those above it are others" in why


def test_an_export_of_nothing_is_no_unknown_format(tmp_path):
    path = tmp_path / "page.json"
    path.write_bytes(b"[]")
    assert recognise(Delivery(path)) == (READERS["native"], "it is empty")
