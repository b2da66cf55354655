"""Traces of about 3 kB, made from a seed: the input of benchmarks, as native JSON lines and as OTLP JSON."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec

START = datetime(2026, 11, 2, tzinfo=UTC)
SECONDS_IN_A_WEEK = 7 * 24 * 3600
PASSAGES = 4
SYLLABLES = [consonant + vowel for consonant in "bdklmnr" for vowel in "aeiou"]
MODELS = ("large-1", "small-2", "small-3")
TENANTS = ("north", "south", "west")


class Writer:
    """Sentences over a vocabulary whose frequencies fall off as in language (Zipf), and a corpus made of them."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        words = ["".join(self.rng.choices(SYLLABLES, k=self.rng.randint(1, 4))) for _ in range(30_000)]
        weights = list(accumulate(1 / (rank + 10) for rank in range(len(words))))
        self.sentences = []
        for _ in range(40_000):
            chosen = self.rng.choices(words, cum_weights=weights, k=self.rng.randint(8, 20))
            self.sentences.append(" ".join(chosen).capitalize() + ".")
        self.corpus = [self.text(7) for _ in range(100_000)]

    def text(self, sentences: int) -> str:
        """Write a text."""
        return " ".join(self.rng.choices(self.sentences, k=sentences))


def made_trace(writer: Writer, number: int) -> dict[str, Any]:
    """Make one trace; its id and its times depend on its number alone."""
    rng = writer.rng
    moment = START + timedelta(seconds=number * 7 % SECONDS_IN_A_WEEK, milliseconds=number % 1000)
    return {
        "trace_id": f"{(number + 1) * 0x9E3779B97F4A7C15 % 2**128:032x}",
        "timestamp": moment.isoformat().replace("+00:00", "Z"),
        "user_input": writer.text(1),
        "session_id": f"s-{number // 3}",
        "user_id": f"u-{number % 5000}",
        "tenant_id": rng.choice(TENANTS),
        "environment": "production",
        "retrieved_contexts": [
            {"id": f"d-{place}", "text": writer.corpus[place], "score": rng.random(), "source": "manual"}
            for place in rng.choices(range(len(writer.corpus)), k=PASSAGES)
        ],
        "response": writer.text(5),
        "model": rng.choice(MODELS),
        "prompt_version": "v3",
        "latency_ms": round(rng.random() * 5000, 1),
        "input_tokens": 800,
        "output_tokens": 90,
        "cost_usd": 0.001,
        "status": "ok",
        "error": None,
        "feedback": None,
        "metadata": {"source_id": f"x-{number % 999}"},
    }


def spans_of(trace: dict[str, Any]) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Give the three spans of a trace: name, id, parent, OpenInference attributes."""
    ids = [trace["trace_id"][:15] + digit for digit in "012"]
    documents = {
        f"retrieval.documents.{place}.document.{name}": context[field]
        for place, context in enumerate(trace["retrieved_contexts"])
        for name, field in (("id", "id"), ("content", "text"))
    }
    asked, answered = trace["user_input"], trace["response"]
    return [
        ("retriever", ids[1], ids[0], {"openinference.span.kind": "RETRIEVER", "input.value": asked, **documents}),
        (
            "generate",
            ids[2],
            ids[0],
            {
                "openinference.span.kind": "LLM",
                "llm.model_name": trace["model"],
                "llm.input_messages.0.message.role": "user",
                "llm.input_messages.0.message.content": asked,
                "llm.output_messages.0.message.role": "assistant",
                "llm.output_messages.0.message.content": answered,
                "llm.token_count.prompt": trace["input_tokens"],
                "llm.token_count.completion": trace["output_tokens"],
            },
        ),
        (
            "rag",
            ids[0],
            "",
            {
                "openinference.span.kind": "CHAIN",
                "input.value": asked,
                "output.value": answered,
                "session.id": trace["session_id"],
                "user.id": trace["user_id"],
            },
        ),
    ]


def as_otlp(trace: dict[str, Any]) -> dict[str, Any]:
    """Lay a trace out as an OTLP request of three spans."""
    begun = int(datetime.fromisoformat(trace["timestamp"]).timestamp() * 1e9)
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [attribute("service.name", "rag")]},
                "scopeSpans": [
                    {
                        "scope": {"name": "made"},
                        "spans": [
                            {
                                "traceId": trace["trace_id"],
                                "spanId": span_id,
                                **({"parentSpanId": parent} if parent else {}),
                                "name": name,
                                "kind": 1,
                                "startTimeUnixNano": str(begun),
                                "endTimeUnixNano": str(begun + 1_000_000_000),
                                "attributes": [attribute(key, value) for key, value in attributes.items()],
                                "status": {"code": 1},
                            }
                            for name, span_id, parent, attributes in spans_of(trace)
                        ],
                    }
                ],
            }
        ]
    }


def attribute(key: str, value: str | int) -> dict[str, Any]:
    """Write one OTLP attribute."""
    return {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}


def made_traces(count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Make traces."""
    writer = Writer(seed)
    return (made_trace(writer, number) for number in range(count))


def write_traces(folder: Path, count: int, smaller: int) -> dict[str, Path]:
    """Write `count` native traces; their first `smaller` ones once more, as a native and as an OTLP file."""
    paths = {name: folder / f"{name}.jsonl" for name in ("all", "few", "few_otlp")}
    files = {name: path.open("wb") for name, path in paths.items()}
    try:
        for number, trace in enumerate(made_traces(count)):
            line = msgspec.json.encode(trace) + b"\n"
            files["all"].write(line)
            if number < smaller:
                files["few"].write(line)
                files["few_otlp"].write(msgspec.json.encode(as_otlp(trace)) + b"\n")
    finally:
        for file in files.values():
            file.close()
    return paths
