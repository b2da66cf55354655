"""The pipeline under test, and the metrics that measure it, as a workspace has them."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from eval.errors import UserError
from flywheel.workspace import Workspace

if TYPE_CHECKING:
    from eval.metrics import Metric
    from eval.metrics.groundedness import Detector
    from eval.pipeline import Pipeline


def absolute_spec(workspace: Workspace, spec: str) -> str:
    """Anchor a file of recorded answers in the workspace, unless it lies where it says."""
    return str(workspace.root / spec) if spec.endswith(".jsonl") and not Path(spec).exists() else spec


@contextmanager
def open_under_test(workspace: Workspace, spec: str) -> "Iterator[Pipeline]":
    """Open a pipeline by URL, `module:function` (the workspace is searched last) or file of recorded answers.

    An address beyond this machine must stand in `allow_egress`; otherwise it is a `UserError`.
    """
    from eval.pipeline import open_pipeline
    from flywheel.serving.egress import require_egress

    settings = workspace.settings.suite
    if spec.startswith(("http://", "https://")):
        require_egress(spec, "the pipeline", workspace.settings.allow_egress)
    elif not spec.endswith(".jsonl") and str(workspace.root) not in sys.path:
        sys.path.append(str(workspace.root))  # last, so that no file of a workspace takes the place of a library
    place = absolute_spec(workspace, spec)
    with open_pipeline(place, timeout_seconds=settings.timeout_seconds, concurrency=settings.concurrency) as pipeline:
        yield pipeline


def chosen_metrics(
    workspace: Workspace, names: Sequence[str], detector: "Detector | None" = None
) -> "dict[str, Metric]":
    """Look metrics up by name: groundedness by `detector` (None is the packaged one), HHEM from its folder if set."""
    from eval.metrics import with_models
    from eval.metrics.groundedness import score_groundedness

    folder = workspace.settings.scoring.hhem_path
    hhem = None
    if folder is not None and "hhem" in names:
        from eval.metrics.hhem import load_hhem

        hhem = load_hhem(workspace.root / folder)
    table = with_models(hhem=hhem)
    unknown = [name for name in names if name not in table]
    if unknown:
        raise UserError(f"there is no metric {unknown[0]!r}; choose among {', '.join(sorted(table))}")
    chosen = {name: table[name] for name in names}
    if detector is not None and "groundedness" in chosen:
        chosen["groundedness"] = replace(
            chosen["groundedness"], score=lambda samples: score_groundedness(samples, detector)
        )
    return chosen
