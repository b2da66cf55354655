from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eval.baseline import age_in_words, bless, read_blessed_run, read_blessing
from eval.errors import UserError
from eval.pipeline import Answer, Pipeline
from eval.suite import Run, run_suite
from tests.eval.test_suite import SUITE

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    suite = replace(SUITE, cases=SUITE.cases[:2])
    return run_suite(suite, Pipeline("x", lambda c, r: Answer("yes")), tmp_path / "runs" / "main")


def test_blessed_run_is_read_with_who_and_when(run: Run, tmp_path: Path) -> None:
    bless(run, " ada ", tmp_path / "runs", NOW)
    blessing, found = read_blessed_run(tmp_path / "runs")
    assert (blessing.run, blessing.by, blessing.at) == ("main", "ada", "2026-11-21T09:00:00+00:00")
    assert found.results == run.results


def test_runs_folder_can_move(run: Run, tmp_path: Path) -> None:
    bless(run, "ada", tmp_path / "runs", NOW)
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    assert read_blessed_run(tmp_path / "elsewhere")[1].results == run.results


@pytest.mark.parametrize(("days", "said"), [(0, "today"), (1, "1 day ago"), (6, "6 days ago")])
def test_age_is_said(run: Run, tmp_path: Path, days: int, said: str) -> None:
    blessing = bless(run, "ada", tmp_path / "runs", NOW)
    assert age_in_words(blessing, NOW + timedelta(days=days, hours=1)) == f"blessed {said} by ada"


def test_nobody_blesses_nothing(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--by NAME"):
        bless(run, " ", tmp_path / "runs", NOW)
    with pytest.raises(UserError, match="no baseline is blessed"):
        read_blessing(tmp_path / "runs")


def test_run_changed_after_its_blessing_is_refused(run: Run, tmp_path: Path) -> None:
    bless(run, "ada", tmp_path / "runs", NOW)
    path = run.folder / "results.jsonl"
    path.write_text(path.read_text().replace("yes", "no"))
    with pytest.raises(UserError, match="changed after ada blessed them"):
        read_blessed_run(tmp_path / "runs")


def test_broken_record_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "baseline.json").write_text("{}")
    with pytest.raises(UserError, match="bless a run again"):
        read_blessing(tmp_path)
