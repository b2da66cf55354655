"""Failure modes: failing traces that fail alike, found anew each week and known again from the weeks before."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flywheel.modes.attribute import Lift, over_represented
from flywheel.modes.group import Grouping, centroids_of, group
from flywheel.modes.identity import (
    KnownMode,
    State,
    match_modes,
    new_mode_ids,
    state_when_absent,
    state_when_seen,
    updated_centroid,
)
from flywheel.modes.name import choose_borderline, choose_exemplars, mode_terms, mode_title
from flywheel.modes.phrase import Failure, failure_phrase
from flywheel.trace import FailureType

__all__ = ["Failure", "KnownMode", "Lift", "Member", "Mode", "ModeWeek", "State", "find_modes"]


@dataclass(frozen=True, slots=True)
class Mode:
    """A failure mode in one week. Size 0 is a known mode without traces this week.

    `exemplars` and `borderline` are trace ids: those that show it best, and the one that most nearly belongs elsewhere.
    """

    mode_id: str
    title: str
    terms: tuple[str, ...]
    state: State
    size: int
    centroid: NDArray[np.float32] = field(compare=False)
    first_week: str
    last_week: str
    exemplars: tuple[str, ...] = ()
    borderline: str | None = None
    failure_types: Mapping[FailureType, int] = field(default_factory=dict)
    over_represented: tuple[Lift, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A failure's place: its mode (None resembles none), how clearly (0 to 1), and where it lies on the map."""

    trace_id: str
    revision: int
    mode_id: str | None
    membership: float
    x: float
    y: float
    phrase: str


@dataclass(frozen=True, slots=True)
class ModeWeek:
    """A week's modes, the largest first, and all its failures by trace id; modes resolved before are left out."""

    modes: tuple[Mode, ...]
    members: tuple[Member, ...]


def find_modes(
    failures: Sequence[Failure],
    known: Sequence[KnownMode],
    week: str,
    embed: Callable[[Sequence[str]], NDArray[np.float32]],
    min_size: int,
    match: float,
    seed: int,
    resolved_weeks: int = 1,
    fit_rows: int = 20_000,
    taken_ids: Sequence[str] = (),
) -> ModeWeek:
    """Group a week's failures into modes and match them to those `known` before that week.

    `embed` gives unit rows; it gets each phrase once, in alphabetical order, so the order of failures changes nothing.
    `taken_ids` are ids of other weeks, later ones too, which no new mode may get.
    Raises ValueError where a known mode was seen in this week or a later one: identity runs forward in time.
    """
    if late := [mode.mode_id for mode in known if mode.last_week >= week]:
        raise ValueError(f"the known modes {late} were seen in {week} or later; give the registry as it stood before")
    phrases = {id(failure): failure_phrase(failure) for failure in failures}
    ordered = sorted(failures, key=lambda failure: (phrases[id(failure)], failure.trace_id, failure.revision))
    spoken = [phrases[id(failure)] for failure in ordered]
    vectors = embed_once(spoken, embed)
    grouping = group(vectors, min_size, seed, fit_rows)
    found = describe(ordered, vectors, grouping, known, week, match, taken_ids)
    ids = [mode.mode_id for mode in found]
    gone = [mode for mode in known if mode.mode_id not in ids and mode.state != "resolved"]
    absent = [leave_empty(mode, week, resolved_weeks) for mode in gone]
    members = [
        Member(failure.trace_id, failure.revision, ids[label] if label >= 0 else None, share, x, y, phrase)
        for failure, phrase, label, share, (x, y) in zip(
            ordered, spoken, *(part.tolist() for part in (grouping.labels, grouping.membership, grouping.map_xy)),
            strict=True,
        )
    ]  # fmt: skip
    return ModeWeek(
        tuple(sorted((*found, *absent), key=lambda mode: (-mode.size, mode.mode_id))),
        tuple(sorted(members, key=lambda member: (member.trace_id, member.revision))),
    )


def embed_once(phrases: Sequence[str], embed: Callable[[Sequence[str]], NDArray[np.float32]]) -> NDArray[np.float32]:
    """Embed sorted phrases, those that are equal once; no row where there is no phrase."""
    distinct = list(dict.fromkeys(phrases))
    if not distinct:
        return np.zeros((0, 0), dtype=np.float32)
    place = {phrase: row for row, phrase in enumerate(distinct)}
    return embed(distinct)[[place[phrase] for phrase in phrases]]


def describe(
    failures: Sequence[Failure],
    vectors: NDArray[np.float32],
    grouping: Grouping,
    known: Sequence[KnownMode],
    week: str,
    match: float,
    taken_ids: Sequence[str],
) -> list[Mode]:
    """Name each group and say which known mode it is. Mode g is group g."""
    centroids = centroids_of(vectors, grouping.labels)
    matched = match_modes(centroids, known, match)
    fresh = iter(new_mode_ids(known, matched.count(None), taken_ids))
    rows_of = [np.flatnonzero(grouping.labels == g).tolist() for g in range(len(centroids))]
    groups = [[failures[row] for row in rows] for rows in rows_of]
    lifts = over_represented(groups, failures)
    modes = []
    for g, (rows, members, terms) in enumerate(zip(rows_of, groups, mode_terms(groups), strict=True)):
        before = matched[g]
        exemplars = choose_exemplars(vectors[rows], centroids[g])
        borderline = choose_borderline(grouping.membership[rows], exemplars)
        modes.append(
            Mode(
                mode_id=before.mode_id if before else next(fresh),
                title=before.title if before else mode_title(terms, members),
                terms=terms,
                state=state_when_seen(before),
                size=len(members),
                centroid=updated_centroid(before, centroids[g], len(members)),
                first_week=before.first_week if before else week,
                last_week=week,
                exemplars=tuple(members[row].trace_id for row in exemplars),
                borderline=None if borderline is None else members[borderline].trace_id,
                failure_types=dict(Counter(sorted(failure.failure_type for failure in members)).most_common()),
                over_represented=lifts[g],
            )
        )
    return modes


def leave_empty(before: KnownMode, week: str, resolved_weeks: int) -> Mode:
    """A known mode that no failure of this week belongs to."""
    state = state_when_absent(before, week, resolved_weeks)
    return Mode(
        before.mode_id, before.title, (), state, 0, before.centroid, before.first_week, before.last_week
    )  # fmt: skip
