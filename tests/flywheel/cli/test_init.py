from functools import partial

import pytest

from tests.flywheel.cli.commands import run_flywheel


@pytest.fixture
def flywheel(tmp_path, monkeypatch, capsys):
    return partial(run_flywheel, monkeypatch, capsys, tmp_path / "new")


def content(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_a_new_workspace_has_settings_and_a_landing_folder(flywheel, tmp_path):
    code, out, err = flywheel("init")
    assert (code, err) == (0, "")
    assert f"wrote {tmp_path / 'new' / 'flywheel.toml'}" in out
    assert "flywheel run --week" in out
    assert sorted(str(path) for path in content(tmp_path / "new")) == ["flywheel.toml", "traces"]


def test_init_twice_changes_nothing(flywheel, tmp_path):
    flywheel("init")
    path = tmp_path / "new" / "flywheel.toml"
    path.write_text(path.read_text() + "\n[modes]\nmin_size = 9\n")
    before = content(tmp_path / "new")
    code, out, _ = flywheel("init")
    assert code == 0
    assert "is there already; nothing was changed" in out
    assert content(tmp_path / "new") == before
