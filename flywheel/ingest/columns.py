"""Traces as Arrow columns, in the order of the warehouse's `trace` table."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from flywheel.trace import RetrievedContext, Trace

METADATA = msgspec.json.Encoder(order="deterministic")
CONTEXT = pa.struct([("id", pa.string()), ("text", pa.string()), ("score", pa.float64()), ("source", pa.string())])
TEXTS = ("session_id", "user_id", "tenant_id", "environment")
NO_CONTEXTS: list[RetrievedContext] = []


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A trace as it arrived: the line it stands on, a hash of its content, and whether its passages are missing.

    They are missing where the delivery says nothing of passages, or leaves out the text of one, and there is an
    answer that they would have to support. `[]` says that nothing was retrieved.
    """

    line: int
    trace: Trace
    content_hash: str
    contexts_missing: bool


def contexts_missing(trace: Trace) -> bool:
    """Tell whether a whole trace came without the passages that its answer stands on."""
    if not trace.response:
        return False
    if trace.retrieved_contexts is None:
        return True
    return "" in [context.text for context in trace.retrieved_contexts]


def trace_table(arrivals: Sequence[Arrival], delivery: int, group: str) -> pa.Table:
    """Lay out traces as columns; `group` is the dotted path of the field that names the unit of resampling."""
    traces = [arrival.trace for arrival in arrivals]
    text, number, count = pa.string(), pa.float64(), pa.int64()
    feedback = [trace.feedback for trace in traces]
    columns = {
        "delivery": pa.array([delivery] * len(traces), count),
        "line": pa.array([arrival.line for arrival in arrivals], count),
        "trace_id": pa.array([trace.trace_id for trace in traces], text),
        "content_hash": pa.array([arrival.content_hash for arrival in arrivals], text),
        "timestamp": pa.array([trace.timestamp for trace in traces], pa.timestamp("us")),
        "group_id": pa.array([group_of(trace, group) for trace in traces], text),
        "user_input": pa.array([trace.user_input for trace in traces], text),
        "response": pa.array([trace.response for trace in traces], text),
        **{name: pa.array([getattr(trace, name) for trace in traces], text) for name in TEXTS},
        "retrieved_contexts": contexts_array([trace.retrieved_contexts or NO_CONTEXTS for trace in traces]),
        "contexts_missing": pa.array([arrival.contexts_missing for arrival in arrivals], pa.bool_()),
        "model": pa.array([trace.model for trace in traces], text),
        "prompt_version": pa.array([trace.prompt_version for trace in traces], text),
        "latency_ms": pa.array([trace.latency_ms for trace in traces], number),
        "input_tokens": pa.array([trace.input_tokens for trace in traces], count),
        "output_tokens": pa.array([trace.output_tokens for trace in traces], count),
        "cost_usd": pa.array([trace.cost_usd for trace in traces], number),
        "status": pa.array([trace.status for trace in traces], text),
        "error": pa.array([trace.error for trace in traces], text),
        "rating": pa.array([said.rating if said else None for said in feedback], pa.int8()),
        "comment": pa.array([said.comment if said else None for said in feedback], text),
        "metadata": pa.array([METADATA.encode(trace.metadata) for trace in traces], pa.binary()).cast(text),
    }
    return pa.table(columns)


def contexts_array(contexts: Sequence[Sequence[RetrievedContext]]) -> pa.Array:
    """Lay out the passages of traces as one list column, without a Python object for each."""
    ends = [0]
    for passages in contexts:
        ends.append(ends[-1] + len(passages))
    flat = [passage for passages in contexts for passage in passages]
    fields = [
        pa.array([passage.id for passage in flat], pa.string()),
        pa.array([passage.text for passage in flat], pa.string()),
        pa.array([passage.score for passage in flat], pa.float64()),
        pa.array([passage.source for passage in flat], pa.string()),
    ]
    return pa.ListArray.from_arrays(
        pa.array(ends, pa.int32()), pa.StructArray.from_arrays(fields, fields=list(CONTEXT))
    )


def group_of(trace: Trace, field: str) -> str:
    """Name the trace's unit of resampling by a dotted path such as `metadata.source_id`; where null, its own id."""
    value: Any = trace
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
    return str(value) if value is not None else trace.trace_id
