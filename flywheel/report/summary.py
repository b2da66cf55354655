"""What the facts of a week come to: headline, change, what more labels would buy, what to do where nothing is."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from typing import Literal

from flywheel.report.facts import FileFacts, ModeFacts, Rate, WeekFacts, WeekRate
from flywheel.report.wording import count_of, interval, number, percent, points, points_interval

Direction = Literal["up", "down", "no clear change"]
STATES = ("regressed", "new", "ongoing", "resolved")
"""What asks for attention first, first."""


@dataclass(frozen=True, slots=True)
class Headline:
    """The answer of the week: a figure with its name, the interval beside it, and what it stands on.

    `value` is empty where there is no figure; `action` is a command, `why` what it would bring.
    """

    name: str
    value: str
    interval: str
    evidence: str
    sentence: str
    why: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """The rate of this week less that of an earlier one, as a share, with its 95 % interval."""

    week: str
    value: float
    low: float
    high: float

    @property
    def direction(self) -> Direction:
        """Up or down only where the interval leaves no change out."""
        return "up" if self.low > 0 else "down" if self.high < 0 else "no clear change"

    @property
    def sentence(self) -> str:
        """Say it in one line."""
        said = self.direction.capitalize()
        return f"{said} against {self.week}: {points(self.value)} points {points_interval(self.low, self.high)}"


@dataclass(frozen=True, slots=True)
class Empty:
    """What stands where a section has nothing to show: why, and the command that fills it."""

    reason: str
    command: str


def write_headline(facts: WeekFacts) -> Headline:
    """Say the week in one figure: the failure rate where people labelled, else the share that is flagged."""
    if facts.rate is not None:
        rate = facts.rate
        labelled = f"{number(rate.n)} of {number(rate.population)} labelled, this week's ok traces"
        sentence = f"Failure rate {percent(rate.value)} {interval(rate.low, rate.high)}, {labelled}"
        return Headline("Failure rate", percent(rate.value), interval(rate.low, rate.high), labelled, sentence)
    triage = facts.triage
    if not triage.ok:
        sentence = f"No ok traces in {facts.week}: there is nothing to judge"
        return Headline(
            "No ok traces", "", "", "there is nothing to judge", sentence, "add traces", "flywheel ingest PATH"
        )
    share = percent(triage.ok_flagged / triage.ok)
    of = f"{number(triage.ok_flagged)} of {count_of(triage.ok, 'ok trace')} flagged"
    drawn = planned_labels(facts)
    why = (
        f"label {number(drawn)} to know the failure rate" if drawn else "draw traces to label, to know the failure rate"
    )
    action = "flywheel annotate app" if drawn else f"flywheel run --week {facts.week}"
    sentence = f"{of} ({share}), unlabelled, no interval: {why}"
    return Headline("Flagged by the detector", share, "", f"{of}, unlabelled, no interval", sentence, why, action)


def planned_labels(facts: WeekFacts) -> int:
    """Count the traces of the week's draw."""
    return sum(stratum.allocated for stratum in facts.draw.strata) if facts.draw else 0


def find_change(facts: WeekFacts) -> Change | None:
    """Compare this week's rate with the newest earlier one; None where one of them is missing.

    The rates of the process are compared where both weeks have one: traces of one group fail together.
    """
    if facts.rate is None:
        return None
    earlier = [past for past in facts.history if past.week < facts.week and past.rate is not None]
    before = max(earlier, key=lambda past: past.week, default=None)
    if before is None or before.rate is None:
        return None
    if facts.process and before.process:
        return compare_rates(facts.process, before.process, before.week)
    return compare_rates(facts.rate, before.rate, before.week)


def compare_rates(now: Rate, before: Rate, week: str) -> Change:
    """Give the difference of two rates of independent samples, its interval from the two intervals.

    MOVER: the distances of each rate to its own ends, joined by the root of the sum of their squares (Newcombe 1998,
    Statistics in Medicine 17:873-890, method 10; Zou and Donner 2008, Statistics in Medicine 27:1693-1702).
    """
    value = now.value - before.value
    low = value - hypot(now.value - now.low, before.high - before.value)
    high = value + hypot(now.high - now.value, before.value - before.low)
    return Change(week, value, low, high)


def half_width(rate: Rate) -> float:
    """Half the length of a rate's interval."""
    return (rate.high - rate.low) / 2


def half_width_with(rate: Rate, more: int) -> float:
    """Expect the half interval after `more` labels: it shrinks with the root of n, and with what is left unlabelled.

    Cochran, Sampling Techniques, 2.6: the variance of a mean is s²/n (1 - n/N). The strata stay as they are.
    """
    n, unlabelled = rate.n + more, rate.population - rate.n
    return half_width(rate) * sqrt(rate.n / n * max(unlabelled - more, 0) / unlabelled) if unlabelled else 0.0


def widest_half(labels: int, population: int) -> float:
    """Bound the half interval that `labels` of `population` traces give: at a rate of one half, without strata."""
    if not labels or labels >= population:
        return 0.0
    return 1.96 * sqrt(0.25 / labels * (1 - labels / population))


def worth_of_labels(facts: WeekFacts) -> list[tuple[int, float]]:
    """Say for some numbers of further labels which half interval they would give."""
    rate = facts.rate
    if rate is None:
        return []
    waiting = facts.labels.open if facts.labels else 0
    steps = sorted({more for more in (waiting, 20, 50, 100) if 0 < more <= rate.population - rate.n})
    return [(more, half_width_with(rate, more)) for more in steps]


def sort_modes(modes: Sequence[ModeFacts]) -> list[ModeFacts]:
    """Put first what asks for attention: regressed, new, ongoing, resolved, and the largest within each."""
    return sorted(modes, key=lambda mode: (STATES.index(mode.state), -mode.size, mode.mode_id))


def count_states(modes: Sequence[ModeFacts]) -> list[tuple[str, int]]:
    """Count the modes of each state that has any."""
    counts = [(state, sum(mode.state == state for mode in modes)) for state in STATES]
    return [(state, count) for state, count in counts if count]


def growth_of(mode: ModeFacts, week: str) -> tuple[str, int] | None:
    """Say against which week a mode grew, and by how many traces; None where it was not there before."""
    before = [(past, size) for past, size in mode.sizes_by_week if past < week]
    return (before[-1][0], mode.size - before[-1][1]) if before else None


def segments(history: Sequence[WeekRate], is_known: Sequence[bool]) -> list[int]:
    """Number the pieces that one line may join: it breaks at a gap and wherever the instrument changes."""
    pieces: list[int] = []
    for place, week in enumerate(history):
        joins = place > 0 and is_known[place - 1] and week.instrument == history[place - 1].instrument
        pieces.append(pieces[-1] if joins else place)
    return pieces


def describe_drift(facts: WeekFacts) -> str:
    """Say how the flagged share moved since the week before, if one instrument scored both; empty otherwise."""
    known = [week for week in facts.history if week.week <= facts.week and week.flagged_share is not None]
    if len(known) < 2 or known[-1].week != facts.week or known[-1].instrument != known[-2].instrument:
        return ""
    now, before = known[-1].flagged_share or 0.0, known[-2].flagged_share or 0.0
    earlier = f"{percent(before)} in {known[-2].week}, {points(now - before)} points"
    return f"It flags {percent(now)} of the ok traces; {earlier}."


def missing_lines(file: FileFacts) -> int:
    """Count the lines of a file that became nothing; 0 where its count adds up."""
    return file.lines - file.added - file.updated - file.unchanged - file.rejected - file.blank


def explain_empty(facts: WeekFacts) -> dict[str, Empty]:
    """Say of every section that may be empty why it is, and what fills it."""
    week, drawn = facts.week, planned_labels(facts)
    continued = f"flywheel run --week {week} --continue"
    waiting = f"{count_of(drawn, 'task')} wait" if drawn != 1 else "1 task waits"
    return {
        "trend": Empty("A trend needs two weeks; this is the first one here.", "flywheel run --week WEEK"),
        "modes": Empty("No failure mode: too few flagged traces resemble each other.", f"flywheel modes --week {week}"),
        "map": Empty("No map: no flagged trace has been placed on one.", f"flywheel modes --week {week}"),
        "types": Empty("Nothing is flagged this week.", f"flywheel triage --week {week}"),
        "draw": Empty("Nothing is drawn for labelling yet.", f"flywheel run --week {week}"),
        "labels": Empty(f"No failures labelled yet. {waiting}.", "flywheel annotate app"),
        "golden": Empty("The golden set grows from labelled failures, once people are done.", continued),
        "added": Empty("No case came to it this week: no new failure was labelled.", "flywheel annotate app"),
        "gate": Empty("The gate has not run: it does once people have labelled.", continued),
        "detector": Empty("How often it is right is not known yet: that takes labels.", "flywheel annotate app"),
        "metrics": Empty("No trace is scored.", f"flywheel score --week {week}"),
        "files": Empty("No file is noted for this week.", "flywheel ingest PATH"),
        "traffic": Empty("There are no traces in this week.", "flywheel ingest PATH"),
        "steps": Empty("Nothing is left to do for this week.", "flywheel status"),
    }
