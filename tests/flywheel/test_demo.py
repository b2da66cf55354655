from datetime import UTC, datetime

import duckdb
import pytest

from eval.errors import UserError
from flywheel.demo import MARKER, Scale, play
from tests.flywheel.test_killed_run import tracked_runs

NOW = datetime(2026, 11, 11, 9, tzinfo=UTC)
SMALL = Scale(traces=160, labels=70)


@pytest.mark.filterwarnings("ignore")
def test_the_demo_passes_the_same_pipeline_and_blocks_the_broken_one(tmp_path):
    told = []
    played = play(tmp_path / "demo", NOW, told.append, SMALL)
    verdicts = {name: verdict for name, verdict, _ in played.gates}
    assert verdicts["identical"] != "BLOCK"
    assert verdicts["broken"] == "BLOCK"
    assert all((folder / "report.html").exists() for _, _, folder in played.gates)
    assert played.week == "2026-W45"
    assert "2026-W45" in played.report.read_text()
    with duckdb.connect(str(tmp_path / "demo" / "warehouse.duckdb"), read_only=True) as db:
        assert db.execute("select count(*) from trace").fetchone() == (160,)
        assert db.execute("select sum(lines), sum(added), sum(rejected) from delivery").fetchone() == (160, 160, 0)
        assert db.execute("select count(*) from gold_label where verdict is not null").fetchone() == (70,)
    assert tracked_runs(tmp_path / "demo")["mlflow unnamed runs"] == [(0,)]
    stages = [line.split("  ")[0] for line in told if not line.startswith(" ")]
    assert stages == [
        "knowledge", "traffic", "phase 1", "labels", "phase 2", "baseline", "gate identical", "gate broken",
    ]  # fmt: skip


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is there and is no demo; name another folder with --folder"):
        play(tmp_path, NOW, print)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_earlier_demo_gives_way(tmp_path):
    from flywheel.demo import start_workspace

    (tmp_path / MARKER).touch()
    (tmp_path / "warehouse.duckdb").write_text("old")
    workspace = start_workspace(tmp_path, 33)
    assert not workspace.warehouse.exists()
    assert workspace.settings.plan.labels == 33
