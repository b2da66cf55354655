"""Which traces to label this week: a frozen stratified random draw, and a few exemplars besides.

Strata are bins of the detector's prediction. Every trace of the population has a known probability to be drawn,
and the tasks of a stratum come in random order, so any prefix that people finish is a valid sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import floor, sqrt

import numpy as np

UNSCORED = "not scored"
ABSTAINED = "abstained"
"""Strata of their own: the detector judges what an answer claims, and an abstention claims nothing."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trace of the population; `prediction` is the probability of failure, None where the detector cannot say.

    `apart` names the stratum of those without a prediction.
    """

    trace_id: str
    revision: int
    group: str
    prediction: float | None
    apart: str = UNSCORED


@dataclass(frozen=True, slots=True)
class Drawn:
    """A trace of the population with its stratum; `position` is its place in the queue, None when it was not drawn."""

    candidate: Candidate
    stratum: str
    position: int | None
    inclusion_probability: float


@dataclass(frozen=True, slots=True)
class PlannedStratum:
    """A stratum of the draw: how many traces it holds, how many of them are drawn."""

    name: str
    size: int
    allocated: int
    mean_prediction: float


@dataclass(frozen=True, slots=True)
class PlannedDraw:
    """A week's draw before anything is stored."""

    draw_id: str
    seed: int
    strata: tuple[PlannedStratum, ...]
    population: tuple[Drawn, ...]

    @property
    def tasks(self) -> list[Drawn]:
        """What was drawn, in the order of the queue."""
        drawn = [one for one in self.population if one.position is not None]
        return sorted(drawn, key=lambda one: one.position or 0)


def draw_week(week: str, population: Sequence[Candidate], labels: int, bins: int, least: int) -> PlannedDraw:
    """Draw `labels` traces of a population, the same ones whenever the population and the numbers are the same.

    `bins` is the number of strata by prediction, fewer where `labels` cannot give each of them `least`; `least` is
    the fewest drawn from each.
    """
    ordered = sorted(population, key=lambda candidate: candidate.trace_id)
    fingerprint = sha256(
        "\n".join(
            [week, f"{labels},{bins},{least}", *(f"{c.trace_id},{c.revision},{c.prediction}" for c in ordered)]
        ).encode()
    ).hexdigest()
    seed = int(fingerprint[:12], 16)
    rng = np.random.default_rng(seed)
    affordable = labels // least - len({c.apart for c in ordered if c.prediction is None})
    strata = stratify(ordered, max(1, min(bins, affordable)))
    sizes = {name: len(members) for name, members in strata.items()}
    means = {name: mean_prediction(members) for name, members in strata.items()}
    allocation = allocate(sizes, means, labels, least)
    queue: list[tuple[float, float, str, Candidate]] = []
    drawn: list[Drawn] = []
    for name, members in strata.items():
        share = allocation[name] / sizes[name]
        order = rng.permutation(len(members))
        for rank, index in enumerate(order):
            if rank < allocation[name]:
                # Spread each stratum evenly over the queue: then a prefix keeps the allocation's proportions.
                queue.append(((rank + rng.random()) / allocation[name], rng.random(), name, members[index]))
            else:
                drawn.append(Drawn(members[index], name, None, share))
    for position, (_, _, name, candidate) in enumerate(sorted(queue, key=lambda entry: entry[:2])):
        drawn.append(Drawn(candidate, name, position, allocation[name] / sizes[name]))
    planned = tuple(PlannedStratum(name, sizes[name], allocation[name], means[name]) for name in strata)
    return PlannedDraw(
        f"{week}-{fingerprint[:10]}", seed, planned, tuple(sorted(drawn, key=lambda d: d.candidate.trace_id))
    )


def stratify(population: Sequence[Candidate], bins: int) -> dict[str, list[Candidate]]:
    """Split a population at quantiles of its predictions, lowest first; what has none stands apart, last."""
    scored = [c for c in population if c.prediction is not None]
    strata: dict[str, list[Candidate]] = {}
    if scored:
        values = np.array([c.prediction for c in scored])
        edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
        places = np.searchsorted(edges, values, side="right")
        for candidate, place in sorted(zip(scored, places, strict=True), key=lambda pair: pair[1]):
            low = values.min() if place == 0 else edges[place - 1]
            high = values.max() if place == len(edges) else edges[place]
            strata.setdefault(f"{place + 1}: {low:.2f}-{high:.2f}", []).append(candidate)
    for candidate in sorted(population, key=lambda candidate: candidate.apart):
        if candidate.prediction is None:
            strata.setdefault(candidate.apart, []).append(candidate)
    return strata


def mean_prediction(members: Sequence[Candidate]) -> float:
    """The mean prediction of a stratum; one half where nothing is known."""
    values = [c.prediction for c in members if c.prediction is not None]
    return float(np.mean(values)) if values else 0.5


def allocate(sizes: Mapping[str, int], means: Mapping[str, float], labels: int, least: int) -> dict[str, int]:
    """Share labels out by Neyman: in proportion to size times the expected standard deviation, at least `least` each.

    Never more than a stratum holds; the numbers add up to `labels`, or to the population where that is smaller.
    Neyman (1934), as in Cochran, Sampling Techniques, 5.5.
    """
    total = min(labels, sum(sizes.values()))
    given = {name: min(size, least) for name, size in sizes.items()}
    if sum(given.values()) > total:
        given = dict.fromkeys(sizes, 0)
    while sum(given.values()) < total:
        open_strata = [name for name in sizes if given[name] < sizes[name]]
        # A predicted 0 or 1 is never certain: the deviation is kept off zero.
        want = {name: sizes[name] * sqrt(max(means[name] * (1 - means[name]), 0.05)) for name in open_strata}
        left = total - sum(given.values())
        behind = sorted(open_strata, key=lambda name: (given[name] / want[name], name))
        step = max(1, floor(left / (4 * len(open_strata))))
        name = behind[0]
        given[name] = min(sizes[name], given[name] + step)
    return given
