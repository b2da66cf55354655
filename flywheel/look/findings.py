"""What a first look at an export found, frozen in one record: page, Markdown, JSON and terminal say nothing else.

Shares run from 0 to 1. All of it is flagged by a machine and labelled by nobody, so there is no interval anywhere.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Read:
    """A passage as the generator saw it, personal data masked; `text` is empty where the export left it out."""

    passage_id: str
    text: str
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A trace as people see it, personal data masked.

    `doubtful` is where the least supported sentence of the answer stands, None where no sentence was judged;
    `unsupported` the detector's probability that the passages do not support the answer.
    """

    trace_id: str
    when: datetime
    user_input: str
    response: str
    error: str
    passages: tuple[Read, ...]
    doubtful: tuple[int, int] | None
    doubt: str
    unsupported: float | None
    is_flagged: bool
    failure_type: str | None
    severity: str | None


@dataclass(frozen=True, slots=True)
class ModeFinding:
    """Flagged traces that fail alike: `size` of them, `share` of all flagged; the first exemplar shows it best.

    `over_represented` is (attribute, value, times as frequent as elsewhere, traces).
    """

    title: str
    size: int
    share: float
    failure_types: tuple[tuple[str, int], ...]
    terms: tuple[str, ...]
    over_represented: tuple[tuple[str, str, float, int], ...]
    exemplars: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class ToLabel:
    """A trace worth a person's time: `lane` names in a word why it was taken, `why` in a sentence, `also` what else."""

    rank: int
    lane: str
    why: str
    also: tuple[str, ...]
    trace: Shown


@dataclass(frozen=True, slots=True)
class FileFinding:
    """A file and what became of its records: records = added + updated + unchanged + rejected + blank.

    `reasons` counts the rejected ones by reason; `failure` says why nothing of the file could be taken.
    """

    name: str
    format: str
    recognised_by: str
    unit: str
    records: int
    added: int
    updated: int
    unchanged: int
    rejected: int
    blank: int
    traces: int
    reasons: tuple[tuple[str, int], ...] = ()
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Traces that the detector could say nothing of: why, how many, and what would change that (`command` if any)."""

    why: str
    count: int
    remedy: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class HumanSaid:
    """What people said in the tool that the export comes from, beside what is flagged here; counts of traces.

    Here a trace that is flagged for nothing but a dislike counts as not flagged.

    `reading` says how its values were read. A trace that people are divided about, or called neither, is `unclear`.
    """

    name: str
    reading: str
    bad_flagged: int
    bad_not: int
    good_flagged: int
    good_not: int
    unclear: int

    @property
    def traces(self) -> int:
        """How many traces people said something of."""
        return self.bad_flagged + self.bad_not + self.good_flagged + self.good_not + self.unclear


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do next: in words, as a command to paste, and a word on it."""

    says: str
    command: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was found. `flagged` counts every flagged trace, `ok_flagged` those that answered.

    `judged` is how many answers the detector could judge; `alone` how many flagged traces resemble no other.
    `loose` shows some of those where there are too few for modes. `weeks` is (ISO week, traces).
    """

    written_at: datetime
    sources: tuple[str, ...]
    traces: int
    ok: int
    errors: int
    flagged: int
    ok_flagged: int
    judged: int
    by_type: tuple[tuple[str, int], ...]
    threshold: float
    instrument: str
    trained_on: str
    modes: tuple[ModeFinding, ...]
    alone: int
    loose: tuple[Shown, ...]
    to_label: tuple[ToLabel, ...]
    files: tuple[FileFinding, ...]
    unjudged: tuple[Unjudged, ...]
    human: tuple[HumanSaid, ...]
    weeks: tuple[tuple[str, int], ...]
    next_steps: tuple[NextStep, ...]
    notes: tuple[str, ...] = ()
