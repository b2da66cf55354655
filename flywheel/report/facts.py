"""Everything a weekly report says, frozen in one record: the report adds no number that cannot be had from it.

Shares and rates run from 0 to 1. None is what could not be had; parts that only phase 2 knows are None in phase 1.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

ModeState = Literal["new", "ongoing", "regressed", "resolved"]
Verdict = Literal["PASS", "WARN", "INCONCLUSIVE", "BLOCK"]


@dataclass(frozen=True, slots=True)
class Rate:
    """A failure rate with its interval, from `n` labels out of `population` traces.

    `drawn` traces were drawn, `deferred` of them have no verdict; `lowest` and `highest` are the estimates if
    all of those passed, or all failed.
    """

    value: float
    low: float
    high: float
    n: int
    population: int
    estimand: str
    method: str
    note: str
    drawn: int
    deferred: int
    lowest: float
    highest: float
    instrument: str


@dataclass(frozen=True, slots=True)
class WeekRate:
    """A week of the trend: its rate where people labelled, the share of its `ok` traces the detector flags.

    `process` is the rate of the process behind the week, with groups as the unit: what weeks are compared by.
    """

    week: str
    rate: Rate | None
    flagged_share: float | None
    ok: int
    instrument: str
    process: Rate | None = None


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What became of the lines of a file: lines = added + updated + unchanged + rejected + blank."""

    name: str
    lines: int
    added: int
    updated: int
    unchanged: int
    rejected: int
    blank: int


@dataclass(frozen=True, slots=True)
class IngestFacts:
    """The files a week came from; `rejected_lines` are (file, line, reason)."""

    files: tuple[FileFacts, ...]
    rejected_lines: tuple[tuple[str, int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Traffic:
    """The week's traces: by day (date, traces, errors), and by attribute (name, traces, flagged)."""

    traces: int
    ok: int
    error: int
    by_day: tuple[tuple[str, int, int], ...] = ()
    by_model: tuple[tuple[str, int, int], ...] = ()
    by_prompt_version: tuple[tuple[str, int, int], ...] = ()
    by_tenant: tuple[tuple[str, int, int], ...] = ()
    p50_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class SignalFacts:
    """How many of the week's traces carry each signal, as `flywheel.signals.SignalCount`."""

    traces: int
    errors: int
    slow: int
    empty_retrieval: int
    abstentions: int
    negative_feedback: int


@dataclass(frozen=True, slots=True)
class TriageFacts:
    """What is flagged, a suspicion and no failure: `flagged` of all traces, `ok_flagged` of the `ok` ones.

    `by_type_and_severity` is (type, severity, count), `by_week` (week, type, count) of the weeks up to this one.
    """

    flagged: int
    ok_flagged: int
    ok: int
    by_type: tuple[tuple[str, int], ...] = ()
    by_severity: tuple[tuple[str, int], ...] = ()
    by_type_and_severity: tuple[tuple[str, str, int], ...] = ()
    by_week: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """The mean of a metric, and on how many traces it stands."""

    metric: str
    instrument: str
    scored: int
    unscored: int
    mean: float | None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RatePart:
    """A figure with its interval and its n."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class InstrumentFacts:
    """The detector that scored the week: `tpr` is the share of failures it flags, `tnr` of passes it leaves."""

    id: str
    trained_on: str
    threshold: float
    labels: int
    auroc: float | None = None
    tpr: RatePart | None = None
    tnr: RatePart | None = None


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A trace that shows a failure mode: the question, the doubtful sentence of the answer, why it is doubted."""

    trace_id: str
    user_input: str
    sentence: str
    reason: str


@dataclass(frozen=True, slots=True)
class ModeFacts:
    """A failure mode in this week. `over_represented` is (attribute, value, lift, count), `sizes_by_week` oldest first.

    `labelled` and `failed` count the labels among its traces; `golden_cases` is None where nobody counted.
    """

    mode_id: str
    title: str
    state: ModeState
    size: int
    first_week: str
    terms: tuple[str, ...] = ()
    failure_types: tuple[tuple[str, int], ...] = ()
    exemplars: tuple[Exemplar, ...] = ()
    over_represented: tuple[tuple[str, str, float, int], ...] = ()
    sizes_by_week: tuple[tuple[str, int], ...] = ()
    labelled: int = 0
    failed: int = 0
    golden_cases: int | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class MapPoint:
    """A flagged trace on the map; `mode_id` is None where it belongs to no mode, `title` is its phrase."""

    x: float
    y: float
    mode_id: str | None
    title: str


@dataclass(frozen=True, slots=True)
class StratumFacts:
    """A stratum of the draw, and how far people are with it."""

    name: str
    size: int
    allocated: int
    labelled: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class DrawFacts:
    """The week's frozen draw, and how many exemplars people see besides, outside every rate."""

    draw_id: str
    seed: int
    strata: tuple[StratumFacts, ...]
    exemplars: int = 0


@dataclass(frozen=True, slots=True)
class LabelFacts:
    """How far the random tasks of the draw are; `agreement` is Krippendorff's alpha over tasks with two labels.

    `failure_types` is (type, count) as people said it.
    """

    drawn: int
    labelled: int
    deferred: int
    disagreed: int
    open: int
    annotators: int
    median_seconds: float | None = None
    agreement: RatePart | None = None
    failure_types: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class AddedCase:
    """A golden case that the week added, and why."""

    case_id: str
    user_input: str
    role: str
    why: str


@dataclass(frozen=True, slots=True)
class GoldenFacts:
    """The golden dataset after the week; `repeated` failures had a case. `stale` is None where nobody looked."""

    version: str
    cases: int
    by_role: tuple[tuple[str, int], ...] = ()
    added: tuple[AddedCase, ...] = ()
    repeated: int = 0
    stale: int | None = None


@dataclass(frozen=True, slots=True)
class GateRow:
    """A metric in a slice: what baseline and candidate scored, and the paired difference with its interval."""

    metric: str
    slice: str
    baseline: float | None
    candidate: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class GateFacts:
    """What the gate said; `verdict` is None where there was nothing to decide, and `note` says why.

    `report_path` is relative to the weekly report.
    """

    verdict: Verdict | None
    headline: str
    rows: tuple[GateRow, ...] = ()
    note: str = ""
    report_path: str | None = None


@dataclass(frozen=True, slots=True)
class RecalibrationFacts:
    """The detector that serves from `valid_from` on; `kept_for_gate` labels may never train it.

    `has_learned` is False where the labels were too few and the packaged one stays.
    """

    valid_from: str
    instrument: str
    trained_on: str
    labels: int
    kept_for_gate: int = 0
    has_learned: bool = True


@dataclass(frozen=True, slots=True)
class WeekFacts:
    """A week's report before it is written. `history` is oldest first and ends with this week.

    `written_at` has its zone. A next step is words, a colon and a command, `label more: flywheel annotate app`,
    or either alone.
    """

    week: str
    phase: Literal[1, 2]
    written_at: datetime
    traffic: Traffic
    triage: TriageFacts
    instrument: InstrumentFacts
    ingest: IngestFacts = IngestFacts(())
    signals: SignalFacts | None = None
    metrics: tuple[MetricFacts, ...] = ()
    history: tuple[WeekRate, ...] = ()
    modes: tuple[ModeFacts, ...] = ()
    map_points: tuple[MapPoint, ...] = ()
    draw: DrawFacts | None = None
    rate: Rate | None = None
    labels: LabelFacts | None = None
    golden: GoldenFacts | None = None
    gate: GateFacts | None = None
    recalibration: RecalibrationFacts | None = None
    next_steps: tuple[str, ...] = ()
    process: Rate | None = None
