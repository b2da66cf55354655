"""Runs, steps and tags in MLflow. The only module that imports it."""

import logging
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from eval.errors import UserError

SQLITE = "sqlite:///"
SCHEMES = (SQLITE, "postgresql", "mysql", "mssql", "http://", "https://", "databricks")
NOT_IN_NAMES = re.compile(r"[^\w\-./ ]", re.ASCII)
LONGEST_NAME = 250
LONGEST_PARAM = 6000
LONGEST_TAG = 5000
BATCH = 500
"""Metrics in one request; MLflow takes a thousand."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with its interval where it has one. None is never logged."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """What one run tells MLflow. `fingerprint` names the work: the same work is logged once.

    `step` orders the runs of a history, such as the week. Artifacts are files or folders.
    """

    name: str
    fingerprint: str
    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, Measured] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Sequence[Path] = ()
    children: Sequence["TrackedRun"] = ()
    step: int = 0


def log_run(run: TrackedRun, uri: str, experiment: str) -> str:
    """Log a run with its children and return its id; one that was logged before is found, not repeated.

    A run that was cut off while being logged is completed: every part of it can be written twice.
    """
    client = connect(uri)
    return log_one(client, run, experiment_id(client, uri, experiment), parent=None)


def connect(uri: str) -> Any:
    """Open an MLflow store without telemetry, and without its migrations' log lines."""
    if not uri.startswith(SCHEMES):
        raise UserError(f"{uri!r} is no MLflow store; give sqlite:///mlflow.db, another SQL URL, or http://host:port")
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between MLflow and the libraries it uses
        from mlflow.tracking import MlflowClient

        for name in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(name).setLevel(logging.WARNING)
        if uri.startswith(SQLITE):
            create_store(Path(uri.removeprefix(SQLITE)))
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)  # creates the tables where there are none
        return client


def create_store(path: Path) -> None:
    """Make a SQLite store aside, then put it in its place: MLflow cannot go on with tables that a kill cut short."""
    if path.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.new")
    for left in (half, *(half.with_name(half.name + end) for end in ("-journal", "-wal", "-shm"))):
        left.unlink(missing_ok=True)
    SqlAlchemyStore(f"{SQLITE}{half}", artifacts_beside(path)).engine.dispose()
    half.replace(path)


def artifacts_beside(path: Path) -> str:
    """Say where the artifacts of a SQLite store lie."""
    return str((path.resolve().parent / "mlartifacts").as_uri())


def experiment_id(client: Any, uri: str, name: str) -> str:
    """Find or create an experiment; with a SQLite file its artifacts lie beside the file."""
    found = client.get_experiment_by_name(name)
    if found is None:
        place = artifacts_beside(Path(uri.removeprefix(SQLITE))) if uri.startswith(SQLITE) else None
        return str(client.create_experiment(name, artifact_location=place))
    if found.lifecycle_stage != "active":
        raise UserError(f"the MLflow experiment {name!r} is deleted; restore it, or set another in [tracking]")
    return str(found.experiment_id)


def log_one(client: Any, run: TrackedRun, experiment: str, parent: str | None) -> str:
    """Log one run unless its fingerprint is there already and complete."""
    known = client.search_runs([experiment], filter_string=f"tags.fingerprint = '{quotable(run.fingerprint)}'")
    if known:
        found = known[0]
    else:
        tags = {"fingerprint": quotable(run.fingerprint)} | ({"mlflow.parentRunId": parent} if parent else {})
        found = client.create_run(experiment, run_name=run.name, tags=tags)
    run_id = str(found.info.run_id)
    if found.info.status != "FINISHED":
        write_run(client, run, run_id, found.info.start_time)
        for child in run.children:
            log_one(client, child, experiment, run_id)
        client.set_terminated(run_id)
    return run_id


def write_run(client: Any, run: TrackedRun, run_id: str, timestamp: int) -> None:
    """Write all of a run; the run's own start time as timestamp makes writing it twice the same as once."""
    from mlflow.entities import Metric, Param, RunTag

    params = [
        Param(name_of(name), str(value)[:LONGEST_PARAM]) for name, value in run.params.items() if value is not None
    ]
    tags = [RunTag(name_of(name), value[:LONGEST_TAG]) for name, value in run.tags.items() if name != "fingerprint"]
    metrics = [Metric(name, value, timestamp, run.step) for name, value in figures(run.metrics).items()]
    for start in range(0, max(len(metrics), 1), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])
    for start in range(0, len(params), 100):
        client.log_batch(run_id, params=params[start : start + 100])
    for start in range(0, len(tags), 100):
        client.log_batch(run_id, tags=tags[start : start + 100])
    for path in run.artifacts:
        if path.is_dir():
            client.log_artifacts(run_id, str(path), path.name)
        else:
            client.log_artifact(run_id, str(path))


def figures(metrics: Mapping[str, Measured]) -> dict[str, float]:
    """Give every figure that there is under its name, interval ends as `.ci_low` and `.ci_high`."""
    found = {}
    for name, measured in metrics.items():
        for suffix, value in (("", measured.value), (".ci_low", measured.low), (".ci_high", measured.high)):
            if value is not None and isfinite(value):
                found[name_of(name) + suffix] = float(value)
    return found


def name_of(name: str) -> str:
    """Give a name that MLflow takes: letters, figures and `_-./ `, and no path upwards."""
    clean = NOT_IN_NAMES.sub("_", name)[: LONGEST_NAME - len(".ci_high")]
    return "/".join(part if part.strip(". ") else "_" for part in clean.split("/"))


def quotable(fingerprint: str) -> str:
    """Give a fingerprint that can stand in a search."""
    if not re.fullmatch(r"[\w.:@/+-]{1,200}", fingerprint, re.ASCII):
        raise ValueError(f"{fingerprint!r} is no fingerprint; it may hold letters, figures and .:@/+- only")
    return fingerprint
