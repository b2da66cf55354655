"""A gate's result on a terminal."""

from collections.abc import Sequence

from eval.gate import GateResult
from eval.outputs.words import (
    comparisons,
    flips_in_words,
    headline,
    interval,
    largest_drop,
    one_line,
    p_value,
    percent,
    provenance,
)
from eval.suite import Run
from eval.summary import MetricSummary


def gate_text(result: GateResult) -> str:
    """Say the verdict, the flips and what was compared."""
    pad = " " * (len(result.verdict) + 2)
    lines = [f"{result.verdict}  {headline(result)}", pad + flips_in_words(result), pad + provenance(result)]
    drop = largest_drop(result)
    if drop is not None:
        lines.append(
            f"{pad}largest drop: {one_line(drop.metric)} {interval(drop)} points, {drop.counts_as or drop.verdict}"
        )
    lines += [f"{pad}critical case broken: {one_line(case_id)}" for case_id in result.broken_critical_cases]
    lines += [f"{pad}note: {one_line(note, 300)}" for note in result.notes]
    return "\n".join(lines)


def comparison_table(result: GateResult) -> str:
    """Write all comparisons as aligned columns."""
    rows = [("metric", "slice", "n", "baseline", "candidate", "difference", "p")]
    rows += [
        (
            one_line(one.metric, 30),
            one_line(one.slice, 30),
            str(one.n_cases),
            percent(one.baseline),
            percent(one.candidate),
            interval(one),
            p_value(min(1.0, 2 * min(one.p_worse, one.p_better))),
        )
        for one in result.comparisons
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(
        [
            *lines,
            f"two-sided p, unadjusted; differences in points with their intervals; {comparisons(result)} may block",
        ]
    )


def run_text(run: Run, summaries: Sequence[MetricSummary]) -> str:
    """Say what a run measured: a metric a line, with its interval and on how many cases it stands."""
    counted = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in run.counts.items())
    lines = [
        f"{len(run.cases)} cases x {run.repeats}: {counted}; dataset {run.dataset_version}; cost ${run.cost_usd:.2f}"
    ]
    width = max(len(one.metric) for one in summaries)
    for one in summaries:
        value = "no value" if one.value is None else percent(one.value)
        ends = "" if one.low is None or one.high is None else f" [{100 * one.low:.1f}, {100 * one.high:.1f}]"
        lines.append(f"{one.metric.ljust(width)}  {value}{ends}, {one.n} of {one.n_expected} cases")
    return "\n".join(lines)
