"""A gate's result in words and figures, the same in every output."""

import re
from collections.abc import Callable, Iterable

from eval.gate import Comparison, GateResult
from eval.pairing import ANSWERED
from eval.policy import ORDER, Verdict

UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)
"""Control characters, half surrogate pairs, and marks that reverse or hide the text around them."""

SIGNS: dict[Verdict, str] = {"PASS": "✅", "WARN": "⚠️", "INCONCLUSIVE": "❔", "BLOCK": "⛔"}
PLAIN_SIGNS: dict[Verdict, str] = {"PASS": "✓", "WARN": "!", "INCONCLUSIVE": "?", "BLOCK": "✕"}
"""For pages: not every machine has a font with emoji."""

Quote = Callable[[str], str]
"""Makes text that others wrote harmless where it is going to stand."""


def shown(text: str, longest: int | None = None) -> str:
    """Give text without characters that no reader can see, cut to `longest` characters."""
    clean = UNSHOWABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
    return clean if longest is None or len(clean) <= longest else clean[: longest - 1] + "…"


def one_line(text: str, longest: int = 120) -> str:
    """Give text as one short line."""
    return shown(" ".join(text.split()), longest)


def response(text: str, on: Iterable[str]) -> str:
    """Give an answer, or say that there is none. `on` are the metrics that this side of a flip failed on."""
    return text or ("(no answer)" if ANSWERED in on else "(empty)")


def in_points(proportion: float) -> str:
    """Write a proportion as points with its sign."""
    return f"{100 * proportion:+.1f}"


def interval(one: Comparison) -> str:
    """Write a difference and its interval in points."""
    return f"{in_points(one.difference)} [{in_points(one.low)}, {in_points(one.high)}]"


def p_value(p: float) -> str:
    """Write a p-value; below 0.0001 only that it is."""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.01 else f"{p:.2f}"


def equals(p: float) -> str:
    """Write a p-value as the end of a statement about p."""
    return p_value(p) if p < 0.0001 else f"= {p_value(p)}"


def percent(share: float) -> str:
    """Write a share."""
    return f"{100 * share:.1f} %"


def name_of(one: Comparison, quote: Quote) -> str:
    """Name a metric, and its slice unless it is over all cases."""
    return quote(one.metric) if one.slice == "all" else f"{quote(one.metric)} in {quote(one.slice)}"


def deciding(result: GateResult) -> Comparison | None:
    """Give the comparison that the verdict rests on: over all cases if there is one, then the most certain one.

    None where a case decided.
    """
    found = [one for one in result.comparisons if one.counts_as == result.verdict]
    return min(found, key=lambda one: (one.slice != "all", one.p_worse, one.low), default=None)


def largest_drop(result: GateResult) -> Comparison | None:
    """Give the metric that dropped most over all cases, unless the verdict rests on it; None where none dropped."""
    dropped = [one for one in result.comparisons if one.slice == "all" and one.high < 0]
    worst = min(dropped, key=lambda one: one.difference, default=None)
    return None if worst is deciding(result) else worst


def weightiest_first(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Put what blocks before what is undecided, warns or passes; what does not count comes last."""
    return sorted(
        comparisons, key=lambda one: -1 if one.counts_as is None else ORDER.index(one.counts_as), reverse=True
    )


def headline(result: GateResult, quote: Quote = one_line) -> str:
    """Say in one sentence what happened and how sure it is."""
    one = deciding(result)
    if result.broken_critical_cases and (one is None or one.verdict != "BLOCK"):
        named = ", ".join(map(quote, result.broken_critical_cases[:3]))
        return f"critical case {named} failed in every repeat and passed in the baseline"
    if one is None or result.verdict == "PASS":
        return f"no metric dropped beyond its margin in {result.n_cases} cases"
    figures = f"{name_of(one, quote)} {moved(one)}, margin {100 * one.margin:g}"
    if result.verdict == "BLOCK":
        holm = "" if one.p_adjusted is None else f", p {equals(one.p_adjusted)} (Holm, {comparisons(result)})"
        return f"{figures}{holm}"
    if one.verdict == "INCONCLUSIVE":
        return f"{figures}: {what_decides(one)}"
    return figures


def moved(one: Comparison) -> str:
    """Say how a metric moved, with its interval in points."""
    size = f"{abs(100 * one.difference):.1f} points [{in_points(one.low)}, {in_points(one.high)}]"
    if one.difference == 0:
        return f"unchanged [{in_points(one.low)}, {in_points(one.high)}] points"
    return f"{'dropped' if one.difference < 0 else 'rose'} {size}"


def comparisons(result: GateResult) -> str:
    """Count the comparisons that may block."""
    return f"{result.n_blocking} comparison{'' if result.n_blocking == 1 else 's'}"


def what_decides(one: Comparison) -> str:
    """Say what would turn an INCONCLUSIVE into a decision."""
    ends = [f"{n} would {verb}" for n, verb in ((one.passes_at, "pass"), (one.blocks_at, "block")) if n is not None]
    if not ends:
        return f"{one.n_cases} cases do not decide, nor would more like them"
    return f"{one.n_cases} cases do not decide, about {' or '.join(ends)} if they go on like these"


def flips_in_words(result: GateResult, quote: Quote = one_line) -> str:
    """Count the cases that got worse, better, or stayed, and name the slice that suffered most."""
    same = result.n_cases - result.worse - result.better
    worst = result.worst_slice
    where = "" if worst is None else f"; worst slice: {quote(worst.name)} ({worst.worse} of {worst.n_cases})"
    return f"{result.worse} cases got worse, {result.better} better, {same} same{where}"


def provenance(result: GateResult, quote: Quote = one_line) -> str:
    """Say what was compared: baseline, dataset, what is missing, cost."""
    base = result.baseline
    commit = f"@{base.git_sha[:7]}" if base.git_sha else ""
    blessed = f", {quote(base.note)}" if base.note else ""
    outside = f", {len(result.out_of_scope)} not recorded in either run" if result.out_of_scope else ""
    return (
        f"baseline {quote(base.name + commit)}{blessed}; dataset {quote(result.candidate.dataset_version)} "
        f"({result.n_cases} cases{outside}); {len(result.missing)} of {result.n_cases} missing; "
        f"cost ${result.candidate.cost_usd:.2f}"
    )
