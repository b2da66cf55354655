"""Made-up exports, with invented texts, for the tests of a first look."""

import json
from pathlib import Path

SUPPORTED = ("How long is the trial?", "The trial runs 14 days.", ("The trial runs 14 days from the first login.",))
WRONG = (
    ("When does the shop open on Sunday?", "The shop opens at noon and closes at nine on Sundays, with free parking."),
    ("Who repairs a broken kettle?", "Any blacksmith in Norway repairs kettles for forty crowns within an hour."),
    ("Which paint dries fastest?", "Purple enamel from Lisbon dries in eleven seconds under moonlight."),
)


def trace(trace_id: str, question: str, answer: str | None, passages: tuple[str, ...] | None, **fields) -> dict:
    """A native trace; `passages` None leaves them out."""
    contexts = (
        {} if passages is None else {"retrieved_contexts": [{"id": f"{trace_id}-p", "text": p} for p in passages]}
    )
    moment = {"trace_id": trace_id, "timestamp": "2026-11-03T10:00:00Z"}
    return {**moment, "user_input": question, "response": answer, **contexts, **fields}


def small_export() -> list[dict]:
    """Five supported answers about other things each, and three that no passage supports."""
    things = ("trial", "lease", "season", "warranty", "voyage")
    good = [
        trace(
            f"good-{thing}", f"How long is the {thing}?", f"The {thing} runs 14 days.", (f"The {thing} runs 14 days.",)
        )
        for thing in things
    ]
    passage = ("Our newsletter appears every month and can be cancelled at any time.",)
    return good + [trace(f"bad-{n}", asked, said, passage) for n, (asked, said) in enumerate(WRONG)]


def write_export(path: Path, lines: list) -> Path:
    """Write lines as JSON; bytes stand as they are."""
    path.write_bytes(b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in lines) + b"\n")
    return path


def langfuse_score(trace_id: str, value: str, comment: str | None = None) -> dict:
    """What a person said in Langfuse."""
    return {
        "id": f"score-{trace_id}", "trace_id": trace_id, "name": "quality", "source": "ANNOTATION",
        "data_type": "CATEGORICAL", "value": 0, "string_value": value, "comment": comment,
        "timestamp": "2026-11-03T11:00:00Z",
    }  # fmt: skip


def langfuse_trace(trace_id: str, question: str, answer: str, passages: list[dict]) -> dict:
    """A trace with its retrieval, as Langfuse downloads it."""
    step = {"trace_id": trace_id, "start_time": "2026-11-03T10:00:01Z", "parent_observation_id": None}
    return {
        "id": trace_id, "timestamp": "2026-11-03T10:00:00Z", "name": "rag", "tags": [], "public": False,
        "release": None,
        "input": {"question": question}, "output": {"answer": answer},
        "observations": [
            step
            | {"id": f"r-{trace_id}", "type": "RETRIEVER", "name": "retrieve", "input": question, "output": passages}
        ],
    }  # fmt: skip
