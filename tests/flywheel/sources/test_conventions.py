import json
from datetime import UTC, datetime

import pytest

from flywheel.sources.conventions import METADATA_BYTES, records_of
from flywheel.sources.raw_span import Event
from flywheel.sources.records import ExportedScore, Span, Turn
from flywheel.trace import RetrievedContext
from tests.flywheel.sources.made_spans import SPAN_ID, TRACE_ID, raw_span

ASKED = [
    {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
    {"role": "user", "parts": [{"type": "text", "content": "Is tea older than coffee?"}]},
    {"role": "assistant", "parts": [{"type": "text", "content": "Yes."}]},
    {"role": "user", "parts": [{"type": "text", "content": "By how much?"}]},
    {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "search", "arguments": {}}]},
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "result": "4000 years"}]},
]
PARTS = [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "By millennia."}]
ANSWERED = [{"role": "assistant", "parts": PARTS, "finish_reason": "stop"}]
HISTORY = [Turn("user", "Is tea older than coffee?"), Turn("assistant", "Yes.")]


def span_of(attributes, *events, **fields) -> Span:
    span = records_of(raw_span(attributes, *events, **fields))[0]
    assert isinstance(span, Span)
    return span


def scores_of(attributes, *events, **fields) -> list[ExportedScore]:
    return records_of(raw_span(attributes, *events, **fields))[1:]


def said(span: Span):
    return span.kind, span.question, span.answer, span.history


CHAT = {"gen_ai.operation.name": "chat"}


@pytest.mark.parametrize(
    ("attributes", "events"),
    [
        (CHAT | {"gen_ai.input.messages": json.dumps(ASKED), "gen_ai.output.messages": json.dumps(ANSWERED)}, []),
        (CHAT | {"gen_ai.input.messages": ASKED, "gen_ai.output.messages": ANSWERED}, []),
        (
            CHAT,
            [
                Event(
                    "gen_ai.client.inference.operation.details",
                    {"gen_ai.input.messages": ASKED, "gen_ai.output.messages": json.dumps(ANSWERED)},
                )
            ],
        ),
        (CHAT | {"gen_ai.prompt": json.dumps(ASKED), "gen_ai.completion": json.dumps(ANSWERED)}, []),
        (
            CHAT,
            [
                Event("gen_ai.content.prompt", {"gen_ai.prompt": json.dumps(ASKED)}),
                Event("gen_ai.content.completion", {"gen_ai.completion": json.dumps(ANSWERED)}),
            ],
        ),
        (
            CHAT,
            [
                Event("gen_ai.system.message", {"content": "Be brief."}),
                Event("gen_ai.user.message", {"content": "Is tea older than coffee?"}),
                Event("gen_ai.assistant.message", {"content": "Yes.", "role": "assistant"}),
                Event("gen_ai.user.message", {"gen_ai.event.content": '{"role":"user","content":"By how much?"}'}),
                Event("gen_ai.tool.message", {"content": "4000 years", "id": "1"}),
                Event("gen_ai.choice", {"index": 0, "message": '{"role":"assistant","content":"By millennia."}'}),
            ],
        ),
        (
            {
                "llm.request.type": "chat",
                "gen_ai.prompt.0.role": "system",
                "gen_ai.prompt.0.content": "Be brief.",
                "gen_ai.prompt.1.role": "user",
                "gen_ai.prompt.1.content": "Is tea older than coffee?",
                "gen_ai.prompt.2.role": "assistant",
                "gen_ai.prompt.2.content": "Yes.",
                "gen_ai.prompt.10.role": "user",
                "gen_ai.prompt.10.content": '[{"type":"text","text":"By how much?"}]',
                "gen_ai.completion.0.content": "By millennia.",
            },
            [],
        ),
        (
            {
                "openinference.span.kind": "LLM",
                "input.value": "the whole prompt",
                "output.value": '{"choices": []}',
                "llm.input_messages.0.message.role": "user",
                "llm.input_messages.0.message.content": "Is tea older than coffee?",
                "llm.input_messages.1.message.role": "assistant",
                "llm.input_messages.1.message.content": "Yes.",
                "llm.input_messages.2.message.role": "user",
                "llm.input_messages.2.message.contents.0.message_content.type": "text",
                "llm.input_messages.2.message.contents.0.message_content.text": "By how much?",
                "llm.input_messages.2.message.contents.1.message_content.type": "image",
                "llm.output_messages.0.message.role": "assistant",
                "llm.output_messages.0.message.content": "By millennia.",
            },
            [],
        ),
        (
            {
                "openinference.span.kind": "LLM",
                "llm.input_messages": [
                    {"message.role": "user", "message.content": "Is tea older than coffee?"},
                    {"message": {"role": "assistant", "content": "Yes."}},
                    {"message.role": "user", "message.content": "By how much?"},
                ],
                "llm.output_messages": '[{"message": {"role": "assistant", "content": "By millennia."}}]',
            },
            [],
        ),
        (
            {
                "ai.operationId": "ai.streamText.doStream",
                "ai.prompt.messages": json.dumps(
                    [
                        {"role": "user", "content": "Is tea older than coffee?"},
                        {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]},
                        {"role": "user", "content": [{"type": "text", "text": "By how much?"}]},
                    ]
                ),
                "ai.response.text": "By millennia.",
            },
            [],
        ),
    ],
    ids=["messages", "structured", "event", "prompt", "content-events", "legacy-events", "traceloop", "openinference",
         "openinference-structured", "vercel"],
)  # fmt: skip
def test_a_call_of_a_model_gives_its_last_question_its_answer_and_the_turns_before(attributes, events):
    assert said(span_of(attributes, *events)) == ("llm", "By how much?", "By millennia.", HISTORY)


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"openinference.span.kind": "CHAIN", "input.value": "Why?", "output.value": "So."}, "chain"),
        ({"openinference.span.kind": "AGENT", "input.value": '{"question": "Why?"}',
          "output.value": '{"answer": "So."}'}, "agent"),
        ({"traceloop.span.kind": "workflow", "traceloop.entity.input": '{"inputs": {"query": "Why?"}}',
          "traceloop.entity.output": '{"outputs": "So."}'}, "chain"),
        ({"ai.operationId": "ai.generateText", "ai.prompt": '{"system": "Be brief.", "prompt": "Why?"}',
          "ai.response.text": "So."}, "chain"),
        ({"langfuse.observation.type": "generation", "langfuse.observation.input": '[{"role":"user","content":"Why?"}]',
          "langfuse.observation.output": '{"role":"assistant","content":"So."}'}, "llm"),
        ({"langfuse.observation.type": "span", "langfuse.trace.input": "Why?", "langfuse.trace.output": "So.",
          "langfuse.observation.input": "something else"}, "other"),
        ({"ai.observability.span_type": "record_root", "ai.observability.record_root.input": "Why?",
          "ai.observability.record_root.output": "So."}, "root"),
        ({"gen_ai.operation.name": "text_completion", "gen_ai.prompt": "Why?", "gen_ai.completion": "So."}, "llm"),
        ({"openinference.span.kind": "LLM", "llm.prompts.0.prompt.text": "Why?",
          "llm.choices.0.completion.text": "So."}, "llm"),
        ({"gen_ai.operation.name": "chat", "input": '{"messages":[{"role":"user","content":"Why?"}]}', "output": "So."},
         "llm"),
    ],
)  # fmt: skip
def test_question_and_answer_are_read_in_each_convention(attributes, kind):
    assert said(span_of(attributes)) == (kind, "Why?", "So.", [])


@pytest.mark.parametrize("kind", ["TOOL", "EMBEDDING", "GUARDRAIL", "EVALUATOR"])
def test_a_tools_input_is_no_question_and_its_output_no_answer(kind):
    assert said(span_of({"openinference.span.kind": kind, "input.value": "x", "output.value": "y"}))[1:3] == (
        None,
        None,
    )


def test_an_empty_output_is_an_empty_answer_and_a_missing_one_is_none():
    chain = {"openinference.span.kind": "CHAIN", "input.value": "Why?"}
    assert span_of(chain | {"output.value": ""}).answer == ""
    assert span_of(chain).answer is None


def test_a_span_of_no_convention_says_nothing():
    span = span_of({"http.method": "GET", "http.status_code": 200})
    assert (span.kind, span.question, span.answer, span.documents) == ("other", None, None, None)
    assert span.metadata == {"http.method": "GET", "http.status_code": 200}


PASSAGES = [RetrievedContext("d1", "Tea is old.", 0.9, "https://a.example"), RetrievedContext("d2", "Coffee is not.")]


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "openinference.span.kind": "RETRIEVER",
            "retrieval.documents.0.document.id": "d1",
            "retrieval.documents.0.document.content": "Tea is old.",
            "retrieval.documents.0.document.score": 0.9,
            "retrieval.documents.0.document.metadata": '{"source": "https://a.example"}',
            "retrieval.documents.1.document.id": "d2",
            "retrieval.documents.1.document.content": "Coffee is not.",
        },
        {
            "openinference.span.kind": "RETRIEVER",
            "retrieval.documents": [
                {"document.id": "d1", "document.content": "Tea is old.", "document.score": 0.9,
                 "document.metadata": {"source": "https://a.example"}},
                {"document": {"id": "d2", "content": "Coffee is not."}},
            ],
        },
        {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.retrieval.documents": json.dumps(
                [{"id": "d1", "content": "Tea is old.", "score": 0.9, "source": "https://a.example"},
                 {"id": "d2", "text": "Coffee is not."}]
            ),
        },
        {
            "openinference.span.kind": "RERANKER",
            "reranker.input_documents.0.document.id": "d9",
            "reranker.input_documents.0.document.content": "Salt.",
            "reranker.output_documents.0.document.id": "d1",
            "reranker.output_documents.0.document.content": "Tea is old.",
            "reranker.output_documents.0.document.score": 0.9,
            "reranker.output_documents.0.document.url": "https://a.example",
            "reranker.output_documents.1.document.id": "d2",
            "reranker.output_documents.1.document.content": "Coffee is not.",
        },
        {
            "traceloop.span.kind": "task",
            "langfuse.observation.type": "retriever",
            "langfuse.observation.output": json.dumps(
                [{"page_content": "Tea is old.", "id": "d1", "score": 0.9, "metadata": {"source": "https://a.example"}},
                 {"page_content": "Coffee is not.", "id": "d2"}]
            ),
        },
    ],
    ids=["openinference", "openinference-structured", "genai", "reranker", "payload"],
)  # fmt: skip
def test_passages_are_read_in_each_convention(attributes):
    assert span_of(attributes).documents == PASSAGES


def test_what_a_vector_database_found_is_read_from_its_events():
    found = [
        {"id": "d1", "document": "Tea is old.", "distance": 0.25, "metadata": '{"source": "tea.md"}'},
        {"id": "d2"},
    ]
    events = [Event("db.query.result", {f"db.query.result.{key}": said for key, said in doc.items()}) for doc in found]
    span = span_of({"db.system": "chroma"}, *events)
    assert span.kind == "retriever"
    assert span.documents == [RetrievedContext("d1", "Tea is old.", 0.25, "tea.md"), RetrievedContext("d2", "")]


def test_a_score_below_zero_is_kept():
    documents = [{"id": "d1", "content": "Tea is old.", "score": -3.5}]
    assert span_of({"reranker.output_documents": documents}).documents == [RetrievedContext("d1", "Tea is old.", -3.5)]


def test_documents_stand_in_the_order_of_their_numbers():
    keys = {f"retrieval.documents.{place}.document.content": f"text {place}" for place in (10, 2, 0)}
    assert [passage.text for passage in span_of(keys).documents] == ["text 0", "text 2", "text 10"]


def test_a_document_whose_text_was_left_out_has_an_empty_one():
    span = span_of({"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": '[{"id": "d1", "score": 0.5}]'})
    assert span.documents == [RetrievedContext("d1", "", 0.5)]


def test_no_documents_and_nothing_said_of_documents_are_two_things():
    assert span_of({"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": "[]"}).documents == []
    assert span_of({"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.query.text": "Why?"}).documents is None


def test_an_openinference_retriever_without_document_keys_found_nothing_unless_it_failed_or_hid_its_output():
    searched = {"openinference.span.kind": "RETRIEVER", "input.value": "Why?"}
    assert span_of(searched).documents == []
    assert span_of(searched, is_error=True).documents is None
    assert span_of(searched | {"output.value": "__REDACTED__"}).documents is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.query.text": "Why?"},
        {"openinference.span.kind": "RETRIEVER", "input.value": "Why?"},
        {"openinference.span.kind": "RERANKER", "reranker.query": "Why?"},
        {"ai.observability.span_type": "retrieval", "ai.observability.retrieval.query_text": "Why?"},
    ],
)
def test_what_a_retriever_was_asked_is_its_question(attributes):
    span = span_of(attributes)
    assert (span.question, span.answer) == ("Why?", None)


def test_passages_in_a_chains_output_count_only_under_a_name_that_says_so():
    chain = {"openinference.span.kind": "CHAIN"}
    named = json.dumps({"answer": "So.", "source_documents": [{"id": "d1", "page_content": "Tea is old."}]})
    assert span_of(chain | {"output.value": named}).documents == [RetrievedContext("d1", "Tea is old.")]
    assert span_of(chain | {"output.value": '["Tea is old."]'}).documents is None


@pytest.mark.parametrize(
    ("attributes", "model", "tokens", "cost"),
    [
        ({"gen_ai.request.model": "m", "gen_ai.response.model": "m-1", "gen_ai.usage.input_tokens": 7,
          "gen_ai.usage.output_tokens": 3}, "m-1", (7, 3), None),
        ({"gen_ai.request.model": "m", "gen_ai.usage.prompt_tokens": 7, "gen_ai.usage.completion_tokens": "3"}, "m",
         (7, 3), None),
        ({"llm.model_name": "m", "llm.token_count.prompt": 7, "llm.token_count.completion": 3.0, "llm.cost.total": 0.5},
         "m", (7, 3), 0.5),
        ({"llm.model_name": "m", "llm.cost.prompt": 0.25, "llm.cost.completion": 0.5}, "m", (None, None), 0.75),
        ({"langfuse.observation.model.name": "m", "langfuse.observation.usage_details": '{"input": 7, "output": 3}',
          "langfuse.observation.cost_details": '{"total": 0.5}'}, "m", (7, 3), 0.5),
        ({"ai.model.id": "m", "ai.usage.promptTokens": 7, "ai.usage.completionTokens": 3}, "m", (7, 3), None),
        ({"ai.response.model": "m", "ai.usage.inputTokens": 7, "ai.usage.outputTokens": 3}, "m", (7, 3), None),
        ({"ai.observability.cost.model": "m", "ai.observability.cost.num_prompt_tokens": 7,
          "ai.observability.cost.num_completion_tokens": 3, "ai.observability.cost.cost": 0.5,
          "ai.observability.cost.cost_currency": "USD"}, "m", (7, 3), 0.5),
        ({"llm.model_name": "m", "ai.observability.cost.cost": 5, "ai.observability.cost.cost_currency": "credits"},
         "m", (None, None), None),
    ],
)  # fmt: skip
def test_model_tokens_and_cost_are_read_in_each_convention(attributes, model, tokens, cost):
    span = span_of(attributes)
    assert (span.model, (span.input_tokens, span.output_tokens), span.cost_usd) == (model, tokens, cost)


@pytest.mark.parametrize("value", [True, -1, 1.5, "many", float("nan"), float("inf"), 10**400, [1], 2**63])
def test_a_count_that_counts_nothing_is_none(value):
    assert span_of({"gen_ai.usage.input_tokens": value}).input_tokens is None


def test_the_model_of_an_embedding_is_not_that_of_the_answer():
    assert span_of({"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "small"}).model is None


@pytest.mark.parametrize(
    ("field", "value", "keys"),
    [
        ("session_id", "s1", ["session.id", "gen_ai.conversation.id", "langfuse.session.id",
                              "traceloop.association.properties.session_id", "ai.telemetry.metadata.sessionId"]),
        ("user_id", "u1", ["user.id", "enduser.id", "langfuse.user.id", "traceloop.association.properties.user_id",
                           "ai.telemetry.metadata.userId"]),
        ("tenant_id", "t1", ["tenant.id", "langfuse.trace.metadata.tenant_id"]),
        ("environment", "prod", ["deployment.environment.name", "deployment.environment", "langfuse.environment"]),
        ("prompt_version", "3", ["llm.prompt_template.version", "langfuse.observation.prompt.version",
                                 "gen_ai.prompt.version"]),
    ],
)  # fmt: skip
def test_whose_trace_it_is_is_read_in_each_convention(field, value, keys):
    assert [getattr(span_of({key: value}), field) for key in keys] == [value] * len(keys)


def test_metadata_written_as_json_is_read_and_may_name_session_and_user():
    span = span_of({"metadata": '{"session_id": "s1", "user_id": 7, "collection": "tea", "deep": {"a": 1}}'})
    assert (span.session_id, span.user_id, span.metadata) == ("s1", "7", {"collection": "tea"})


def test_environment_and_tenant_may_stand_in_the_resource():
    span = span_of({}, resource={"deployment.environment.name": "prod", "tenant.id": "t1", "service.name": "shop"})
    assert (span.environment, span.tenant_id, span.metadata) == ("prod", "t1", {"service.name": "shop"})


def test_metadata_keeps_no_content_and_is_small():
    long = {f"key.{place}": "x" * 300 for place in range(100)}
    span = span_of(long | {"llm.input_messages.0.message.content": "secret", "gen_ai.tool.definitions": "secret",
                           "input.value": "secret", "tag.tags": ["a", "b"]})  # fmt: skip
    assert "secret" not in str(span.metadata)
    assert len(json.dumps(span.metadata)) < METADATA_BYTES + 1000
    assert span_of({"tag.tags": ["a", "b"]}).metadata == {"tags": ["a", "b"]}


def test_an_error_is_told_by_the_status_its_message_or_its_exception():
    exception = Event("exception", {"exception.type": "Timeout", "exception.message": "after 3 s"})
    failed = span_of({}, exception, is_error=True)
    assert (failed.is_error, failed.error) == (True, "Timeout: after 3 s")
    assert span_of({}, exception, is_error=True, status_message="gone").error == "gone"
    assert span_of({"error.type": "rate_limit"}).error == "rate_limit"
    assert span_of({"langfuse.observation.level": "ERROR", "langfuse.observation.status_message": "no"}).error == "no"
    assert span_of({"otel.status_code": "ERROR"}).is_error


def test_an_exception_in_a_span_that_did_not_fail_was_handled():
    span = span_of({}, Event("exception", {"exception.message": "retried"}))
    assert (span.is_error, span.error) == (False, None)


def test_nul_characters_out_of_packed_json_are_dropped():
    packed = json.dumps([{"role": "user", "content": json.dumps({"text": "a\x00b"})}])
    span = span_of({"openinference.span.kind": "LLM", "input.value": packed, "retrieval.documents.0.document.id": "d",
                    "retrieval.documents.0.document.content": "c\x00d"})  # fmt: skip
    assert "\x00" not in (span.question or "")
    assert span.documents == [RetrievedContext("d", "cd")]


@pytest.mark.parametrize(
    "text", ["{" * 5000, "[" * 200_000, '{"a":' * 5000 + "1" + "}" * 5000, '{"a": NaN}', '["\\ud800"]']
)
def test_json_that_is_broken_or_too_deep_is_read_as_text_or_not_at_all(text):
    span_of({"openinference.span.kind": "CHAIN", "input.value": text, "output.value": text, "metadata": text,
             "gen_ai.input.messages": text, "retrieval.documents": text, "evaluations": text})  # fmt: skip


def test_openinference_feedback_is_an_exported_score_of_its_span_trace_or_session():
    ended = datetime(2026, 11, 3, tzinfo=UTC)
    attributes = {
        "evaluations.0.evaluation.name": "correct",
        "evaluations.0.evaluation.score": 0.5,
        "evaluations.0.evaluation.annotator_kind": "LLM",
        "evaluations.0.evaluation.explanation": "half right",
        "trace.annotations.0.annotation.name": "thumbs",
        "trace.annotations.0.annotation.label": "down",
        "trace.annotations.0.annotation.annotator_kind": "HUMAN",
        "trace.annotations.0.annotation.identifier": "ann",
        "session.evaluations.0.evaluation.name": "calm",
        "session.evaluations.0.evaluation.score": 1,
        "session.evaluations.0.evaluation.annotator_kind": "CODE",
        "evaluations.1.evaluation.score": 1,
    }
    scores = scores_of(attributes, ended_at=ended)
    assert [(s.name, s.source, s.span_id, s.value, s.label, s.comment, s.author) for s in scores] == [
        ("correct", "llm", SPAN_ID, 0.5, None, "half right", None),
        ("thumbs", "human", None, None, "down", None, "ann"),
        ("session.calm", "code", None, 1.0, None, None, None),
    ]
    assert {(s.trace_id, s.created_at) for s in scores} == {(TRACE_ID, ended)}
    assert [s.score_id for s in scores] == [s.score_id for s in scores_of(attributes)]


def test_a_genai_evaluation_event_is_an_exported_score():
    event = Event(
        "gen_ai.evaluation.result",
        {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 4,
         "gen_ai.evaluation.score.label": "good", "gen_ai.evaluation.explanation": "to the point"},
    )  # fmt: skip
    (score,) = scores_of({}, event)
    assert (score.name, score.source, score.value, score.label, score.comment) == (
        "relevance", "unknown", 4.0, "good", "to the point"
    )  # fmt: skip
