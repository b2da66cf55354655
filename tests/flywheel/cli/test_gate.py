import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eval.cases import Expectation, GoldenCase, write_dataset
from eval.errors import OperationalError, UserError
from flywheel.cli.main import cli

N = 120


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with 120 golden cases, and recorded answers of which the first so many are wrong."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flywheel.toml").write_text('[suite]\nmetrics = ["token_f1"]\n')
    cases = [GoldenCase(f"c{n:03}", f"How much is {n}?", expectation=Expectation((str(n),))) for n in range(N)]
    write_dataset(tmp_path / "golden_dataset", cases)
    for name, wrong in (("good", 0), ("bad", 40), ("few", 3)):
        answers = ({"case_id": c.case_id, "response": "no" if n < wrong else str(n)} for n, c in enumerate(cases))
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    return tmp_path


def flywheel(*args: str) -> Result:
    return CliRunner().invoke(cli, args, catch_exceptions=True)


def made(name: str) -> str:
    told = flywheel("eval", "run", "--pipeline", f"{name}.jsonl", "--out", f"runs/{name}")
    assert told.exit_code == 0, told.output
    return f"runs/{name}"


@pytest.fixture
def blessed(workspace: Path) -> Path:
    assert flywheel("baseline", "bless", made("good"), "--by", "ada").exit_code == 0
    return workspace


def test_run_says_what_it_measured_and_what_is_next(workspace: Path) -> None:
    told = flywheel("eval", "run", "--pipeline", "good.jsonl", "--out", "runs/good")
    assert "120 cases x 1: 120 ok" in told.stdout
    assert "expectation  100.0 % [96.9, 100.0], 120 of 120 cases" in told.stdout
    assert "Next: flywheel gate --candidate runs/good" in told.stdout


def test_run_as_json_is_only_json(workspace: Path) -> None:
    told = flywheel("eval", "run", "--pipeline", "good.jsonl", "--out", "runs/good", "--format", "json")
    assert json.loads(told.stdout)["counts"] == {"ok": N}


def test_worse_candidate_blocks_with_code_one_and_leaves_its_reports(blessed: Path) -> None:
    told = flywheel("gate", "--candidate", made("bad"))
    assert told.exit_code == 1
    assert told.stdout.startswith("BLOCK  expectation dropped 33.3 points [")
    assert "blessed today by ada" in told.stdout
    assert told.stdout.rstrip().endswith("report.html · exit 1")
    assert {path.name for path in (blessed / "gate").iterdir()} == {"gate.json", "gate.md", "junit.xml", "report.html"}


def test_same_answers_pass_with_code_zero(blessed: Path) -> None:
    told = flywheel("gate", "--candidate", "runs/good")
    assert (told.exit_code, told.stdout[:4]) == (0, "PASS")


def test_inconclusive_fails_only_where_it_is_asked_to(blessed: Path) -> None:
    run = made("few")
    assert flywheel("gate", "--candidate", run).exit_code == 0
    told = flywheel("gate", "--candidate", run, "--on-inconclusive", "fail")
    assert (told.exit_code, told.stdout.split()[0]) == (3, "INCONCLUSIVE")


def test_pipeline_is_run_before_it_is_judged(blessed: Path) -> None:
    told = flywheel("gate", "--candidate", "bad.jsonl", "--format", "json", "--out", "elsewhere")
    assert (told.exit_code, json.loads(told.stdout)["verdict"]) == (1, "BLOCK")
    assert (blessed / "elsewhere" / "gate.json").exists()


def test_markdown_goes_to_the_terminal_too(blessed: Path) -> None:
    assert flywheel("gate", "--candidate", "runs/good", "--format", "markdown").stdout.startswith("<!-- flywheel-gate")


def test_same_command_gives_the_same_verdict_to_the_digit(blessed: Path) -> None:
    run = made("few")
    first, second = (flywheel("gate", "--candidate", run, "--format", "json").stdout for _ in range(2))
    assert first == second


def test_nothing_measured_is_operational_and_still_leaves_a_report(blessed: Path) -> None:
    (blessed / "none.jsonl").write_text('{"case_id": "other", "response": "x"}\n')
    told = flywheel("gate", "--candidate", "none.jsonl")
    assert isinstance(told.exception, OperationalError)
    assert json.loads((blessed / "gate" / "gate.json").read_text())["exit_code"] == 4


def test_gate_without_a_blessed_baseline_says_how_to_bless_one(workspace: Path) -> None:
    told = flywheel("gate", "--candidate", made("good"))
    assert isinstance(told.exception, UserError)
    assert "flywheel baseline bless RUN --by NAME" in str(told.exception)


def test_run_that_is_not_there_is_named(blessed: Path) -> None:
    told = flywheel("gate", "--candidate", "runs/pr-1")
    assert "there is no run runs/pr-1" in str(told.exception)


def test_finished_run_is_not_overwritten(blessed: Path) -> None:
    told = flywheel("eval", "run", "--pipeline", "bad.jsonl", "--out", "runs/good")
    assert "holds a finished run" in str(told.exception)


def test_unknown_metric_is_named_with_the_known_ones(workspace: Path) -> None:
    told = flywheel("eval", "run", "--pipeline", "good.jsonl", "--out", "runs/x", "--metric", "f2")
    assert "there is no metric 'f2'; choose among" in str(told.exception)


def test_questions_leave_the_machine_only_where_it_is_allowed(workspace: Path) -> None:
    told = flywheel("eval", "run", "--pipeline", "https://rag.example.org/query", "--out", "runs/x")
    assert isinstance(told.exception, UserError)
    assert "allow_egress" in str(told.exception)


def test_callable_of_the_workspace_is_found(workspace: Path) -> None:
    (workspace / "my_rag_in_cli.py").write_text(
        "def answer(question): return {'answer': question.split()[-1][:-1], 'passages': []}\n"
    )
    told = flywheel("eval", "run", "--pipeline", "my_rag_in_cli:answer", "--out", "runs/mine")
    assert "expectation  100.0 %" in told.stdout


def test_baseline_is_shown_with_who_and_how_many_cases(blessed: Path) -> None:
    assert flywheel("baseline", "show").stdout.startswith("good, blessed today by ada; dataset g-")
    assert json.loads(flywheel("baseline", "show", "--format", "json").stdout)["by"] == "ada"


def test_compare_shows_differences_without_a_verdict(blessed: Path) -> None:
    told = flywheel("eval", "compare", "runs/good", made("bad"))
    assert told.exit_code == 0
    assert "-33.3 [" in told.stdout
    assert "BLOCK" not in told.stdout


@pytest.mark.parametrize(
    "command", [("gate",), ("baseline", "bless"), ("baseline", "show"), ("eval", "run"), ("eval", "compare")]
)
def test_help_carries_an_example(workspace: Path, command: tuple[str, ...]) -> None:
    assert f"Example: flywheel {' '.join(command)}" in flywheel(*command, "--help").stdout


@pytest.mark.parametrize(("redact", "is_told"), [("outputs", False), ("off", True)])
def test_answers_are_masked_in_a_gate_whose_runs_were_made_before_masking(
    blessed: Path, monkeypatch: pytest.MonkeyPatch, redact: str, is_told: bool
) -> None:
    email = "maria.keller@example.com"
    answers = ({"case_id": f"c{n:03}", "response": f"no, ask {email}"} for n in range(N))
    (blessed / "telling.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    monkeypatch.setenv("FLYWHEEL_GOVERNANCE__REDACT", "off")
    run = made("telling")
    assert email in (blessed / run / "results.jsonl").read_text()
    monkeypatch.setenv("FLYWHEEL_GOVERNANCE__REDACT", redact)
    told = flywheel("gate", "--candidate", run, "--out", "gate", "--format", "json")
    assert told.exit_code == 1
    written = told.stdout + "".join(path.read_text() for path in (blessed / "gate").iterdir())
    assert "no, ask" in written
    assert (email in written) is is_told
