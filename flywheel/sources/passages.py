"""Passages out of what retrievers give: lists of documents in the words of many libraries."""

import math
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, TypeVar

from flywheel.trace import RetrievedContext

NAMED_KEYS = (
    "source_documents", "retrieved_documents", "retrieved_contexts", "retrieved_chunks", "retrieved_docs",
    "source_nodes", "documents", "passages", "chunks", "contexts", "docs", "nodes", "context", "retrieval_context",
)  # fmt: skip
"""Keys of lists that can only be passages, the surest name first."""

LIST_KEYS = (
    *NAMED_KEYS, "results", "matches", "hits", "points", "retrievalResults", "sources", "items", "value", "result",
    "output", "outputs", "response", "data", "content", "artifact",
)  # fmt: skip
"""Keys of lists in a retriever's output."""

TEXT_PATHS = (
    "page_content", "text", "content", "document", "passage", "body", "snippet", "chunk", "payload.text",
    "payload.page_content", "payload.content", "payload.document", "node.text", "node.content", "node.text_resource",
    "text_resource", "metadata.text", "metadata.page_content", "metadata.content", "_source.text", "_source.content",
    "_source.body", "properties.text", "properties.content", "fields.text", "entity.text", "document.text",
    "document.page_content", "document.content", "passage_text", "chunk_text", "raw_content", "summary", "description",
)  # fmt: skip
ID_PATHS = (
    "id", "id_", "_id", "node_id", "chunk_id", "passage_id", "doc_id", "document_id", "docid", "file_id", "node.id_",
    "node.id", "node.node_id", "document.id", "metadata.id", "metadata.chunk_id", "metadata.passage_id",
    "metadata.doc_id", "metadata.document_id", "metadata._id", "payload.id", "payload.doc_id", "kwargs.id",
)  # fmt: skip
SCORE_PATHS = (
    "score", "relevance_score", "similarity", "similarity_score", "_score", "@search.score", "metadata.score",
    "metadata.relevance_score", "metadata.similarity", "payload.score", "distance", "_distance", "metadata.distance",
)  # fmt: skip
SOURCE_PATHS = (
    "source", "url", "uri", "metadata.source", "metadata.url", "metadata.doc_uri", "metadata.file_name",
    "metadata.file_path", "metadata.title", "title", "filename", "file_name", "payload.source", "payload.url",
    "_source.url", "_source.title", "node.metadata.source", "node.metadata.file_name", "document.metadata.source",
    "name",
)  # fmt: skip

SPEAKERS = frozenset({"user", "human", "assistant", "ai", "system", "tool", "function", "developer", "model"})
COLUMNS = (("documents", "document"), ("ids", "id"), ("distances", "distance"), ("metadatas", "metadata"))
DEPTH = 6
MOST_DOCUMENTS = 10_000

Decode = Callable[[Any], Any]
Found = TypeVar("Found")


def passages_in(value: Any, decode: Decode, *, any_key: bool, depth: int = 0) -> list[RetrievedContext] | None:
    """Read passages out of a payload; None where nothing in it looks like a document, empty for an empty list.

    Without `any_key`, a list counts only under a key that can mean nothing but passages.
    """
    if depth > DEPTH:
        return None
    value = decode(value)
    if isinstance(value, list):
        return passages_of_list(value, decode) if any_key else None
    if not isinstance(value, dict) or (speaks(value) and str(value.get("type")).lower() != "tool"):
        return None
    if (columns := rows_of_columns(value)) is not None:
        return passages_of_list(columns, decode)
    for key in LIST_KEYS if any_key else NAMED_KEYS:
        held = value.get(key)
        if held is None:
            continue
        held = decode(held)
        if isinstance(held, str) and key in ("context", "contexts", "retrieval_context") and held.strip():
            return [RetrievedContext(hash_of(held), held)]
        found = passages_in(held, decode, any_key=True, depth=depth + 1) if isinstance(held, list | dict) else None
        if found is not None:
            return found
    if any_key and is_document_object(value):
        return [passage for passage in [passage_of(value, decode)] if passage]
    return None


def is_document_object(value: dict[Any, Any]) -> bool:
    """Say whether a lone object is a document, and not a message or an envelope."""
    inner = value.get("kwargs")
    return "page_content" in value or (isinstance(inner, dict) and "page_content" in inner)


def passages_of_list(items: list[Any], decode: Decode) -> list[RetrievedContext] | None:
    """Read the documents of a list, leaving out what is none; None where no item is one."""
    items = items[:MOST_DOCUMENTS]
    if len(items) == 1 and isinstance(items[0], list) and not is_scored(items[0]):
        items = items[0][:MOST_DOCUMENTS]
    if not items:
        return []
    found = [passage for item in items if (passage := passage_of(item, decode))]
    return found or None


def passage_of(item: Any, decode: Decode) -> RetrievedContext | None:
    """Read one document: a string, an object, or a pair of an object and its score."""
    item = decode(item)
    if isinstance(item, str):
        return RetrievedContext(hash_of(item), item) if item.strip() else None
    if isinstance(item, list) and is_scored(item):
        first = passage_of(item[0], lambda value: value)
        return RetrievedContext(first.id, first.text, number(item[1]), first.source) if first else None
    if not isinstance(item, dict) or speaks(item):
        return None
    kwargs = item.get("kwargs")
    if isinstance(kwargs, dict) and "page_content" in kwargs:
        item = kwargs
    text = first_at(item, TEXT_PATHS, written)
    name = first_at(item, ID_PATHS, short)
    if text is None and name is None:
        return None
    score = first_at(item, SCORE_PATHS, number)
    return RetrievedContext(name or hash_of(text or ""), text or "", score, first_at(item, SOURCE_PATHS, short))


def is_scored(item: list[Any]) -> bool:
    """Say whether a list is a document and its score."""
    return len(item) == 2 and isinstance(item[0], dict | str) and number(item[1]) is not None


def speaks(item: dict[Any, Any]) -> bool:
    """Say whether an object is a message of a conversation, which has text but is no document."""
    if isinstance(item.get("tool_calls"), list) or isinstance(item.get("function"), dict):
        return True
    return any(isinstance(name, str) and name.lower() in SPEAKERS for name in (item.get("role"), item.get("type")))


def first_at(item: dict[Any, Any], paths: tuple[str, ...], read: Callable[[Any], Found | None]) -> Found | None:
    """Read what stands under the first of some dotted paths that has it; a key that itself holds the dots wins."""
    for path in paths:
        first, _, rest = path.partition(".")
        value = item.get(path) if path in item else item.get(first)
        while rest and path not in item:
            first, _, rest = rest.partition(".")
            value = value.get(first) if isinstance(value, dict) else None
        if value is not None and (found := read(value)) is not None:
            return found
    return None


def written(value: Any) -> str | None:
    """Give a text that is a string, an object around one, or a list of text parts."""
    if isinstance(value, dict):
        value = value.get("text")
    if isinstance(value, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in value[:MOST_DOCUMENTS]]
        value = "\n".join(part for part in parts if isinstance(part, str))
    return value if isinstance(value, str) and value.strip() else None


def short(value: Any) -> str | None:
    """Give an id or a source as text."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return str(value)[:1024] if isinstance(value, str) or abs(value) < 2**128 else None


def number(value: Any) -> float | None:
    """Give a finite number, None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        read = float(value)
    except OverflowError:
        return None
    return read if math.isfinite(read) else None


def hash_of(text: str) -> str:
    """Name a document that has no id by its text."""
    return blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def rows_of_columns(value: dict[Any, Any]) -> list[dict[str, Any]] | None:
    """Turn Chroma's answer, columns of the first query (`{"ids": [[...]], "documents": [[...]]}`), into rows."""
    ids = value.get("ids")
    if not isinstance(ids, list) or not isinstance(value.get("documents"), list):
        return None
    rows: list[dict[str, Any]] = []
    for key, name in COLUMNS:
        column = value.get(key)
        if isinstance(column, list) and len(column) == 1 and isinstance(column[0], list):
            column = column[0]
        if isinstance(column, list):
            rows.extend({} for _ in range(min(len(column), MOST_DOCUMENTS) - len(rows)))
            for row, cell in zip(rows, column, strict=False):
                row[name] = cell
    return rows
