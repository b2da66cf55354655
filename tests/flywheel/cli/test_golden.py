import json
from functools import partial

import pytest

from eval.cases import Expectation, GoldenCase, read_dataset, write_dataset
from tests.flywheel.cli.commands import run_flywheel

CASES = (
    GoldenCase(
        "c-1", "How long\nis the trial?", expectation=Expectation(supported=True), role="train", added_in="2026-W44"
    ),
    GoldenCase(
        "c-2", "Who? \x1b[2J", reference="Ada", role="gate", failure_type="missed_abstention", added_in="2026-W45"
    ),
    GoldenCase("c-3", "When?", reference="1843", answerable=False, role="gate"),
)


@pytest.fixture
def flywheel(tmp_path, monkeypatch, capsys):
    return partial(run_flywheel, monkeypatch, capsys, tmp_path)


@pytest.fixture
def version(tmp_path):
    return write_dataset(tmp_path / "golden_dataset", CASES)


def test_stats_count_by_role_and_failure_type(flywheel, version):
    code, out, _ = flywheel("golden", "stats")
    assert code == 0
    assert out.splitlines() == [
        f"{version}: 3 cases",
        "  role          2 gate, 1 train",
        "  status        3 active",
        "  failure type  1 missed abstention, 2 not said",
        "  added in      1 2026-W44, 1 2026-W45, 1 not said",
    ]


def test_stats_as_json_hold_the_same_counts(flywheel, version):
    told = json.loads(flywheel("golden", "stats", "--format", "json")[1])
    assert (told["version"], told["cases"], told["role"]) == (version, 3, {"gate": 2, "train": 1})


@pytest.mark.parametrize("command", [("stats",), ("list",), ("list", "--role", "gate")])
def test_an_empty_dataset_says_how_cases_come(flywheel, command):
    code, out, _ = flywheel("golden", *command)
    assert code == 0
    assert "Labelled failures become cases: flywheel run --week 2026-W45 --continue" in out


def test_a_list_has_a_line_a_case(flywheel, version):
    assert (
        flywheel("golden", "list", "--role", "train")[1]
        == "c-1  train  active        2026-W44  How long is the trial?\n"
    )
    assert [line[:3] for line in flywheel("golden", "list")[1].splitlines()] == ["c-1", "c-2", "c-3"]


def test_a_list_as_json_is_the_cases(flywheel, version):
    assert [case["case_id"] for case in json.loads(flywheel("golden", "list", "--format", "json")[1])] == [
        "c-1",
        "c-2",
        "c-3",
    ]


def test_a_case_is_shown_whole_without_what_nobody_said(flywheel, version):
    out = flywheel("golden", "show", "c-3")[1]
    assert "reference       1843\n" in out
    assert "answerable      False\n" in out
    assert "severity" not in out


@pytest.mark.parametrize("command", [("list",), ("show", "c-2")])
def test_text_of_a_case_cannot_steer_the_terminal(flywheel, version, command):
    assert "\x1b" not in flywheel("golden", *command)[1]


def test_an_unknown_case_is_one_line_and_exit_2(flywheel, version):
    assert flywheel("golden", "show", "c-9") == (
        2,
        "",
        "error: there is no case 'c-9'; list them: flywheel golden list\n",
    )


def test_cases_as_they_were_written_are_verified(flywheel, version):
    assert flywheel("golden", "verify") == (0, f"{version}: all 3 cases are as they were written\n", "")


def test_an_edit_by_hand_is_exit_2_until_it_is_accepted_as_a_new_version(flywheel, version, tmp_path):
    path = tmp_path / "golden_dataset" / "gate.jsonl"
    path.write_text(path.read_text().replace("1843", "1844"))
    code, _, err = flywheel("golden", "verify")
    assert code == 2
    assert "'c-3' changed by hand" in err
    assert "flywheel golden verify --accept" in err
    assert flywheel("golden", "verify", "--accept")[0] == 0
    assert flywheel("golden", "verify")[0] == 0
    dataset = read_dataset(tmp_path / "golden_dataset")
    assert dataset.version != version
    assert {case.reference for case in dataset.cases} == {None, "Ada", "1844"}
