"""A week in MLflow: one parent run, a child for each part of the loop that has figures."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from eval.tracking import Measured, TrackedRun, log_run
from flywheel.governance.masking import Mask, mask_by_default, mask_of
from flywheel.serving.egress import DEFAULT_PORTS, require_egress
from flywheel.trace import week_start
from flywheel.warehouse.steps import finished_step
from flywheel.week import Job, Said


def track_week(job: Job) -> Said:
    """Log the week, or find what was logged of exactly the same inputs before.

    A tracking server beyond this machine must stand in `allow_egress`; otherwise it is a `UserError`.
    """
    settings = job.workspace.settings.tracking
    if not settings.enabled:
        return Said("off by [tracking] enabled")
    if urlsplit(job.workspace.tracking_uri).scheme in DEFAULT_PORTS:
        require_egress(job.workspace.tracking_uri, "tracking.uri", job.workspace.settings.allow_egress)
    run_id = log_run(week_run(job), job.workspace.tracking_uri, settings.experiment)
    return Said(f"run {run_id[:8]} in {settings.experiment} ({settings.uri})", {"run_id": run_id})


def week_run(job: Job) -> TrackedRun:
    """Lay out the week's runs from what its steps said; a run that is masked otherwise is another run."""
    figures = {name: step_figures(job, phase, name) for phase, name in PARTS}
    governance = job.workspace.settings.governance
    mask, masked = mask_of(governance), governance.model_dump_json()
    names = {
        name: sha256(f"{job.week} {job.inputs} {name} {figures[name]} {masked}".encode()).hexdigest()[:32]
        for name in figures
    }
    whole = sha256("".join(names.values()).encode()).hexdigest()[:32]
    rate = figures["estimate"]
    number = int(week_start(job.week).timestamp() // (7 * 86400))
    children = tuple(
        TrackedRun(
            f"{job.week} {name}",
            names[name],
            params=texts(figures[name], mask),
            metrics={key: Measured(value) for key, value in numbers(figures[name]).items()},
            tags={"week": job.week, "part": name},
            step=number,
        )
        for _, name in PARTS
        if figures[name]
    )
    return TrackedRun(
        job.week,
        whole,
        params={"draw": step_figures(job, 1, "plan").get("draw_id"), "instrument": rate.get("instrument"),
                "golden_version": figures["grow"].get("version"), "verdict": figures["gate"].get("verdict")},
        metrics={
            "failure_rate": Measured(rate.get("value"), rate.get("low"), rate.get("high")),
            "flagged_share": Measured(figures["triage"].get("flagged_share")),
            "labelled": Measured(figures["collect"].get("labelled")),
        },
        tags={"week": job.week},
        artifacts=[path for path in (job.workspace.report(job.week) / "report.html",) if path.exists()],
        children=children,
        step=number,
    )  # fmt: skip


PARTS = (
    (1, "score"),
    (1, "triage"),
    (1, "modes"),
    (2, "collect"),
    (2, "estimate"),
    (2, "recalibrate"),
    (2, "grow"),
    (2, "suite"),
    (2, "gate"),
)


def step_figures(job: Job, phase: int, name: str) -> dict[str, Any]:
    """What a finished step said in figures."""
    found = finished_step(job.db, job.week, phase, name)
    return found.summary["figures"] if found else {}


def numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    """Keep the plain numbers."""
    return {name: float(value) for name, value in figures.items() if isinstance(value, int | float)}


def texts(figures: Mapping[str, Any], mask: Mask = mask_by_default) -> dict[str, str]:
    """Keep the short texts, masked."""
    return {name: mask(value) for name, value in figures.items() if isinstance(value, str) and value}
