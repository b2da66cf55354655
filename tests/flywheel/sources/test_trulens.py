import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flywheel.sources import trulens
from flywheel.sources.delivery import Delivery
from flywheel.sources.records import ExportedScore, Found, Rejected, Span
from tests.flywheel.sources.made_spans import again, otlp_span, request, written

RECORD = "ai.observability.record_id"


def event(attributes=None, **fields):
    return {
        "event_id": "11",
        "record": {"name": "Rag.ask", "kind": 1, "status": "STATUS_CODE_UNSET"},
        "record_attributes": {RECORD: "r1", "ai.observability.span_type": "record_root"} | (attributes or {}),
        "record_type": "SPAN",
        "resource_attributes": {"service.name": "trulens"},
        "start_timestamp": "2026-11-03 10:00:00.000000",
        "timestamp": "2026-11-03 10:00:02.500000",
        "trace": {"trace_id": "38285552113882235753580066402372722435", "span_id": "11", "parent_id": ""},
    } | fields


@pytest.fixture
def read(tmp_path):
    def read_lines(*lines):
        return list(trulens.read(written(tmp_path / "events.jsonl", *lines)))

    return read_lines


@pytest.mark.realdata
def test_the_coffee_app_gives_one_record_with_its_retrieval_generation_and_scores(data_dir):
    found = {}
    for path in sorted((data_dir / "traces" / "trulens_otel").glob("*.json")):
        delivery = Delivery(path)
        assert trulens.recognise(delivery.head)
        (item,) = trulens.read(delivery)
        found[path.stem] = item.what
    assert {what.trace_id for what in found.values()} == {"dd121e81-ccc2-449f-a3ba-e12467d0d671"}
    root, retrieval, generation = (found[f"{name}_span"] for name in ("record_root", "retrieval", "generation"))
    assert (root.kind, retrieval.kind, generation.kind) == ("root", "retriever", "llm")
    assert root.question == retrieval.question == generation.question == "What is the best coffee?"
    assert root.answer == generation.answer
    assert root.answer.startswith("Hello! I'm happy to help.")
    assert retrieval.parent_id == generation.parent_id == root.span_id == "12203920175536650289"
    assert [passage.text.split()[0] for passage in retrieval.documents] == [
        "Starbucks",
        "Seattle,",
        "The",
        "Washington",
    ]
    assert (generation.model, generation.input_tokens, generation.output_tokens) == ("gpt-4o-mini-2024-07-18", 336, 93)
    assert retrieval.model is None
    scores = [found[name] for name in ("eval_root_span", "eval_span_1", "eval_span_2")]
    assert [(s.name, s.value, s.source, s.author) for s in scores] == [
        ("answer_relevance", value, "llm", "llama3.1-70b") for value in (0.75, 1.0, 0.5)
    ]
    assert scores[2].comment.startswith("The RESPONSE provides a short list")


def test_a_record_root_is_read(read):
    (item,) = read(event({"ai.observability.record_root.input": "Why?", "ai.observability.record_root.output": "So."}))
    span = item.what
    assert isinstance(span, Span)
    assert (span.trace_id, span.span_id, span.parent_id, span.name) == ("r1", "11", None, "Rag.ask")
    assert (span.kind, span.question, span.answer) == ("root", "Why?", "So.")
    assert span.started_at == datetime(2026, 11, 3, 10, tzinfo=UTC)
    assert (span.ended_at - span.started_at).total_seconds() == 2.5


def test_fields_written_as_json_text_are_read_too(read):
    line = event({"ai.observability.record_root.input": "Why?"})
    packed = line | {
        key: json.dumps(line[key]) for key in ("record", "record_attributes", "trace", "resource_attributes")
    }
    assert [item.what for item in read(packed)] == [item.what for item in read(line)]


def test_the_decimal_trace_id_stays_where_there_is_no_record_id(read):
    (item,) = read(event({RECORD: ""}))
    assert item.what.trace_id == "38285552113882235753580066402372722435"


def test_an_evaluation_without_a_trace_is_a_score_of_its_record(read):
    attributes = {
        RECORD: "",
        "ai.observability.eval.target_record_id": "r1",
        "ai.observability.span_type": "eval_root",
        "ai.observability.eval.metric_name": "groundedness",
        "ai.observability.eval_root.score": 0.25,
    }
    (item,) = read(event(attributes, trace={"trace_id": "", "span_id": "12", "parent_id": ""}))
    assert isinstance(item.what, ExportedScore)
    assert (item.what.trace_id, item.what.score_id, item.what.value, item.what.source) == ("r1", "12", 0.25, "unknown")


def test_a_call_that_raised_is_an_error(read):
    (item,) = read(event({"ai.observability.call.error": "ValueError: no"}))
    assert (item.what.is_error, item.what.error) == (True, "ValueError: no")
    (item,) = read(event(record={"name": "x", "status": "STATUS_CODE_ERROR"}))
    assert item.what.is_error


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (event({RECORD: ""}, trace={}), "no record or trace id"),
        (event(trace={}, event_id=""), "no span id"),
        (event({RECORD: "x" * 600}), "longer than 512"),
        (event(start_timestamp="yesterday"), "$.start_timestamp"),
        (event({"ai.observability.span_type": "eval"}), "of which metric"),
        ([1], "expected an object"),
        (b"{", ""),
    ],
)
def test_a_broken_event_is_rejected_and_its_bytes_give_the_same_again(read, tmp_path, line, reason):
    items = read(line, event())
    assert [type(item) for item in items] == [Rejected, Found]
    assert reason in items[0].reason
    if isinstance(line, dict):
        assert again(trulens, items[0].raw, tmp_path / "again")[0].reason == items[0].reason


@pytest.mark.parametrize(
    "first", [request(otlp_span()), {"trace_id": "t", "user_input": "Why?"}, {"trace": {"id": "t"}}, []]
)
def test_other_formats_are_not_recognised(tmp_path, first):
    assert trulens.recognise(written(tmp_path / "f", first).head) is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(list(event())) | st.text(max_size=3), values, max_size=3),
    st.dictionaries(
        st.sampled_from([RECORD, "ai.observability.span_type", "ai.observability.call.return",
                         "ai.observability.retrieval.retrieved_contexts", "ai.observability.eval.score"]),
        values, max_size=3,
    ),
)  # fmt: skip
def test_any_values_are_found_or_rejected(tmp_path, fields, attributes):
    items = list(trulens.read(written(tmp_path / "f", event(attributes) | fields, event())))
    assert {item.line for item in items} == {1, 2}
    assert isinstance(items[-1], Found)
