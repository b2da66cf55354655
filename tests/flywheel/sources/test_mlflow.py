import gzip
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.sources import mlflow
from flywheel.sources.records import Found, Rejected, Turn
from flywheel.trace import RetrievedContext
from tests.flywheel.sources.test_payload import trees
from tests.flywheel.sources.vendor_files import reason, records, rejected, scores, spans, written

MODEL = "llama-3.1-405b-instruct"


@pytest.fixture(scope="module")
def mtrag(data_dir):
    with gzip.open(data_dir / "mtrag" / "reference_subset_with_human_evaluations.json.gz") as file:
        told = json.load(file)
    return {
        "texts": {document["document_id"]: document["text"] for document in told["documents"]},
        "tasks": {task["task_id"]: task for task in told["tasks"]},
        "judged": {(row["task_id"], row["model_id"]): row for row in told["evaluations"]},
    }


@pytest.mark.realdata
def test_the_replayed_traces_say_what_their_rows_of_mtrag_say(data_dir, mtrag):
    path = data_dir / "traces" / "mlflow_replay" / "traces.jsonl"
    found = records(mlflow, path)
    assert not rejected(found)
    by_line = {}
    for item in found:
        by_line.setdefault(item.line, []).append(item)
    assert len(by_line) == 24
    for items in by_line.values():
        root, *steps = spans(items)
        task_id = root.metadata["mtrag.task_id"]
        task, judged = mtrag["tasks"][task_id], mtrag["judged"][task_id, MODEL]
        kinds = {step.kind: step for step in steps}
        assert set(kinds) == {"chain", "retriever", "llm"}
        assert {step.trace_id for step in steps} == {root.trace_id} == {root.span_id}
        question = task["input"][-1]["text"]
        assert [root.question, kinds["chain"].question, kinds["retriever"].question] == [question] * 3
        assert root.answer == kinds["chain"].answer == kinds["llm"].answer == judged["model_response"]
        assert [(turn.role, turn.content) for turn in root.history] == [
            ("user" if turn["speaker"] == "user" else "assistant", turn["text"]) for turn in task["input"][:-1]
        ]
        passages = [(context["document_id"], mtrag["texts"][context["document_id"]]) for context in task["contexts"]]
        assert [(passage.id, passage.text) for passage in kinds["retriever"].documents] == passages
        assert {(score.author, score.value) for score in scores(items)} == {
            (f"mtrag-annotator-{who}", float(said["value"]))
            for who, said in judged["annotations"]["faithfulness"].items()
        }
        assert {(score.name, score.source) for score in scores(items)} == {("faithfulness", "human")}
        assert kinds["llm"].model == MODEL
        assert kinds["chain"].parent_id is None
        assert kinds["llm"].parent_id == kinds["retriever"].parent_id == kinds["chain"].span_id


@pytest.mark.realdata
def test_a_trace_in_a_document_of_its_own_reads_like_its_line(data_dir):
    folder = data_dir / "traces" / "mlflow_replay"
    lines = records(mlflow, folder / "traces.jsonl")
    for place in (0, 12):
        alone = [item.what for item in records(mlflow, folder / f"single_trace_{place}.json")]
        assert alone == [item.what for item in lines if item.line == place + 1]
        assert "MLflow" in reason(mlflow, folder / f"single_trace_{place}.json")


INFO = {
    "trace_id": "tr-1", "request_time": "2026-11-03T10:00:00Z", "state": "OK", "execution_duration_ms": 2500,
    "trace_metadata": {"mlflow.trace.session": "s1", "mlflow.trace.user": "u1",
                       "mlflow.trace.tokenUsage": json.dumps({"input_tokens": 30, "output_tokens": 5}),
                       "mlflow.traceInputs": '{"question": "When does the ferry le...'},
    "tags": {"mlflow.traceName": "ask", "environment": "staging", "tenant_id": "acme",
             "mlflow.linkedPrompts": json.dumps([{"name": "answer", "version": "3"}])},
    "request_preview": '{"question": "When does the ferry le...', "response_preview": "At ni...",
    "assessments": [
        {"assessment_id": "a1", "assessment_name": "correct", "trace_id": "tr-1", "span_id": "0000000000000003",
         "source": {"source_type": "HUMAN", "source_id": "ann"}, "create_time": "2026-11-04T10:00:00Z",
         "feedback": {"value": True}, "rationale": "yes", "valid": True},
        {"assessment_id": "a2", "assessment_name": "grounded", "source": {"source_type": "LLM_JUDGE"},
         "feedback": {"value": "partly"}},
        {"assessment_id": "a3", "assessment_name": "expected_response", "source": {"source_type": "HUMAN"},
         "expectation": {"value": "At nine o'clock."}},
        {"assessment_id": "a4", "assessment_name": "grounded", "source": {"source_type": "CODE"},
         "feedback": {"value": 0.1}, "valid": False},
    ],
}  # fmt: skip
ASKED, ANSWERED = {"question": "When does the ferry leave?"}, {"answer": "At nine."}
DOCUMENTS = [{"page_content": "The ferry leaves at nine.", "metadata": {"doc_uri": "a.md"}, "id": "p2"}]
START = 1_793_700_000_000_000_000
STEPS = [
    ("AAAAAAAAAAE=", None, "ask", "CHAIN", ASKED, ANSWERED, {}),
    ("AAAAAAAAAAI=", "AAAAAAAAAAE=", "fetch", "RETRIEVER", {"query": "ferry times"}, DOCUMENTS, {}),
    ("AAAAAAAAAAM=", "AAAAAAAAAAE=", "chat", "CHAT_MODEL", {"messages": [{"role": "user", "content": "x"}]},
     {"choices": [{"message": {"role": "assistant", "content": "At nine."}}]},
     {"mlflow.chat.tokenUsage": {"input_tokens": 30, "output_tokens": 5, "total_tokens": 35},
      "mlflow.llm.model": "small-1", "temperature": 0.5}),
]  # fmt: skip


def third(step):
    """Write a span of schema 3."""
    span_id, parent_id, name, kind, asked, answered, more = step
    said = {"mlflow.spanType": kind, "mlflow.spanInputs": asked, "mlflow.spanOutputs": answered} | more
    return {
        "trace_id": "LCyTmnKnbaINijZKiAb2IA==", "span_id": span_id, "parent_span_id": parent_id, "name": name,
        "start_time_unix_nano": START, "end_time_unix_nano": START + 10**9,
        "status": {"code": "STATUS_CODE_ERROR" if name == "chat" else "STATUS_CODE_OK", "message": "too slow"},
        "attributes": {key: json.dumps(value) for key, value in said.items()},
    }  # fmt: skip


def second(step):
    """Write a span of schema 2."""
    span = third(step)
    return {
        "name": span["name"], "context": {"trace_id": "0x2c", "span_id": mlflow_hex(span["span_id"])},
        "parent_id": mlflow_hex(span["parent_span_id"]), "start_time": START, "end_time": START + 10**9,
        "status_code": "ERROR" if step[2] == "chat" else "OK", "status_message": "too slow",
        "span_type": step[3], "inputs": step[4], "outputs": step[5],
        "attributes": {key: json.dumps(value) for key, value in step[6].items()},
    }  # fmt: skip


def mlflow_hex(name):
    """Write the id of a step in hex."""
    return name and "000000000000000" + str("AEIM".index(name[10]))


OLDER = {key: value for key, value in INFO.items() if key not in ("trace_id", "request_time", "state")}
SHAPES = {
    "schema 3": [{"info": INFO, "data": {"spans": [third(step) for step in STEPS]}}],
    "schema 3, twice": [{"info": INFO, "data": {"spans": [third(step) for step in STEPS]}}, b" "],
    "schema 2": [
        {"info": {**{k: v for k, v in OLDER.items() if k not in ("trace_metadata", "execution_duration_ms")},
                  "request_id": "tr-1", "timestamp_ms": START // 10**6, "execution_time_ms": 2500, "status": "OK",
                  "request_metadata": INFO["trace_metadata"],
                  "tags": [{"key": key, "value": value} for key, value in INFO["tags"].items()]},
         "data": {"spans": [second(step) for step in STEPS]}}
    ],
    "rows of a search": [[{
        **{k: v for k, v in INFO.items() if not k.endswith("_preview")}, "request_time": START // 10**6,
        "request": json.dumps(ASKED), "response": json.dumps(ANSWERED), "spans": [third(step) for step in STEPS]}]],
    "rows with the trace as a text": [[
        {"trace_id": "tr-1", "state": "OK",
         "trace": json.dumps({"info": INFO, "data": {"spans": [third(step) for step in STEPS]}})}]],
    "a page": [{"traces": [{"info": INFO, "data": {"spans": [third(step) for step in STEPS]}}], "next": None}],
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_a_trace_is_read_the_same_from(tmp_path, shape):
    path = written(tmp_path / "file", *SHAPES[shape])
    assert "MLflow" in reason(mlflow, path) or "mlflow" in reason(mlflow, path)
    found = records(mlflow, path)
    assert not rejected(found)
    root, chain, fetch, call = spans(found)
    assert (root.trace_id, root.span_id, root.kind, root.name) == ("tr-1", "tr-1", "root", "ask")
    assert (root.question, root.answer) == ("When does the ferry leave?", "At nine.")
    assert (root.session_id, root.user_id, root.environment, root.tenant_id) == ("s1", "u1", "staging", "acme")
    assert (root.input_tokens, root.output_tokens, root.prompt_version) == (30, 5, "answer@3")
    assert root.started_at == datetime(2026, 11, 3, 10, tzinfo=UTC)
    assert (root.ended_at - root.started_at).total_seconds() == 2.5
    assert [span.trace_id for span in (chain, fetch, call)] == ["tr-1"] * 3
    assert (chain.kind, chain.parent_id, chain.question, chain.answer) == ("chain", None, root.question, root.answer)
    assert (fetch.kind, fetch.parent_id, fetch.question) == ("retriever", chain.span_id, "ferry times")
    assert fetch.documents == [RetrievedContext("p2", "The ferry leaves at nine.", None, "a.md")]
    assert (call.kind, call.answer, call.model, call.input_tokens) == ("llm", "At nine.", "small-1", 30)
    assert (call.is_error, call.error, call.metadata) == (True, "too slow", {"temperature": 0.5})
    assert (call.ended_at - call.started_at).total_seconds() == 1
    correct, grounded, expected = scores(found)
    assert (correct.source, correct.value, correct.label, correct.comment) == ("human", 1.0, "true", "yes")
    assert (correct.span_id, correct.author) == (call.span_id, "ann")
    assert (grounded.source, grounded.value, grounded.label) == ("llm", None, "partly")
    assert (expected.name, expected.value, expected.label) == ("expected_response", None, "At nine o'clock.")


def test_a_trace_without_spans_is_known_by_its_row(tmp_path):
    row = {"trace_id": "tr-1", "state": "OK", "request_time": 1_793_700_000_000, "execution_duration": 1500,
           "request": json.dumps({"messages": [
               {"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi!"},
               {"role": "user", "content": "When?"}]}), "response": '"At nine."'}  # fmt: skip
    (root,) = spans(records(mlflow, written(tmp_path / "file", row)))
    assert (root.question, root.answer) == ("When?", "At nine.")
    assert root.history == [Turn("user", "Hello"), Turn("assistant", "Hi!")]


def test_a_preview_that_was_cut_is_no_question(tmp_path):
    (root,) = spans(
        records(mlflow, written(tmp_path / "file", {"info": INFO | {"assessments": []}, "data": {"spans": []}}))
    )
    assert (root.question, root.answer) == (None, "At ni...")


def test_a_failed_trace_says_of_what(tmp_path):
    trace = {"info": INFO | {"state": "ERROR"}, "data": {"spans": [third(step) for step in STEPS]}}
    root = spans(records(mlflow, written(tmp_path / "file", trace)))[0]
    assert (root.is_error, root.error) == (True, "too slow")


@pytest.mark.parametrize(
    ("assessment", "said"),
    [
        ({"feedback": {"value": False}, "source": {"source_type": "CODE"}}, ("code", 0.0, "false", None)),
        ({"feedback": {"value": None, "error": {"error_message": "no key"}}}, ("unknown", None, None, "no key")),
        ({"feedback": {"value": {"a": 1}}, "source": {"source_type": "AI_JUDGE"}}, ("llm", None, '{"a":1}', None)),
        ({"expectation": {"value": 7}}, ("unknown", None, "7", None)),
        ({"expectation": {"serialized_value": {"value": '["x"]'}}}, ("unknown", None, '["x"]', None)),
    ],
)
def test_an_assessment_says_what_its_value_is(tmp_path, assessment, said):
    trace = {"info": {"trace_id": "t", "assessments": [{"name": "n"} | assessment]}, "data": {"spans": []}}
    (score,) = scores(records(mlflow, written(tmp_path / "file", trace)))
    assert (score.source, score.value, score.label, score.comment) == said


def test_a_broken_span_or_assessment_is_rejected_alone_and_reads_once_it_is_mended(tmp_path):
    broken = third(STEPS[1]) | {"start_time_unix_nano": "soon"}
    trace = {
        "info": INFO | {"assessments": [7, *INFO["assessments"]]},
        "data": {"spans": [third(STEPS[0]), broken, 7, third(STEPS[2])]},
    }
    found = records(mlflow, written(tmp_path / "file", trace))
    assert [span.name for span in spans(found)] == ["ask", "ask", "chat"]
    assert len(scores(found)) == 3
    assert [item.reason for item in rejected(found)] == [
        "no moment in time - at `$.start_time_unix_nano`", "expected a span, got a number",
        "expected an assessment, got a number",
    ]  # fmt: skip
    for item in rejected(found):
        assert item.reason in [
            again.reason for again in rejected(records(mlflow, written(tmp_path / "again", item.raw)))
        ]
    mended = rejected(found)[0].raw.replace(b'"soon"', str(START).encode())
    (span,) = spans(records(mlflow, written(tmp_path / "mended", mended)))
    assert (span.trace_id, span.kind) == ("tr-1", "retriever")


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"info": {}, "data": {"spans": []}}, "`trace_id` is missing"),
        ({"info": {"trace_id": 7}, "data": {"spans": []}}, "expected a string, got a number - at `$.trace_id`"),
        ({"info": INFO | {"request_time": "soon", "assessments": []}, "data": {"spans": []}}, "no moment in time"),
        ([1], "expected an object, got an array"),
        (b"{", "truncated"),
    ],
)
def test_a_broken_trace_is_rejected_with_its_reason_and_the_next_one_read(tmp_path, record, why):
    good = {"info": INFO | {"assessments": []}, "data": {"spans": []}}
    found = records(mlflow, written(tmp_path / "file", good, record, good))
    assert [type(item) for item in found] == [Found, Rejected, Found]
    assert why in found[1].reason
    assert found[1].line == 2


@pytest.mark.parametrize(
    "other",
    [
        {"trace_id": "t", "timestamp": "2026-11-03T10:00:00Z", "user_input": "x", "status": "ok", "error": None},
        {"resourceSpans": []},
        {"post": [], "patch": []},
        {"id": "r", "trace_id": "t", "run_type": "llm", "status": "success", "start_time": "2026-11-03T10:00:00"},
        {"id": "o", "traceId": "t", "type": "SPAN", "startTime": "2026-11-03T10:00:00Z"},
        {"trace": {"id": "t"}, "observations": []},
        {"data": [], "meta": {}},
        {},
        [],
    ],
)
def test_files_of_other_formats_are_left_alone(tmp_path, other):
    assert reason(mlflow, written(tmp_path / "file", other)) is None


SPAN_FIELDS = st.sampled_from(sorted({*third(STEPS[0]), *second(STEPS[0])}))
INFO_FIELDS = st.sampled_from(sorted({*INFO, "request_id", "timestamp_ms", "request", "response", "request_metadata"}))


@given(
    st.dictionaries(INFO_FIELDS, trees, max_size=3),
    st.sampled_from(STEPS),
    st.dictionaries(SPAN_FIELDS, trees, max_size=3),
    trees,
)
def test_no_mutation_of_a_trace_is_lost_or_stops_the_file(tmp_path_factory, info, step, span, assessment):
    good = {"info": INFO, "data": {"spans": [third(step)]}}
    mutated = {
        "info": {"assessments": [assessment]} | INFO | info,
        "data": {"spans": [third(step) | span, second(step) | span]},
    }
    path = written(tmp_path_factory.mktemp("noise") / "file", good, mutated, good)
    found = records(mlflow, path)
    assert {item.line for item in found} == {1, 2, 3}
    for item in rejected(found):
        assert records(mlflow, written(path.with_name("again"), item.raw))


@given(trees, trees)
def test_no_json_stops_the_reader(tmp_path_factory, first, second_tree):
    path = tmp_path_factory.mktemp("noise") / "file"
    for value in (
        first,
        {"info": first, "data": {"spans": second_tree}},
        {"info": INFO | {"assessments": [first]}, "data": {"spans": [second_tree]}},
        {"traces": [first]},
        {"trace_id": "t", "state": "OK", "request": first, "response": second_tree, "spans": [first]},
    ):
        records(mlflow, written(path, value))
        reason(mlflow, path)


@pytest.mark.parametrize("depth", [60, 400, 900, 5000])
@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")])
def test_json_texts_inside_json_may_nest_as_they_like(tmp_path, depth, brackets):
    deep = brackets[0] * depth + "1" + brackets[1] * depth
    assessments = f'[{{"name": "n", "expectation": {{"value": {deep}}}}}]'
    row = {
        "trace": f'{{"info": {{"trace_id": "t", "x": 1, "assessments": {assessments}}}, "data": {{"spans": [{deep}]}}}}'
    }
    found = records(mlflow, written(tmp_path / "file", row, {"info": INFO, "data": {"spans": []}}))
    assert {item.line for item in found} == {1, 2}
