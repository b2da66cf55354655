"""What could not be judged and what would change that, and what to do after a first look: commands to paste."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from flywheel.ingest.paths import STANDARD_INPUT
from flywheel.look.findings import NextStep, Unjudged
from flywheel.look.measure import Export
from flywheel.report.wording import count_of
from flywheel.settings import FILE_NAME
from flywheel.trace import week_title
from flywheel.workspace import Workspace

MOST_WEEKS = 12
CORPUS_FORM = "a file of JSON lines with id and text of each passage"


def explain_unjudged(counts: Mapping[str, int], partly: int, waiting: int, export: Export) -> tuple[Unjudged, ...]:
    """Say what the detector could not judge, the commonest reason first."""
    again = look_command(export, corpus=True)
    told = [
        Unjudged(
            "the export names the passages, but leaves out their texts", counts.get("no texts", 0),
            f"give the texts: {CORPUS_FORM}", again,
        ),
        Unjudged(
            "the texts of some passages are left out; judged by the others", partly,
            f"give the texts: {CORPUS_FORM}", again,
        ),
        Unjudged(
            "the export says nothing of passages", counts.get("no passages", 0),
            "log the retrieval as a step of its own (a retriever span or observation with its documents as output), "
            "or say with --mapping where the passages lie; an answer that uses none cannot be judged by this detector",
        ),
        Unjudged(
            "nothing was retrieved", counts.get("nothing retrieved", 0),
            "nothing to mend in the export: these are flagged by rules, not by the detector",
        ),
        Unjudged(
            "the pipeline failed before it answered", counts.get("error", 0),
            "nothing to mend in the export: errors are counted apart",
        ),
        Unjudged(
            "there is no answer", counts.get("no answer", 0), "see that the answer is logged as the output of the trace"
        ),
        Unjudged(
            "the answer holds no sentence to judge", counts.get("nothing to judge", 0),
            "nothing to mend: greetings, thanks, lone figures",
        ),
        Unjudged(
            "steps without a question: no trace came of them", waiting,
            "export whole traces; the step that holds the question may be in another file",
        ),
    ]  # fmt: skip
    return tuple(sorted((one for one in told if one.count), key=lambda one: -one.count))


def look_command(export: Export, corpus: bool) -> str:
    """Give the command that looks again."""
    words = ["flywheel", "look", *map(str, export.paths)]
    words += ["--format", export.form] if export.form else []
    words += ["--mapping", str(export.mapping)] if export.mapping else []
    words += ["--corpus", "passages.jsonl"] if corpus else []
    return shlex.join(words)


def next_steps(workspace: Workspace, export: Export, weeks: Sequence[tuple[str, int]]) -> tuple[NextStep, ...]:
    """Say how to go on: a workspace, the export in it, a run for each week, labels."""
    steps = []
    if not (workspace.root / FILE_NAME).exists():
        steps.append(NextStep("make a workspace of this folder", "flywheel init"))
    steps += take_along(workspace, export)
    told = list(weeks)[-MOST_WEEKS:]
    for week, count in reversed(told):
        steps.append(NextStep(f"do {week_title(week)}", f"flywheel run --week {week}", count_of(count, "trace")))
    if len(weeks) > len(told):
        earlier = sum(count for _, count in weeks) - sum(count for _, count in told)
        steps[-1] = NextStep(
            steps[-1].says, steps[-1].command,
            f"{steps[-1].note}; {len(weeks) - len(told)} earlier weeks hold {count_of(earlier, 'trace')} more",
        )  # fmt: skip
    steps.append(NextStep("label what each run drew at random: that makes a rate", "flywheel annotate app"))
    return tuple(steps)


def take_along(workspace: Workspace, export: Export) -> list[NextStep]:
    """Say how the export gets into the landing folder."""
    folder = workspace.settings.paths.traces
    outside = [path for path in export.paths if not lies_in(path, workspace.traces)]
    steps = []
    if STANDARD_INPUT in export.paths:
        steps.append(NextStep("save the export as a file", f"cat > {shlex.quote(str(folder / 'export.jsonl'))}"))
    if files := [str(path) for path in outside if path != STANDARD_INPUT]:
        command = shlex.join(["cp", "-r", *files]) + f" {shlex.quote(str(folder))}/"
        steps.append(NextStep("copy the export into the landing folder", command))
    if export.mapping is not None:
        command = shlex.join(["cp", str(export.mapping), str(folder / "mapping.toml")])
        steps.append(NextStep("put the mapping beside it", command, "it is found there by its name"))
    if export.form is not None:
        command = shlex.join(["flywheel", "ingest", str(folder), "--format", export.form])
        steps.append(NextStep("take it in by its format", command))
    if export.corpus is not None:
        command = shlex.join(["flywheel", "ingest", str(folder), "--corpus", str(export.corpus)])
        steps.append(NextStep("give the texts of the passages once", command))
    return steps


def lies_in(path: Path, folder: Path) -> bool:
    """Tell whether a path lies in a folder."""
    return path != STANDARD_INPUT and path.resolve().is_relative_to(folder.resolve())
