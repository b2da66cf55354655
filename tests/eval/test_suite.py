import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from eval.cases import Expectation, GoldenCase, write_dataset
from eval.errors import OperationalError, UserError
from eval.metrics import Metric
from eval.pipeline import Answer, Pipeline
from eval.sample import Passage, Sample, Score
from eval.suite import Suite, read_run, read_suite, run_suite, sample_of

CASES = [GoldenCase(f"c{n:02}", f"question {n}", expectation=Expectation((str(n),))) for n in range(40)]


def length(samples: Sequence[Sample]) -> list[Score]:
    return [Score(s.id, "length", len(s.response) / 100, instrument="length@1", cost_usd=0.01) for s in samples]


LENGTH = {"length": Metric("length", "Length", True, "continuous", False, "an answer", length)}
SUITE = Suite(CASES, "g-1", LENGTH)


def echo(case: GoldenCase, repeat: int) -> Answer:
    return Answer(f"{case.user_input}, {repeat}", cost_usd=0.02)


class CutError(Exception):
    """The process ends here."""


def test_run_holds_every_case_repeat_and_metric(tmp_path: Path) -> None:
    run = run_suite(replace(SUITE, repeats=2), Pipeline("echo", echo, concurrency=4), tmp_path)
    asked = [(result.case_id, result.repeat) for result in run.results]
    assert asked == [(case.case_id, repeat) for case in CASES for repeat in (0, 1)]
    assert run.results[1].answer.response == "question 0, 1"
    assert run.results[1].scores["length"].value == pytest.approx(0.13)
    assert {result.scores["expectation"].value for result in run.results} == {1.0}
    assert run.metrics["length"].instrument == "length@1"
    assert run.counts == {"ok": 80}
    assert run.cost_usd == pytest.approx(80 * 0.03)


def test_run_folder_says_what_was_measured(tmp_path: Path) -> None:
    run_suite(SUITE, Pipeline("echo", echo), tmp_path)
    told = json.loads((tmp_path / "run.json").read_text())
    assert (told["schema"], told["pipeline"], told["dataset_version"]) == ("flywheel.run/1", "echo", "g-1")
    line = json.loads((tmp_path / "results.jsonl").read_text().split("\n")[0])
    assert {"case_id", "repeat", "response", "passages", "status", "scores"} <= line.keys()
    assert read_run(tmp_path).cases["c00"] == CASES[0]


def test_finished_run_is_read_not_made_again(tmp_path: Path) -> None:
    first = run_suite(SUITE, Pipeline("echo", echo), tmp_path)

    def never(case: GoldenCase, repeat: int) -> Answer:
        raise AssertionError(case)

    assert run_suite(SUITE, Pipeline("echo", never), tmp_path) == first


def cut_off(folder: Path) -> None:
    """Start a run that dies after its first batch, the next line half written."""

    def dies(case: GoldenCase, repeat: int) -> Answer:
        if case.case_id == "c35":
            raise CutError
        return Answer(status="error", reason="HTTP 503") if case.case_id == "c03" else echo(case, repeat)

    with pytest.raises(CutError):
        run_suite(SUITE, Pipeline("echo", dies), folder)
    with (folder / "results.jsonl").open("ab") as file:
        file.write(b'{"case_id": "c33", "repeat": 0, "resp')


def test_cut_off_run_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    cut_off(tmp_path / "cut")
    asked: list[str] = []

    def counting(case: GoldenCase, repeat: int) -> Answer:
        asked.append(case.case_id)
        return echo(case, repeat)

    run_suite(SUITE, Pipeline("echo", counting), tmp_path / "cut")
    run_suite(SUITE, Pipeline("echo", echo), tmp_path / "whole")
    assert (tmp_path / "cut/results.jsonl").read_bytes() == (tmp_path / "whole/results.jsonl").read_bytes()
    assert asked == ["c03", *(f"c{n}" for n in range(32, 40))]


def test_cut_off_run_is_not_read_as_a_run(tmp_path: Path) -> None:
    cut_off(tmp_path)
    with pytest.raises(UserError, match="was cut off; give its `flywheel eval run` again"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "other",
    [
        replace(SUITE, version="g-2"),
        replace(SUITE, repeats=2),
        replace(SUITE, cases=CASES[:3]),
        replace(SUITE, metrics={}),
    ],
)
def test_folder_of_another_run_is_refused(tmp_path: Path, other: Suite) -> None:
    run_suite(SUITE, Pipeline("echo", echo), tmp_path)
    with pytest.raises(UserError, match="holds another run"):
        run_suite(other, Pipeline("echo", echo), tmp_path)


def test_changed_recording_is_another_run(tmp_path: Path) -> None:
    run_suite(SUITE, Pipeline("a.jsonl", echo, content="1"), tmp_path)
    with pytest.raises(UserError, match="content '1', not '2'"):
        run_suite(SUITE, Pipeline("a.jsonl", echo, content="2"), tmp_path)


def test_failed_answer_is_a_result_without_scores(tmp_path: Path) -> None:
    def half(case: GoldenCase, repeat: int) -> Answer:
        return Answer(status="timeout", reason="30 s") if case.case_id == "c01" else echo(case, repeat)

    run = run_suite(SUITE, Pipeline("half", half), tmp_path)
    assert run.counts == {"ok": 39, "timeout": 1}
    assert (run.results[1].answer.status, run.results[1].scores) == ("timeout", {})


def test_pipeline_that_is_down_is_operational_and_can_be_tried_again(tmp_path: Path) -> None:
    def down(case: GoldenCase, repeat: int) -> Answer:
        return Answer(status="error", reason="connection refused")

    with pytest.raises(OperationalError, match=r"answered none of 32 questions \(error: connection refused\)"):
        run_suite(SUITE, Pipeline("echo", down), tmp_path)
    assert run_suite(SUITE, Pipeline("echo", echo), tmp_path).counts == {"ok": 40}


def test_no_cases_are_operational(tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match="no cases"):
        run_suite(replace(SUITE, cases=[]), Pipeline("echo", echo), tmp_path)


def test_two_instruments_in_one_run_are_refused(tmp_path: Path) -> None:
    versions = iter("12")

    def drifting(samples: Sequence[Sample]) -> list[Score]:
        version = next(versions)
        return [Score(s.id, "length", 0.1, instrument=f"length@{version}") for s in samples]

    suite = replace(SUITE, metrics={"length": replace(LENGTH["length"], score=drifting)})
    with pytest.raises(UserError, match=r"2 instruments in one run \(length@1, length@2\)"):
        run_suite(suite, Pipeline("echo", echo), tmp_path)


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    run_suite(SUITE, Pipeline("echo", echo), tmp_path, lambda done, wanted: told.append((done, wanted)))
    assert told == [(0, 40), (32, 40), (40, 40)]


def test_hostile_answer_comes_back_as_it_was(tmp_path: Path) -> None:
    text = "a\u2028b\n\x00</script>\ud800"
    run = run_suite(replace(SUITE, cases=CASES[:1]), Pipeline("x", lambda c, r: Answer(text)), tmp_path)
    assert run.results[0].answer.response == text.replace("\ud800", "?")


def test_sample_takes_fixed_passages_before_retrieved_ones() -> None:
    answer = Answer("a", (Passage("found", "x"),))
    assert sample_of(GoldenCase("c", "?", passages=(Passage("given", "y"),)), 0, answer).passages[0].id == "given"
    sample = sample_of(GoldenCase("c", "?", passage_ids=("p",), answerable=True, group="g"), 1, answer)
    assert (sample.id, sample.passages[0].id, sample.reference_passage_ids) == ("c#1", "found", ("p",))
    assert (sample.answerable, sample.group) == (True, "g")


def test_suite_takes_active_cases_of_the_role(tmp_path: Path) -> None:
    cases = [CASES[0], replace(CASES[1], role="dev"), replace(CASES[2], status="needs_review")]
    version = write_dataset(tmp_path, cases)
    suite = read_suite(tmp_path, LENGTH)
    assert ([case.case_id for case in suite.cases], suite.version) == (["c00"], version)
    with pytest.raises(OperationalError, match="no active cases of the role 'train'"):
        read_suite(tmp_path, LENGTH, role="train")


@pytest.mark.parametrize("content", ["{", "{}", '{"metrics": []}'])
def test_unreadable_run_is_a_user_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(UserError, match="cannot be read"):
        read_run(tmp_path)


def test_folder_without_a_run_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run; make one with flywheel eval run"):
        read_run(tmp_path)
