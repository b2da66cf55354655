"""MLflow traces as JSON: `Trace.to_json()` of schemas 2 and 3, and rows that `mlflow.search_traces()` gave."""

from collections.abc import Iterator
from typing import Any

from flywheel.sources.delivery import Delivery, Head
from flywheel.sources.mlflow_fields import assessment_score, info_span, step_span
from flywheel.sources.records import Blank, ExportedScore, Found, Record, Rejected, Span
from flywheel.sources.vendor_fields import (
    BadRecordError,
    Fields,
    identifier,
    kind_of,
    list_in,
    object_in,
    objects_of,
    rejected,
)

NAME = "mlflow"
UNIT = "record"
"""A trace's info, a span of it, or an assessment."""

ROW_FIELDS = frozenset({
    "state", "request_time", "timestamp_ms", "execution_duration", "execution_time_ms", "trace_metadata",
    "request_metadata", "client_request_id", "assessments", "trace_location",
})  # fmt: skip
"""Columns of `search_traces()` by which a row is known; one alone could be anybody's."""

NOT_OURS = frozenset({"user_input", "run_type", "resourceSpans", "observations"})


def recognise(head: Head) -> str | None:
    """Say by what a file looks like MLflow traces, or give None."""
    first = head.first
    if isinstance(first, list):
        first = first[0] if first else None
    if not isinstance(first, dict):
        return None
    if is_trace(first):
        return "it holds an `info` with a trace id and `data` with spans, as MLflow writes a trace"
    if is_row(first):
        return "it has the columns of `mlflow.search_traces()`"
    traces = first.get("traces")
    if isinstance(traces, list) and any(isinstance(item, dict) and (is_trace(item) or is_row(item)) for item in traces):
        return "it is a page of MLflow traces"
    return None


def read(delivery: Delivery) -> Iterator[Record]:
    """Yield of each trace its info as the root, its spans, and what was said of it."""
    for item in objects_of(delivery):
        if not isinstance(item, tuple):
            yield item
            continue
        line, record = item
        traces = record.get("traces") if isinstance(record.get("traces"), list) and "info" not in record else None
        if traces == []:
            yield Blank(line)
        for trace in [record] if traces is None else traces:
            yield from read_trace(line, trace)


def is_trace(record: Fields) -> bool:
    """Say whether an object is a whole trace."""
    info, data = record.get("info"), record.get("data")
    if not isinstance(info, dict) or not isinstance(data, dict):
        return False
    return ("trace_id" in info or "request_id" in info) and "spans" in data


def is_row(record: Fields) -> bool:
    """Say whether an object is a row of a table of traces."""
    if not NOT_OURS.isdisjoint(record):
        return False
    if isinstance(record.get("trace"), str | dict) and is_trace(object_in(record["trace"])):
        return True
    if "trace_id" not in record and "request_id" not in record:
        return False
    if len(ROW_FIELDS & set(record)) >= 2:
        return True
    span = next(iter(list_in(record.get("spans"))), None)
    return isinstance(span, dict) and "attributes" in span and "name" in span


def read_trace(line: int, record: Any) -> Iterator[Found | Rejected]:
    """Read one trace; every span of it carries the trace id of the info, not the one that OpenTelemetry gave it."""
    if not isinstance(record, dict):
        yield rejected(line, f"expected a trace, got {kind_of(record)}", record)
        return
    info, spans = parts_of(record)
    try:
        trace_id = identifier(info, "trace_id", "request_id")
    except BadRecordError as error:
        yield rejected(line, str(error), record)
        return
    steps: list[tuple[Span, Fields]] = []
    for span in spans:
        try:
            if not isinstance(span, dict):
                raise BadRecordError(f"expected a span, got {kind_of(span)}")
            steps.append((step_span(span, trace_id), span))
        except BadRecordError as error:
            yield rejected(line, str(error), {"info": {"trace_id": trace_id}, "data": {"spans": [span]}})
    root, scores, broken = None, [], []
    try:
        # An info that says nothing but its id came with a span that was rejected before: the rest is known.
        root = info_span(info, trace_id, steps) if len(info) > 1 or not spans else None
    except BadRecordError as error:
        yield rejected(line, str(error), {"info": info, "data": {"spans": []}})
    for assessment in list_in(info.get("assessments")):
        try:
            scores.append(score_in(assessment, trace_id))
        except BadRecordError as error:
            broken.append(rejected(line, str(error), {"info": {"trace_id": trace_id, "assessments": [assessment]},
                                                      "data": {"spans": []}}))  # fmt: skip
    if root:
        yield Found(line, root)
    yield from (Found(line, step) for step, _ in steps)
    yield from (Found(line, score) for score in scores if score)
    yield from broken


def score_in(assessment: Any, trace_id: str) -> ExportedScore | None:
    """Read one assessment; None where it was overridden by another that stands beside it."""
    if not isinstance(assessment, dict):
        raise BadRecordError(f"expected an assessment, got {kind_of(assessment)}")
    return None if assessment.get("valid") is False else assessment_score(assessment, trace_id)


def parts_of(record: Fields) -> tuple[Fields, list[Any]]:
    """Give a trace's info and spans: as they are written, or out of the columns of a row."""
    inner = object_in(record.get("trace"))
    if is_trace(inner):
        record = inner
    info = record.get("info", record.get("trace_info"))
    if isinstance(info, dict):
        data = object_in(record.get("data"))
        return info, list_in(data.get("spans")) or list_in(record.get("spans"))
    return {key: value for key, value in record.items() if key not in ("spans", "trace")}, list_in(record.get("spans"))
