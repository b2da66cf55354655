import base64
import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval.errors import UserError
from flywheel.sources import otlp_json
from flywheel.sources.delivery import Delivery, Value
from flywheel.sources.records import Blank, ExportedScore, Found, Rejected, Span
from tests.flywheel.sources.made_spans import SPAN_ID, START, TRACE_ID, again, otlp_span, pairs, request, written

QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def read(tmp_path):
    def read_lines(*lines):
        return list(otlp_json.read(written(tmp_path / "spans.jsonl", *lines)))

    return read_lines


@pytest.fixture
def span_of(read):
    def one(line):
        (item,) = read(line)
        assert isinstance(item, Found), item
        assert isinstance(item.what, Span)
        return item.what

    return one


@pytest.fixture(scope="module")
def mtrag(data_dir):
    """The rows that were replayed: by task its question, the turns before it, its passages, and answers by model."""
    rows = json.loads(
        gzip.decompress((data_dir / "mtrag" / "reference_subset_with_human_evaluations.json.gz").read_bytes())
    )
    texts = {document["document_id"]: document["text"] for document in rows["documents"]}
    answers = {(row["task_id"], row["model_id"]): row["model_response"] for row in rows["evaluations"]}
    return {
        task["task_id"]: (
            task["input"][-1]["text"],
            [turn["text"] for turn in task["input"][:-1]],
            [(passage["document_id"], texts[passage["document_id"]]) for passage in task["contexts"]],
            lambda model, task_id=task["task_id"]: answers[task_id, model],
        )
        for task in rows["tasks"]
    }


def replayed(items):
    """Retriever, model call and root of each trace."""
    traces = {}
    for item in items:
        assert isinstance(item, Found), item
        traces.setdefault(item.what.trace_id, []).append(item.what)
    return list(traces.values())


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "traces"),
    [
        ("openinference.jsonl", 24),
        ("genai_semconv.jsonl", 24),
        ("openinference_single.json", 1),
        ("genai_semconv_single.json", 1),
        ("openinference_protobuf_json_base64_ids.json", 4),
        ("genai_semconv_protobuf_json_base64_ids.json", 4),
    ],
)
def test_a_replayed_file_gives_what_the_rows_of_mtrag_say(data_dir, mtrag, name, traces):
    delivery = Delivery(data_dir / "traces" / "otlp_replay" / name)
    assert otlp_json.recognise(delivery.head) == "its first value has `resourceSpans`"
    found = replayed(otlp_json.read(delivery))
    assert len(found) == traces
    for retriever, llm, root in found:
        task_id = root.metadata.get("task_id") or root.metadata["mtrag.task_id"]
        question, before, passages, answer = mtrag[task_id]
        assert [(passage.id, passage.text) for passage in retriever.documents] == passages
        assert retriever.question == llm.question == question
        assert [turn.content for turn in llm.history] == before
        assert llm.answer == answer(llm.model)
        assert (retriever.kind, llm.kind) == ("retriever", "llm")
        assert root.session_id == task_id.split("<::>")[0]
        assert retriever.parent_id == llm.parent_id == root.span_id
        if root.kind == "chain":
            assert (root.question, root.answer) == (question, llm.answer)


@pytest.mark.realdata
def test_base64_ids_are_the_same_ids(data_dir):
    folder = data_dir / "traces" / "otlp_replay"
    for convention in ("openinference", "genai_semconv"):
        as_hex = list(otlp_json.read(Delivery(folder / f"{convention}.jsonl")))[:12]
        as_base64 = list(otlp_json.read(Delivery(folder / f"{convention}_protobuf_json_base64_ids.json")))
        assert [item.what for item in as_base64] == [item.what for item in as_hex]


@pytest.mark.realdata
def test_the_specifications_own_example_is_read(data_dir):
    (item,) = otlp_json.read(Delivery(data_dir / "traces" / "opentelemetry_proto" / "trace.json"))
    span = item.what
    assert (span.trace_id, span.span_id, span.parent_id) == (
        "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "eee19b7ec3c1b173"
    )  # fmt: skip
    assert (span.started_at, span.ended_at - span.started_at) == (
        datetime(2018, 12, 13, 14, 51, tzinfo=UTC), timedelta(seconds=1)
    )  # fmt: skip


@pytest.mark.realdata
def test_files_of_other_formats_are_not_recognised(data_dir):
    folder = data_dir / "traces"
    others = [p for kind in ("langfuse", "langsmith", "mlflow_replay", "trulens_otel", "openinference_genai")
              for p in (folder / kind).glob("*.json*")]  # fmt: skip
    assert len(others) > 20
    assert [path.name for path in others if otlp_json.recognise(Delivery(path).head)] == []


@pytest.mark.parametrize(
    ("first", "is_ours"),
    [
        (request(otlp_span()), True),
        ([request(otlp_span())], True),
        ({"resource_spans": []}, True),
        ({"resourceLogs": []}, True),
        ({"batches": [{"scopeSpans": []}]}, True),
        ({"batches": [1]}, False),
        ({"trace_id": "t", "timestamp": "2026-11-03T10:00:00Z", "user_input": "resourceSpans"}, False),
        ({"resourceMetrics": []}, False),
        ([], False),
        (["resourceSpans"], False),
    ],
)
def test_a_file_is_recognised_by_its_first_value(tmp_path, first, is_ours):
    assert bool(otlp_json.recognise(written(tmp_path / "f", first).head)) is is_ours


def test_every_form_of_attribute_value_is_read(span_of):
    values = {"a": True, "b": 7, "c": 0.5, "d": ["x", "y"], "f": "text"}
    span = otlp_span(values)
    others = {"g": {"intValue": 8}, "h": {}, "i": None, "j": {"newValue": 1}, "k": {"bytesValue": "AAE="}}
    span["attributes"] += [{"key": key, "value": value} for key, value in others.items()]
    assert span_of(request(span)).metadata == values | {"g": 8, "k": "AAE="}


def test_documents_may_be_structured_values(span_of):
    documents = [{"id": "d1", "content": "Tea is old.", "score": 0.5}]
    (passage,) = span_of(request(otlp_span({"gen_ai.retrieval.documents": documents}))).documents
    assert (passage.id, passage.text, passage.score) == ("d1", "Tea is old.", 0.5)


def test_times_are_read_from_text_and_from_numbers(span_of):
    moment = datetime.fromtimestamp(START // 10**9, UTC)
    assert span_of(request(otlp_span())).started_at == moment
    assert span_of(request(otlp_span(startTimeUnixNano=START))).started_at == moment
    assert span_of(request(otlp_span(endTimeUnixNano="0"))).ended_at is None


def test_keys_in_snake_case_are_read_too(span_of):
    snake = {
        "resource_spans": [
            {
                "resource": {"attributes": [{"key": "deployment.environment", "value": {"string_value": "prod"}}]},
                "scope_spans": [
                    {
                        "spans": [
                            {
                                "trace_id": TRACE_ID,
                                "span_id": SPAN_ID,
                                "start_time_unix_nano": START,
                                "attributes": [{"key": "gen_ai.usage.input_tokens", "value": {"int_value": "7"}}],
                                "status": {"code": "STATUS_CODE_ERROR"},
                            }
                        ]
                    }
                ],
            }
        ]
    }
    span = span_of(snake)
    assert (span.trace_id, span.input_tokens, span.is_error, span.environment) == (TRACE_ID, 7, True, "prod")
    mixed = {"resourceSpans": [{"scopeSpans": snake["resource_spans"][0]["scope_spans"]}]}
    assert span_of(mixed).input_tokens == 7


@pytest.mark.parametrize(
    "envelope",
    [
        lambda group: {"batches": [group]},
        lambda group: group,
        lambda group: [group],
        lambda group: {
            "resourceSpans": [{"instrumentationLibrarySpans": group["scopeSpans"], "resource": group["resource"]}]
        },
    ],
    ids=["tempo", "alone", "array", "before 1.0"],
)
def test_other_envelopes_of_the_same_spans_are_read(span_of, envelope):
    group = request(otlp_span(), resource={"service.name": "shop"})["resourceSpans"][0]
    assert span_of(envelope(group)).metadata == {"service.name": "shop"}


@pytest.mark.parametrize(
    ("code", "is_error"), [(2, True), ("STATUS_CODE_ERROR", True), ("ERROR", True), (1, False), (0, False)]
)
def test_the_status_tells_an_error(span_of, code, is_error):
    span = span_of(request(otlp_span(status={"code": code, "message": "gone"})))
    assert (span.is_error, span.error) == (is_error, "gone" if is_error else None)


@pytest.mark.parametrize(
    "given", ["0AF7651916CD43DD8448EB211C80319C", base64.b64encode(bytes.fromhex(TRACE_ID)).decode()]
)
def test_an_id_comes_out_as_lower_case_hex(span_of, given):
    assert span_of(request(otlp_span(traceId=given))).trace_id == TRACE_ID


@pytest.mark.parametrize("parent", ["", "0000000000000000", "AAAAAAAAAAA=", None])
def test_a_parent_of_nothing_but_zeros_is_none(span_of, parent):
    assert span_of(request(otlp_span(parentSpanId=parent))).parent_id is None


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"traceId": ""}, "no trace id"),
        ({"traceId": "0" * 32}, "no trace id"),
        ({"spanId": None}, "no span id"),
        ({"traceId": "x" * 600}, "longer than 512"),
        ({"traceId": 7}, "$.traceId"),
        ({"startTimeUnixNano": "yesterday"}, "yesterday"),
        ({"startTimeUnixNano": "-5"}, "before 1970"),
        ({"startTimeUnixNano": "1" + "0" * 21}, "beyond the year 9999"),
        ({"attributes": {}}, "$.attributes"),
        ({"name": 7}, "$.name"),
    ],
)
def test_one_broken_span_is_rejected_alone_and_its_bytes_give_the_same_again(read, tmp_path, broken, reason):
    bad = otlp_span(**broken) | {"later": "field"}
    items = read(request(otlp_span(), bad, otlp_span(spanId="b" * 16), resource={"service.name": "shop"}))
    assert [type(item) for item in items] == [Found, Rejected, Found]
    assert reason in items[1].reason
    assert json.loads(items[1].raw)["resourceSpans"][0]["scopeSpans"][0]["spans"] == [bad]
    assert again(otlp_json, items[1].raw, tmp_path / "again") == [items[1]]


@pytest.mark.parametrize("line", [b"{", b"7", b"null", {}, {"resourceSpans": []}, {"resourceMetrics": [{}]},
                                  {"resourceSpans": [7]}, {"resourceSpans": [{"scopeSpans": {}}]}])  # fmt: skip
def test_a_line_without_spans_is_rejected_as_a_whole_and_the_next_one_read(read, line):
    items = read(line, request(otlp_span()))
    assert [type(item) for item in items] == [Rejected, Found]
    assert items[1].line == 2


def test_a_blank_line_is_passed_on(read):
    assert read(b"", request(otlp_span()), request(otlp_span()))[0] == Blank(1)


def log(name, body=None, **fields):
    record = {"traceId": TRACE_ID, "spanId": SPAN_ID, "eventName": name, "timeUnixNano": str(START), "attributes": []}
    if body is not None:
        record["body"] = {"kvlistValue": {"values": pairs(body)}}
    return record | fields


def logs(*records):
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [*records]}]}]}


def test_genai_events_among_log_records_are_a_part_of_the_span_they_name(span_of):
    span = span_of(
        logs(
            log("gen_ai.user.message", {"content": "Is tea older than coffee?"}),
            log("gen_ai.assistant.message", {"content": "Yes."}),
            log("gen_ai.user.message", {"content": "By how much?"}),
            log("gen_ai.choice", {"index": 0, "message": {"role": "assistant", "content": "By millennia."}}),
            log("http.request"),
        )
    )
    assert (span.trace_id, span.span_id, span.question, span.answer) == (
        TRACE_ID, SPAN_ID, "By how much?", "By millennia."
    )  # fmt: skip
    assert len(span.history) == 2
    assert span.part.startswith("log")
    assert span.started_at is None


def test_an_evaluation_among_log_records_is_a_score(read):
    (item,) = read(logs(log("gen_ai.evaluation.result", attributes=pairs(
        {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.5}))))  # fmt: skip
    assert isinstance(item.what, ExportedScore)
    assert (item.what.name, item.what.value, item.what.span_id) == ("relevance", 0.5, SPAN_ID)


def test_a_genai_log_record_that_names_no_span_is_rejected(read, tmp_path):
    good, bad = log("gen_ai.user.message", {"content": "Why?"}), log("gen_ai.user.message", spanId="")
    items = read(logs(good, bad))
    assert [type(item) for item in items] == [Rejected, Found]
    assert again(otlp_json, items[0].raw, tmp_path / "again") == [items[0]]


def test_log_records_without_genai_events_are_rejected_as_a_whole(read):
    (item,) = read(logs(log("http.request")))
    assert "GenAI" in item.reason


OTLP_KEYS = ["resourceSpans", "scopeSpans", "spans", "traceId", "attributes", "key", "value", "stringValue"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(OTLP_KEYS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=25,
)


@QUIET
@given(st.lists(json_values, min_size=2, max_size=4))
def test_each_line_of_random_json_is_accounted_for(tmp_path, lines):
    items = list(otlp_json.read(written(tmp_path / "noise", *lines, request(otlp_span()))))
    assert {item.line for item in items} == set(range(1, len(lines) + 2))
    assert isinstance(items[-1], Found)


ATTRIBUTE_KEYS = ["input.value", "output.value", "openinference.span.kind", "gen_ai.input.messages", "metadata",
                  "gen_ai.prompt.0.content", "retrieval.documents.0.document.content", "retrieval.documents",
                  "llm.input_messages.0.message.contents.0.message_content.text", "evaluations.0.evaluation.name",
                  "gen_ai.usage.input_tokens", "gen_ai.operation.name", "evaluations", "reranker.output_documents.1",
                  "langfuse.observation.cost_details", "error.type", "tag.tags", "session.id"]  # fmt: skip


@QUIET
@given(
    st.dictionaries(st.sampled_from(ATTRIBUTE_KEYS), json_values | json_values.map(json.dumps), max_size=6),
    st.dictionaries(st.sampled_from(list(otlp_span())), json_values, max_size=2),
)
def test_a_span_with_any_values_is_found_or_rejected_and_its_neighbours_found(tmp_path, attributes, fields):
    attributes = {key: value for key, value in attributes.items() if value is not None}
    last = otlp_span(spanId="c" * 16)
    items = list(otlp_json.read(written(tmp_path / "mutated", request(otlp_span(attributes, **fields), last))))
    assert isinstance(items[-1], Found)
    assert any(isinstance(item, Rejected) or item.what.span_id != "c" * 16 for item in items)


@QUIET
@given(st.text(max_size=80).map(str.encode), st.integers(0, 400))
def test_no_damage_stops_the_reader(tmp_path, noise, place):
    valid = json.dumps(request(otlp_span({"input.value": "Why?"}))).encode()
    damaged = valid[:place] + noise + valid[place + len(noise) :]
    (tmp_path / "damaged").write_bytes(damaged)
    try:
        items = list(otlp_json.read(Delivery(tmp_path / "damaged")))
    except UserError:
        return
    assert items


@pytest.mark.parametrize(
    "broken",
    [
        {"traceId": ""},
        {"attributes": 7},
        {"startTimeUnixNano": "-5", "events": [{"timeUnixNano": "soon"}]},
        {"name": None},
    ],
)
@pytest.mark.parametrize("key", ["resourceSpans", "resource_spans", "batches"])
def test_a_request_read_at_once_gives_what_its_spans_give_one_by_one(key, broken):
    scope = {"spans": [otlp_span(), otlp_span() | broken]}
    with_logs = logs(log("gen_ai.choice", {"content": "At nine."}))
    for more in ({}, {"instrumentationLibrarySpans": [scope]}, with_logs):
        value = Value(1, json.dumps({key: [{"scopeSpans": [scope]}], **more}).encode())
        assert list(otlp_json.records_in(value)) == list(otlp_json.single_records(value))
