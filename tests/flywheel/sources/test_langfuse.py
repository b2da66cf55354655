import csv
import gzip
import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.errors import UserError
from flywheel.sources import langfuse
from flywheel.sources.delivery import Delivery
from flywheel.sources.records import Found, Rejected
from flywheel.trace import RetrievedContext
from tests.flywheel.sources.test_payload import trees
from tests.flywheel.sources.vendor_files import reason, records, rejected, scores, spans, written

REAL = {
    # file: question, beginning of the answer, observations, scores, kinds other than `other` and `root`
    "autogen-2025-06-06": ("Say 'Hello World!'", "Hello World!", 2, 0, {"llm": 1}),
    "beeai-2025-08-01": (
        "I'm planning a trip to Barcelona",
        "Barcelona is a vibrant",
        29,
        2,
        {"llm": 5, "retriever": 1},
    ),
    "claude-agent-2025-12-22": ("What's the weather like in Berlin", "Great! Here's", 7, 3, {"llm": 4, "tool": 2}),
    "crewai-2025-07-11": (None, None, 6, 2, {"llm": 1}),
    "google-adk-2025-08-28": ("hi", "Hello Langfuse", 5, 2, {"llm": 2, "chain": 1, "agent": 1, "tool": 1}),
    "google-gemini-2025-08-01": ("What is Langfuse?", "**Langfuse** is an", 1, 2, {"llm": 1}),
    "langgraph-python-2025-08-22": ("Search the web for 'example'", 'The search for "example"', 9, 2, {"llm": 2}),
    "llamaindex-2025-06-05": ("What is Langfuse?", "Langfuse is a tool", 2, 0, {"llm": 1}),
    "openai-agents-2025-09-30": (None, None, 5, 2, {"agent": 2, "llm": 2, "tool": 1}),
    "pydantic-ai-2025-06-06": ("What is Langfuse?", "Langfuse is a tool", 3, 1, {"llm": 1}),
    "pydantic-ai-tools-2025-06-06": ("What is Langfuse?", "Langfuse is a tool", 3, 1, {"llm": 1}),
    "pydantic-ai-with-gemini-2025-12-24": ("what is 1+1?", '{"answer": "2"', 1, 0, {"llm": 1}),
    "vertex-ai-2025-08-01": ("What is Langfuse?", "**Langfuse** is an", 1, 2, {"llm": 1}),
}


@pytest.mark.realdata
@pytest.mark.parametrize("name", REAL)
def test_a_real_download_gives_its_question_answer_observations_and_scores(data_dir, name):
    question, answer, observations, said, kinds = REAL[name]
    path = data_dir / "traces" / "langfuse" / f"{name}.trace.json"
    found = records(langfuse, path)
    root, *steps = spans(found)
    assert not rejected(found)
    assert (root.kind, root.span_id, root.parent_id) == ("root", root.trace_id, None)
    assert (root.question is None) == (question is None)
    assert (root.question or "").startswith(question or "")
    assert (root.answer is None) == (answer is None)
    assert (root.answer or "").startswith(answer or "")
    assert (len(steps), len(scores(found))) == (observations, said)
    counted = {kind: n for kind in {s.kind for s in steps} - {"other"} if (n := sum(s.kind == kind for s in steps))}
    assert counted == kinds
    assert {step.trace_id for step in steps} == {root.trace_id}
    assert "Langfuse" in str(reason(langfuse, path))


@pytest.mark.realdata
def test_every_real_download_is_tested(data_dir):
    assert {path.name.removesuffix(".trace.json") for path in (data_dir / "traces" / "langfuse").glob("*.json")} == set(
        REAL
    )


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "asked", "answered"),
    [
        ("crewai-2025-07-11", "Define the HTML for making a simple website", "```html"),
        ("openai-agents-2025-09-30", "What's the weather in Tokyo?", "The weather in Tokyo is currently sunny."),
    ],
)
def test_where_the_trace_says_nothing_its_llm_calls_do(data_dir, name, asked, answered):
    found = records(langfuse, data_dir / "traces" / "langfuse" / f"{name}.trace.json")
    calls = [step for step in spans(found) if step.kind == "llm"]
    assert any(asked in (call.question or "") for call in calls)
    assert any(answered in (call.answer or "") for call in calls)


@pytest.mark.realdata
def test_a_search_logged_as_a_plain_span_is_a_retriever(data_dir):
    found = records(langfuse, data_dir / "traces" / "langfuse" / "beeai-2025-08-01.trace.json")
    (retriever,) = [step for step in spans(found) if step.kind == "retriever"]
    (passage,) = retriever.documents
    assert retriever.name == "tool.search.wikipedia.success-12"
    assert passage.source == "https://en.wikipedia.org/wiki/Barcelona"
    assert passage.text.startswith("Barcelona")


@pytest.mark.realdata
def test_a_call_keeps_its_model_tokens_and_cost(data_dir):
    found = records(langfuse, data_dir / "traces" / "langfuse" / "pydantic-ai-with-gemini-2025-12-24.trace.json")
    (call,) = [step for step in spans(found) if step.kind == "llm"]
    assert (call.model, call.input_tokens, call.output_tokens) == ("gemini-2.5-flash", 40, 159)
    assert call.cost_usd == pytest.approx(0.0004095)
    assert call.started_at == datetime(2025, 12, 24, 6, 1, 17, 850_000, tzinfo=UTC)


@pytest.mark.realdata
def test_a_correction_is_a_persons_and_its_text_the_comment(data_dir):
    found = records(langfuse, data_dir / "traces" / "langfuse" / "pydantic-ai-2025-06-06.trace.json")
    (score,) = scores(found)
    assert (score.source, score.value, score.label) == ("human", None, "correction")
    assert score.comment.startswith("Langfuse is a tool")


ROOT = {
    "id": "t1", "projectId": "p", "name": "ask", "timestamp": "2026-11-03T10:00:00.000Z", "environment": "production",
    "tags": ["rag"], "release": "r7", "version": "2", "userId": "u1", "sessionId": "s1", "public": False,
    "input": {"question": "When does the ferry leave?"}, "output": json.dumps({"answer": "At nine."}), "latency": 2.5,
    "metadata": json.dumps({"tenant_id": "acme", "branch": "main", "nested": {"dropped": 1}}),
}  # fmt: skip
CALL = {
    "id": "o1", "traceId": "t1", "parentObservationId": "o0", "type": "GENERATION", "name": "chat", "level": "ERROR",
    "statusMessage": "too slow", "startTime": "2026-11-03T10:00:01.000Z", "endTime": "2026-11-03T10:00:02.000Z",
    "input": {"messages": [{"role": "user", "content": "When does the ferry leave?"}]}, "output": "At nine.",
    "model": "small-1", "usageDetails": {"input": 30, "input_cached_tokens": 10, "output": 5, "total": 45},
    "costDetails": {"total": 0.02}, "totalCost": 0.02, "promptName": "answer", "promptVersion": 3,
}  # fmt: skip
FETCH = {
    "id": "o2", "traceId": "t1", "parentObservationId": None, "type": "RETRIEVER", "name": "fetch", "level": "DEFAULT",
    "startTime": "2026-11-03T10:00:00.100Z", "endTime": "2026-11-03T10:00:00.200Z", "input": "ferry times",
    "output": [{"id": "p2", "text": "The ferry leaves at nine.", "score": 0.7}], "userId": "u1", "sessionId": "s1",
}  # fmt: skip
SCORE = {
    "id": "c1", "traceId": "t1", "observationId": "o1", "name": "helpful", "source": "ANNOTATION", "value": 1,
    "dataType": "BOOLEAN", "stringValue": "True", "comment": "right", "authorUserId": "ann",
    "timestamp": "2026-11-04T10:00:00.000Z",
}  # fmt: skip


def snake(record):
    """Write a record in the style of the blob export."""
    times = {"timestamp", "startTime", "endTime"}
    return {
        langfuse.snake_case({key: 0}).popitem()[0]: value.replace("T", " ").replace("Z", "000")
        if key in times
        else value
        for key, value in record.items()
    }


SHAPES = {
    "a download": [{"trace": {**ROOT, "observations": [{**CALL, "output": None}], "scores": [SCORE]},
                    "observations": [{**CALL, "input": None}, FETCH]}],
    "a download with the trace on top": [{**ROOT, "observations": [CALL, FETCH], "scores": [SCORE]}],
    "downloads in an array": [[{"trace": ROOT, "observations": [CALL, FETCH]}, {**SCORE}]],
    "JSON lines": [ROOT, CALL, FETCH, SCORE],
    "lines of a blob export": [snake(ROOT), snake(CALL), snake(FETCH), snake(SCORE)],
    "an array": [[ROOT, CALL, FETCH, SCORE]],
    "pages of the API": [{"data": [ROOT], "meta": {"page": 1}}, {"data": [CALL, FETCH], "meta": {"cursor": None}},
                         {"data": [SCORE], "meta": {"page": 1}}],
    "a page of whole traces": [{"data": [{**ROOT, "observations": [CALL, FETCH], "scores": [SCORE]}], "meta": {}}],
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_a_trace_is_read_the_same_from(tmp_path, shape):
    path = written(tmp_path / "file", *SHAPES[shape])
    assert "Langfuse" in reason(langfuse, path) or "`search" in reason(langfuse, path)
    found = records(langfuse, path)
    assert not rejected(found)
    root, call, fetch = sorted(spans(found), key=lambda span: ("t1", "o1", "o2").index(span.span_id))
    (score,) = scores(found)
    assert (root.kind, root.question, root.answer) == ("root", "When does the ferry leave?", "At nine.")
    assert (root.session_id, root.user_id, root.tenant_id, root.environment) == ("s1", "u1", "acme", "production")
    assert root.metadata == {"tags": ["rag"], "release": "r7", "version": "2", "tenant_id": "acme", "branch": "main"}
    assert (root.ended_at - root.started_at).total_seconds() == 2.5
    assert (call.kind, call.question, call.answer, call.parent_id) == (
        "llm",
        "When does the ferry leave?",
        "At nine.",
        "o0",
    )
    assert (call.model, call.input_tokens, call.output_tokens, call.cost_usd) == ("small-1", 40, 5, 0.02)
    assert (call.is_error, call.error, call.prompt_version) == (True, "too slow", "answer@3")
    assert call.started_at == datetime(2026, 11, 3, 10, 0, 1, tzinfo=UTC)
    assert (fetch.kind, fetch.question, fetch.answer) == ("retriever", "ferry times", None)
    assert fetch.documents == [RetrievedContext("p2", "The ferry leaves at nine.", 0.7)]
    assert (score.name, score.source, score.value, score.label) == ("helpful", "human", 1.0, "True")
    assert (score.trace_id, score.span_id, score.author, score.comment) == ("t1", "o1", "ann", "right")


def test_lists_of_ids_in_a_page_of_traces_name_records_and_are_none(tmp_path):
    page = {"data": [{**ROOT, "observations": ["o1"], "scores": ["c1"], "totalCost": 0.5}], "meta": {"page": 1}}
    (found,) = records(langfuse, written(tmp_path / "file", page))
    assert (found.what.kind, found.what.cost_usd) == ("root", 0.5)


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({"source": "EVAL"}, "llm"),
        ({"source": "API", "authorUserId": None}, "unknown"),
        ({"source": "API", "authorUserId": None, "name": "user-feedback"}, "human"),
        ({"source": "API", "authorUserId": "ann"}, "human"),
    ],
)
def test_a_score_of_the_api_is_a_persons_where_it_has_an_author_or_a_name_like_feedback(tmp_path, fields, source):
    (score,) = scores(records(langfuse, written(tmp_path / "file", SCORE | fields)))
    assert score.source == source


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"dataType": "NUMERIC", "value": 0.25, "stringValue": None}, (0.25, None, "right")),
        ({"dataType": "CATEGORICAL", "value": 2, "stringValue": "bad"}, (2.0, "bad", "right")),
        ({"dataType": "CATEGORICAL", "value": "bad", "stringValue": None}, (None, "bad", "right")),
        ({"dataType": "BOOLEAN", "value": 0, "stringValue": None}, (0.0, "False", "right")),
        ({"dataType": "BOOLEAN", "value": None, "stringValue": "True"}, (1.0, "True", "right")),
        ({"dataType": "TEXT", "value": 0, "stringValue": "so so"}, (None, None, "so so\nright")),
    ],
)
def test_a_score_says_what_its_type_means(tmp_path, fields, said):
    (score,) = scores(records(langfuse, written(tmp_path / "file", SCORE | fields)))
    assert (score.value, score.label, score.comment) == said


def test_a_score_without_an_id_is_named_by_what_it_says(tmp_path):
    anonymous = {key: value for key, value in SCORE.items() if key != "id"}
    first, again, other = scores(
        records(langfuse, written(tmp_path / "file", anonymous, anonymous, anonymous | {"value": 0}))
    )
    assert first.score_id == again.score_id != other.score_id


@pytest.mark.parametrize(
    ("name", "kind"),
    [("Retrieve", "retriever"), ("vector-search", "retriever"), ("rerank", "reranker"), ("summarise", "other")],
)
def test_a_plain_span_with_documents_is_what_its_name_says(tmp_path, name, kind):
    (span,) = spans(records(langfuse, written(tmp_path / "file", FETCH | {"type": "SPAN", "name": name})))
    assert span.kind == kind


def test_a_plain_span_named_like_a_search_is_no_retriever_without_documents(tmp_path):
    (span,) = spans(
        records(langfuse, written(tmp_path / "file", FETCH | {"type": "SPAN", "name": "search", "output": "done"}))
    )
    assert (span.kind, span.documents) == ("other", None)


def test_a_step_in_the_middle_is_neither_asked_nor_answers(tmp_path):
    step = CALL | {"type": "SPAN", "name": "route", "output": "continue"}
    (span,) = spans(records(langfuse, written(tmp_path / "file", step)))
    assert (span.question, span.answer) == (None, None)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (CALL | {"id": None}, "`id` is missing"),
        (CALL | {"traceId": 7}, "expected a string, got a number - at `$.trace_id`"),
        (CALL | {"startTime": "yesterday"}, "no moment in time - at `$.start_time`"),
        (ROOT | {"timestamp": {}}, None),
        (SCORE | {"traceId": None, "sessionId": "s1"}, "`trace_id` is missing"),
        ({"hello": 1}, "it has the fields of no trace, observation or score of Langfuse"),
        ([1], "expected an object, got an array"),
        (b"{", "truncated"),
    ],
)
def test_a_broken_record_is_rejected_with_its_reason_and_the_next_one_read(tmp_path, record, why):
    found = records(langfuse, written(tmp_path / "file", ROOT, record, FETCH))
    assert [type(item) for item in found][::2] == [Found, Found]
    if why:
        assert isinstance(found[1], Rejected)
        assert why in found[1].reason
        assert found[1].line == 2


def test_what_is_rejected_inside_a_download_is_a_file_of_its_own_and_reads_once_it_is_mended(tmp_path):
    broken = {key: value for key, value in CALL.items() if key != "traceId"} | {"startTime": "soon"}
    found = records(langfuse, written(tmp_path / "file", {"trace": ROOT, "observations": [broken, 7, FETCH]}))
    first, second = rejected(found)
    assert len(spans(found)) == 2
    assert second.raw == b"7"
    (again,) = records(langfuse, written(tmp_path / "again", first.raw))
    assert again.reason == first.reason
    (mended,) = spans(records(langfuse, written(tmp_path / "mended", first.raw.replace(b"soon", b"2026-11-03"))))
    assert (mended.trace_id, mended.span_id) == ("t1", "o1")


def test_a_packed_file_is_read_like_a_plain_one(tmp_path):
    path = tmp_path / "file.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(json.dumps(row).encode() for row in (ROOT, FETCH))))
    assert len(spans(records(langfuse, path))) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"trace_id": "t", "timestamp": "2026-11-03T10:00:00Z", "user_input": "x", "session_id": "s", "metadata": {}},
        {"resourceSpans": []},
        {"post": [], "patch": []},
        {"info": {"trace_id": "t"}, "data": {"spans": []}},
        {"id": "r", "trace_id": "t", "run_type": "llm", "start_time": "2026-11-03T10:00:00"},
        {"data": [{"id": 1}], "meta": {}},
        {},
        [],
    ],
)
def test_files_of_other_formats_are_left_alone(tmp_path, other):
    assert reason(langfuse, written(tmp_path / "file", other)) is None


def table(rows):
    """Give rows of a blob export with the columns they all have."""
    columns = {
        "observations": ["id", "trace_id", "type", "start_time", "end_time", "parent_observation_id", "name", "level",
                         "status_message", "input", "output", "provided_model_name", "usage_details", "total_cost"],
        "traces": ["id", "timestamp", "name", "session_id", "user_id", "release", "tags", "input", "output"],
        "scores": ["id", "timestamp", "trace_id", "observation_id", "name", "source", "data_type", "value",
                   "string_value", "comment"],
    }[rows[0]]  # fmt: skip
    return columns, [{name: row.get(name) for name in columns} for row in rows[1]]


TABLES = [
    ("traces", [snake(ROOT)]),
    ("observations", [snake(CALL) | {"provided_model_name": "small-1"}, snake(FETCH)]),
    ("scores", [snake(SCORE)]),
]


def texts(row):
    """Write the cells of a row as CSV holds them."""
    return {key: json.dumps(cell) if isinstance(cell, dict | list) else cell for key, cell in row.items()}


@pytest.mark.parametrize("packing", ["csv", "csv.gz", "parquet"])
def test_tables_of_a_blob_export_are_read_like_its_lines(tmp_path, packing):
    found = []
    for rows in TABLES:
        columns, cells = table(rows)
        path = tmp_path / f"{rows[0]}.{packing}"
        if packing == "parquet":
            pq.write_table(pa.Table.from_pylist([texts(row) for row in cells]), path)
        else:
            plain = tmp_path / "plain"
            with plain.open("w", newline="") as file:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(texts(row) for row in cells)
            path.write_bytes(gzip.compress(plain.read_bytes()) if packing == "csv.gz" else plain.read_bytes())
        assert reason(langfuse, path) == "its columns are those of a Langfuse blob export"
        found += records(langfuse, path)
    assert not rejected(found)
    root, call, fetch = spans(found)
    (score,) = scores(found)
    assert (root.kind, root.question, root.answer) == ("root", "When does the ferry leave?", "At nine.")
    assert (call.kind, call.answer, call.model, call.input_tokens) == ("llm", "At nine.", "small-1", 40)
    assert (call.is_error, call.cost_usd) == (True, 0.02)
    assert fetch.documents == [RetrievedContext("p2", "The ferry leaves at nine.", 0.7)]
    assert (score.value, score.label, score.source) == (1.0, "True", "human")


def test_a_parquet_file_with_maps_and_moments_is_read(tmp_path):
    columns = {
        "id": ["o1"], "trace_id": ["t1"], "type": ["GENERATION"],
        "start_time": pa.array([datetime(2026, 11, 3, 10, tzinfo=UTC)], pa.timestamp("us", tz="UTC")),
        "usage_details": pa.array([[("input", 3), ("output", 4)]], pa.map_(pa.string(), pa.int64())),
        "output": ["a\x00b"],
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "file")
    (span,) = spans(records(langfuse, tmp_path / "file"))
    assert (span.input_tokens, span.output_tokens, span.answer) == (3, 4, "ab")
    assert span.started_at == datetime(2026, 11, 3, 10, tzinfo=UTC)


def test_a_parquet_file_that_is_cut_off_is_a_damaged_file(tmp_path):
    path = tmp_path / "langfuse-traces.parquet"
    path.write_bytes(b"PAR1" + b"\x00" * 100)
    with pytest.raises(UserError, match="damaged"):
        list(langfuse.read(Delivery(path)))


def test_a_csv_row_with_too_few_cells_is_rejected_as_a_file_of_its_own(tmp_path):
    header = "id,trace_id,type,start_time,output\n"
    path = written(tmp_path / "file", (header + 'o1,t1\no2,t1,SPAN,2026-11-03 10:00:00.000000,"two\nlines"\n').encode())
    first, second = records(langfuse, path)
    assert (first.line, first.reason) == (2, "the row has 2 cells, the header names 5 columns")
    assert (second.line, second.what.answer) == (3, "two\nlines")
    (again,) = records(langfuse, written(tmp_path / "again", first.raw))
    assert again.reason == first.reason


def test_a_table_of_another_vendor_is_left_alone(tmp_path):
    assert reason(langfuse, written(tmp_path / "file", b"context.trace_id,context.span_id,name\n1,2,3\n")) is None
    pq.write_table(pa.table({"context.trace_id": ["a"], "name": ["b"]}), tmp_path / "table")
    assert reason(langfuse, tmp_path / "table") is None


FIELDS = st.sampled_from(sorted({*ROOT, *CALL, *FETCH, *SCORE, "data", "meta", "observations", "scores", "trace"}))


@given(
    st.lists(
        st.tuples(st.sampled_from([ROOT, CALL, FETCH, SCORE]), st.dictionaries(FIELDS, trees, max_size=3)), max_size=4
    )
)
def test_no_mutation_of_a_record_is_lost_or_stops_the_file(tmp_path_factory, mutations):
    rows = [record | changes for record, changes in mutations]
    path = written(tmp_path_factory.mktemp("noise") / "file", ROOT, *rows, FETCH)
    found = records(langfuse, path)
    assert {item.line for item in found} | {line for line, row in enumerate(rows, 2) if row.get("data") == []} >= set(
        range(1, len(rows) + 3)
    )
    for item in rejected(found):
        assert records(langfuse, written(path.with_name("again"), item.raw))


@given(trees)
def test_no_json_stops_the_reader(tmp_path_factory, tree):
    path = written(tmp_path_factory.mktemp("noise") / "file", {"trace": ROOT, "observations": tree, "scores": [tree]})
    assert spans(records(langfuse, path))[0].trace_id == "t1"
    records(langfuse, written(path, tree))
    reason(langfuse, path)


@given(st.text(alphabet='abc,"\n\r\\{}', max_size=80))
def test_no_csv_stops_the_reader(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("noise") / "file"
    path.write_bytes(("id,trace_id,type,start_time\n" + text).encode())
    records(langfuse, path)
