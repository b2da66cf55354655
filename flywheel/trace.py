"""One answered question of the production system, as it arrives, and the ISO week it belongs to."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from eval.errors import UserError

NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class RetrievedContext(msgspec.Struct, frozen=True, gc=False):
    """A passage as the generator saw it. `score` is the retriever's own, on no common scale."""

    id: str
    text: str
    score: float | None = None
    source: str | None = None


class Feedback(msgspec.Struct, frozen=True, gc=False):
    """What the user said of the answer: 1 (worst) to 5 stars, or words, or both."""

    rating: Annotated[int, msgspec.Meta(ge=1, le=5)] | None = None
    comment: str | None = None


class Trace(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One trace in the native format. Only the first three fields are required; names as in RAGAS."""

    trace_id: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)]
    user_input: str
    session_id: str | None = None
    user_id: str | None = None
    tenant_id: str | None = None
    environment: str | None = None
    retrieved_contexts: list[RetrievedContext] | None = None
    response: str | None = None
    model: str | None = None
    prompt_version: str | None = None
    latency_ms: NonNegative | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cost_usd: NonNegative | None = None
    status: Literal["ok", "error"] = "ok"
    error: str | None = None
    feedback: Feedback | None = None
    metadata: dict[str, Any] = {}


FailureType = Literal[
    "unsupported_claim",
    "contradiction",
    "irrelevant_answer",
    "incomplete_answer",
    "wrong_abstention",
    "missed_abstention",
    "retrieval_miss",
    "empty_retrieval",
    "error",
    "slow",
    "negative_feedback",
    "pii_leak",
    "prompt_injection",
]
Severity = Literal["P0", "P1", "P2", "P3"]

WEEK = re.compile(r"(\d{4})-W(\d{2})", re.ASCII)


def week_of(moment: datetime) -> str:
    """Name the ISO week of a moment in UTC, with the week-based year: `2026-W45`."""
    year, week, _ = moment.astimezone(UTC).isocalendar()
    return f"{year:04d}-W{week:02d}"


def week_start(week: str) -> datetime:
    """Give Monday 00:00 UTC of a week; a name that is no ISO week is a `UserError`."""
    match = WEEK.fullmatch(week)
    if match:
        try:
            return datetime.fromisocalendar(int(match[1]), int(match[2]), 1).replace(tzinfo=UTC)
        except ValueError:
            pass
    raise UserError(f"{week!r} is no ISO week; write it like 2026-W45 (week-based year, two digits of week)")


def week_end(week: str) -> datetime:
    """Give the Monday 00:00 UTC that ends a week (exclusive)."""
    return week_start(week) + timedelta(days=7)


def last_complete_week(now: datetime) -> str:
    """Name the newest week that is over."""
    return week_of(now - timedelta(days=7))


def week_title(week: str) -> str:
    """Name a week for people: `2026-W45 (2-8 Nov)`."""
    first = week_start(week)
    last = first + timedelta(days=6)
    opening = f"{first.day}" if first.month == last.month else f"{first.day} {first:%b}"
    return f"{week} ({opening}-{last.day} {last:%b})"
