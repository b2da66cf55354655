"""What kind of step a span is, where its format does not quite say, and whether it is asked and answers."""

import re
from typing import Any

from flywheel.sources.payload import documents_of, named_documents_of
from flywheel.sources.records import SpanKind
from flywheel.trace import RetrievedContext

RETRIEVING = frozenset({"retriever", "reranker"})
SPEAKING = frozenset({"root", "llm", "agent", "chain"})
"""Kinds that are asked and answer; of other steps only one at the top of its trace does."""

MAY_RETRIEVE = frozenset({"other", "chain", "tool"})
RETRIEVES = re.compile(r"retriev|search|vector|re-?rank", re.IGNORECASE)
RERANKS = re.compile(r"re-?rank", re.IGNORECASE)


def step_of(kind: SpanKind, name: str, output: Any) -> tuple[SpanKind, list[RetrievedContext] | None]:
    """Tell what a step is, and the passages it gave.

    Many pipelines log their retriever as a plain step: one counts that is named like one and gives documents with text.
    A chain or agent says passages only where it names them as such (`source_documents`).
    """
    if kind in RETRIEVING:
        return "reranker" if RERANKS.search(name) else kind, documents_of(output)
    if kind in MAY_RETRIEVE and RETRIEVES.search(name):
        documents = documents_of(output)
        if documents and any(passage.text for passage in documents):
            return "reranker" if RERANKS.search(name) else "retriever", documents
        if documents == [] and "retriev" in name.lower():
            return "retriever", documents
    return kind, named_documents_of(output) if kind in ("root", "chain", "agent", "other") else None


def is_asked(kind: SpanKind, parent_id: str | None) -> bool:
    """Say whether a span's input is a question and its output an answer to it."""
    return kind in SPEAKING or (parent_id is None and kind == "other")
