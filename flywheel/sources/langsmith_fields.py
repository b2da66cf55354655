"""What the fields of LangSmith's runs and feedback say, in our words."""

from collections.abc import Iterator
from typing import Any

from flywheel.sources.payload import answer_of, history_of, question_of
from flywheel.sources.records import ExportedScore, ScoreSource, Span, SpanKind
from flywheel.sources.steps import RETRIEVING, is_asked, step_of
from flywheel.sources.vendor_fields import (
    Fields,
    amount,
    count,
    hash_of,
    identifier,
    labelled,
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
    "llm": "llm", "chat_model": "llm", "chain": "chain", "agent": "agent", "retriever": "retriever", "tool": "tool",
    "embedding": "embedding", "prompt": "other", "parser": "other",
}  # fmt: skip
SESSION_KEYS = ("session_id", "thread_id", "conversation_id")
"""Where a run's metadata names its conversation; the run's own `session_id` is the project's."""

USAGE_PATHS = ("usage_metadata", "usage", "llm_output.token_usage", "llm_output.usage")
INPUT_NAMES, OUTPUT_NAMES = ("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")
SOURCES: dict[str, ScoreSource] = {
    "app": "human", "user": "human", "model": "llm", "auto_eval": "llm", "evaluator": "llm", "llm": "llm",
    "code": "code",
}  # fmt: skip


def run_span(run: Fields, part: str = "") -> Span:
    """Turn a run, or a patch of one, into a span."""
    span_id = identifier(run, "id", "run_id")
    parent_id = shortened(run.get("parent_run_id"))
    name = shortened(run.get("name")) or ""
    asked, answered = object_or_text(run.get("inputs")), object_or_text(run.get("outputs"))
    kind, documents = step_of(KINDS.get(str(run.get("run_type")).lower(), "other"), name, answered)
    # A patch may leave out what kind of run it completes; what the run said it then says all the same.
    speaks = is_asked(kind, parent_id) or (part != "" and "run_type" not in run)
    extra = object_in(run.get("extra"))
    said = object_in(extra.get("metadata")) or object_in(run.get("metadata"))
    error = text(run.get("error"))
    tokens_in, tokens_out = tokens(run, object_in(answered))
    return Span(
        trace_id=trace_of(run, span_id, parent_id),
        span_id=span_id,
        part=part,
        parent_id=parent_id,
        kind=kind,
        name=name,
        started_at=needed_moment(run, "start_time"),
        ended_at=moment(run.get("end_time")),
        is_error=error is not None or run.get("status") == "error",
        error=error,
        question=question_of(asked) if speaks or kind in RETRIEVING else None,
        answer=answer_of(answered) if speaks else None,
        history=history_of(asked) if speaks else [],
        documents=documents,
        model=model_of(extra, said, object_in(answered)) if kind in ("llm", "embedding") else None,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cost_usd=cost if (cost := amount(run.get("total_cost"))) is not None and cost >= 0 else None,
        session_id=next((session for key in SESSION_KEYS if (session := shortened(said.get(key)))), None),
        user_id=shortened(said.get("user_id")),
        tenant_id=tenant_in(said),
        environment=shortened(said.get("environment")) or shortened(said.get("env")),
        prompt_version=prompt_of(said),
        metadata=small_metadata({"project": run.get("session_name"), "tags": run.get("tags")}, said),
    )


def object_or_text(value: Any) -> Any:
    """Give inputs or outputs as an object; the bulk export writes them as JSON texts."""
    return object_in(value) or value


def trace_of(run: Fields, span_id: str, parent_id: str | None) -> str:
    """Name the trace of a run: as it says, or by its dotted order, or itself where it has no parent."""
    order = run.get("dotted_order")
    if run.get("trace_id") is None and isinstance(order, str):
        first = order.partition(".")[0].partition("Z")[2]
        if first:
            return first[:512]
    if run.get("trace_id") is None and parent_id is None:
        return span_id
    return identifier(run, "trace_id")


def tokens(run: Fields, answered: Fields) -> tuple[int | None, int | None]:
    """Count the tokens that went in and out, as the run or the model's answer says."""
    holders: list[Fields] = [run]
    for path in USAGE_PATHS:
        holder = answered
        for key in path.split("."):
            holder = object_in(holder.get(key))
        holders.append(holder)
    return first_count(holders, INPUT_NAMES), first_count(holders, OUTPUT_NAMES)


def first_count(holders: list[Fields], names: tuple[str, ...]) -> int | None:
    """Give the first count of tokens that any of some objects has."""
    found = (count(holder.get(name)) for holder in holders for name in names)
    return next((tokens for tokens in found if tokens is not None), None)


def model_of(extra: Fields, said: Fields, answered: Fields) -> str | None:
    """Name the model as it was asked for, or else as it answered."""
    called = object_in(extra.get("invocation_params"))
    names = (said.get("ls_model_name"), called.get("model"), called.get("model_name"), answered.get("model"))
    return next((model for name in names if (model := shortened(name))), None)


def prompt_of(said: Fields) -> str | None:
    """Name the prompt and its commit in LangSmith's hub, or as the metadata says it: `rag-answer@1f3a9c2b`."""
    name, commit = shortened(said.get("lc_hub_repo")), shortened(said.get("lc_hub_commit_hash"))
    if name:
        return f"{name}@{commit[:8]}" if commit else name
    return shortened(said.get("prompt_version"))


def scores_of_run(run: Fields) -> Iterator[ExportedScore]:
    """Yield the averages of the feedback that a run carries; who gave it is not told there."""
    stats = object_in(run.get("feedback_stats"))
    span_id = identifier(run, "id", "run_id")
    trace_id = trace_of(run, span_id, shortened(run.get("parent_run_id")))
    for key, said in stats.items():
        value = amount(said.get("avg")) if isinstance(said, dict) else None
        counts = object_in(said.get("values")) if isinstance(said, dict) else {}
        label = max(counts, key=lambda name: amount(counts[name]) or 0.0) if counts else None
        if value is None and not label:
            continue
        name = str(key)[:512]
        yield ExportedScore(
            score_id=hash_of(span_id, "feedback_stats", name),
            trace_id=trace_id,
            span_id=None if span_id == trace_id else span_id,
            name=name,
            source=source_by_name(name),
            value=value,
            label=label,
        )


def feedback_score(record: Fields) -> ExportedScore:
    """Turn feedback into what somebody said of the trace; without a trace id it is taken to be on the whole trace."""
    run_id = identifier(record, "run_id")
    trace_id = identifier(record, "trace_id", "run_id")
    name = shortened(record.get("key")) or ""
    given_by = object_in(record.get("feedback_source"))
    value, label = labelled(record.get("score"))
    if not label:
        label = labelled(record.get("value"))[1]
    if value is None:
        value = labelled(record.get("value"))[0]
    created = needed_moment(record, "created_at", "modified_at")
    comment = text(record.get("comment")) or labelled(record.get("correction"))[1]
    author = shortened(given_by.get("user_id"))
    source = SOURCES.get(str(given_by.get("type")).lower())
    return ExportedScore(
        score_id=shortened(record.get("id")) or hash_of(run_id, name, value, label, comment, author, str(created)),
        trace_id=trace_id,
        span_id=None if run_id == trace_id else run_id,
        name=name,
        source=source or ("human" if author else source_by_name(name)),
        value=value,
        label=label,
        comment=comment,
        author=author,
        created_at=created,
    )
