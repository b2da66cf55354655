from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.sources.steps import is_asked, step_of
from flywheel.sources.vendor_fields import (
    BadRecordError,
    amount,
    count,
    identifier,
    labelled,
    merged,
    moment,
    needed_moment,
    small_metadata,
    snake_case,
    source_by_name,
    tenant_in,
)

MOMENT = datetime(2026, 11, 3, 10, 0, 0, 250_000, tzinfo=UTC)
DOCUMENT = {"id": "p2", "text": "The ferry leaves at nine."}


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-03T10:00:00.250Z", "2026-11-03T12:00:00.250+02:00", "2026-11-03 10:00:00.250000",
        "2026-11-03T10:00:00.250000000", "2026-11-03 10:00:00.25 UTC", 1_793_700_000.25, 1_793_700_000_250,
        1_793_700_000_250_000, 1_793_700_000_250_000_000,
    ],
)  # fmt: skip
def test_a_moment_is_read_in_any_usual_notation(value):
    assert moment(value) == MOMENT


@pytest.mark.parametrize("value", [None, "", "soon", True, -1, 0, 10**40, [], {}, "0001-01-01T00:00:00+14:00"])
def test_what_is_no_moment_is_none(value):
    assert moment(value) is None


def test_a_moment_that_is_there_and_cannot_be_read_makes_a_bad_record():
    assert needed_moment({"start": None}, "start", "begin") is None
    assert needed_moment({"start": None, "begin": 1_793_700_000_250}, "start", "begin") == MOMENT
    with pytest.raises(BadRecordError, match=r"at `\$.start`"):
        needed_moment({"start": "soon"}, "start")


def test_an_id_is_a_text_that_is_not_endless():
    assert identifier({"a": None, "b": "x"}, "a", "b") == "x"
    for fields in ({}, {"a": ""}, {"a": 7}, {"a": "x" * 513}):
        with pytest.raises(BadRecordError, match="a"):
            identifier(fields, "a")


def test_of_two_spellings_of_a_name_the_one_that_says_something_wins():
    assert snake_case({"traceId": None, "trace_id": "t"}) == {"trace_id": "t"}
    assert snake_case({"trace_id": "t", "traceId": ""}) == {"trace_id": "t"}


def test_what_says_nothing_hides_nothing():
    assert merged({"a": 1, "b": 2}, {"a": None, "b": 0, "c": {}}) == {"a": 1, "b": 0, "c": {}}


@pytest.mark.parametrize(
    ("value", "tokens"),
    [(7, 7), (7.0, 7), ("7", 7), (7.5, None), (-1, None), (True, None), (2**63, None), ("x", None), (None, None)],
)
def test_a_count_is_a_whole_number_that_a_store_takes(value, tokens):
    assert count(value) == tokens


@pytest.mark.parametrize(
    ("value", "number"), [(0.5, 0.5), ("0.5", 0.5), (True, None), ("nan", None), ("inf", None), (10**400, None)]
)
def test_an_amount_is_a_finite_number(value, number):
    assert amount(value) == number


def test_metadata_keeps_plain_values_and_little_of_each():
    kept = small_metadata({"a": "x" * 900, "b": {"deep": 1}, "c": ["t"], "d": None, "e": 2**80, "f": 0.5, "g": [1]})
    assert kept == {"a": "x" * 500, "c": ["t"], "f": 0.5}
    assert len(small_metadata({str(place): place for place in range(100)})) == 40


def test_the_tenant_is_read_by_its_usual_names():
    assert tenant_in({"tenant": "acme"}) == "acme"
    assert tenant_in({"tenant_id": {}}) is None


@pytest.mark.parametrize(
    ("name", "source"),
    [("user-feedback", "human"), ("thumbs_up", "human"), ("stars", "human"), ("faithfulness", "unknown")],
)
def test_a_score_named_like_users_feedback_is_a_persons(name, source):
    assert source_by_name(name) == source


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, (1.0, "true")), (0, (0.0, None)), ("good", (None, "good")), ({"a": 1}, (None, '{"a":1}')),
        (None, (None, None)),
    ],
)  # fmt: skip
def test_a_value_is_a_number_a_label_or_both(value, said):
    assert labelled(value) == said


@pytest.mark.parametrize(
    ("kind", "name", "output", "meant"),
    [
        ("retriever", "fetch", [DOCUMENT], "retriever"),
        ("retriever", "cohere-rerank", [DOCUMENT], "reranker"),
        ("other", "vector search", [DOCUMENT], "retriever"),
        ("tool", "search_flights", [{"id": 1}], "tool"),
        ("chain", "retrieve", [], "retriever"),
        ("tool", "search", [], "tool"),
        ("llm", "retriever prompt", [DOCUMENT], "llm"),
    ],
)
def test_a_step_is_what_its_kind_name_and_output_say(kind, name, output, meant):
    assert step_of(kind, name, output)[0] == meant


def test_a_chain_that_names_its_sources_says_its_passages():
    kind, documents = step_of("chain", "ask", {"answer": "At nine.", "source_documents": [DOCUMENT]})
    assert (kind, [passage.id for passage in documents]) == ("chain", ["p2"])


def test_a_step_of_no_known_kind_is_asked_only_at_the_top():
    assert is_asked("other", None)
    assert not is_asked("other", "p")
    assert is_asked("llm", "p")
    assert not is_asked("tool", None)


@given(st.text(max_size=30) | st.integers() | st.floats())
def test_no_value_breaks_a_reader_of_fields(value):
    moment(value)
    count(value)
    amount(value)
    small_metadata({"a": value})
