"""Which traces to label first: not only what the detector already thinks, diverse, and the same on every run."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flywheel.look.observed import Observed
from flywheel.report.wording import words

UNSURE_WITHIN = 0.2
"""How far from the threshold the detector still counts as unsure."""

ALIKE_FROM = 0.7
"""Two traces that share so much of their words teach the same."""

READ_TIMES = 6
"""Candidates of a lane that are looked at, for each trace to be chosen."""

LANES = (
    *("mode", "unflagged", "unsure", "disliked", "mode", "personal data"),
    *("mode", "unsure", "injection", "random", "worst"),
)
"""Whose turn it is: any beginning of the list holds something of everything."""

WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class ModeSeen:
    """A failure mode as the choice needs it."""

    title: str
    size: int
    exemplars: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A trace, the lane that it was taken from, why in a sentence, and what else is remarkable about it."""

    trace_id: str
    lane: str
    why: str
    also: tuple[str, ...]


Lane = dict[str, str]
"""Trace id -> why, the best candidate first."""


def choose(
    observed: Sequence[Observed],
    modes: Sequence[ModeSeen],
    dislikes: Mapping[str, str],
    threshold: float,
    count: int,
    texts_of: Callable[[Sequence[str]], Mapping[str, str]],
    rng: np.random.Generator,
) -> list[Chosen]:
    """Choose up to `count` traces, lane by lane in turn, in the order in which they are worth a look.

    No two of one session, and no two that say nearly the same, as long as there are others.
    """
    lanes = {
        "mode": mode_lane(modes),
        "unflagged": random_lane(
            [one for one in observed if not one.is_flagged], rng, "what the detector does not flag, at random"
        ),
        "random": random_lane(observed, rng, "all answers, at random"),
        "worst": worst_lane(observed),
        "unsure": unsure_lane(observed, threshold),
        "disliked": disliked_lane(observed, dislikes),
        "personal data": marked_lane(observed, "is_pii_leak", "personal data stands in the answer"),
        "injection": marked_lane(observed, "is_injection", "somebody tries to give the model other instructions"),
    }
    most = count * READ_TIMES
    lanes = {name: dict(list(lane.items())[:most]) for name, lane in lanes.items()}
    texts = texts_of(sorted({trace_id for lane in lanes.values() for trace_id in lane}))
    spoken = {trace_id: frozenset(WORD.findall(text)) for trace_id, text in texts.items()}
    groups = {one.trace_id: one.group_id for one in observed}
    taken: dict[str, str] = {}
    for is_strict in (True, False):
        fill(taken, lanes, count, spoken, groups, is_strict)
    return [
        Chosen(trace_id, lane, lanes[lane][trace_id], others(trace_id, lane, lanes)) for trace_id, lane in taken.items()
    ]


def fill(
    taken: dict[str, str],
    lanes: Mapping[str, Lane],
    count: int,
    spoken: Mapping[str, frozenset[str]],
    groups: Mapping[str, str],
    is_strict: bool,
) -> None:
    """Take the best of each lane in turn until there are enough, or nothing is left."""
    waiting = {name: iter(lane) for name, lane in lanes.items()}
    open_lanes = set(lanes)
    while open_lanes and len(taken) < count:
        for name in LANES:
            if name not in open_lanes or len(taken) >= count:
                continue
            found = next(
                (t for t in waiting[name] if t not in taken and may_join(t, taken, spoken, groups, is_strict)), None
            )
            if found is None:
                open_lanes.discard(name)
            else:
                taken[found] = name


def may_join(
    trace_id: str,
    taken: Iterable[str],
    spoken: Mapping[str, frozenset[str]],
    groups: Mapping[str, str],
    is_strict: bool,
) -> bool:
    """Tell whether a trace adds something to those that are taken."""
    if not is_strict:
        return True
    return all(
        groups[other] != groups[trace_id] and likeness(spoken[other], spoken[trace_id]) < ALIKE_FROM for other in taken
    )


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Give the share of the words of two texts that both have."""
    union = len(one | other)
    return len(one & other) / union if union else 1.0


def others(trace_id: str, own: str, lanes: Mapping[str, Lane]) -> tuple[str, ...]:
    """Say what else is remarkable about a trace; that it could have been drawn, or that it is flagged, is not."""
    told = [name for name in lanes if name not in (own, "random", "unflagged", "worst")]
    return tuple(lanes[name][trace_id] for name in told if trace_id in lanes[name])


def mode_lane(modes: Sequence[ModeSeen]) -> Lane:
    """The first exemplar of each mode, the largest mode first, then the second of each."""
    lane: Lane = {}
    for place in range(max((len(mode.exemplars) for mode in modes), default=0)):
        for mode in modes:
            if place < len(mode.exemplars):
                why = f"shows the failure mode “{mode.title}”, {mode.size} flagged traces"
                lane.setdefault(mode.exemplars[place], why)
    return lane


def worst_lane(observed: Sequence[Observed]) -> Lane:
    """What is flagged, by severity, then by how surely."""
    worst = sorted(
        (one for one in observed if one.is_flagged),
        key=lambda one: (one.severity or "P9", -(one.unsupported or 0.0), one.trace_id),
    )
    return {
        one.trace_id: f"flagged as {words(one.failure_type or 'failure')}, severity {one.severity}" for one in worst
    }


def random_lane(observed: Sequence[Observed], rng: np.random.Generator, what: str) -> Lane:
    """Those that answered, in random order."""
    answered = [one.trace_id for one in observed if one.has_answered]
    return {answered[place]: f"drawn from {what}" for place in rng.permutation(len(answered)).tolist()}


def unsure_lane(observed: Sequence[Observed], threshold: float) -> Lane:
    """Those nearest to the threshold, on either side."""
    near = sorted(
        (abs(one.unsupported - threshold), one.trace_id, one.unsupported)
        for one in observed
        if one.unsupported is not None and abs(one.unsupported - threshold) <= UNSURE_WITHIN
    )
    return {
        trace_id: f"the detector is unsure: {value:.2f} that the passages do not support it, and it flags from "
        f"{threshold:.2f}"
        for _, trace_id, value in near
    }


def disliked_lane(observed: Sequence[Observed], dislikes: Mapping[str, str]) -> Lane:
    """What people disliked, first where the detector saw nothing."""
    there = sorted((one.is_suspected, one.trace_id) for one in observed if one.trace_id in dislikes)
    return {
        trace_id: f"a person disliked it ({dislikes[trace_id]})"
        + ("" if is_suspected else ", and the detector saw nothing in it")
        for is_suspected, trace_id in there
    }


def marked_lane(observed: Sequence[Observed], mark: str, why: str) -> Lane:
    """Those that carry a mark, the unflagged last."""
    there = sorted((not one.is_flagged, one.trace_id) for one in observed if getattr(one, mark))
    return {trace_id: why for _, trace_id in there}
