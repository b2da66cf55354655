"""The trace log: what the service was asked and what it answered, as native traces in the landing folder."""

import errno
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from uuid import uuid4

import msgspec

from eval.errors import OperationalError
from flywheel.serving.pipeline import Answer
from flywheel.trace import RetrievedContext, Trace

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and who asked it in which session."""

    question: str
    session_id: str | None = None
    user_id: str | None = None
    tenant_id: str | None = None
    metadata: Mapping[str, Scalar] = field(default_factory=dict)


def utc_now() -> datetime:
    """Give this moment in UTC."""
    return datetime.now(UTC)


def random_id() -> str:
    """Give an id that no other trace has."""
    return uuid4().hex


class TraceLog:
    """Appends traces to one file per process and UTC day; `clock` and `new_id` let a past week be played."""

    def __init__(
        self, folder: Path, clock: Callable[[], datetime] = utc_now, new_id: Callable[[], str] = random_id
    ) -> None:
        self.folder = folder
        self.clock = clock
        self.new_id = new_id
        self.name = f"{os.getpid()}-{secrets.token_hex(3)}"
        self.lock = Lock()

    def answered(self, asked: Asked, answer: Answer) -> Trace:
        """Make the trace of an answered question. It is not yet written: `add` does that."""
        return msgspec.structs.replace(
            self.asked(asked),
            retrieved_contexts=[
                RetrievedContext(hit.passage.id, hit.passage.text, hit.score, hit.passage.source or None)
                for hit in answer.passages
            ],
            response=answer.response,
            model=answer.model,
            prompt_version=answer.prompt_version,
            latency_ms=answer.latency_ms,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
        )

    def failed(self, asked: Asked, error: str, latency_ms: float | None = None) -> Trace:
        """Make the trace of a question that got no answer."""
        return msgspec.structs.replace(self.asked(asked), status="error", error=error, latency_ms=latency_ms)

    def asked(self, asked: Asked) -> Trace:
        """Make the trace of a question alone, with an id and the time."""
        return Trace(
            trace_id=self.new_id(),
            timestamp=self.clock(),
            user_input=asked.question,
            session_id=asked.session_id,
            user_id=asked.user_id,
            tenant_id=asked.tenant_id,
            metadata=dict(asked.metadata),
        )

    def add(self, trace: Trace) -> None:
        """Append one line in one write. A line that does not fit on the disk is taken back: OperationalError."""
        path = self.folder / f"served-{trace.timestamp.astimezone(UTC):%Y-%m-%d}-{self.name}.jsonl"
        line = msgspec.json.encode(trace) + b"\n"
        try:
            with self.lock:
                append(path, line)
        except OSError as error:
            raise OperationalError(
                f"cannot write the trace log {path}: {error.strerror}; make room there, or set paths.traces"
            ) from error


def append(path: Path, line: bytes) -> None:
    """Append a line to a file that only this process writes, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        before = os.fstat(file).st_size
        written = os.write(file, line)
        if written != len(line):
            os.ftruncate(file, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(file)
