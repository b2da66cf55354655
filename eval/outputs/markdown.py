"""A gate's result as a comment on a pull request. Text from cases stands in code, where it is never active."""

import re
from collections.abc import Iterable

from eval.flips import CaseFlip
from eval.gate import Comparison, GateResult
from eval.outputs.words import (
    SIGNS,
    flips_in_words,
    headline,
    interval,
    name_of,
    one_line,
    p_value,
    percent,
    provenance,
    response,
    shown,
    weightiest_first,
    what_decides,
)

MARKER = "<!-- flywheel-gate -->"
"""By this a job finds its own comment and replaces it."""

SHOWN_FLIPS = 12
SHOWN_ROWS = 40
LONGEST_TEXT = 1000
"""So a comment stays below the 65,536 characters that GitHub takes."""


def gate_markdown(result: GateResult) -> str:
    """Write the answer first, then the figures, then the cases."""
    worse = [flip for flip in result.flips if flip.is_worse]
    better = [flip for flip in result.flips if not flip.is_worse]
    parts = [
        f"{MARKER}\n## {SIGNS[result.verdict]} {result.verdict}: {headline(result, code)}",
        flips_in_words(result, code),
        folded(f"{len(worse)} cases got worse", worse),
        folded(f"{len(better)} cases got better", better),
        table(result.comparisons),
        "\n".join(f"- {code(note, 300)}" for note in result.notes),
        f"<sub>{provenance(result, code)}</sub>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def failure_markdown(message: str) -> str:
    """Write that nothing could be decided because too little was measured."""
    return f"{MARKER}\n## ⛔ The gate could not measure\n\n{block(message)}\n"


def table(comparisons: Iterable[Comparison]) -> str:
    """Write the comparisons, those that matter first."""
    ordered = weightiest_first(comparisons)
    rows = [
        "| metric | n | baseline | candidate | difference [95 %], points | p | verdict |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    rows += [
        f"| {name_of(one, cell)} ({one.tier}) | {one.n_cases} | {percent(one.baseline)} | {percent(one.candidate)} "
        f"| {interval(one)} | {p_value(one.p_worse if one.p_adjusted is None else one.p_adjusted)} | {verdict(one)} |"
        for one in ordered[:SHOWN_ROWS]
    ]
    more = len(ordered) - SHOWN_ROWS
    return "\n".join(rows) + (f"\n\n{more} more comparisons are in the HTML report." if more > 0 else "")


def verdict(one: Comparison) -> str:
    """Write the verdict of one comparison, and what would decide it."""
    if one.verdict != "INCONCLUSIVE":
        return f"{SIGNS[one.verdict]} {one.verdict}"
    too_small = "too small to pass; " if one.counts_as is None else ""
    return f"{SIGNS[one.verdict]} INCONCLUSIVE: {too_small}{what_decides(one)}"


def folded(title: str, flips: list[CaseFlip]) -> str:
    """Fold cases away, each with its question and both answers."""
    if not flips:
        return ""
    more = len(flips) - SHOWN_FLIPS
    parts = [f"<details><summary>{title}</summary>"]
    parts += [case(flip) for flip in flips[:SHOWN_FLIPS]]
    parts += [f"{more} more are in the HTML report."] if more > 0 else []
    return "\n\n".join([*parts, "</details>"])


def case(flip: CaseFlip) -> str:
    """Write one case."""
    metrics = ", ".join(code(name) for name in flip.worse_on or flip.better_on)
    severity = f" · {code(flip.severity)}" if flip.severity else ""
    mode = f" · {code(flip.mode_id)}" if flip.mode_id else ""
    parts = [f"**{code(flip.case_id)}** · {'worse' if flip.is_worse else 'better'} on {metrics}{severity}{mode}"]
    parts += [f"Question\n{block(flip.user_input)}"]
    parts += [f"Baseline\n{block(response(flip.baseline_response, flip.better_on))}"]
    parts += [f"Candidate\n{block(response(flip.candidate_response, flip.worse_on))}"]
    parts += [f"Reference\n{block(flip.reference)}"] if flip.reference is not None else []
    parts += ["\n".join(f"- {code(why, 300)}" for why in flip.why)] if flip.why else []
    return "\n\n".join(parts)


def code(text: str, longest: int = 120) -> str:
    """Put text into a code span, whatever backticks it holds."""
    line = one_line(text, longest) or " "
    fence = "`" * (longest_run(line) + 1)
    return f"{fence} {line} {fence}" if "`" in line or not line.strip() else f"{fence}{line}{fence}"


def cell(text: str) -> str:
    """Put text into a code span inside a table, where a bar would end the cell."""
    return code(text.replace("|", "¦"))


def block(text: str) -> str:
    """Put text into a code block, whatever fences it holds."""
    content = shown(text, LONGEST_TEXT)
    fence = "`" * max(3, longest_run(content) + 1)
    return f"{fence}text\n{content}\n{fence}"


def longest_run(text: str) -> int:
    """Count the longest run of backticks."""
    return max(map(len, re.findall("`+", text)), default=0)
