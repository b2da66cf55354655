from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.errors import UserError
from eval.tracking import Measured, TrackedRun, figures, log_run, name_of

pytestmark = pytest.mark.filterwarnings("ignore")

CHILD = TrackedRun("gate", "week-47/gate", tags={"verdict": "PASS"})
RUN = TrackedRun(
    "2026-W47",
    "week-47",
    params={"dataset": "g-1", "nothing": None, "long": "x" * 9000},
    metrics={"rate @ all": Measured(0.2, 0.15, 0.25), "unknown": Measured(None), "broken": Measured(float("nan"))},
    tags={"week": "2026-W47"},
    children=(CHILD,),
    step=47,
)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'store' / 'mlflow.db'}"


def client(uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri)


def test_new_store_prints_nothing(uri: str, capfd: pytest.CaptureFixture[str]) -> None:
    log_run(CHILD, uri, "quiet")
    assert capfd.readouterr() == ("", "")


def test_run_is_logged_with_its_interval_and_its_children(uri: str, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    report.write_text("fine")
    run_id = log_run(replace(RUN, artifacts=(report,)), uri, "flywheel")
    found = client(uri).get_run(run_id)
    assert found.data.metrics == {"rate _ all": 0.2, "rate _ all.ci_low": 0.15, "rate _ all.ci_high": 0.25}
    assert found.data.params["dataset"] == "g-1"
    assert set(found.data.params) == {"dataset", "long"}
    assert (found.data.tags["week"], found.data.tags["fingerprint"]) == ("2026-W47", "week-47")
    assert (found.info.run_name, found.info.status) == ("2026-W47", "FINISHED")
    assert client(uri).get_metric_history(run_id, "rate _ all")[0].step == 47
    children = client(uri).search_runs([found.info.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'")
    assert [child.info.run_name for child in children] == ["gate"]
    artifacts = Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts" / run_id / "artifacts"
    assert (artifacts / "report.md").read_text() == "fine"


def test_same_work_is_logged_once(uri: str) -> None:
    first = log_run(RUN, uri, "twice")
    assert log_run(RUN, uri, "twice") == first
    experiment = client(uri).get_experiment_by_name("twice").experiment_id
    assert len(client(uri).search_runs([experiment])) == 2


def test_run_cut_off_while_logged_is_completed(uri: str) -> None:
    mlflow = client(uri)
    experiment = mlflow.create_experiment("cut")
    begun = mlflow.create_run(experiment, tags={"fingerprint": "week-47"}, run_name="2026-W47")
    mlflow.log_metric(begun.info.run_id, "rate _ all", 0.2, begun.info.start_time, 47)
    assert log_run(RUN, uri, "cut") == begun.info.run_id
    assert len(mlflow.get_metric_history(begun.info.run_id, "rate _ all")) == 1
    assert mlflow.get_run(begun.info.run_id).info.status == "FINISHED"


def test_folder_is_logged_as_an_artifact(uri: str, tmp_path: Path) -> None:
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "gate.json").write_text("{}")
    run_id = log_run(TrackedRun("x", "folder", artifacts=(tmp_path / "gate",)), uri, "flywheel")
    assert [one.path for one in client(uri).list_artifacts(run_id, "gate")] == ["gate/gate.json"]


def test_missing_figures_are_left_out() -> None:
    assert figures({"a": Measured(0.5, None, 0.7), "b": Measured(float("inf"))}) == {"a": 0.5, "a.ci_high": 0.7}


@pytest.mark.parametrize(
    ("name", "clean"), [("F1 @ [all]", "F1 _ _all_"), ("../x", "_/x"), ("a//b", "a/_/b"), ("мода", "____")]
)
def test_names_are_made_acceptable(name: str, clean: str) -> None:
    assert name_of(name) == clean


@pytest.mark.parametrize("uri", ["mlruns", "file:./mlruns", ""])
def test_store_that_is_no_store_is_a_user_error(uri: str) -> None:
    with pytest.raises(UserError, match="is no MLflow store"):
        log_run(RUN, uri, "flywheel")


def test_fingerprint_cannot_break_out_of_the_search(uri: str) -> None:
    with pytest.raises(ValueError, match="no fingerprint"):
        log_run(replace(RUN, fingerprint="x' or '1'='1"), uri, "flywheel")
