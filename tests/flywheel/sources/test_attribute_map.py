import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flywheel.sources import attribute_map
from flywheel.sources.delivery import Delivery
from flywheel.sources.records import Found, Rejected
from tests.flywheel.sources.made_spans import again, otlp_span, request, written

MAP = {"openinference.span.kind": "LLM", "input.value": "Why?", "output.value": "So."}


@pytest.mark.realdata
def test_the_same_call_reads_the_same_in_each_convention(data_dir):
    folder = data_dir / "traces" / "openinference_genai"
    told = {}
    for path in sorted(folder.glob("*client_span*.json")):
        delivery = Delivery(path)
        assert attribute_map.recognise(delivery.head)
        (item,) = attribute_map.read(delivery)
        span = item.what
        told[path.name] = (span.kind, span.question, span.answer, span.model, span.input_tokens, span.output_tokens)
        assert span.started_at == delivery.modified
    assert len(told) == 4
    answer = "The weather in Paris is currently rainy with a temperature of 57°F."
    assert set(told.values()) == {("llm", "Weather in Paris?", answer, "gpt-4-0613", 97, 52)}


@pytest.mark.realdata
def test_a_tool_is_a_tool(data_dir):
    (item,) = attribute_map.read(
        Delivery(data_dir / "traces" / "openinference_genai" / "otel_genai_tool_execution_span.json")
    )
    assert (item.what.kind, item.what.question, item.what.answer) == ("tool", None, None)


def test_ids_come_from_what_the_span_says(tmp_path):
    turned = dict(reversed(MAP.items()))
    first, same, other = attribute_map.read(written(tmp_path / "f", MAP, turned, MAP | {"input.value": "How?"}))
    assert first.what.trace_id == same.what.trace_id != other.what.trace_id
    assert (len(first.what.trace_id), len(first.what.span_id)) == (32, 16)


@pytest.mark.parametrize(
    "first",
    [
        {"trace_id": "t", "timestamp": "2026-11-03T10:00:00Z", "user_input": "Why?"},
        request(otlp_span(MAP)),
        MAP | {"context.trace_id": "t"},
        {"id": "r", "run_type": "llm", "inputs": {}},
        {"info": {"trace_id": "t"}, "data": {"spans": []}},
        {"input.value": "Why?"},
        [],
    ],
)
def test_what_has_ids_or_no_sign_of_a_span_is_another_format(tmp_path, first):
    assert attribute_map.recognise(written(tmp_path / "f", first).head) is None


@pytest.mark.parametrize("line", [b"{", b"[]", b"7", {"a": 1}, MAP | {"trace_id": "t"}])
def test_what_is_no_attribute_map_is_rejected(tmp_path, line):
    items = list(attribute_map.read(written(tmp_path / "f", line, MAP)))
    assert [type(item) for item in items] == [Rejected, Found]
    assert (
        again(attribute_map, items[0].raw, tmp_path / "again")[0].reason == items[0].reason if line != b"[]" else True
    )


LISTS = ["gen_ai.prompt", "llm.prompts.0", "evaluations", "retrieval.documents", "metadata", "input.value"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(LISTS) | st.text(max_size=4), json_values))
def test_any_values_are_read(tmp_path, values):
    items = list(attribute_map.read(written(tmp_path / "f", json.dumps(MAP | values).encode(), MAP)))
    assert {item.line for item in items} == {1, 2}
    assert isinstance(items[-1], Found)
