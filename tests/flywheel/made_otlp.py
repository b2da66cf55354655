"""Made-up OTLP spans: the steps of a RAG pipeline, in the words of OpenInference."""

from hashlib import blake2b

STARTED = 1_793_700_000_000_000_000  # 2026-11-03T10:00:00Z


def hex_id(name: str, length: int) -> str:
    """An id of the length that OTLP asks for."""
    return blake2b(name.encode(), digest_size=length // 2).hexdigest()


def trace_id(name: str) -> str:
    """The trace id that a name stands for."""
    return hex_id(name, 32)


def make_span(trace: str, name: str, kind: str, parent: str | None = None, *, at: int = 0, **attributes) -> dict:
    """A span of a trace that begins `at` milliseconds after the first and takes one; `_` in names is `.`."""
    started = STARTED + at * 1_000_000
    told = {"openinference.span.kind": kind} | {key.replace("_", "."): value for key, value in attributes.items()}
    return {
        "traceId": trace_id(trace),
        "spanId": hex_id(f"{trace} {name}", 16),
        **({"parentSpanId": hex_id(f"{trace} {parent}", 16)} if parent else {}),
        "name": name,
        "startTimeUnixNano": str(started),
        "endTimeUnixNano": str(started + 1_000_000),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in told.items()],
    }


def make_spans(trace: str, question: str = "How long?", answer: str = "14 days.", passage: str = "14 days.") -> list:
    """The three steps of a trace: the chain that was asked, what it found, what it answered."""
    found = {"retrieval.documents.0.document.id": "p1", "retrieval.documents.0.document.content": passage}
    return [
        make_span(trace, "chain", "CHAIN", input_value=question, output_value=answer),
        make_span(trace, "retriever", "RETRIEVER", "chain", at=1, input_value=question, **found),
        make_span(trace, "llm", "LLM", "chain", at=2, llm_model_name="made-1", output_value=answer),
    ]


def request(*spans: dict) -> dict:
    """A line as the collector's file exporter writes it."""
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]}
