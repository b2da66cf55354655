"""Which of this week's failure modes are old acquaintances."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from flywheel.trace import week_start

State = Literal["new", "ongoing", "resolved", "regressed"]

MODE_ID = re.compile(r"FM-(\d{4,})")
INERTIA = 4
"""What was known of a mode weighs at most this many times the week's traces, so that a mode may still drift."""


@dataclass(frozen=True, slots=True)
class KnownMode:
    """A failure mode as it stood after an earlier week. `size_last` is its size then, 0 where it had no trace."""

    mode_id: str
    title: str
    centroid: NDArray[np.float32] = field(compare=False)
    first_week: str
    last_week: str
    size_last: int
    state: State


def match_modes(
    centroids: NDArray[np.float32], known: Sequence[KnownMode], threshold: float
) -> tuple[KnownMode | None, ...]:
    """Say which known mode each centroid is, each known mode at most once; None is a new one.

    Of all assignments the one with the largest sum of cosines (Hungarian method) over pairs at or above `threshold`.
    """
    matched: list[KnownMode | None] = [None] * len(centroids)
    if not len(centroids) or not known:
        return tuple(matched)
    from scipy.optimize import linear_sum_assignment

    cosines = centroids.astype(np.float64) @ np.stack([mode.centroid for mode in known]).astype(np.float64).T
    rows, columns = linear_sum_assignment(np.where(cosines >= threshold, cosines, 0.0), maximize=True)
    for row, column in zip(rows, columns, strict=True):
        if cosines[row, column] >= threshold:
            matched[row] = known[column]
    return tuple(matched)


def new_mode_ids(known: Sequence[KnownMode], count: int, taken_ids: Sequence[str] = ()) -> list[str]:
    """Give the next ids that no mode ever had, neither a known one nor one of `taken_ids`: `FM-0008`, `FM-0009`."""
    ids = [*(mode.mode_id for mode in known), *taken_ids]
    taken = (int(match[1]) for mode_id in ids if (match := MODE_ID.fullmatch(mode_id)))
    first = max(taken, default=0) + 1
    return [f"FM-{number:04d}" for number in range(first, first + count)]


def state_when_seen(before: KnownMode | None) -> State:
    """The state of a mode that has traces this week."""
    if before is None:
        return "new"
    return "regressed" if before.state == "resolved" else "ongoing"


def state_when_absent(before: KnownMode, week: str, resolved_weeks: int) -> State:
    """The state of a known mode without traces this week: resolved once it had none for `resolved_weeks` weeks."""
    absent = (week_start(week) - week_start(before.last_week)).days // 7
    return "resolved" if before.state == "resolved" or absent >= resolved_weeks else "ongoing"


def updated_centroid(before: KnownMode | None, centroid: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Move a known mode's centroid towards this week's, as a running mean of unit length.

    What was known weighs as many traces as the last week had, but at least 1 and at most 4 times this week's.
    """
    if before is None:
        return centroid
    weight = min(max(before.size_last, size), INERTIA * size)
    mean = weight * before.centroid.astype(np.float64) + size * centroid.astype(np.float64)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)
