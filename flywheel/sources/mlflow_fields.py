"""What the fields of MLflow's trace infos, spans and assessments say, in our words."""

import re
from base64 import b64decode
from datetime import datetime
from typing import Any

import msgspec

from flywheel.sources.json_text import without_nul
from flywheel.sources.payload import answer_of, decoded, history_of, question_of
from flywheel.sources.records import ExportedScore, ScoreSource, Span, SpanKind
from flywheel.sources.steps import RETRIEVING, is_asked, step_of
from flywheel.sources.vendor_fields import (
    LONGEST_LABEL,
    BadRecordError,
    Fields,
    amount,
    count,
    hash_of,
    identifier,
    json_of,
    labelled,
    later,
    list_in,
    moment,
    needed_moment,
    object_in,
    shortened,
    small_metadata,
    tenant_in,
    text,
)

KINDS: dict[str, SpanKind] = {
    "LLM": "llm", "CHAT_MODEL": "llm", "CHAIN": "chain", "AGENT": "agent", "TOOL": "tool", "RETRIEVER": "retriever",
    "RERANKER": "reranker", "EMBEDDING": "embedding", "GUARDRAIL": "guardrail", "EVALUATOR": "evaluator",
    "WORKFLOW": "chain", "TASK": "chain",
}  # fmt: skip
SOURCES: dict[str, ScoreSource] = {
    "HUMAN": "human", "LLM_JUDGE": "llm", "AI_JUDGE": "llm", "CODE": "code", "AGENT": "llm"
}  # fmt: skip
OWN_TAGS = "mlflow."
"""Tags and metadata that begin so are MLflow's own bookkeeping; what is read of them has a field."""

DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
LONGEST_ATTRIBUTE = 10_000
CUT_LENGTHS = (250, 1000, 10_000)
OTEL_ID = re.compile(r"[A-Za-z0-9+/]{11}=")


def info_span(info: Fields, trace_id: str, steps: list[tuple[Span, Fields]]) -> Span:
    """Turn a trace's info into the root of the trace.

    What was asked and answered comes from the first span, because the info holds only its beginning.
    """
    head = next((step for step, _ in steps if step.parent_id is None), None)
    asked, answered = previews(info)
    metadata = object_in(info.get("trace_metadata")) | object_in(info.get("request_metadata"))
    tags = named_values(info.get("tags"))
    started = needed_moment(info, "request_time", "timestamp_ms", "timestamp")
    used = object_in(metadata.get("mlflow.trace.tokenUsage"))
    is_error = str(info.get("state", info.get("status"))).upper() == "ERROR"
    kept = {key: value for holder in (tags, metadata) for key, value in holder.items() if is_users(key)}
    return Span(
        trace_id=trace_id,
        span_id=trace_id,
        kind="root",
        name=shortened(tags.get("mlflow.traceName")) or (head.name if head else ""),
        started_at=started,
        ended_at=ended(started, info),
        is_error=is_error,
        error=next((step.error for step, _ in steps if step.error), None) if is_error else None,
        question=(head.question if head else None) or question_of(asked),
        answer=(head.answer if head else None) or answer_of(answered),
        history=(head.history if head else []) or history_of(asked),
        documents=head.documents if head and head.kind not in RETRIEVING else None,
        input_tokens=count(used.get("input_tokens")),
        output_tokens=count(used.get("output_tokens")),
        cost_usd=cost_in(metadata.get("mlflow.trace.cost")),
        session_id=shortened(metadata.get("mlflow.trace.session")) or shortened(kept.get("session_id")),
        user_id=shortened(metadata.get("mlflow.trace.user")) or shortened(kept.get("user_id")),
        tenant_id=tenant_in(kept),
        environment=shortened(kept.get("environment")),
        prompt_version=prompt_of(tags) or shortened(kept.get("prompt_version")),
        metadata=small_metadata(kept),
    )


def previews(info: Fields) -> tuple[Any, Any]:
    """Give what a trace was asked and answered as its info has it; a row has the whole, an info often a cut text."""
    held = object_in(info.get("trace_metadata")) | object_in(info.get("request_metadata"))
    asked = (info.get("request"), held.get("mlflow.traceInputs"), info.get("request_preview"))
    answered = (info.get("response"), held.get("mlflow.traceOutputs"), info.get("response_preview"))
    return whole(asked), whole(answered)


def whole(candidates: tuple[Any, ...]) -> Any:
    """Give the first value that is there and was not cut off."""
    for candidate in candidates:
        value = decoded(candidate)
        if value and not (isinstance(value, str) and is_cut(value)):
            return value
    return None


def is_cut(preview: str) -> bool:
    """Say whether MLflow cut a text off: previews that reach their limit end with three points."""
    return preview.endswith("...") and (preview.lstrip()[:1] in ("{", "[") or len(preview) in CUT_LENGTHS)


def is_users(key: Any) -> bool:
    """Say whether a tag is the user's own, and not MLflow's."""
    return isinstance(key, str) and not key.startswith(OWN_TAGS)


def named_values(tags: Any) -> Fields:
    """Give tags as an object; the REST API lists them as `{"key": ..., "value": ...}`."""
    held = decoded(tags)
    if isinstance(held, list):
        pairs = [item for item in held if isinstance(item, dict) and isinstance(item.get("key"), str)]
        return {item["key"]: item.get("value") for item in pairs}
    return held if isinstance(held, dict) else {}


def ended(started: datetime | None, info: Fields) -> datetime | None:
    """Add to the start how long the trace took, told in milliseconds or as `1.5s`."""
    if started is None:
        return None
    took = next(
        (info[key] for key in ("execution_duration_ms", "execution_time_ms", "execution_duration") if info.get(key)),
        None,
    )
    if isinstance(took, str) and (match := DURATION.fullmatch(took)):
        return later(started, float(match[1]))
    milliseconds = amount(took)
    if milliseconds is None or not 0 <= milliseconds < 1e11:
        return None
    return later(started, milliseconds / 1000)


def step_span(span: Fields, trace_id: str) -> Span:
    """Turn a span of schema 2 or 3 into one of ours."""
    attributes = object_in(span.get("attributes"))
    context = object_in(span.get("context"))
    parent_id = shortened(span.get("parent_span_id")) or shortened(span.get("parent_id"))
    name = shortened(span.get("name")) or ""
    asked = first_said(span.get("inputs"), attributes.get("mlflow.spanInputs"))
    answered = first_said(span.get("outputs"), attributes.get("mlflow.spanOutputs"))
    written = shortened(first_said(attributes.get("mlflow.spanType"), span.get("span_type"), span.get("type")))
    kind, documents = step_of(KINDS.get((written or "").upper(), "other"), name, answered)
    speaks = is_asked(kind, parent_id)
    used = object_in(attributes.get("mlflow.chat.tokenUsage"))
    failed, message = status_of(span)
    return Span(
        trace_id=trace_id,
        span_id=hex_id(identifier(context | span, "span_id")),
        parent_id=hex_id(parent_id) if parent_id else None,
        kind=kind,
        name=name,
        started_at=needed_moment(span, "start_time_unix_nano", "start_time_ns", "start_time"),
        ended_at=first_moment(span, "end_time_unix_nano", "end_time_ns", "end_time"),
        is_error=failed,
        error=message if failed else None,
        question=question_of(asked) if speaks or kind in RETRIEVING else None,
        answer=answer_of(answered) if speaks else None,
        history=history_of(asked) if speaks else [],
        documents=documents,
        model=shortened(first_said(attributes.get("mlflow.llm.model"), attributes.get("model")))
        if kind == "llm"
        else None,
        input_tokens=count(used.get("input_tokens")),
        output_tokens=count(used.get("output_tokens")),
        cost_usd=cost_in(attributes.get("mlflow.llm.cost")),
        metadata=small_metadata({key: attribute(value) for key, value in attributes.items() if is_users(key)}),
    )


def attribute(value: Any) -> Any:
    """Decode an attribute, which is a JSON text even where it is a number."""
    if not isinstance(value, str) or len(value) > LONGEST_ATTRIBUTE:
        return value
    try:
        read = msgspec.json.decode(value)
        return without_nul(read) if "\\u0000" in value else read
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return value


def first_said(*values: Any) -> Any:
    """Decode the first value that is there: attributes are JSON texts, even those of plain texts."""
    return next((decoded(value) for value in values if value is not None), None)


def first_moment(span: Fields, *names: str) -> datetime | None:
    """Read the first moment that a span has under one of some names."""
    return next((read for name in names if (read := moment(span.get(name)))), None)


def hex_id(span_id: str) -> str:
    """Write an id of OpenTelemetry as MLflow shows it: schema 3 has its 8 bytes in base64, assessments in hex."""
    return b64decode(span_id).hex() if OTEL_ID.fullmatch(span_id) else span_id


def status_of(span: Fields) -> tuple[bool, str | None]:
    """Tell whether a span failed, and of what."""
    status = span.get("status")
    code, message = span.get("status_code"), text(span.get("status_message"))
    if isinstance(status, dict):
        code, message = status.get("code", status.get("status_code")), text(status.get("message")) or message
    elif isinstance(status, str):
        code = status
    return code == 2 or (isinstance(code, str) and code.upper().endswith("ERROR")), message


def cost_in(value: Any) -> float | None:
    """Read the total of a cost, in US dollars."""
    total = amount(object_in(value).get("total_cost"))
    return total if total is not None and total >= 0 else None


def prompt_of(tags: Fields) -> str | None:
    """Name the first prompt linked to a trace, and its version: `rag-answer@3`."""
    for prompt in list_in(tags.get("mlflow.linkedPrompts"))[:1]:
        if isinstance(prompt, dict) and (name := shortened(prompt.get("name"))):
            version = shortened(prompt.get("version"))
            return f"{name}@{version}" if version else name
    return None


def assessment_score(assessment: Fields, trace_id: str) -> ExportedScore:
    """Turn an assessment into what somebody said of the trace.

    An expectation says what should have come out: it has no number, and its text is the label.
    """
    name = shortened(assessment.get("assessment_name")) or shortened(assessment.get("name")) or ""
    given_by = object_in(assessment.get("source"))
    author = shortened(given_by.get("source_id"))
    source = SOURCES.get(str(given_by.get("source_type")).upper(), "unknown")
    comment = text(assessment.get("rationale"))
    value, label = None, None
    if "feedback" in assessment or "expectation" not in assessment:
        feedback = object_in(assessment.get("feedback"))
        value, label = labelled(feedback.get("value"))
        problem = feedback.get("error")
        said = problem.get("error_message") if isinstance(problem, dict) else problem
        comment = comment or text(said)
        if value is None and label is None and comment is None and not problem:
            raise BadRecordError("the assessment says nothing - at `$.feedback.value`")
    else:
        expected = object_in(assessment.get("expectation"))
        serialized = object_in(expected.get("serialized_value")).get("value")
        held = expected.get("value") if expected.get("value") is not None else serialized
        label = labelled(held)[1] if isinstance(held, str | bool) else json_of(held).decode()[:LONGEST_LABEL]
    span_id = shortened(assessment.get("span_id"))
    created = needed_moment(assessment, "create_time", "create_time_ms", "last_update_time")
    score_id = shortened(assessment.get("assessment_id")) or shortened(assessment.get("id"))
    return ExportedScore(
        score_id=score_id or hash_of(trace_id, span_id, name, source, value, label, comment, author, str(created)),
        trace_id=trace_id,
        name=name,
        source=source,
        span_id=hex_id(span_id) if span_id else None,
        value=value,
        label=label,
        comment=comment,
        author=author,
        created_at=created,
    )
