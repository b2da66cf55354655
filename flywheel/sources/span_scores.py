"""Scores that ride on spans: OpenInference evaluations and annotations, GenAI evaluation events, TruLens evals."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from flywheel.sources.attributes import Attributes, first_text, items_of
from flywheel.sources.raw_span import Event, RawSpan
from flywheel.sources.records import ExportedScore, ScoreSource
from flywheel.sources.vendor_fields import LONGEST_ID, amount, hash_of, shortened

SCORE_LISTS = frozenset(
    f"{scope}{name}" for scope in ("", "trace.", "session.") for name in ("evaluations", "annotations")
)
"""Scores are about their span, the whole trace, or the whole session (the name then says `session.`)."""

EVALUATION_EVENT = "gen_ai.evaluation.result"
SOURCES: dict[str, ScoreSource] = {"human": "human", "llm": "llm", "code": "code"}
LONGEST_COMMENT = 4000


def scores_of(raw: RawSpan, attributes: Attributes) -> list[ExportedScore]:
    """Read every score that a span carries, in its attributes or as events."""
    scores = [score for event in raw.events if event.name == EVALUATION_EVENT for score in event_scores(raw, event)]
    if not attributes.lists or SCORE_LISTS.isdisjoint(attributes.lists):
        return scores
    for listed in attributes.lists:
        if listed in SCORE_LISTS:
            items = items_of(attributes, listed) or ()
            scope = listed.rpartition(".")[0]
            scores += [score for item in items if isinstance(item, dict) for score in item_scores(raw, scope, item)]
    return scores


def item_scores(raw: RawSpan, scope: str, item: Mapping[str, Any]) -> Iterable[ExportedScore]:
    """Read one OpenInference evaluation or annotation, if it has a name."""
    name = first_text((item.get("name"),))
    if name is None:
        return
    kind = item.get("annotator_kind")
    yield score_of(
        raw.trace_id,
        f"session.{name}" if scope == "session" else name,
        SOURCES.get(kind.lower(), "unknown") if isinstance(kind, str) else "unknown",
        item.get("score"),
        first_text((item.get("label"),)),
        first_text((item.get("explanation"),)),
        span_id=raw.span_id if not scope else None,
        author=shortened(first_text((item.get("identifier"),))),
        created_at=raw.ended_at,
    )


def event_scores(raw: RawSpan, event: Event) -> Iterable[ExportedScore]:
    """Read one GenAI evaluation event, if it has a name; the conventions do not say who judged."""
    name = first_text((event.attributes.get("gen_ai.evaluation.name"),))
    if name is None:
        return
    yield score_of(
        raw.trace_id,
        name,
        "unknown",
        event.attributes.get("gen_ai.evaluation.score.value"),
        first_text((event.attributes.get("gen_ai.evaluation.score.label"),)),
        first_text((event.attributes.get("gen_ai.evaluation.explanation"),)),
        span_id=raw.span_id,
        created_at=event.at or raw.ended_at,
    )


def score_of(
    trace_id: str,
    name: str,
    source: ScoreSource,
    value: Any,
    label: str | None,
    comment: str | None,
    *,
    span_id: str | None,
    author: str | None = None,
    created_at: datetime | None = None,
    score_id: str | None = None,
) -> ExportedScore:
    """Make a score, named by a hash of what it says unless it has an id of its own."""
    number = None if isinstance(value, bool) else amount(value)
    name = name.replace("\x00", "")[:LONGEST_ID]
    label = shortened(label.replace("\x00", "")) if label else None
    comment = comment.replace("\x00", "")[:LONGEST_COMMENT] if comment else None
    return ExportedScore(
        score_id=score_id or hash_of(trace_id, span_id, name, source, number, label, comment, author),
        trace_id=trace_id,
        name=name or "score",
        source=source,
        span_id=span_id,
        value=float(value) if isinstance(value, bool) else number,
        label=label,
        comment=comment,
        author=author,
        created_at=created_at,
    )
