"""What the label store holds: draws, their tasks, the labels people give, and every other human decision."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal

from flywheel.trace import FailureType, Severity

Purpose = Literal["random", "purposive"]
Verdict = Literal["pass", "fail", "defer"]
EventKind = Literal["label", "skip", "undo", "lease", "decision"]


@dataclass(frozen=True, slots=True)
class StratumPlan:
    """A stratum of a draw: how many traces it holds, and how many of them were drawn."""

    name: str
    size: int
    allocated: int


@dataclass(frozen=True, slots=True)
class Draw:
    """A frozen random sample of a week. `population_sha256` covers the trace ids and revisions drawn from."""

    draw_id: str
    week: str
    seed: int
    population_size: int
    population_sha256: str
    strata: tuple[StratumPlan, ...]
    instrument: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TaskPassage:
    """A passage as the generator saw it, with the name of its source where there is one."""

    id: str
    text: str
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question of the same session and its answer."""

    user_input: str
    response: str | None = None


@dataclass(frozen=True, slots=True)
class TaskSentence:
    """A sentence of the response by code-point offsets (end exclusive).

    `unsupported` is the detector's probability that no passage supports it, None where it could not say;
    `passage_id` names the passage that comes closest.
    """

    start: int
    end: int
    unsupported: float | None = None
    passage_id: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TaskPayload:
    """The copy of a trace that an annotator sees, so that labelling never opens the warehouse."""

    user_input: str
    response: str
    passages: tuple[TaskPassage, ...] = ()
    history: tuple[Turn, ...] = ()
    sentences: tuple[TaskSentence, ...] = ()
    model: str | None = None
    prompt_version: str | None = None
    tenant_id: str | None = None
    suggested_failure_type: FailureType | None = None
    text_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """One trace to look at. `position` is its place in the random order of its stratum.

    A purposive task has no inclusion probability, and its labels never enter a rate.
    """

    task_id: str
    draw_id: str
    week: str
    trace_id: str
    revision: int
    purpose: Purpose
    stratum: str | None
    position: int
    inclusion_probability: float | None
    reason: str
    payload: TaskPayload


def task_id(draw_id: str, trace_id: str) -> str:
    """Name the task of a trace in a draw: 16 hex digits, the same every time."""
    return sha256(f"{draw_id}\x1f{trace_id}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Label:
    """What one person says of a trace, or of a part of it.

    `target` is `trace`, `sentence:START-END` or `passage:ID`; `spans` are the unsupported parts of the
    response by code-point offsets. `started_at` is None where nobody took the time (imports).
    """

    task_id: str
    trace_id: str
    revision: int
    verdict: Verdict
    annotator: str
    submitted_at: datetime
    target: str = "trace"
    failure_type: FailureType | None = None
    severity: Severity | None = None
    corrected_response: str | None = None
    spans: tuple[tuple[int, int], ...] = ()
    note: str = ""
    guideline_version: str = ""
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Any human act that is no label: a mode renamed, a case retired, a disagreement settled, a baseline blessed."""

    kind: str
    subject: str
    payload: dict[str, Any]
    author: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the tasks of a week are: by anyone, or by one annotator.

    `done` has a pass or fail, `deferred` only a defer, `skipped` was passed over and has no label.
    `median_seconds` a task is None until a label was timed.
    """

    week: str
    total: int
    done: int
    deferred: int
    skipped: int
    per_annotator: dict[str, int]
    median_seconds: float | None

    @property
    def remaining(self) -> int:
        """Tasks that still wait for a verdict."""
        return self.total - self.done - self.deferred
