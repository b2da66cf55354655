from flywheel.settings import Settings
from flywheel.workspace import Workspace, open_workspace


def test_paths_lie_in_the_workspace(tmp_path):
    workspace = open_workspace(tmp_path)
    assert workspace.warehouse == tmp_path / "warehouse.duckdb"
    assert workspace.report("2026-W45") == tmp_path / "reports" / "2026-W45"
    assert workspace.labels_url == f"sqlite:///{tmp_path / 'labels.db'}"
    assert workspace.tracking_uri == f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_an_absolute_path_stays(tmp_path):
    (tmp_path / "flywheel.toml").write_text(f'[paths]\nruns = "{tmp_path / "elsewhere"}"\n')
    assert open_workspace(tmp_path).runs == tmp_path / "elsewhere"


def test_only_a_relative_sqlite_url_is_anchored(tmp_path):
    workspace = Workspace(tmp_path, Settings())
    for url in ("sqlite:////var/labels.db", "sqlite:///:memory:", "postgresql://host/name", "http://127.0.0.1:5000"):
        assert workspace.absolute_url(url) == url
    assert workspace.absolute_url("sqlite:///deep/labels.db") == f"sqlite:///{tmp_path / 'deep' / 'labels.db'}"


def test_a_relative_folder_means_the_same_after_a_change_of_directory(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path)
    workspace = open_workspace(tmp_path / "inner" / "..")
    monkeypatch.chdir("/")
    assert workspace.traces == tmp_path / "traces"
