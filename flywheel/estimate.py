"""This week's failure rate with its interval: a pure function of the frozen draw and the labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eval.errors import UserError
from eval.statistics.prediction_powered import NonresponseBounds, RateEstimate, Stratum, bound_nonresponse
from eval.statistics.process_rate import estimate_process_rate
from flywheel.warehouse.draws import PopulationRow

UNKNOWN = 0.5
"""Stands for the prediction of a trace that the detector could not score: constant in its stratum, it moves nothing."""


@dataclass(frozen=True, slots=True)
class WeekEstimate:
    """The share of the week's `ok` traces that fail, and the rate of the process that made them.

    `process` is for comparisons: groups are its unit. It is None where the labels come from fewer than two groups.
    `drawn` traces were drawn, `deferred` of them have no verdict yet; `lowest` and `highest` are the estimates if
    all of those passed, or all failed, at the detector's weight in `rate`; they always hold `rate`. Its note says how
    far the intervals of the three reach.
    """

    rate: RateEstimate
    drawn: int
    deferred: int
    lowest: float
    highest: float
    process: RateEstimate | None


def estimate_week(population: Sequence[PopulationRow], outcomes: Mapping[str, bool]) -> WeekEstimate:
    """Estimate the rate from the verdicts on drawn traces; `outcomes` says of a trace id whether it fails.

    Only drawn traces count, whatever else has a label: purposive labels never enter a rate.
    """
    drawn = [row for row in population if row.position is not None]
    labelled = [row for row in drawn if row.trace_id in outcomes]
    if not labelled:
        raise UserError(f"none of the {len(drawn)} drawn traces has a verdict yet; label some: flywheel annotate app")
    members_of = by_stratum(population)
    strata = [make_stratum(name, members, outcomes) for name, members in members_of.items()]
    groups = [[row.group for row in members] for members in members_of.values()]
    known = [[row.group for row in labelled_rows(members, outcomes)] for members in members_of.values()]
    has_groups = len({row.group for row in labelled}) > 1
    missing = {
        name: np.array([prediction(row) for row in members])
        for name, members in by_stratum([row for row in drawn if row.trace_id not in outcomes]).items()
    }
    bounds = bound_nonresponse(strata, missing)
    return WeekEstimate(
        with_outer_interval(bounds),
        len(drawn),
        len(drawn) - len(labelled),
        bounds.lowest,
        bounds.highest,
        estimate_process_rate(strata, groups, known) if has_groups else None,
    )


def with_outer_interval(bounds: NonresponseBounds) -> RateEstimate:
    """Give the published rate, with a note on how far its interval reaches where verdicts are missing."""
    rate, missing = bounds.published, bounds.all_pass.n - bounds.published.n
    if not missing:
        return rate
    reach = (
        f"if the {missing} drawn traces without a verdict all passed or all failed, the interval would reach from "
        f"{100 * bounds.outer_low:.1f} to {100 * bounds.outer_high:.1f} %"
    )
    return replace(rate, note="; ".join(part for part in (rate.note, reach) if part))


def by_stratum(rows: Sequence[PopulationRow]) -> dict[str, list[PopulationRow]]:
    """Group rows by stratum, in order of the predictions, what has none last."""
    grouped: dict[str, list[PopulationRow]] = {}
    for row in sorted(rows, key=lambda row: (row.prediction is None, row.prediction or 0.0, row.trace_id)):
        grouped.setdefault(row.stratum, []).append(row)
    return grouped


def labelled_rows(members: Sequence[PopulationRow], outcomes: Mapping[str, bool]) -> list[PopulationRow]:
    """Keep the drawn traces that have a verdict."""
    return [row for row in members if row.position is not None and row.trace_id in outcomes]


def make_stratum(name: str, members: Sequence[PopulationRow], outcomes: Mapping[str, bool]) -> Stratum:
    """Lay out one stratum for the estimator."""
    labelled = labelled_rows(members, outcomes)
    return Stratum(
        name,
        len(members),
        np.array([prediction(row) for row in members]),
        np.array([prediction(row) for row in labelled]),
        np.array([float(outcomes[row.trace_id]) for row in labelled]),
    )


def prediction(row: PopulationRow) -> float:
    """The frozen prediction of a trace."""
    return UNKNOWN if row.prediction is None else row.prediction
