"""The pipeline under test: a service by HTTP, a Python callable, or answers that were recorded."""

import importlib
import inspect
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import httpx

from eval.cases import GoldenCase
from eval.errors import UserError
from eval.sample import Passage

AnswerStatus = Literal["ok", "not_recorded", "timeout", "error"]
ATTEMPTS = 3
PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Answer:
    """What a pipeline gave for one question, or why it gave nothing. `response` is "" unless `status` is ok."""

    response: str = ""
    passages: tuple[Passage, ...] = ()
    status: AnswerStatus = "ok"
    reason: str = ""
    seconds: float = 0.0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline that can be asked: `ask(case, repeat)` never raises for what the pipeline does wrong.

    `content` is a hash of what is asked where that can be known (recorded answers), otherwise empty.
    """

    spec: str
    ask: Callable[[GoldenCase, int], Answer]
    concurrency: int = 1
    content: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """Where a service's JSON keeps things: dotted paths into its answer, and the name of the question it takes."""

    question: str = "question"
    answer: str = "answer"
    passages: str = "passages"
    passage_id: str = "id"
    passage_text: str = "text"


@contextmanager
def open_pipeline(
    spec: str, *, timeout_seconds: float = 30.0, concurrency: int = 4, shape: Shape | None = None
) -> Iterator[Pipeline]:
    """Open what `spec` names: `http://…`, `module:function`, or a `.jsonl` file of recorded answers."""
    shape = shape or Shape()
    if spec.startswith(("http://", "https://")):
        with httpx.Client(timeout=timeout_seconds, trust_env=False) as client:
            yield Pipeline(spec, lambda case, _: ask_service(client, spec, shape, case), concurrency)
    elif spec.endswith(".jsonl"):
        yield recorded_answers(Path(spec), spec)
    elif ":" in spec:
        yield callable_pipeline(spec, shape)
    else:
        raise UserError(
            f"{spec!r} names no pipeline; give http://host:port/query, module:function, or a .jsonl file of answers"
        )


def ask_service(client: httpx.Client, url: str, shape: Shape, case: GoldenCase) -> Answer:
    """Post the question; a failed connection, a 429 and a 5xx are tried again, twice."""
    body: dict[str, Any] = {shape.question: case.user_input}
    if case.passages:
        body["passages"] = [{"id": p.id, "text": p.text} for p in case.passages]
    started = time.perf_counter()
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
        try:
            reply = client.post(url, json=body)
        except httpx.TimeoutException:
            return Answer(status="timeout", reason=f"no answer from {url}", seconds=time.perf_counter() - started)
        except httpx.TransportError as error:
            reason = f"{url}: {error}"
            continue
        if reply.status_code < 500 and reply.status_code != 429:
            return read_reply(reply, shape, time.perf_counter() - started)
        reason = f"{url}: HTTP {reply.status_code}"
    return Answer(status="error", reason=reason, seconds=time.perf_counter() - started)


def read_reply(reply: httpx.Response, shape: Shape, seconds: float) -> Answer:
    """Turn a service's reply into an answer."""
    if reply.status_code >= 400:
        return Answer(status="error", reason=f"HTTP {reply.status_code}: {reply.text[:200]}", seconds=seconds)
    try:
        found = reply.json()
    except ValueError:
        return Answer(status="error", reason=f"the reply is no JSON: {reply.text[:200]}", seconds=seconds)
    return read_answer(found, shape, seconds)


def read_answer(found: object, shape: Shape, seconds: float) -> Answer:
    """Take the answer and its passages out of a mapping; passages may also be plain texts."""
    response = at_path(found, shape.answer)
    if not isinstance(response, str):
        problem = f"no text at {shape.answer!r}, found {type(response).__name__}"
        return Answer(status="error", reason=problem, seconds=seconds)
    given = at_path(found, shape.passages)
    if given is not None and not isinstance(given, list | tuple):
        problem = f"no list at {shape.passages!r}, found {type(given).__name__}"
        return Answer(status="error", reason=problem, seconds=seconds)
    passages = tuple(read_passage(p, number, shape) for number, p in enumerate(given or ()))
    cost = at_path(found, "cost_usd")
    return Answer(response, passages, seconds=seconds, cost_usd=float(cost) if isinstance(cost, int | float) else 0.0)


def read_passage(found: object, number: int, shape: Shape) -> Passage:
    """Take one passage; without an id of its own it is called by its place."""
    if isinstance(found, Passage):
        return found
    if isinstance(found, str):
        return Passage(str(number), found)
    name, text = at_path(found, shape.passage_id), at_path(found, shape.passage_text)
    return Passage(str(number if name is None else name), text if isinstance(text, str) else "")


def at_path(found: object, path: str) -> object:
    """Follow a dotted path through mappings; None where it leads nowhere."""
    for key in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(key)
    return found


def callable_pipeline(spec: str, shape: Shape) -> Pipeline:
    """Call a function of the question that gives an `Answer` or a mapping.

    A function with a parameter `passages` is also handed the passages that a case fixes.
    """
    module_name, _, function_name = spec.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"cannot load the pipeline {spec!r}: {error}; name it as module:function") from error
    takes_passages = "passages" in inspect.signature(function).parameters

    def ask(case: GoldenCase, _: int) -> Answer:
        started = time.perf_counter()
        try:
            found = function(case.user_input, passages=case.passages) if takes_passages else function(case.user_input)
        except Exception as error:  # foreign code: whatever it raises is its answer
            problem = f"{type(error).__name__}: {error}"
            return Answer(status="error", reason=problem, seconds=time.perf_counter() - started)
        return found if isinstance(found, Answer) else read_answer(found, shape, time.perf_counter() - started)

    return Pipeline(spec, ask)


def recorded_answers(path: Path, spec: str) -> Pipeline:
    """Answer from a file: lines of `{"case_id", "response", "passages"}`, further lines of a case are its repeats.

    A run's own `results.jsonl` is such a file, so old answers can be scored again.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the recorded answers {path}: {error.strerror}; check the path") from error
    answers: dict[tuple[str, int], Answer] = {}
    seen: dict[str, int] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        case_id, repeat, answer = read_recorded(path, number, line)
        repeat = seen.get(case_id, 0) if repeat is None else repeat
        seen[case_id] = repeat + 1
        answers[case_id, repeat] = answer
    missing = Answer(status="not_recorded", reason=f"no answer in {path.name}")
    return Pipeline(spec, lambda c, r: answers.get((c.case_id, r), missing), content=sha256(content).hexdigest())


def read_recorded(path: Path, number: int, line: bytes) -> tuple[str, int | None, Answer]:
    """Read one recorded answer: its case, its repeat where it says one, and the answer."""
    try:
        found = json.loads(line)
    except ValueError as error:
        raise UserError(f"{path}, line {number}: {error}; correct or remove that line") from error
    case_id = found.get("case_id") if isinstance(found, dict) else None
    if not isinstance(case_id, str):
        raise UserError(f'{path}, line {number}: no "case_id"; each line is {{"case_id", "response", "passages"}}')
    repeat = found.get("repeat")
    status, reason = found.get("status", "ok"), str(found.get("reason") or "")
    if status == "ok":
        answer = read_answer(found, Shape(answer="response"), seconds_of(found))
    elif status in ("not_recorded", "timeout"):
        answer = Answer(status=status, reason=reason, seconds=seconds_of(found))
    else:
        answer = Answer(status="error", reason=reason or str(status), seconds=seconds_of(found))
    return case_id, repeat if isinstance(repeat, int) else None, answer


def seconds_of(found: dict[str, Any]) -> float:
    """How long a recorded answer took; 0 where nobody wrote it down."""
    seconds = found.get("seconds")
    return float(seconds) if isinstance(seconds, int | float) else 0.0
