"""Small valid files of every format, shape and style of names, from which the fuzz run sets out; texts are invented."""

import csv
import io
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
from google.protobuf import json_format  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pyarrow import parquet

from flywheel.sources.otlp_json import camel
from flywheel.trace import Feedback, RetrievedContext, Trace
from tests.flywheel.sources import test_langfuse, test_langsmith, test_mlflow
from tests.flywheel.sources import test_phoenix as untyped_phoenix
from tests.flywheel.sources import test_trulens as untyped_trulens
from tests.flywheel.sources.made_spans import START, otlp_span, pairs, request

test_phoenix: Any = untyped_phoenix
test_trulens: Any = untyped_trulens
snake: Any = test_langfuse.snake

QUESTION, ANSWER = "When does the ferry leave?", "At nine."


@dataclass(frozen=True, slots=True)
class Seed:
    """A file: JSON values (one is a document, several are lines), rows of a table, or bytes."""

    name: str
    values: tuple[Any, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    data: bytes = b""


OPENINFERENCE = {
    "openinference.span.kind": "RETRIEVER", "input.value": json.dumps({"question": QUESTION}), "output.value": ANSWER,
    "retrieval.documents.0.document.id": "p2", "retrieval.documents.0.document.content": "The ferry leaves at nine.",
    "retrieval.documents.0.document.score": 0.5, "retrieval.documents.0.document.metadata": '{"source": "a.md"}',
    "retrieval.documents.1.document.content": "It is blue.", "session.id": "s1", "user.id": "u1",
    "metadata": '{"tenant_id": "acme"}', "tag.tags": ["rag", "sea"], "evaluations.0.name": "good",
    "evaluations.0.score": 0.5, "evaluations.0.annotator_kind": "LLM",
}  # fmt: skip
OPENINFERENCE_CALL = {
    "openinference.span.kind": "LLM", "llm.model_name": "small-1", "llm.token_count.prompt": 30,
    "llm.token_count.completion": 5, "llm.cost.total": 0.02,
    "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": QUESTION,
    "llm.input_messages.1.message.contents.0.message_content.text": "and back?",
    "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": ANSWER,
}  # fmt: skip
MESSAGES = [{"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
            {"role": "user", "parts": [{"type": "text", "content": QUESTION}]}]  # fmt: skip
GENAI = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "small-1",
    "gen_ai.usage.input_tokens": 30, "gen_ai.usage.output_tokens": 5, "gen_ai.conversation.id": "s1",
    "gen_ai.input.messages": json.dumps(MESSAGES),
    "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": ANSWER}]}],
    "gen_ai.retrieval.documents": json.dumps([{"id": "p2", "content": "The ferry leaves at nine.", "score": 0.7}]),
}  # fmt: skip
TRACELOOP = {
    "traceloop.span.kind": "workflow", "traceloop.entity.name": "ask", "traceloop.association.properties.user_id": "u1",
    "traceloop.entity.input": json.dumps({"inputs": {"question": QUESTION}}),
    "traceloop.entity.output": json.dumps({"outputs": ANSWER}), "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": QUESTION, "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": ANSWER,
    "llm.usage.total_tokens": 35,
}  # fmt: skip
VERCEL = {
    "ai.operationId": "ai.generateText", "ai.model.id": "small-1", "ai.usage.promptTokens": 30,
    "ai.prompt": json.dumps({"messages": [{"role": "user", "content": QUESTION}]}), "ai.response.text": ANSWER,
    "ai.telemetry.metadata.userId": "u1",
}  # fmt: skip
EVENTS = [
    {"name": "gen_ai.user.message", "timeUnixNano": str(START), "attributes": pairs({"content": QUESTION})},
    {"name": "gen_ai.choice", "timeUnixNano": START, "attributes": pairs({"message": {"content": ANSWER}, "index": 0})},
    {"name": "exception", "attributes": pairs({"exception.type": "Timeout", "exception.message": "too slow"})},
    {"name": "gen_ai.evaluation.result", "attributes": pairs(
        {"gen_ai.evaluation.name": "good", "gen_ai.evaluation.score.value": 0.5})},
    {"name": "db.query.result", "attributes": pairs({"db.query.result.id": "p2", "db.query.result.document": "Nine."})},
]  # fmt: skip
LOG = {
    "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "timeUnixNano": str(START),
    "eventName": "gen_ai.client.inference.operation.details", "body": {"kvlistValue": {"values": pairs(GENAI)}},
    "attributes": pairs({"event.name": "gen_ai.user.message", "content": QUESTION}),
}  # fmt: skip
SPANS = [
    otlp_span(attributes, spanId=f"b7ad6b716920333{place}", **({"parentSpanId": "b7ad6b7169203330"} if place else {}))
    for place, attributes in enumerate((TRACELOOP, OPENINFERENCE, OPENINFERENCE_CALL, GENAI, VERCEL))
]
SPANS[3] |= {"events": EVENTS, "status": {"code": "STATUS_CODE_ERROR", "message": "too slow"}}
SERVICE = {"service.name": "rag", "deployment.environment.name": "staging", "tenant.id": "acme"}
REQUEST = request(*SPANS, resource=SERVICE)
LOGS = {"resourceLogs": [{"resource": {"attributes": pairs(SERVICE)}, "scopeLogs": [{"logRecords": [LOG, LOG]}]}]}


def in_snake_case(value: Any) -> Any:
    """Rename the keys of a request as Python writers do; the reader has to find its way back."""
    if isinstance(value, list):
        return [in_snake_case(item) for item in value]
    if not isinstance(value, dict):
        return value
    snake = {"".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in key): key for key in value}
    assert all(camel({written: 0}) == {key: 0} for written, key in snake.items())
    return {written: in_snake_case(value[key]) for written, key in snake.items()}


def native_seeds() -> list[Seed]:
    """Native lines, written by msgspec."""
    full = Trace(
        trace_id="t1", timestamp=datetime.fromisoformat("2026-11-03T10:00:00+00:00"), user_input=QUESTION,
        session_id="s1", user_id="u1", tenant_id="acme", environment="staging",
        retrieved_contexts=[RetrievedContext("p2", "The ferry leaves at nine.", 0.7, "a.md")], response=ANSWER,
        model="small-1", prompt_version="3", latency_ms=12.5, input_tokens=30, output_tokens=5, cost_usd=0.02,
        status="error", error="too slow", feedback=Feedback(4, "fine"), metadata={"source_id": "a", "deep": {"x": [1]}},
    )  # fmt: skip
    lines = tuple(msgspec.to_builtins(trace) for trace in (full, Trace(
        trace_id="t2", timestamp=full.timestamp, user_input="Why?", metadata={"n": 1})))  # fmt: skip
    return [Seed("native.jsonl", lines), Seed("native.json", (list(lines),)), Seed("one.json", lines[:1])]


def otlp_seeds() -> list[Seed]:
    """OTLP in JSON and protobuf, spans and logs, in the shapes that collectors and backends write."""
    group = REQUEST["resourceSpans"][0]
    as_json = [
        Seed("otlp.jsonl", (REQUEST, request(SPANS[0]))),
        Seed("otlp.json", (REQUEST,)),
        Seed("array.json", ([REQUEST, REQUEST],)),
        Seed("tempo.json", ({"batches": [group]},)),
        Seed("old.json", ({"resourceSpans": [{"instrumentationLibrarySpans": group["scopeSpans"]}]},)),
        Seed("alone.jsonl", (group, group)),
        Seed("snake.jsonl", (in_snake_case(REQUEST), in_snake_case(LOGS))),
        Seed("logs.jsonl", (LOGS, REQUEST)),
    ]
    spans = [span | {"traceId": "CvdlGRbNQ92ESOshHIAxnA==", "spanId": "t61rcWkgMzE=", "parentSpanId": "t61rcWkgMzA="}
             for span in SPANS]  # fmt: skip
    spans[3]["status"] = {"code": 2, "message": "too slow"}
    message = json_format.ParseDict(request(*spans, resource=SERVICE), ExportTraceServiceRequest()).SerializeToString()
    few = json_format.ParseDict(request(spans[1]), ExportTraceServiceRequest()).SerializeToString()
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in (message, few))
    return [*as_json, Seed("otlp.pb", data=message), Seed("otlp.bin", data=few), Seed("framed.pb", data=framed)]


def vendor_seeds() -> list[Seed]:
    """The shapes of vendors' exports that their own tests read."""
    seeds = []
    for vendor in (test_langfuse, test_langsmith, test_mlflow):
        for place, values in enumerate(vendor.SHAPES.values()):
            kept = tuple(value for value in values if not isinstance(value, bytes))
            seeds.append(Seed(f"{vendor.__name__.rpartition('_')[2]}-{place}.jsonl", kept))
    seeds.append(Seed("feedback.jsonl", (test_langsmith.SAID, test_langsmith.CALL)))
    rows = [json.loads(test_phoenix.as_json(row)) for row in test_phoenix.ROWS]
    spans = [test_phoenix.nested(row) for row in rows]
    seeds += [Seed("phoenix.jsonl", tuple(rows)), Seed("phoenix.json", ({"data": spans, "next_cursor": None},))]
    score = {"ai.observability.span_type": "eval_root", "ai.observability.eval_root.score": 0.5,
             "ai.observability.eval_root.metric_name": "good", "ai.observability.eval.llm_judge_name": "m"}  # fmt: skip
    asked = {"ai.observability.record_root.input": QUESTION, "ai.observability.record_root.output": ANSWER}
    found = {"ai.observability.retrieval.query_text": QUESTION, "ai.observability.span_type": "retrieval",
             "ai.observability.retrieval.retrieved_contexts": ["The ferry leaves at nine."]}  # fmt: skip
    seeds.append(Seed("trulens.jsonl", tuple(test_trulens.event(said) for said in (asked, found, score))))
    seeds.append(Seed("attributes.jsonl", (OPENINFERENCE, GENAI, TRACELOOP, VERCEL)))
    seeds.append(Seed("attributes.json", (OPENINFERENCE_CALL,)))
    return seeds


ANYBODYS = (
    {"id": "t1", "ts": "2026-11-03T12:00:00Z", "q": QUESTION, "a": ANSWER, "ms": 12.5, "tokens": 30, "s": "ok",
     "e": None, "docs": [{"text": "The ferry leaves at nine.", "id": "p2"}], "stars": 4, "m": {"x": 1}},
    {"id": "t2", "ts": 1793700000, "q": [{"role": "user", "content": QUESTION}], "a": {"answer": ANSWER}, "ms": "3",
     "tokens": "5", "s": 500, "e": "too slow", "docs": '[{"body": "It is blue."}]', "stars": None, "m": "x"},
)  # fmt: skip


def table_seeds() -> list[Seed]:
    """Tables of Phoenix, Langfuse and anybody, which become CSV and Parquet."""
    langfuse = [[snake(row)] for row in (test_langfuse.ROOT, test_langfuse.CALL, test_langfuse.SCORE)]
    tables = {"phoenix": test_phoenix.union(test_phoenix.ROWS), "anybody": [*ANYBODYS]} | {
        f"langfuse-{place}": rows for place, rows in enumerate(langfuse)
    }
    return [Seed(f"{name}.{form}", rows=tuple(rows)) for name, rows in tables.items() for form in ("csv", "parquet")]


def as_text(value: Any) -> Any:
    """Write a cell of a table in text."""
    return json.dumps(value, default=str) if isinstance(value, list | dict) else value


def as_csv(rows: list[dict[str, Any]], delimiter: str = ",") -> bytes:
    """Write a table in text."""
    file = io.StringIO(newline="")
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = csv.DictWriter(file, names, delimiter=delimiter)
    table.writeheader()
    table.writerows([{name: as_text(value) for name, value in row.items()} for row in rows])
    return file.getvalue().encode("utf-8", "surrogatepass")


def as_parquet(columns: dict[str, Any]) -> bytes:
    """Write columns, Arrow arrays or lists, as Parquet; a list whose values are of many types becomes texts."""
    arrays = {}
    for name, values in columns.items():
        try:
            arrays[name] = values if isinstance(values, pa.Array) else pa.array(values)
        except (pa.ArrowException, OverflowError):
            arrays[name] = pa.array([None if value is None else str(as_text(value)) for value in values], pa.string())
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table(arrays), sink, row_group_size=2)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def all_seeds() -> list[Seed]:
    """Every seed."""
    anybody = [Seed("anybody.jsonl", ANYBODYS), Seed("anybody.json", ({"rows": [*ANYBODYS]},))]
    return [*native_seeds(), *otlp_seeds(), *vendor_seeds(), *table_seeds(), *anybody]
