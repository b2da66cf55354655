"""The documentation holds to the code: commands, settings, names, links and exit codes."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

import click
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result
from pydantic import BaseModel

from eval import errors
from eval.cases import GoldenCase
from eval.gate import Comparison, GateResult
from eval.metrics import METRICS
from eval.metrics.groundedness import packaged_detector
from eval.sample import Status
from flywheel.cli.main import cli
from flywheel.labels.exchange import LABEL_FIELDS, TASK_FIELDS
from flywheel.labels.marks import DOUBTS
from flywheel.look.output import CSV_FIELDS as FIRST_LOOK_FIELDS
from flywheel.phase_one import STEPS as PHASE_ONE
from flywheel.phase_two import STEPS as PHASE_TWO
from flywheel.settings import Settings
from flywheel.trace import FailureType, Severity, Trace
from tests.flywheel.made_traces import WEEK, make_trace, write_lines

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
EXIT_CODES = {code: name for name, code in vars(errors).items() if name.isupper()}
CTRL_C = 130
UNREAD = "**no command reads it yet**"


@dataclass(frozen=True, slots=True)
class Line:
    """A command as a page gives it; `in_block` is False in running text, where options may be left out."""

    page: str
    number: int
    words: tuple[str, ...]
    in_block: bool


def read(page: str) -> str:
    """The text of a page of `docs/`."""
    return (DOCS / page).read_text(encoding="utf-8")


def command_lines() -> Iterator[Line]:
    """Yield every `flywheel …` of the pages: lines of code blocks, and code in the running text."""
    for page in PAGES:
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
            block = re.match(r"(?: {4}|\s*- (?:run: )?)(flywheel .*)", line)
            for command in [block[1]] if block else re.findall(r"`(flywheel [^`]+)`", line):
                yield Line(page.name, number, tuple(shlex.split(command, comments=True)[1:]), block is not None)


def resolve(words: tuple[str, ...]) -> tuple[click.Command, list[str]]:
    """Walk the tree of commands; give the command that the words end at, and the words left over."""
    command: click.Command = cli
    rest = list(words[2:] if words[:1] == ("--workspace",) else words)
    while isinstance(command, click.Group) and rest:
        found = command.get_command(click.Context(command), rest[0])
        assert found is not None, f"there is no command {rest[0]!r}"
        command = found
        rest = rest[1:]
    return command, rest


def all_commands(group: click.Group, words: str = "flywheel") -> Iterator[str]:
    """Yield the words of every command that is no group."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{words} {name}")
        else:
            yield f"{words} {name}"


def table_rows(text: str) -> list[list[str]]:
    """Give the cells of every table row."""
    rows = [line.strip().strip("|") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.split(" | ")] for row in rows]


def codes_in(text: str) -> set[str]:
    """Give every word set in code."""
    return set(re.findall(r"`([^`]+)`", text))


def settings_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Yield every key of `flywheel.toml`, with its table."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_keys(field.annotation, f"{name}.")
        else:
            yield f"{prefix}{name}"


def told_settings() -> dict[str, list[str]]:
    """The rows of the table of settings, by key."""
    rows = table_rows(read("formats.md").partition("## flywheel.toml")[2])
    return {key.strip("`"): rest for key, *rest in rows if key.startswith("`")}


def default_of(key: str) -> Any:
    """A setting's default, as JSON has it."""
    value: Any = Settings()
    for part in key.split("."):
        value = getattr(value, part)
    return json.loads(json.dumps(value, default=str))


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("line", list(command_lines()), ids=lambda line: f"{line.page}:{line.number}")
def test_every_command_in_the_docs_exists_with_its_options(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("labels.jsonl", "mapping.toml", "passages.jsonl"):
        (tmp_path / name).touch()  # what a command reads must be there
    monkeypatch.chdir(tmp_path)
    command, rest = resolve(line.words)
    if not rest and not line.in_block:
        return  # the command is spoken of, not given
    assert not isinstance(command, click.Group), f"flywheel {shlex.join(line.words)} is no whole command"
    command.make_context("flywheel", rest).close()


def test_the_docs_name_every_command():
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [command for command in all_commands(cli) if command not in pages] == []


def test_every_setting_is_told_and_every_told_setting_exists():
    assert sorted(told_settings()) == sorted(settings_keys())


@pytest.mark.parametrize("key", list(settings_keys()))
def test_the_docs_tell_the_default_of_a_setting(key: str):
    default, told = default_of(key), told_settings()[key][0]
    assert (None if told == "none" else json.loads(told.strip("`"))) == default


def test_settings_are_said_to_be_unread_only_where_no_code_reads_them():
    sources = [
        path.read_text(encoding="utf-8")
        for package in ("flywheel", "annotation_app")
        for path in (ROOT / package).rglob("*.py")
        if path != ROOT / "flywheel" / "settings.py"
    ]
    said = {key for key, (_, meaning) in told_settings().items() if UNREAD in meaning}
    read_somewhere = {
        key for key in settings_keys() if any(re.search(rf"\.{key.rpartition('.')[2]}\b", text) for text in sources)
    }
    assert set(settings_keys()) - read_somewhere == said


def test_every_metric_has_its_row_and_judges_are_called_judges():
    rows = {row[0] for row in table_rows(read("metrics.md")) if row[0].split()[0].strip("`") in METRICS}
    assert rows == {f"`{name}`{' (judge)' if metric.is_judge else ''}" for name, metric in METRICS.items()}


def test_every_status_failure_type_and_severity_is_told():
    told = read("metrics.md")
    wanted = {*get_args(Status), *get_args(FailureType)}
    assert wanted - codes_in(told) == set()
    assert [severity for severity in get_args(Severity) if severity not in told] == []


def test_the_failure_types_that_triage_gives_are_those_of_its_rules():
    sections = read("metrics.md").partition("### Triage rules")
    given = {row[0].strip("`") for row in table_rows(sections[0]) if row[1:2] == ["yes"]}
    ruled = {row[2].strip("`") for row in table_rows(sections[2]) if row[0].isdigit()}
    source = (ROOT / "flywheel" / "triage.py").read_text(encoding="utf-8")
    assert given == ruled == set(re.findall(r"then '(\w+)'", source)) & set(get_args(FailureType))


def test_the_detector_is_described_as_it_is_packaged():
    told = " ".join(read("metrics.md").split())
    detector = packaged_detector()
    assert detector.trained_on in told
    assert f"{detector.threshold:g} as packaged" in told
    assert ", ".join(f"{at:g} ({name})" for name, at in DOUBTS) in told


@pytest.mark.parametrize(
    "names",
    [
        Trace.__struct_fields__,
        LABEL_FIELDS,
        TASK_FIELDS,
        [field.name for field in fields(GoldenCase)],
        [field.name for field in fields(GateResult)],
        [field.name for field in fields(Comparison)],
        FIRST_LOOK_FIELDS,
    ],
    ids=["trace", "label", "task", "golden case", "gate.json", "comparison of gate.json", "first look"],
)
def test_every_field_of_a_format_is_named(names: list[str]):
    assert set(names) - codes_in(read("formats.md")) == set()


def test_every_step_of_the_weekly_job_stands_in_the_runbook_in_its_order():
    sections = read("runbook.md").split("### Phase ")[1:]
    told = [[row[0] for row in table_rows(section.partition("\n## ")[0])[1:]] for section in sections]
    assert told == [["ingest", *(step.name for step in PHASE_ONE)], [step.name for step in PHASE_TWO]]


@pytest.mark.parametrize("page", ["runbook.md", "ci.md"])
def test_the_exit_codes_are_those_of_the_code(page: str):
    told = {int(row[0]): row[1] for row in table_rows(read(page)) if row[0].isdigit()}
    assert told == EXIT_CODES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_other_exit_code_is_named(page: Path):
    found = re.findall(r"(?:[Ee]xit codes?|[Ee]nds(?: also)? with|exit) \(?`?(\d+)", page.read_text(encoding="utf-8"))
    assert {int(code) for code in found} <= {*EXIT_CODES, CTRL_C}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path):
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def give(workspace: Path, *words: str) -> Result:
    """Give a command as a person would; an error is an error."""
    return CliRunner().invoke(cli, ["--workspace", str(workspace), *words], catch_exceptions=False)


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace as the README starts one, with a few traces of our own and phase 1 behind it."""
    folder = tmp_path_factory.mktemp("docs") / "my-rag"
    give(folder, "init")
    traces = [make_trace(f"made-{number}", user_input=f"Question {number}?") for number in range(12)]
    bad = make_trace("broken", timestamp="yesterday")
    write_lines(folder / "traces" / "traces.jsonl", *traces, bad)
    ran = give(folder, "run", "--week", WEEK)
    assert ran.exit_code == errors.OK, ran.output
    return folder


HARMLESS = (
    "ingest traces/ --output json",
    "status",
    "golden stats",
    "golden list --role gate",
    "golden verify",
    f"annotate status --week {WEEK}",
    f"annotate export labels.jsonl --week {WEEK}",
    "annotate export tasks.csv --tasks",
    f"report --week {WEEK}",
)


@pytest.mark.parametrize("words", HARMLESS)
def test_a_harmless_command_runs(words: str, week: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(week)
    assert give(week, *shlex.split(words)).exit_code == errors.OK


def test_the_columns_of_the_parquet_file_are_those_told(week: Path):
    section = read("formats.md").partition("column of traces.parquet")[2].partition("\n## ")[0]
    told = [name for row in table_rows(section) for name in re.findall(r"`(\w+)`", row[0])]
    assert told == pyarrow.parquet.read_schema(week / "reports" / WEEK / "traces.parquet").names


def test_the_quarantine_has_the_fields_told(week: Path):
    (kept,) = (week / "traces" / "quarantine").iterdir()
    fields_told = re.findall(r'"(\w+)"', read("formats.md").partition("each line\n`{")[2].partition("}")[0])
    assert list(json.loads(kept.read_text())) == fields_told
    assert len(kept.stem) == 16


def test_the_readme_starts_with_a_trace_that_goes_in(week: Path):
    example = re.search(
        r'^ {4}(\{"trace_id".*?\}\]\})$', PAGES[0].read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert example is not None
    path = write_lines(week / "readme.jsonl", json.loads(example[1]))
    told = json.loads(give(week, "ingest", str(path), "--output", "json").stdout)
    assert told["total"]["added"] == 1
