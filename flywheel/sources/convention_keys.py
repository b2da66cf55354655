"""Which attribute says what: for each of our fields the keys that may hold it, the surest first."""

from flywheel.sources.records import SpanKind

FIELDS: dict[str, tuple[str, ...]] = {
    "kind": (
        "openinference.span.kind",
        "gen_ai.operation.name",
        "langfuse.observation.type",
        "traceloop.span.kind",
        "ai.observability.span_type",
        "ai.operationId",
        "llm.request.type",
    ),
    # question and answer of the trace as a whole, on whichever span they stand
    "asked": (
        "langfuse.trace.input",
        "ai.observability.record_root.input",
    ),
    "told": (
        "langfuse.trace.output",
        "ai.observability.record_root.output",
    ),
    # what a retriever or reranker was asked
    "query": (
        "gen_ai.retrieval.query.text",
        "ai.observability.retrieval.query_text",
        "reranker.query",
        "ai.observability.reranker.query_text",
        "ai.observability.reranking.query_text",
    ),
    # inputs and outputs as a framework has them: text, or JSON that `payload` reads
    "input": (
        "input.value",
        "gen_ai.retrieval.query.text",
        "langfuse.observation.input",
        "traceloop.entity.input",
        "gen_ai.prompt",
        "ai.prompt",
        "ai.prompt.messages",
        "ai.observability.call.kwargs.query",
        "ai.observability.call.kwargs.question",
        "ai.observability.call.kwargs.prompt",
        "ai.observability.call.kwargs",
        "input",
    ),
    "output": (
        "output.value",
        "langfuse.observation.output",
        "traceloop.entity.output",
        "gen_ai.completion",
        "ai.response.text",
        "ai.response.object",
        "ai.result.text",
        "ai.result.object",
        "ai.observability.call.return",
        "output",
    ),
    "model": (
        "gen_ai.response.model",
        "llm.response.model_name",
        "llm.model_name",
        "langfuse.observation.model.name",
        "ai.response.model",
        "gen_ai.request.model",
        "llm.request.model_name",
        "ai.model.id",
        "ai.observability.cost.model",
        "llm.response.model",
        "llm.request.model",
    ),
    "input_tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "langfuse.observation.usage_details.input",
        "langfuse.observation.usage_details.input_tokens",
        "langfuse.observation.usage_details.prompt_tokens",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.observability.cost.num_prompt_tokens",
        "llm.usage.prompt_tokens",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "langfuse.observation.usage_details.output",
        "langfuse.observation.usage_details.output_tokens",
        "langfuse.observation.usage_details.completion_tokens",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
        "ai.observability.cost.num_completion_tokens",
        "llm.usage.completion_tokens",
    ),
    "cost": (
        "llm.cost.total",
        "gen_ai.usage.cost",
        "langfuse.observation.cost_details.total",
        "ai.observability.cost.cost",
    ),
    "cost_of_input": (
        "llm.cost.prompt",
        "langfuse.observation.cost_details.input",
    ),
    "cost_of_output": (
        "llm.cost.completion",
        "langfuse.observation.cost_details.output",
    ),
    "currency": ("ai.observability.cost.cost_currency",),
    "session": (
        "session.id",
        "gen_ai.conversation.id",
        "langfuse.session.id",
        "langfuse.trace.session_id",
        "traceloop.association.properties.session_id",
        "ai.telemetry.metadata.sessionId",
        "ai.telemetry.metadata.session_id",
        "metadata.session_id",
        "metadata.conversation_id",
        "metadata.thread_id",
    ),
    "user": (
        "user.id",
        "enduser.id",
        "enduser.pseudo.id",
        "langfuse.user.id",
        "langfuse.trace.user_id",
        "traceloop.association.properties.user_id",
        "ai.telemetry.metadata.userId",
        "ai.telemetry.metadata.user_id",
        "metadata.user_id",
    ),
    "tenant": (
        "tenant.id",
        "tenant_id",
        "tenant",
        "traceloop.association.properties.tenant_id",
        "langfuse.trace.metadata.tenant_id",
        "ai.telemetry.metadata.tenantId",
        "ai.telemetry.metadata.tenant_id",
        "metadata.tenant_id",
    ),
    "environment": (
        "deployment.environment.name",
        "deployment.environment",
        "langfuse.environment",
        "metadata.environment",
    ),
    "prompt_version": (
        "llm.prompt_template.version",
        "gen_ai.prompt.version",
        "langfuse.observation.prompt.version",
        "traceloop.prompt.version",
        "metadata.prompt_version",
    ),
    # how the span ended, where its status does not say so
    "level": (
        "otel.status_code",
        "langfuse.observation.level",
    ),
    "error": (
        "otel.status_description",
        "langfuse.observation.status_message",
        "exception.message",
        "error.message",
    ),
    "error_type": ("error.type",),
}
"""Our fields, and the keys that may hold each."""

KINDS: dict[str, SpanKind] = {
    # OpenInference
    "retriever": "retriever",
    "reranker": "reranker",
    "llm": "llm",
    "chain": "chain",
    "agent": "agent",
    "tool": "tool",
    "embedding": "embedding",
    "guardrail": "guardrail",
    "evaluator": "evaluator",
    "prompt": "other",
    "decision": "other",
    # OpenTelemetry GenAI
    "retrieval": "retriever",
    "retrieve": "retriever",
    "chat": "llm",
    "text_completion": "llm",
    "generate_content": "llm",
    "invoke_agent": "agent",
    "create_agent": "other",
    "invoke_workflow": "chain",
    "embeddings": "embedding",
    "execute_tool": "tool",
    # Traceloop, and its `llm.request.type`
    "workflow": "chain",
    "completion": "llm",
    "rerank": "reranker",
    # Langfuse
    "generation": "llm",
    # TruLens
    "record_root": "root",
    "reranking": "reranker",
    "eval": "evaluator",
    "eval_root": "evaluator",
    # Vercel's AI SDK: the outer call wraps one or more calls of a model
    "ai.generatetext": "chain",
    "ai.streamtext": "chain",
    "ai.generateobject": "chain",
    "ai.streamobject": "chain",
    "ai.generatetext.dogenerate": "llm",
    "ai.streamtext.dostream": "llm",
    "ai.generateobject.dogenerate": "llm",
    "ai.streamobject.dostream": "llm",
    "ai.toolcall": "tool",
    "ai.embed": "embedding",
    "ai.embedmany": "embedding",
    "ai.embed.doembed": "embedding",
    "ai.embedmany.doembed": "embedding",
}
"""Names of kinds, in lower case."""

LISTS = {
    "reranker.output_documents": "document",
    "retrieval.documents": "document",
    "gen_ai.retrieval.documents": "document",
    "ai.observability.reranking.output_context_texts": "document",
    "ai.observability.retrieval.retrieved_contexts": "document",
    "gen_ai.input.messages": "message",
    "llm.input_messages": "message",
    "gen_ai.prompt": "message",
    "ai.prompt.messages": "message",
    "llm.prompts": "prompt",
    "gen_ai.output.messages": "message",
    "llm.output_messages": "message",
    "gen_ai.completion": "message",
    "llm.choices": "completion",
    "evaluations": "evaluation",
    "annotations": "annotation",
    "trace.evaluations": "evaluation",
    "trace.annotations": "annotation",
    "session.evaluations": "evaluation",
    "session.annotations": "annotation",
}
"""Lists, spelled out by keys (`retrieval.documents.0.document.id`), structured or JSON text, and the word that each
item may be wrapped in."""

DOCUMENTS = tuple(name for name, wrapper in LISTS.items() if wrapper == "document")
ASKED_LISTS = ("gen_ai.input.messages", "llm.input_messages", "gen_ai.prompt", "ai.prompt.messages", "llm.prompts")
TOLD_LISTS = ("gen_ai.output.messages", "llm.output_messages", "gen_ai.completion", "llm.choices")
"""Which lists say what, the surest first."""

MAPS = frozenset(
    (
        "metadata",
        "langfuse.trace.metadata",
        "langfuse.observation.metadata",
        "langfuse.observation.usage_details",
        "langfuse.observation.cost_details",
    )
)
"""Attributes that hold an object, mostly as JSON text: each of its keys is read as an attribute (`metadata.k`)."""

KEPT_UNDER = (
    "metadata.",
    "langfuse.trace.metadata.",
    "langfuse.observation.metadata.",
    "langfuse.trace.",
    "traceloop.association.properties.",
    "ai.telemetry.metadata.",
    "tag.",
)
"""Beginnings that a key loses where it is kept as metadata."""

RESOURCE_KEPT = ("service.name", "service.version")

LEFT_OUT = (
    "input.",
    "output.",
    "llm.input_messages",
    "llm.output_messages",
    "llm.tools",
    "llm.functions",
    "llm.function_call",
    "llm.prompts",
    "llm.choices",
    "llm.prompt_template.",
    "llm.invocation_parameters",
    "llm.token_count.",
    "llm.cost.",
    "retrieval.documents",
    "reranker.",
    "embedding.",
    "tool.",
    "tool_call.",
    "gen_ai.input.",
    "gen_ai.output.messages",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.system_instructions",
    "gen_ai.tool.",
    "gen_ai.retrieval.documents",
    "gen_ai.usage.",
    "gen_ai.event.",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "ai.prompt",
    "ai.response.",
    "ai.result.",
    "ai.toolCall.",
    "ai.usage.",
    "ai.value",
    "ai.embedding",
    "ai.observability.call.",
    "ai.observability.cost.",
    "ai.observability.eval",
    "ai.observability.record_root.",
    "ai.observability.retrieval.",
    "ai.observability.reranking.",
    "langfuse.trace.input",
    "langfuse.trace.output",
    "langfuse.observation.input",
    "langfuse.observation.output",
    "langfuse.observation.usage_details",
    "langfuse.observation.cost_details",
    "langfuse.observation.model.parameters",
    "exception.",
    "mlflow.",
)
"""Beginnings of keys that hold content, or numbers that have fields of their own: no metadata."""
