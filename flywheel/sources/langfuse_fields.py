"""What the fields of Langfuse's traces, observations and scores say, in our words. Names come in snake_case."""

from typing import Any

from flywheel.sources.payload import answer_of, history_of, named_documents_of, question_of
from flywheel.sources.records import ExportedScore, ScoreSource, Span, SpanKind
from flywheel.sources.steps import RETRIEVING, is_asked, step_of
from flywheel.sources.vendor_fields import (
    Fields,
    amount,
    count,
    hash_of,
    identifier,
    is_empty,
    later,
    moment,
    needed_moment,
    object_in,
    shortened,
    small_metadata,
    source_by_name,
    tenant_in,
    text,
)

KINDS: dict[str, SpanKind] = {
    "GENERATION": "llm", "RETRIEVER": "retriever", "TOOL": "tool", "AGENT": "agent", "CHAIN": "chain",
    "EMBEDDING": "embedding", "GUARDRAIL": "guardrail", "EVALUATOR": "evaluator", "SPAN": "other", "EVENT": "other",
}  # fmt: skip
CONTEXT_FIELDS = ("trace_name", "tags", "release", "version", "level", "dataset_run_id")
"""Fields kept as metadata where they say anything."""

INPUT_NAMES, OUTPUT_NAMES = ("input_usage", "prompt_tokens", "input_tokens"), ("output_usage", "completion_tokens")
SOURCES: dict[str, ScoreSource] = {"ANNOTATION": "human", "EVAL": "llm"}


def trace_span(fields: Fields) -> Span:
    """Turn a trace record into the root of its trace."""
    trace_id = identifier(fields, "id")
    started = needed_moment(fields, "timestamp", "start_time", "created_at")
    seconds = amount(fields.get("latency"))
    lasts = seconds is not None and 0 <= seconds < 10**7
    said = object_in(fields.get("metadata"))
    return Span(
        trace_id=trace_id,
        span_id=trace_id,
        kind="root",
        name=shortened(fields.get("name")) or "",
        started_at=started,
        ended_at=later(started, seconds) if lasts else None,
        question=question_of(fields.get("input")),
        answer=answer_of(fields.get("output")),
        history=history_of(fields.get("input")),
        documents=named_documents_of(fields.get("output")),
        cost_usd=spent(fields),
        session_id=shortened(fields.get("session_id")),
        user_id=shortened(fields.get("user_id")),
        tenant_id=tenant_in(said),
        environment=shortened(fields.get("environment")),
        metadata=small_metadata({name: fields.get(name) for name in CONTEXT_FIELDS}, said),
    )


def observation_span(fields: Fields) -> Span:
    """Turn an observation into a span."""
    written = KINDS.get(str(fields.get("type")).upper(), "other")
    name = shortened(fields.get("name")) or ""
    kind, documents = step_of(written, name, fields.get("output"))
    parent_id = shortened(fields.get("parent_observation_id"))
    asked, answered = fields.get("input"), fields.get("output")
    speaks = is_asked(kind, parent_id)
    said = object_in(fields.get("metadata"))
    is_error = str(fields.get("level")).upper() == "ERROR"
    tokens_in, tokens_out = tokens(fields, kind)
    return Span(
        trace_id=identifier(fields, "trace_id"),
        span_id=identifier(fields, "id"),
        parent_id=parent_id,
        kind=kind,
        name=name,
        started_at=needed_moment(fields, "start_time"),
        ended_at=moment(fields.get("end_time")),
        is_error=is_error,
        error=text(fields.get("status_message")) if is_error else None,
        question=question_of(asked) if speaks or kind in RETRIEVING else None,
        answer=answer_of(answered) if speaks else None,
        history=history_of(asked) if speaks else [],
        documents=documents,
        model=shortened(fields.get("model")) or shortened(fields.get("provided_model_name")),
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cost_usd=spent(fields),
        session_id=shortened(fields.get("session_id")),
        user_id=shortened(fields.get("user_id")),
        tenant_id=tenant_in(said),
        environment=shortened(fields.get("environment")),
        prompt_version=prompt_of(fields),
        metadata=small_metadata(
            {name: fields.get(name) for name in CONTEXT_FIELDS if fields.get(name) != "DEFAULT"},
            said,
        ),
    )


def tokens(fields: Fields, kind: SpanKind) -> tuple[int | None, int | None]:
    """Count the tokens that went in and out; Langfuse counts cached and audio tokens under keys of their own."""
    used = object_in(fields.get("usage_details")) or object_in(fields.get("usage"))
    if not used and kind != "llm":
        return None, None
    return counted(used, fields, "input", INPUT_NAMES), counted(used, fields, "output", OUTPUT_NAMES)


def counted(used: Fields, fields: Fields, side: str, names: tuple[str, ...]) -> int | None:
    """Add up one side's tokens, or take the total that an older export gives."""
    parts = [found for key, value in used.items() if str(key).startswith(side) and (found := count(value)) is not None]
    if parts:
        return count(sum(parts))
    totals = (count(holder.get(name)) for holder in (snake_names(used), fields) for name in names)
    return next((total for total in totals if total), None)


def snake_names(used: Fields) -> Fields:
    """Read the older names of usage (`promptTokens`) as well."""
    older = {"promptTokens": "prompt_tokens", "completionTokens": "completion_tokens"}
    return {older.get(key, key): value for key, value in used.items()}


def spent(fields: Fields) -> float | None:
    """Read what a step cost, in US dollars; a 0 that stands for nothing measured is None."""
    total = amount(fields.get("total_cost"))
    if total is None:
        total = amount(object_in(fields.get("cost_details")).get("total"))
    if total is None or total < 0:
        return None
    return total if total or not is_empty(object_in(fields.get("cost_details"))) else None


def prompt_of(fields: Fields) -> str | None:
    """Name the prompt and its version: `greeting@3`."""
    name, version = shortened(fields.get("prompt_name")), shortened(fields.get("prompt_version"))
    return f"{name}@{version}" if name and version else name


def score_of(fields: Fields) -> ExportedScore:
    """Turn a score into what somebody said of the trace.

    Annotations are a person's, evaluations a model's. What came through the API is a person's where it has an author
    or is named like users' feedback; otherwise nobody can tell.
    """
    trace_id = identifier(fields, "trace_id")
    name = shortened(fields.get("name")) or ""
    author = shortened(fields.get("author_user_id"))
    source = SOURCES.get(str(fields.get("source")).upper(), "unknown")
    if source == "unknown":
        source = "human" if author else source_by_name(name)
    value, label, comment = said_by(fields)
    created = needed_moment(fields, "timestamp", "created_at")
    score_id = shortened(fields.get("id"))
    span_id = shortened(fields.get("observation_id"))
    return ExportedScore(
        score_id=score_id or hash_of(trace_id, span_id, name, source, value, label, comment, author, str(created)),
        trace_id=trace_id,
        name=name,
        source=source,
        span_id=span_id,
        value=value,
        label=label,
        comment=comment,
        author=author,
        created_at=created,
    )


def said_by(fields: Fields) -> tuple[float | None, str | None, str | None]:
    """Give a score's value, label and comment.

    The value of a category is its place in a list, and of a text nothing. A correction's text comes as the comment.
    """
    value: Any = fields.get("value")
    if isinstance(value, bool):
        value = float(value)
    written = text(fields.get("string_value")) or (text(value) if amount(value) is None else None)
    comment = text(fields.get("comment"))
    match str(fields.get("data_type")).upper():
        case "CORRECTION":
            return None, "correction", text(fields.get("long_string_value")) or written or comment
        case "TEXT":
            said = text(fields.get("long_string_value")) or written
            return None, None, "\n".join(part for part in (said, comment) if part) or None
        case "BOOLEAN":
            number = amount(value)
            if number is None and written:
                number = {"true": 1.0, "false": 0.0}.get(written.lower())
            return number, written or (None if number is None else str(bool(number))), comment
    return amount(value), written, comment
