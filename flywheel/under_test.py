"""The pipeline under test, and the metrics that measure it, as a workspace has them."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from eval.errors import UserError
from flywheel.governance.masking import Mask, mask_case, mask_of, mask_passages, mask_sample
from flywheel.workspace import Workspace

if TYPE_CHECKING:
    from eval.metrics import Metric
    from eval.metrics.groundedness import Detector
    from eval.pipeline import Answer, Pipeline
    from eval.suite import Result, Run

LOCAL_MODELS = frozenset({"groundedness", "hhem"})
"""Judges that run on this machine; every other judge is asked elsewhere, and sees masked texts only."""


def absolute_spec(workspace: Workspace, spec: str) -> str:
    """Anchor a file of recorded answers in the workspace, unless it lies where it says."""
    return str(workspace.root / spec) if spec.endswith(".jsonl") and not Path(spec).exists() else spec


@contextmanager
def open_under_test(workspace: Workspace, spec: str) -> "Iterator[Pipeline]":
    """Open a pipeline by URL, `module:function` (the workspace is searched last) or file of recorded answers.

    An address beyond this machine must stand in `allow_egress`; otherwise it is a `UserError`. What it answers is
    masked before anybody scores or writes it: answers that were recorded and asked again are judged alike.
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
        yield mask_pipeline(pipeline, mask_of(workspace.settings.governance))


def mask_pipeline(pipeline: "Pipeline", mask: Mask) -> "Pipeline":
    """Give a pipeline whose answers are masked."""
    return replace(pipeline, ask=lambda case, repeat: mask_answer(pipeline.ask(case, repeat), mask))


def mask_answer(answer: "Answer", mask: Mask) -> "Answer":
    """Mask the texts of an answer; why there is none may quote some too."""
    return replace(
        answer,
        response=mask(answer.response),
        passages=mask_passages(answer.passages, mask),
        reason=mask(answer.reason),
    )


def mask_run(run: "Run", mask: Mask) -> "Run":
    """Mask the cases, answers and reasons of a run that may have been made elsewhere, or before masking."""
    return replace(
        run,
        cases={case_id: mask_case(case, mask) for case_id, case in run.cases.items()},
        results=tuple(mask_result(result, mask) for result in run.results),
    )


def mask_result(result: "Result", mask: Mask) -> "Result":
    """Mask an answer and what its scores say of it."""
    scores = {name: replace(score, reason=mask(score.reason)) for name, score in result.scores.items()}
    return replace(result, answer=mask_answer(result.answer, mask), scores=scores)


def chosen_metrics(
    workspace: Workspace, names: Sequence[str], detector: "Detector | None" = None
) -> "dict[str, Metric]":
    """Look metrics up by name: groundedness by `detector` (None is the packaged one), HHEM from its folder if set.

    A judge that is no model on this machine is given masked samples.
    """
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
    mask = mask_of(workspace.settings.governance)
    chosen = {name: mask_metric(table[name], mask) if is_sent_out(table[name]) else table[name] for name in names}
    if detector is not None and "groundedness" in chosen:
        chosen["groundedness"] = replace(
            chosen["groundedness"], score=lambda samples: score_groundedness(samples, detector)
        )
    return chosen


def is_sent_out(metric: "Metric") -> bool:
    """Whether a metric asks a model that is not on this machine."""
    return metric.is_judge and metric.name not in LOCAL_MODELS


def mask_metric(metric: "Metric", mask: Mask) -> "Metric":
    """Give a metric that sees masked samples, and never another text."""
    return replace(metric, score=lambda samples: metric.score([mask_sample(sample, mask) for sample in samples]))
