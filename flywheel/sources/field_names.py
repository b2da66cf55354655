"""What the fields of a trace, and of its passages, are called in files of anybody's making."""

from flywheel.sources.passages import ID_PATHS, NAMED_KEYS, SCORE_PATHS, SOURCE_PATHS, TEXT_PATHS

QUESTIONS = (
    "user_input", "question", "query", "user_query", "user_question", "user_message", "prompt", "input", "q",
    "input_text", "utterance", "message", "messages", "inputs", "request",
)  # fmt: skip
ANSWERS = (
    "response", "answer", "actual_output", "final_answer", "output", "completion", "generated_answer", "generated_text",
    "generation", "model_response", "bot_response", "assistant_response", "reply", "prediction", "result", "a",
    "output_text", "outputs", "choices",
)  # fmt: skip
NAMES: dict[str, tuple[str, ...]] = {
    "user_input": QUESTIONS,
    "response": ANSWERS,
    "trace_id": ("trace_id", "request_id", "interaction_id", "run_id", "message_id", "record_id", "event_id", "id",
                 "uuid", "_id", "task_id", "instance_id", "example_id", "sample_id", "turn_id", "query_id",
                 "question_id"),
    "timestamp": ("timestamp", "ts", "time", "created_at", "start_time", "started_at", "request_time", "timestamp_ms",
                  "datetime", "event_time", "logged_at", "date", "created", "@timestamp"),
    "session_id": ("session_id", "conversation_id", "thread_id", "chat_id", "session", "session.id", "conversation.id"),
    "user_id": ("user_id", "customer_id", "account_id", "user", "user.id"),
    "tenant_id": ("tenant_id", "tenant", "organization_id", "org_id"),
    "environment": ("environment", "env", "deployment_environment", "stage"),
    "model": ("model", "model_name", "model_id", "llm_model", "llm", "engine"),
    "prompt_version": ("prompt_version", "prompt_template_version", "template_version", "prompt_id"),
    "latency_ms": ("latency_ms", "duration_ms", "execution_time_ms", "response_time_ms", "elapsed_ms", "latency_s",
                   "latency_seconds", "duration_s", "duration_seconds", "latency", "duration", "elapsed",
                   "response_time"),
    "input_tokens": ("input_tokens", "prompt_tokens", "tokens_in", "input_token_count", "prompt_token_count"),
    "output_tokens": ("output_tokens", "completion_tokens", "tokens_out", "output_token_count",
                      "completion_token_count"),
    "cost_usd": ("cost_usd", "total_cost_usd", "total_cost", "cost", "price_usd"),
    "status": ("status", "state", "status_code"),
    "error": ("error", "error_message", "exception"),
}  # fmt: skip
"""What the fields of a trace are called elsewhere, the surest name first."""

LISTS = ("retrieved_contexts", "retrieval_context", "retrieved_context", *NAMED_KEYS, "sources", "results", "hits",
         "references", "search_results", "knowledge")  # fmt: skip
PASSAGE_KEYS: dict[str, tuple[str, ...]] = {
    "text": (*TEXT_PATHS, "value"),
    "id": ID_PATHS,
    "score": (*SCORE_PATHS, "sim", "relevance"),
    "source": SOURCE_PATHS,
}
HELD_AS_TEXT = frozenset(
    {"context", "passages", "knowledge", "contexts", "retrieved_context", "retrieved_contexts", "retrieval_context"}
)
"""Lists of passages that may also be one text."""

NO_TEXTS = frozenset({"sources", "references", "results", "nodes", "hits"})
"""Lists whose plain strings are addresses or names, and no passages."""

ASKED = frozenset({"input", "inputs", "request", "prompt", "query", "question"})
TOLD = frozenset({"output", "outputs", "response", "completion", "answer", "expected", "reference", "ground_truth"})
SPOKEN = frozenset({"message", "messages", "choices", "prompt", "result"}) | ASKED | TOLD
"""Names under which messages or a whole object may hold the question or the answer: it is found in them by itself."""

NUMBERS = frozenset({"latency_ms", "input_tokens", "output_tokens", "cost_usd"})
