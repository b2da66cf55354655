"""What span attributes mean: OpenInference, OpenTelemetry GenAI, Traceloop, Vercel, Langfuse, TruLens, in our words."""

from collections.abc import Callable, Iterable
from typing import Any

from flywheel.sources import payload, vendor_fields
from flywheel.sources.attributes import (
    Attributes,
    amount,
    count,
    first_text,
    items_of,
    json_or_text,
    name,
    sorted_out,
    text,
    values,
)
from flywheel.sources.convention_keys import ASKED_LISTS, DOCUMENTS, FIELDS, KINDS, RESOURCE_KEPT, TOLD_LISTS
from flywheel.sources.messages import answer_in, question_in, turns_in, turns_of_events
from flywheel.sources.passages import passage_of
from flywheel.sources.raw_span import ERROR_CODES, Event, RawSpan
from flywheel.sources.records import ExportedScore, Span, SpanKind, Turn
from flywheel.sources.span_scores import SCORE_LISTS, scores_of
from flywheel.sources.vendor_fields import shortened, small_value
from flywheel.trace import RetrievedContext

CONTENT_EVENTS = frozenset(
    {"gen_ai.client.inference.operation.details", "gen_ai.content.prompt", "gen_ai.content.completion"}
)
"""Events that repeat attributes of their span: what the span itself says wins."""

RESULT_EVENTS = ("db.query.result", "db.search.result")
"""One event for each document that a vector database found, as Traceloop writes them."""

SPEAKING = frozenset({"root", "chain", "agent", "llm", "other"})
"""Kinds whose input may be the user's question and whose output the answer; a tool's are neither."""

SEARCHING = frozenset({"retriever", "reranker"})
NO_MODEL = frozenset({"retriever", "reranker", "embedding", "tool"})
"""Kinds whose model is not the one that wrote the answer."""

SOURCE_KEYS = ("source", "url", "uri")
METADATA_SOURCE_KEYS = ("source", "url", "file_name", "file_path", "title")
LONGEST_ERROR = 2000
METADATA_BYTES = 4096
PLACE_KEYS = frozenset((*FIELDS["tenant"], *FIELDS["environment"]))
"""Keys by which a resource may say for all its spans whose they are, and where they ran."""


def records_of(raw: RawSpan) -> list[Span | ExportedScore]:
    """Read a span, and the scores that it carries."""
    repeated: dict[str, Any] = {}
    for event in raw.events:
        if event.name in CONTENT_EVENTS:
            repeated |= event.attributes
    attributes = sorted_out({**repeated, **raw.attributes} if repeated else raw.attributes)
    if not raw.events and SCORE_LISTS.isdisjoint(attributes.lists):
        return [read_span(raw, attributes)]
    return [read_span(raw, attributes), *scores_of(raw, attributes)]


def read_span(raw: RawSpan, attributes: Attributes) -> Span:
    """Put a span into our words; what it does not say is not given either, for every field of a struct takes time."""
    events, fields = raw.events, attributes.fields
    retrieved = retrieved_in(events) if events else []
    kind = kind_of(attributes)
    if kind == "other" and retrieved:
        kind = "retriever"
    given: dict[str, Any] = {
        "trace_id": raw.trace_id,
        "span_id": raw.span_id,
        "part": raw.part,
        "parent_id": raw.parent_id,
        "kind": kind,
        "name": raw.name[:512],
        "started_at": raw.started_at,
        "ended_at": raw.ended_at,
    }
    for field in fields:
        if field in READ_ALIKE:
            ours, read = READ_ALIKE[field]
            given[ours] = read(attributes, field)
    if kind in NO_MODEL:
        given.pop("model", None)
    if kind in SPEAKING:
        asked, answered = turns_of_events(events) if events else ([], [])
        question, history = asked_of(attributes, asked)
        answer = answer_of(attributes, answered)
        given["question"], given["answer"] = clean(question), clean(answer)
        if history:
            given["history"] = [Turn(turn.role, clean(turn.content) or "") for turn in history]
    elif kind in SEARCHING:
        question = text(attributes, "query") if "query" in fields else None
        given["question"] = clean(question or said_in(attributes, "input", payload.question_of))
    error = error_of(raw, attributes)
    if error is not None:
        given["is_error"], given["error"] = True, error or None
    documents = documents_of(attributes, kind, is_error=error is not None)
    given["documents"] = passages_of(retrieved) if retrieved and not documents else documents
    resource = raw.resource
    if resource or attributes.leftovers:
        given["metadata"] = metadata_of(attributes, resource)
        if not PLACE_KEYS.isdisjoint(resource):
            given["tenant_id"] = given.get("tenant_id") or named_in(resource, "tenant")
            given["environment"] = given.get("environment") or named_in(resource, "environment")
    return Span(**given)


def kind_of(attributes: Attributes) -> SpanKind:
    """Say what kind of step a span is, by the first key that names one we know, or by what it carries."""
    for value in values(attributes, "kind"):
        if isinstance(value, str) and (kind := KINDS.get(value.lower())):
            return kind
    lists = attributes.lists
    if "reranker.output_documents" in lists:
        return "reranker"
    if any(listed in lists for listed in DOCUMENTS):
        return "retriever"
    return "llm" if any(listed in lists for listed in (*ASKED_LISTS, *TOLD_LISTS)) else "other"


def asked_of(attributes: Attributes, of_events: list[Turn]) -> tuple[str | None, list[Turn]]:
    """Find the question and the turns before it: what was marked as the trace's own, then messages, then any input."""
    turns = (turns_in(attributes, ASKED_LISTS, "user") if attributes.lists else None) or of_events
    question, history = question_in(turns) if turns else (None, [])
    if "asked" in attributes.fields:
        question = said_in(attributes, "asked", payload.question_of) or question
    if question is not None:
        return question, history
    for value in values(attributes, "input"):
        if payload.is_plain(value):
            return value, history
        given = json_or_text(value)
        question = payload.question_of(given)
        if question is not None:
            return question, history if isinstance(given, str) else payload.history_of(given)
    return None, history


def answer_of(attributes: Attributes, of_events: list[Turn]) -> str | None:
    """Find the answer; '' where the span has an answer and it is empty."""
    answer = said_in(attributes, "told", payload.answer_of) if "told" in attributes.fields else None
    if answer is None:
        turns = (turns_in(attributes, TOLD_LISTS, "assistant") if attributes.lists else None) or of_events
        answer = answer_in(turns) if turns else None
    said = answer or said_in(attributes, "output", payload.answer_of)
    return "" if said is None and (answer == "" or "" in values(attributes, "output")) else said


def said_in(attributes: Attributes, field: str, read: Callable[[Any], str | None]) -> str | None:
    """Give what `read` finds in the first value of a field where it finds anything."""
    for value in values(attributes, field):
        said = value if payload.is_plain(value) else read(json_or_text(value))
        if said is not None:
            return said
    return None


def documents_of(attributes: Attributes, kind: SpanKind, *, is_error: bool) -> list[RetrievedContext] | None:
    """Find the passages a span retrieved, or ranked anew; None where it says nothing of passages."""
    if attributes.lists:
        for listed in DOCUMENTS:
            if listed in attributes.lists:
                items = items_of(attributes, listed)
                if items is not None and (found := passages_of(items)) is not None:
                    return found
    if kind not in SEARCHING and kind not in SPEAKING:
        return None
    read = payload.documents_of if kind in SEARCHING else payload.named_documents_of
    outputs = values(attributes, "output")
    for value in outputs:
        if kind in SPEAKING and payload.is_plain(value):
            continue
        output = json_or_text(value)
        if not isinstance(output, str) or kind in SEARCHING:
            documents = read(output)
            if documents is not None:
                return list(map(clean_passage, documents))
    # OpenInference writes keys for each document and therefore none for no documents. Had its contents been hidden,
    # there would be an output that says so.
    if kind == "retriever" and not outputs and not is_error and "input" in attributes.fields:
        return [] if OPENINFERENCE in attributes.fields.get("kind", ()) else None
    return None


OPENINFERENCE = FIELDS["kind"].index("openinference.span.kind")


def retrieved_in(events: Iterable[Event]) -> list[Any]:
    """Give the documents that events of a vector database name, one each."""
    return [
        {key.removeprefix(f"{event.name}."): value for key, value in event.attributes.items()}
        for event in events
        if event.name in RESULT_EVENTS
    ]


def passages_of(items: list[Any]) -> list[RetrievedContext] | None:
    """Read documents, also ones without a text; None where there are items and none is a document."""
    found = [passage for item in items if (passage := passage_in(item))]
    return found if found or not items else None


def passage_in(item: Any) -> RetrievedContext | None:
    """Read a document as the conventions write it; one in other words is read as `passages` reads it."""
    if not isinstance(item, dict):
        passage = passage_of(item, json_or_text)
        return clean_passage(passage) if passage else None
    held, content = item.get("id"), item.get("content")
    if not isinstance(held, str) or not held or not isinstance(content, str) or content.isspace():
        passage = passage_of({**item, "metadata": json_or_text(item.get("metadata"))}, json_or_text)
        return clean_passage(passage) if passage else None
    if len(item) == 2 and "\x00" not in content and "\x00" not in held:
        return RetrievedContext(held[:1024], content)
    metadata = json_or_text(item.get("metadata"))
    source = first_text(item[key] for key in SOURCE_KEYS if key in item)
    if source is None and isinstance(metadata, dict):
        source = first_text(metadata[key] for key in METADATA_SOURCE_KEYS if key in metadata)
    source = source or first_text((item.get("name"),))
    score = vendor_fields.amount(item.get("score"))
    return clean_passage(RetrievedContext(held[:1024], content, score, source[:1024] if source else None))


def cost_of(attributes: Attributes, _: str = "cost") -> float | None:
    """Give the cost in US dollars, or the sum of its parts; a cost in another currency is none."""
    currency = text(attributes, "currency")
    if currency and currency.upper() != "USD":
        return None
    whole = amount(attributes, "cost")
    parts = [part for field in ("cost_of_input", "cost_of_output") if (part := amount(attributes, field)) is not None]
    return whole if whole is not None or not parts else sum(parts)


def error_of(raw: RawSpan, attributes: Attributes) -> str | None:
    """Say what went wrong, '' where nobody says what, None where nothing went wrong.

    An exception that was recorded in a span whose status is not an error was handled.
    """
    fields = attributes.fields
    is_error = raw.is_error or "error_type" in fields
    if not is_error and ("level" not in fields or not any(is_error_code(code) for code in values(attributes, "level"))):
        return None
    said = raw.status_message or text(attributes, "error") or exception_in(raw.events) or text(attributes, "error_type")
    return (clean(said) or "")[:LONGEST_ERROR]


def is_error_code(code: Any) -> bool:
    """Say whether a status code or level stands for an error."""
    return isinstance(code, str | int) and code in ERROR_CODES


def exception_in(events: Iterable[Event]) -> str | None:
    """Name the last exception that the span's events record."""
    said = None
    for event in events:
        if event.name == "exception":
            words = (event.attributes.get(key) for key in ("exception.type", "exception.message"))
            said = ": ".join(word for word in words if isinstance(word, str) and word) or said
    return said


def named_in(resource: dict[str, Any], field: str) -> str | None:
    """Read a field that a resource may have for all its spans."""
    for key in FIELDS[field]:
        if key in resource:
            return shortened(first_text((resource[key],)))
    return None


def metadata_of(attributes: Attributes, resource: dict[str, Any]) -> dict[str, Any]:
    """Keep what has no field of its own and is no content: plain values, about 4 kB of them."""
    kept: dict[str, Any] = {}
    room = METADATA_BYTES
    for source, keys in ((attributes.leftovers, attributes.leftovers), (resource, RESOURCE_KEPT)):
        for key in keys:
            if key not in source or key in kept:
                continue
            small = small_value(source[key])
            if small is None or small == "":
                continue
            room -= len(key) + len(small if isinstance(small, str) else str(small))
            if room < 0:
                return kept
            kept[key] = small
    return kept


READ_ALIKE: dict[str, tuple[str, Callable[[Attributes, str], Any]]] = {
    "model": ("model", name),
    "input_tokens": ("input_tokens", count),
    "output_tokens": ("output_tokens", count),
    "cost": ("cost_usd", cost_of),
    "cost_of_output": ("cost_usd", cost_of),
    "session": ("session_id", name),
    "user": ("user_id", name),
    "tenant": ("tenant_id", name),
    "environment": ("environment", name),
    "prompt_version": ("prompt_version", name),
}
"""Fields that hold one plain value: the span's own name for each, and how it is read."""


def clean(said: str | None) -> str | None:
    """Drop NUL characters, which come out of JSON that was packed twice."""
    return said.replace("\x00", "") if said and "\x00" in said else said


def clean_passage(passage: RetrievedContext) -> RetrievedContext:
    """Drop NUL characters from a passage."""
    id_, source = clean(passage.id), clean(passage.source)
    if "\x00" not in passage.text and id_ == passage.id and source == passage.source:
        return passage
    return RetrievedContext(id_ or "", clean(passage.text) or "", passage.score, source)
