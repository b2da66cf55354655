"""What a failure mode has too much of: one model, prompt version, tenant or task, against all failures of the week."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from flywheel.modes.phrase import Failure

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Lift:
    """`count` failures of a mode have this value, `lift` times as many as the week's failures at large would give.

    `p_value` is Fisher's, one-sided, adjusted by Holm over all modes and values of the week. It takes failures as
    independent: answers to one question make it too small.
    """

    attribute: str
    value: str
    lift: float
    count: int
    p_value: float


def over_represented(groups: Sequence[Sequence[Failure]], failures: Sequence[Failure]) -> list[tuple[Lift, ...]]:
    """Give, for each group, the values that 5 % Holm-adjusted tests find too frequent in it, the highest lift first."""
    from scipy.stats import fisher_exact

    from eval.statistics.paired import holm

    overall = Counter(pair for failure in failures for pair in failure.attributes.items())
    found: list[tuple[int, str, str, float, int]] = []
    p_values: list[float] = []
    for place, group in enumerate(groups):
        inside = Counter(pair for failure in group for pair in failure.attributes.items())
        for (attribute, value), count in sorted(inside.items()):
            total = overall[attribute, value]
            rest = len(failures) - len(group) - (total - count)
            table = [[count, len(group) - count], [total - count, rest]]
            found.append((place, attribute, value, count * len(failures) / (len(group) * total), count))
            p_values.append(float(fisher_exact(table, alternative="greater").pvalue))
    lifts: list[list[Lift]] = [[] for _ in groups]
    for (place, attribute, value, lift, count), p_value in zip(found, holm(p_values), strict=True):
        if p_value < ALPHA:
            lifts[place].append(Lift(attribute, value, lift, count, p_value))
    return [tuple(sorted(each, key=lambda lift: (-lift.lift, lift.attribute, lift.value))) for each in lifts]
