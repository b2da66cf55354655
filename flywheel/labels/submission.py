"""A verdict as a person or a file sends it, checked before it becomes a `Label`."""

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from eval.errors import UserError
from flywheel.labels.records import Label, Task, Verdict
from flywheel.trace import FailureType, Severity

TARGET = re.compile(r"trace|sentence:\d+-\d+|passage:.+", re.DOTALL)
MAX_TEXT = 100_000


def known_target(target: str) -> str:
    """Check that a target names the trace or a part of it."""
    if not TARGET.fullmatch(target):
        raise ValueError("write trace, sentence:START-END or passage:ID")
    return target


def blank_as_none(given: object) -> object:
    """Take an empty cell for no answer."""
    return None if isinstance(given, str) and not given.strip() else given


def lower(given: object) -> object:
    """Take `Pass ` for `pass`."""
    return given.strip().lower() if isinstance(given, str) else given


Text = Annotated[str, Field(max_length=MAX_TEXT)]
Blank = BeforeValidator(blank_as_none)


class Submission(BaseModel):
    """What may come from outside: unknown keys are ignored, so that an exported task can be filled in and sent back."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    verdict: Annotated[Verdict, BeforeValidator(lower)]
    target: Annotated[str, Field(max_length=1000), AfterValidator(known_target)] = "trace"
    failure_type: Annotated[FailureType | None, Blank] = None
    severity: Annotated[Severity | None, Blank] = None
    corrected_response: Annotated[Text | None, Blank] = None
    spans: tuple[tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]], ...] = ()
    note: Text = ""
    annotator: Annotated[Annotated[str, Field(max_length=200)] | None, Blank] = None
    guideline_version: Annotated[str, Field(max_length=100)] = ""
    started_at: Annotated[AwareDatetime | None, Blank] = None
    submitted_at: Annotated[AwareDatetime | None, Blank] = None


def read_submission(given: dict[str, Any]) -> Submission:
    """Check what was sent; what does not fit is a `UserError` that names each field and what it may be."""
    try:
        return Submission.model_validate(given)
    except ValidationError as error:
        said = []
        for problem in error.errors(include_url=False):
            place = ".".join(str(part) for part in problem["loc"])
            is_empty = problem["type"] == "missing" or problem["input"] in (None, "")
            said.append(f"{place} is empty" if is_empty else f"{place}: {problem['msg']}, got {problem['input']!r:.80}")
        raise UserError("; ".join(said)) from error


def make_label(task: Task, sent: Submission, annotator: str, now: datetime) -> Label:
    """Make the label of a task; its annotator and time are those sent, else those given here.

    Offsets outside the response, and details of a failure on an answer that did not fail, are a `UserError`.
    """
    length = len(task.payload.response)
    outside = [span for span in sent.spans if not span[0] < span[1] <= length]
    if outside:
        raise UserError(
            f"spans: {list(outside[0])} is no part of the response of {length} characters; give [start, end]"
        )
    if sent.verdict == "pass" and (sent.failure_type or sent.severity or sent.spans):
        raise UserError(
            "verdict pass comes with a failure type, severity or unsupported span; say fail, or leave them out"
        )
    author = sent.annotator or annotator
    if not author.strip():
        raise UserError("a label needs an annotator; pass --annotator or set FLYWHEEL_ANNOTATOR")
    return Label(
        task_id=task.task_id,
        trace_id=task.trace_id,
        revision=task.revision,
        verdict=sent.verdict,
        annotator=author.strip(),
        submitted_at=sent.submitted_at or now,
        target=sent.target,
        failure_type=sent.failure_type,
        severity=sent.severity,
        corrected_response=sent.corrected_response,
        spans=sent.spans,
        note=sent.note,
        guideline_version=sent.guideline_version,
        started_at=sent.started_at,
    )


def warnings_of(label: Label) -> list[str]:
    """Say what a label lacks that would make it more useful; it counts all the same."""
    if label.verdict == "fail" and label.failure_type is None:
        return ["a fail without a failure type counts in the rate, but in no failure type's own rate"]
    return []
