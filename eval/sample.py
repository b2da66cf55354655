"""The records that metrics take and give: `Sample` in, `Score` out."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "not_applicable", "not_available", "abstained", "parse_error", "timeout", "error"]
"""Why a score has a value (`ok`) or has none (every other word)."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text that the pipeline retrieved, as the generator saw it."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What a metric sees of one answered question.

    `reference` is a correct answer, `reference_passage_ids` the passages that support it; `answerable`
    is None where nobody said. `group` is the unit of resampling: the source document or the session.
    """

    id: str
    user_input: str
    response: str
    passages: tuple[Passage, ...]
    reference: str | None = None
    reference_passage_ids: tuple[str, ...] = ()
    answerable: bool | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """What one metric says of one sample. `value` is None when it could not say, and `reason` says why.

    `instrument` is the id of the `Instrument` that gave it; `seconds` and `cost_usd` are what it took.
    """

    sample_id: str
    metric: str
    value: float | None
    status: Status = "ok"
    reason: str = ""
    instrument: str = ""
    seconds: float = 0.0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Instrument:
    """A metric as it was when it scored: two scores are comparable only if their instrument ids are equal.

    `trained_on` names the data the weights come from, in words; `training_groups` are the groups of
    the labels that trained it, so that no figure scores a trace with weights that saw its source.
    """

    metric: str
    code_version: str
    weights_sha256: str
    settings_sha256: str
    trained_on: str
    training_groups: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        """`metric@` and 12 hex digits over code version, weights and settings."""
        from hashlib import sha256

        joined = "\x1f".join((self.metric, self.code_version, self.weights_sha256, self.settings_sha256))
        return f"{self.metric}@{sha256(joined.encode()).hexdigest()[:12]}"
