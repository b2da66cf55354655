"""A first look for a terminal or a chat: the same findings in the same order, texts of traces in code spans."""

import re
from collections.abc import Iterable
from dataclasses import replace

from flywheel.look.findings import FileFinding, Findings, ModeFinding, Shown, ToLabel
from flywheel.look.observed import add_up
from flywheel.look.words import capital, count_lanes, unjudged_traces, write_headline
from flywheel.report.wording import brief, code_span, count_of, moment, number, percent, words

MOST_FILES = 60
ACTIVE = re.compile(r"([\\`*_{}\[\]<>#|~!])")


def render_markdown(findings: Findings) -> str:
    """Write the report as Markdown."""
    blocks = [
        *write_answer(findings),
        *write_modes(findings),
        *write_labels(findings),
        *write_human(findings),
        *write_read(findings),
        *write_next(findings),
    ]
    return "\n\n".join(blocks) + "\n"


def plain(text: str) -> str:
    """Write words on one line so that nothing in them acts."""
    return ACTIVE.sub(r"\\\1", " ".join(brief(text, 600).split()))


def write_answer(findings: Findings) -> Iterable[str]:
    """Write the headline and what it is not."""
    yield f"# First look at {plain(', '.join(findings.sources))}"
    yield f"**{write_headline(findings).sentence}**"
    yield (
        "Flagged is a suspicion, not a failure: the detector is wrong both ways, and only labels tell how often. "
        "So there is no interval here; a rate comes from what people label."
    )
    yield f"*all traces as one period; written {moment(findings.written_at)}*"


def write_modes(findings: Findings) -> Iterable[str]:
    """Write the failure modes, the largest first."""
    yield "## Top failure modes"
    if findings.by_type:
        yield "Flagged: " + ", ".join(f"{plain(words(name))} {number(count)}" for name, count in findings.by_type)
    elif not findings.flagged:
        yield "Nothing is flagged." if findings.judged else "Nothing is flagged, because nothing could be judged."
    for mode in findings.modes:
        yield write_mode(mode, findings)
    if findings.loose:
        yield f"{count_of(findings.alone, 'flagged trace')} resemble no other, among them:"
        yield "\n".join(line for trace in findings.loose for line in write_trace(trace))
    elif findings.alone and findings.modes:
        yield f"{count_of(findings.alone, 'flagged trace')} resemble no other."


def write_mode(mode: ModeFinding, findings: Findings) -> str:
    """Write one failure mode with its first exemplar."""
    types = ", ".join(f"{plain(words(name))} {number(count)}" for name, count in mode.failure_types)
    lines = [
        f"### {code_span(mode.title)}",
        "",
        f"- {number(mode.size)} flagged ({percent(mode.share)} of all {number(findings.flagged)} flagged): {types}",
    ]
    lines += [
        f"- suspected: {code_span(f'{attribute} = {value}')}, {lift:.1f} times as frequent ({count_of(count, 'trace')})"
        for attribute, value, lift, count in mode.over_represented[:3]
    ]
    return "\n".join([*lines, *(line for trace in mode.exemplars[:1] for line in write_trace(trace))])


def write_trace(trace: Shown) -> Iterable[str]:
    """Write what matters of a trace."""
    yield f"- question: {code_span(trace.user_input)}"
    if trace.doubtful:
        yield f"  - least supported: {code_span(trace.response[slice(*trace.doubtful)])}"
    else:
        yield f"  - answer: {code_span(trace.response or trace.error)}"
    yield f"  - {plain(trace.doubt or 'not flagged')}; trace {code_span(trace.trace_id)}"


def write_labels(findings: Findings) -> Iterable[str]:
    """Write what to label first."""
    yield "## Worth labelling first"
    if not findings.to_label:
        yield "No trace has an answer to label."
        return
    lanes = ", ".join(f"{count} {said}" for said, count in count_lanes(findings))
    yield f"{lanes}. For learning, not for a rate; the same list is in `label_first.csv`."
    yield "\n".join(write_to_label(one) for one in findings.to_label)


def write_to_label(one: ToLabel) -> str:
    """Write one trace to label."""
    also = f" Also: {plain('; '.join(one.also))}." if one.also else ""
    return f"{one.rank}. {capital(plain(one.why))}.{also}\n" + "\n".join(
        f"   {line}" for line in write_trace(one.trace)
    )


def write_human(findings: Findings) -> Iterable[str]:
    """Write what people said beside the flags."""
    if not findings.human:
        return
    yield "## What people said"
    yield (
        "Scores that people gave in the tool the export comes from. They chose what to score, so this is no rate. "
        "A flag that only repeats a dislike is left out."
    )
    for said in findings.human:
        unclear = f"; {number(said.unclear)} unclear" if said.unclear else ""
        yield f"{code_span(said.name)}: {count_of(said.traces, 'trace')}, {plain(said.reading)}{unclear}"
        yield table(
            ("People said", "flagged", "not flagged"),
            [
                ("bad", number(said.bad_flagged), number(said.bad_not)),
                ("good", number(said.good_flagged), number(said.good_not)),
            ],
        )


def write_read(findings: Findings) -> Iterable[str]:
    """Write what was read, and what could not be judged."""
    yield "## What was read"
    parts = [f"{number(one.count)} not ({plain(one.why)})" for one in unjudged_traces(findings)]
    judged = f"{number(findings.judged)} judged by the detector"
    yield f"{count_of(findings.traces, 'trace')}: {', '.join([judged, *parts])}."
    if findings.unjudged:
        rows = [
            (plain(one.why), number(one.count), ": ".join(filter(None, (plain(one.remedy), command(one.command)))))
            for one in findings.unjudged
        ]
        yield table(("Could not be judged, or only in part", "Traces", "What would change it"), rows)
    head = ("File", "Read as", "Records", "Added", "Updated", "Unchanged", "Rejected", "Blank", "Traces")
    shown = findings.files[:MOST_FILES]
    total = replace(add_up(findings.files), traces=findings.traces)
    yield table(head, [*map(file_row, shown), file_row(total)])
    if reasons := [
        f"- {plain(file.name)}: {plain(reason)}: {number(count)}" for file in shown for reason, count in file.reasons
    ]:
        yield "Rejected:\n\n" + "\n".join(reasons)
    for note in findings.notes:
        yield f"{capital(plain(note))}."


def file_row(file: FileFinding) -> tuple[str, ...]:
    """Write a file's count that adds up."""
    if file.failure:
        return plain(file.name), f"not read: {plain(file.failure)}", *("",) * 7
    counts = (file.records, file.added, file.updated, file.unchanged, file.rejected, file.blank, file.traces)
    read_as = f"{file.format} ({plain(file.recognised_by)})" if file.format else ""
    return plain(file.name), read_as, *map(number, counts)


def write_next(findings: Findings) -> Iterable[str]:
    """Write what to do next."""
    yield "## What to do next"
    steps = [
        f"{place}. {capital(plain(step.says))}{f' ({plain(step.note)})' if step.note else ''}: {command(step.command)}"
        for place, step in enumerate(findings.next_steps, start=1)
    ]
    yield "\n".join(steps)


def command(text: str) -> str:
    """Write a command as code, whole; nothing where there is none."""
    return code_span(text, 2000) if text else ""


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Write a table."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)
