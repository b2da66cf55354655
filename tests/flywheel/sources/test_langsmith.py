import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.sources import langsmith
from flywheel.sources.records import Found, Rejected
from flywheel.trace import RetrievedContext
from tests.flywheel.sources.test_payload import trees
from tests.flywheel.sources.vendor_files import reason, records, rejected, scores, spans, written

REAL = {
    "": ("howdy", "Howdy! How can I assist you today?", "gpt-4o-mini", 9, 9),
    "reasoning": ("Write a bash script that takes a matrix", "Certainly! Below is a", "o1-mini", 43, 2497),
    "stream": ("howdy", "Howdy! How can I assist you today?", "gpt-4o-mini", 9, 9),
    "stream_no_usage": ("howdy", "Howdy! How can I assist you today?", "gpt-4o-mini", None, None),
}


@pytest.mark.realdata
@pytest.mark.parametrize("name", REAL)
def test_a_real_payload_gives_one_call_out_of_its_post_and_patch(data_dir, name):
    asked, answered, model, tokens_in, tokens_out = REAL[name]
    path = data_dir / "traces" / "langsmith" / f"langsmith_py_wrap_openai_{name}.json"
    found = records(langsmith, path)
    (span,) = spans(found)
    assert len(found) == 1
    assert (span.kind, span.part, span.parent_id, span.trace_id) == ("llm", "", None, span.span_id)
    assert span.question.startswith(asked)
    assert span.answer.startswith(answered)
    assert (span.model, span.input_tokens, span.output_tokens) == (model, tokens_in, tokens_out)
    assert span.started_at < span.ended_at
    assert "LangSmith" in reason(langsmith, path)


CHAIN = {
    "id": "r1", "trace_id": "r1", "parent_run_id": None, "run_type": "chain", "name": "ask", "session_name": "demo",
    "start_time": "2026-11-03T10:00:00", "end_time": "2026-11-03T10:00:02", "error": None, "tags": ["rag"],
    "inputs": {"question": "When does the ferry leave?", "chat_history": [["human", "Hello"], ["ai", "Hi!"]]},
    "outputs": {"output": "At nine."},
    "extra": {"metadata": {"thread_id": "s1", "user_id": "u1", "environment": "staging", "tenant_id": "acme",
                           "lc_hub_repo": "answer", "lc_hub_commit_hash": "1f3a9c2b77"}},
    "feedback_stats": {"user_score": {"n": 2, "avg": 0.5, "values": {}},
                       "verdict": {"n": 2, "avg": None, "values": {"good": 1, "bad": 3}}},
}  # fmt: skip
FETCH = {
    "id": "r2", "trace_id": "r1", "parent_run_id": "r1", "run_type": "retriever", "name": "VectorStoreRetriever",
    "start_time": "2026-11-03T10:00:00.100", "end_time": "2026-11-03T10:00:00.200", "inputs": {"query": "ferry times"},
    "outputs": {"documents": [
        {"page_content": "The ferry leaves at nine.", "metadata": {"id": "p2", "source": "a.md"}}]},
}  # fmt: skip
CALL = {
    "id": "r3", "trace_id": "r1", "parent_run_id": "r1", "run_type": "llm", "name": "ChatOpenAI",
    "start_time": "2026-11-03T10:00:01", "end_time": "2026-11-03T10:00:02", "error": "too slow",
    "inputs": {"messages": [[{"lc": 1, "type": "constructor", "id": ["langchain", "HumanMessage"],
                              "kwargs": {"content": "When does the ferry leave?", "type": "human"}}]]},
    "outputs": {"generations": [[{"text": "At nine.", "message": {"kwargs": {"content": "At nine."}}}]]},
    "extra": {"metadata": {"ls_model_name": "small-1"}, "invocation_params": {"model": "small"}},
    "prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35, "total_cost": "0.02",
}  # fmt: skip
SAID = {
    "id": "f1", "run_id": "r3", "trace_id": "r1", "key": "correct", "score": True, "value": None, "comment": "yes",
    "created_at": "2026-11-04T10:00:00+00:00", "feedback_source": {"type": "app", "user_id": "ann"},
}  # fmt: skip


def halves(run):
    """Split a run into what is sent at its start and at its end."""
    late = ("end_time", "outputs", "error", "prompt_tokens", "completion_tokens", "total_cost")
    return (
        {key: value for key, value in run.items() if key not in late} | {"outputs": {}},
        {key: run[key] for key in ("id", "trace_id", "parent_run_id", *late) if key in run},
    )


POSTS, PATCHES = (list(runs) for runs in zip(*map(halves, (CHAIN, FETCH, CALL)), strict=True))

SHAPES = {
    "one request": [{"post": POSTS, "patch": PATCHES}],
    "JSON lines": [CHAIN, FETCH, CALL],
    "an array": [[CHAIN, FETCH, CALL]],
    "a page of the API": [{"runs": [CHAIN, FETCH, CALL], "cursors": {"next": None}}],
    "runs inside their parent": [{**CHAIN, "child_runs": [FETCH, CALL]}],
    "inputs and outputs as texts": [
        [run | {key: json.dumps(run[key]) for key in ("inputs", "outputs")} for run in (CHAIN, FETCH, CALL)]
    ],
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_runs_are_read_the_same_from(tmp_path, shape):
    path = written(tmp_path / "file", *SHAPES[shape])
    assert "LangSmith" in reason(langsmith, path)
    found = records(langsmith, path)
    assert not rejected(found)
    chain, fetch, call = spans(found)
    assert (chain.kind, chain.question, chain.answer) == ("chain", "When does the ferry leave?", "At nine.")
    assert [turn.content for turn in chain.history] == ["Hello", "Hi!"]
    assert (chain.session_id, chain.user_id, chain.environment, chain.tenant_id) == ("s1", "u1", "staging", "acme")
    assert chain.prompt_version == "answer@1f3a9c2b"
    assert (chain.metadata["project"], chain.metadata["tags"]) == ("demo", ["rag"])
    assert chain.started_at == datetime(2026, 11, 3, 10, tzinfo=UTC)
    assert (fetch.kind, fetch.question, fetch.parent_id) == ("retriever", "ferry times", "r1")
    assert fetch.documents == [RetrievedContext("p2", "The ferry leaves at nine.", None, "a.md")]
    assert (call.kind, call.question, call.answer) == ("llm", "When does the ferry leave?", "At nine.")
    assert (call.model, call.input_tokens, call.output_tokens, call.cost_usd) == ("small-1", 30, 5, 0.02)
    assert (call.is_error, call.error) == (True, "too slow")
    assert {span.part for span in (chain, fetch, call)} == {""}
    assert [(score.name, score.source, score.value, score.label) for score in scores(found)] == [
        ("user_score", "human", 0.5, None),
        ("verdict", "unknown", None, "bad"),
    ]


def test_a_patch_without_its_post_is_a_part_of_its_run(tmp_path):
    posts = spans(records(langsmith, written(tmp_path / "first", {"post": POSTS, "patch": []})))
    patches = spans(records(langsmith, written(tmp_path / "second", {"post": [], "patch": PATCHES})))
    assert [(span.span_id, span.part) for span in posts] == [("r1", ""), ("r2", ""), ("r3", "")]
    assert [(span.span_id, span.part) for span in patches] == [("r1", "patch"), ("r2", "patch"), ("r3", "patch")]
    assert [span.answer for span in posts] == [None, None, None]
    assert (patches[2].kind, patches[2].answer, patches[2].error) == ("other", "At nine.", "too slow")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, ("human", 1.0, "true", "yes", "ann")),
        ({"score": 0.25, "feedback_source": {"type": "model"}}, ("llm", 0.25, None, "yes", None)),
        ({"score": None, "value": "bad", "feedback_source": {"type": "api"}}, ("unknown", None, "bad", "yes", None)),
        ({"key": "user_feedback", "score": 0, "feedback_source": {"type": "api"}}, ("human", 0.0, None, "yes", None)),
        ({"comment": None, "correction": "At ten."}, ("human", 1.0, "true", "At ten.", "ann")),
    ],
)
def test_feedback_is_a_score_of_whom_it_came_from(tmp_path, fields, said):
    path = written(tmp_path / "file", SAID | fields)
    assert "feedback" in reason(langsmith, path)
    (score,) = scores(records(langsmith, path))
    assert (score.source, score.value, score.label, score.comment, score.author) == said
    assert (score.trace_id, score.span_id, score.score_id) == ("r1", "r3", "f1")


def test_feedback_that_names_only_a_run_is_on_the_trace_of_that_name(tmp_path):
    (score,) = scores(records(langsmith, written(tmp_path / "file", SAID | {"trace_id": None, "run_id": "r1"})))
    assert (score.trace_id, score.span_id) == ("r1", None)


def test_a_run_without_a_trace_id_is_found_by_its_dotted_order_or_is_its_own_trace(tmp_path):
    by_order = CALL | {"trace_id": None, "dotted_order": "20261103T100000000000Zr1.20261103T100001000000Zr3"}
    alone = CALL | {"trace_id": None, "parent_run_id": None}
    found = spans(records(langsmith, written(tmp_path / "file", by_order, alone)))
    assert [span.trace_id for span in found] == ["r1", "r3"]


def test_a_chain_named_like_a_retriever_that_gives_documents_is_one(tmp_path):
    node = FETCH | {"run_type": "chain", "name": "retrieve"}
    (span,) = spans(records(langsmith, written(tmp_path / "file", node)))
    assert span.kind == "retriever"


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (CALL | {"id": None}, "`id` is missing"),
        (CALL | {"trace_id": None}, "`trace_id` is missing"),
        (CALL | {"start_time": "soon"}, "no moment in time - at `$.start_time`"),
        (CALL | {"run_type": None}, "`run_type` is missing"),
        (SAID | {"run_id": None}, "`run_id` is missing"),
        ({"runs": [7]}, "the fields of no run"),
        ([1], "expected an object, got an array"),
        (b'{"id": ', "truncated"),
    ],
)
def test_a_broken_record_is_rejected_with_its_reason_and_the_next_one_read(tmp_path, record, why):
    found = records(langsmith, written(tmp_path / "file", FETCH, record, FETCH))
    assert [type(item) for item in found] == [Found, Rejected, Found]
    assert why in found[1].reason
    assert found[1].line == 2


def test_what_is_rejected_inside_a_request_is_a_file_of_its_own(tmp_path):
    payload = {"post": [7, CALL | {"start_time": "soon"}], "patch": [{"outputs": {}}, FETCH]}
    found = records(langsmith, written(tmp_path / "file", payload))
    assert [span.part for span in spans(found)] == ["patch"]
    assert len(rejected(found)) == 3
    for item in rejected(found):
        (again,) = records(langsmith, written(tmp_path / "again", item.raw))
        assert isinstance(again, Rejected)
    (mended,) = records(langsmith, written(tmp_path / "again", rejected(found)[2].raw.replace(b"soon", b"2026-11-03")))
    assert mended.what.span_id == "r3"


@pytest.mark.parametrize(
    "other",
    [
        {"trace_id": "t", "timestamp": "2026-11-03T10:00:00Z", "user_input": "x"},
        {"resourceSpans": []},
        {"info": {"trace_id": "t"}, "data": {"spans": []}},
        {"id": "o", "traceId": "t", "type": "SPAN", "startTime": "2026-11-03T10:00:00Z"},
        {"trace": {"id": "t"}, "observations": []},
        {},
        [],
    ],
)
def test_files_of_other_formats_are_left_alone(tmp_path, other):
    assert reason(langsmith, written(tmp_path / "file", other)) is None


FIELDS = st.sampled_from(
    sorted({*CHAIN, *CALL, *SAID, "post", "patch", "runs", "child_runs", "status", "dotted_order"})
)


@given(
    st.lists(
        st.tuples(st.sampled_from([CHAIN, FETCH, CALL, SAID]), st.dictionaries(FIELDS, trees, max_size=3)), max_size=4
    )
)
def test_no_mutation_of_a_record_is_lost_or_stops_the_file(tmp_path_factory, mutations):
    rows = [record | changes for record, changes in mutations]
    path = written(tmp_path_factory.mktemp("noise") / "file", FETCH, *rows, FETCH)
    found = records(langsmith, path)
    empty = {line for line, row in enumerate(rows, 2) if row.get("runs") == []}
    assert {item.line for item in found} | empty == set(range(1, len(rows) + 3))
    for item in rejected(found):
        assert records(langsmith, written(path.with_name("again"), item.raw))


@given(trees, trees)
def test_no_json_stops_the_reader(tmp_path_factory, first, second):
    path = tmp_path_factory.mktemp("noise") / "file"
    for value in (first, {"post": [first, CALL], "patch": [second, *PATCHES]}, {"runs": [first, CHAIN]}):
        records(langsmith, written(path, value))
        reason(langsmith, path)
