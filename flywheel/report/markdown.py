"""The report for a terminal or a pull request: the same facts in the same order, texts of traces in code spans."""

import re
from collections.abc import Iterable, Sequence

from flywheel.report.facts import ModeFacts, WeekFacts
from flywheel.report.summary import (
    Empty,
    count_states,
    describe_drift,
    explain_empty,
    find_change,
    growth_of,
    half_width,
    missing_lines,
    planned_labels,
    sort_modes,
    widest_half,
    worth_of_labels,
    write_headline,
)
from flywheel.report.wording import (
    code_span,
    count_of,
    duration,
    interval,
    milliseconds,
    moment,
    number,
    p_value,
    percent,
    points,
    points_interval,
    signed,
    split_step,
    visible,
    words,
)
from flywheel.trace import week_title

MOST_MODES = 24
MOST_ROWS = 30


def render_markdown(facts: WeekFacts) -> str:
    """Write the report as Markdown."""
    empty = explain_empty(facts)
    blocks = [
        *write_answer(facts, empty),
        *write_trend(facts, empty["trend"]),
        *write_modes(facts, empty["modes"]),
        *write_types(facts, empty["types"]),
        *write_labels(facts, empty),
        *write_golden(facts, empty),
        *write_gate(facts, empty["gate"]),
        *write_instrument(facts, empty),
        *write_ingestion(facts, empty),
    ]
    return "\n\n".join(blocks) + "\n"


def write_answer(facts: WeekFacts, empty: dict[str, Empty]) -> Iterable[str]:
    """Write the headline, the change, and what to do next."""
    yield f"# Weekly report {week_title(facts.week)}"
    headline = write_headline(facts)
    yield f"**{headline.sentence}**"
    if change := find_change(facts):
        yield change.sentence
    rate = facts.rate
    if rate and rate.deferred:
        yield (
            f"{count_of(rate.deferred, 'drawn trace')} of {number(rate.drawn)} without a verdict: with them the rate "
            f"is {percent(rate.lowest)} if all pass, {percent(rate.highest)} if all fail."
        )
    steps = facts.next_steps or ((f"{headline.why}: {headline.action}",) if headline.action else ())
    yield "Next:\n\n" + "\n".join(write_step(step) for step in steps) if steps else write_empty(empty["steps"])
    written = "labels are in" if facts.phase == 2 else "before labelling"
    yield f"*{written}; written {moment(facts.written_at)}; intervals are 95 %*"


def write_step(step: str) -> str:
    """Write one thing to do, its command as code."""
    said, command = split_step(step)
    return "- " + ": ".join(part for part in (plain(said), code_span(command) if command else "") if part)


def write_trend(facts: WeekFacts, empty: Empty) -> Iterable[str]:
    """Write the weeks, newest first."""
    yield "## By week"
    if len(facts.history) < 2:
        yield write_empty(empty)
    if facts.history:
        rows = [
            (
                past.week,
                f"{percent(past.rate.value)} {interval(past.rate.low, past.rate.high)}"
                if past.rate
                else "not labelled",
                f"{number(past.rate.n)} of {number(past.rate.population)}" if past.rate else "",
                "" if past.flagged_share is None else percent(past.flagged_share),
                number(past.ok),
                code_span(past.instrument),
            )
            for past in reversed(facts.history)
        ]
        yield table(("Week", "Failure rate", "Labelled", "Flagged", "Ok traces", "Instrument"), rows)
    if facts.rate:
        note = f" {plain(facts.rate.note)}." if facts.rate.note else ""
        yield f"Rate of {plain(facts.rate.estimand)}, by {plain(facts.rate.method)}.{note}"


def write_modes(facts: WeekFacts, empty: Empty) -> Iterable[str]:
    """Write the failure modes, those that ask for attention first."""
    yield "## What changed"
    modes = sort_modes(facts.modes)
    if not modes:
        yield write_empty(empty)
        return
    yield ", ".join(f"{number(count)} {state}" for state, count in count_states(modes))
    for mode in modes[:MOST_MODES]:
        yield write_mode(mode, facts)
    if len(modes) > MOST_MODES:
        yield f"{count_of(len(modes) - MOST_MODES, 'smaller mode')} more in report.json."


def write_mode(mode: ModeFacts, facts: WeekFacts) -> str:
    """Write one failure mode with its first exemplar."""
    growth = growth_of(mode, facts.week)
    size = count_of(mode.size, "flagged trace")
    if facts.triage.flagged:
        size += f" ({percent(mode.size / facts.triage.flagged)} of all {number(facts.triage.flagged)} flagged)"
    if growth:
        size += f", {signed(growth[1])} against {growth[0]}"
    labelled = f"{number(mode.failed)} of {number(mode.labelled)} labelled failed" if mode.labelled else "none labelled"
    cases = [] if mode.golden_cases is None else [count_of(mode.golden_cases, "golden case")]
    owner = f"owner {code_span(mode.owner)}" if mode.owner else "no owner"
    lines = [
        f"### {code_span(mode.title)} ({mode.state})",
        "",
        f"- {size}",
        f"- {', '.join([labelled, *cases, f'since {mode.first_week}', owner])}; {code_span(mode.mode_id)}",
    ]
    if mode.failure_types:
        lines.append("- " + ", ".join(f"{words(plain(name))} {number(count)}" for name, count in mode.failure_types))
    lines += [
        f"- suspected: {code_span(f'{attribute} = {value}')}, {lift:.1f} times as frequent ({count_of(count, 'trace')})"
        for attribute, value, lift, count in mode.over_represented[:3]
    ]
    for exemplar in mode.exemplars[:1]:
        lines.append(f"- question: {code_span(exemplar.user_input)}")
        lines.append(f"- doubtful: {code_span(exemplar.sentence)}")
        lines.append(f"- why: {code_span(exemplar.reason)}; trace {code_span(exemplar.trace_id)}")
    return "\n".join(lines)


def write_types(facts: WeekFacts, empty: Empty) -> Iterable[str]:
    """Write what is flagged, by failure type and severity."""
    yield "## Failure types"
    triage = facts.triage
    if not triage.by_type:
        yield write_empty(empty)
        return
    severities: dict[str, list[str]] = {}
    for name, severity, count in triage.by_type_and_severity:
        severities.setdefault(name, []).append(f"{severity} {number(count)}")
    rows = [(words(plain(name)), number(count), ", ".join(severities.get(name, ()))) for name, count in triage.by_type]
    yield table(("Failure type", "Flagged", "By severity"), [*rows, ("**all flagged**", number(triage.flagged), "")])


def write_labels(facts: WeekFacts, empty: dict[str, Empty]) -> Iterable[str]:
    """Write how far people are, and what more labels would buy."""
    yield "## Label budget"
    if facts.draw is None:
        yield write_empty(empty["draw"])
        return
    labels = facts.labels
    if labels is None:
        yield write_empty(empty["labels"])
        planned = planned_labels(facts)
        widest = 100 * widest_half(planned, facts.triage.ok)
        yield f"{number(planned)} labels bound the rate to ±{widest:.1f} points at worst."
    else:
        pace = "" if labels.median_seconds is None else f", {duration(labels.median_seconds)} a task (median)"
        agreement = labels.agreement
        alpha = (
            f"; agreement alpha {agreement.value:.2f} [{agreement.low:.2f}, {agreement.high:.2f}], n = {agreement.n}"
            if agreement
            else ""
        )
        yield (
            f"{number(labels.labelled)} of {number(labels.drawn)} labelled, {number(labels.open)} open, "
            f"{number(labels.deferred)} deferred, {number(labels.disagreed)} in dispute; "
            f"{labels.annotators} {'person' if labels.annotators == 1 else 'people'}{pace}{alpha}"
        )
        if labels.failure_types:
            yield "People found " + ", ".join(f"{words(plain(n))} {number(c)}" for n, c in labels.failure_types)
    rows = [
        (code_span(s.name), number(s.size), number(s.allocated), number(s.labelled), number(s.failed))
        for s in facts.draw.strata
    ]
    yield table(("Stratum", "Traces", "Drawn", "Labelled", "Failed"), rows)
    if facts.rate and (worth := worth_of_labels(facts)):
        steps = ", ".join(f"±{100 * width:.1f} with {number(more)} more" for more, width in worth)
        yield f"More labels would narrow ±{100 * half_width(facts.rate):.1f} points to about {steps}."


def write_golden(facts: WeekFacts, empty: dict[str, Empty]) -> Iterable[str]:
    """Write how the golden set grew."""
    yield "## Golden set"
    golden = facts.golden
    if golden is None:
        yield write_empty(empty["golden"])
        return
    roles = ", ".join(f"{role} {number(count)}" for role, count in golden.by_role)
    stale = "" if golden.stale is None else f"; {number(golden.stale)} stale"
    yield (
        f"Grown by {number(len(golden.added))} to {count_of(golden.cases, 'case')}{f' ({roles})' if roles else ''}; "
        f"{count_of(golden.repeated, 'failure')} had a case before{stale}; version {code_span(golden.version)}"
    )
    rows = [(code_span(c.user_input), c.role, code_span(c.why), code_span(c.case_id)) for c in golden.added[:MOST_ROWS]]
    yield table(("New case", "Role", "Why", "Case"), rows) if rows else write_empty(empty["added"])


def write_gate(facts: WeekFacts, empty: Empty) -> Iterable[str]:
    """Write what the gate said."""
    yield "## Gate"
    gate = facts.gate
    if gate is None:
        yield write_empty(empty)
        return
    yield f"**{gate.verdict or 'no verdict'}** {plain(gate.headline)}" + (f" ({plain(gate.note)})" if gate.note else "")
    rows = [
        (
            row.verdict,
            words(plain(row.metric)),
            code_span(row.slice),
            "–" if row.baseline is None else percent(row.baseline),
            "–" if row.candidate is None else percent(row.candidate),
            "–" if row.difference is None else points(row.difference),
            "" if row.low is None or row.high is None else points_interval(row.low, row.high),
            "–" if row.p is None else p_value(row.p),
        )
        for row in gate.rows[:MOST_ROWS]
    ]
    if rows:
        yield table(("Verdict", "Metric", "Slice", "Baseline", "Candidate", "Points", "95 %", "p"), rows)
    if gate.verdict is None and gate.note.startswith("no baseline"):
        yield f"Next: {code_span('flywheel baseline bless')}"
    if gate.report_path:
        yield f"The gate's own report: {code_span(gate.report_path)}"


def write_instrument(facts: WeekFacts, empty: dict[str, Empty]) -> Iterable[str]:
    """Write which detector scored the week, how often it is right, and what each metric covers."""
    yield "## Instrument"
    one = facts.instrument
    parts = [
        f"{name} {percent(part.value)} {interval(part.low, part.high)}, n = {number(part.n)}"
        for name, part in (("TPR", one.tpr), ("TNR", one.tnr))
        if part
    ]
    if one.auroc is not None:
        parts.append(f"AUROC {one.auroc:.2f}")
    yield "; ".join(
        [*parts, f"threshold {one.threshold:.2f}", f"trained on {plain(one.trained_on)}", code_span(one.id)]
    )
    if not (one.tpr or one.tnr):
        yield write_empty(empty["detector"])
    if drift := describe_drift(facts):
        yield drift
    if (new := facts.recalibration) and new.has_learned:
        yield f"From {new.valid_from} on {code_span(new.instrument)}, trained on {plain(new.trained_on)}"
    rows = [
        (
            words(plain(m.metric)),
            "–" if m.mean is None else f"{m.mean:.3f}",
            f"{number(m.scored)} of {number(m.scored + m.unscored)}",
            "; ".join(plain(reason) for reason in m.reasons),
        )
        for m in facts.metrics
    ]
    yield table(("Metric", "Mean", "Scored", "Why not all"), rows) if rows else write_empty(empty["metrics"])


def write_ingestion(facts: WeekFacts, empty: dict[str, Empty]) -> Iterable[str]:
    """Write what became of every line, and what traffic it made."""
    yield "## Ingestion and traffic"
    files = facts.ingest.files[:MOST_ROWS]
    rows = [
        (
            code_span(f.name),
            *(number(count) for count in (f.lines, f.added, f.updated, f.unchanged, f.rejected, f.blank)),
            f"{signed(missing_lines(f))} unaccounted" if missing_lines(f) else "adds up",
        )
        for f in files
    ]
    heads = ("File", "Lines", "Added", "Updated", "Unchanged", "Rejected", "Blank", "")
    yield table(heads, rows) if rows else write_empty(empty["files"])
    traffic = facts.traffic
    if not traffic.traces:
        yield write_empty(empty["traffic"])
        return
    latency = "" if traffic.p50_ms is None else f"; median {milliseconds(traffic.p50_ms)}"
    slowest = "" if traffic.p95_ms is None else f", 95 % below {milliseconds(traffic.p95_ms)}"
    parts = f"{number(traffic.ok)} ok, {number(traffic.error)} with an error"
    yield f"{count_of(traffic.traces, 'trace')}: {parts}{latency}{slowest}"
    if traffic.by_day:
        yield table(
            ("Day", "Traces", "Errors"), [(day, number(n), number(errors)) for day, n, errors in traffic.by_day]
        )
    for name, counts in (
        ("Model", traffic.by_model),
        ("Prompt", traffic.by_prompt_version),
        ("Tenant", traffic.by_tenant),
    ):
        if counts:
            shown = [(code_span(value), number(n), number(flagged)) for value, n, flagged in counts[:MOST_ROWS]]
            yield table((name, "Traces", "Flagged"), shown)


def write_empty(empty: Empty) -> str:
    """Write why there is nothing, and what fills it."""
    return f"{empty.reason} {code_span(empty.command)}"


def plain(text: str) -> str:
    """Write words of our own as they are; what could act as Markdown or HTML, or on a terminal, becomes code."""
    acts = not set(text).isdisjoint("<>[]`*|\\#@\n") or visible(text) != text or re.search(r"\b_|_\b", text)
    return code_span(text) if acts else text


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table of cells that are safe already."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
