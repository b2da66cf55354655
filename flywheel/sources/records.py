"""What a reader gives: whole traces, spans of traces, scores that an export carries, rejected and blank records."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from flywheel.trace import RetrievedContext, Trace

SpanKind = Literal[
    "root", "chain", "agent", "retriever", "reranker", "llm", "tool", "embedding", "guardrail", "evaluator", "other"
]
ScoreSource = Literal["human", "code", "llm", "unknown"]


class Turn(msgspec.Struct, frozen=True):
    """One earlier message of a conversation. `role` is `user` or `assistant`."""

    role: str
    content: str


class Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of a trace, in our words: what its format said of question, answer and passages is already read out.

    `documents` is None where the span says nothing of passages, empty where it retrieved none; a document whose text
    the export left out has the text ''. Times are in UTC. `metadata` keeps what has no field here and is small.
    A record that completes an earlier one of the same span (LangSmith's patch) names itself in `part`, so that both
    are kept: in the trace its fields lie over those of the parts before it, in the order of their names.
    """

    trace_id: str
    span_id: str
    part: str = ""
    parent_id: str | None = None
    kind: SpanKind = "other"
    name: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    is_error: bool = False
    error: str | None = None
    question: str | None = None
    answer: str | None = None
    history: list[Turn] = []
    documents: list[RetrievedContext] | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    session_id: str | None = None
    user_id: str | None = None
    tenant_id: str | None = None
    environment: str | None = None
    prompt_version: str | None = None
    metadata: dict[str, Any] = {}


class ExportedScore(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody, or something, said of a trace in the tool it came from. Kept with its source, never in a rate.

    `score_id` is the export's own id, or a hash over what the score says. A trace id alone means the whole trace.
    """

    score_id: str
    trace_id: str
    name: str
    source: ScoreSource
    span_id: str | None = None
    value: float | None = None
    label: str | None = None
    comment: str | None = None
    author: str | None = None
    created_at: datetime | None = None


class Found(msgspec.Struct, frozen=True, gc=False):
    """A record that was understood, and the line, row or place (from 1) where it stands in its file.

    `content_hash` is that of its bytes, where the reader has it at hand; '' leaves it to whoever stores the record.
    """

    line: int
    what: Trace | Span | ExportedScore
    content_hash: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that gives nothing: where it stands, why, and its bytes.

    `raw` can be given to the same reader again as a file of its own; unless `whole` is False, then it is only the
    beginning, enough to recognise the record by.
    """

    line: int
    reason: str
    raw: bytes
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Blank:
    """A line with nothing on it: neither understood nor rejected."""

    line: int


Record = Found | Rejected | Blank
