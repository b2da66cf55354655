"""Metrics over a week's traces: groundedness of every sentence first, then the other metrics that are asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import duckdb

from eval.sample import Sample, Score, Status
from flywheel.warehouse import scores

if TYPE_CHECKING:
    from eval.metrics import Metric
    from eval.metrics.groundedness import Detector

LEFT_OUT = "the export left out the passages"
NO_ANSWER = "no answer"


@dataclass(frozen=True, slots=True)
class MetricCount:
    """On how many of a week's `ok` traces a metric could say something, and why it could not on the others."""

    metric: str
    instrument: str
    scored: int
    unscored: int
    mean: float | None
    reasons: tuple[str, ...]


def score_week(
    db: duckdb.DuckDBPyConnection, week: str, metrics: "Mapping[str, Metric]", detector: "Detector"
) -> list[MetricCount]:
    """Write the scores of a week's `ok` traces, in place of those they had; groundedness is always among them.

    Traces that failed with an error get none: there is no answer to judge. Those whose export left passages out get
    no value from a metric that needs them.
    """
    scores.keep_metrics(db, week, ["groundedness", *metrics])
    samples, revisions = scores.read_samples(db, week)
    left_out = scores.without_contexts(db, week)
    write_groundedness(db, week, samples, revisions, detector, left_out)
    for name, metric in metrics.items():
        if name != "groundedness":
            scored = metric.score(samples)
            if "passages" in metric.needs:
                scored = [unavailable(score) if score.sample_id in left_out else score for score in scored]
            scores.replace_scores(db, week, name, scored, revisions)
    return count_metrics(db, week)


def write_groundedness(
    db: duckdb.DuckDBPyConnection,
    week: str,
    samples: Sequence[Sample],
    revisions: dict[str, int],
    detector: "Detector",
    left_out: frozenset[str],
) -> None:
    """Write the groundedness of each answer and of each of its sentences."""
    from eval.metrics.groundedness import NAME, detect

    answers = detect(samples, detector)
    instrument = detector.instrument.id
    rows: list[tuple[Any, ...]] = []
    judged: list[Score] = []
    for sample, answer in zip(samples, answers, strict=True):
        if answer is None:
            status, reason = why_unscored(sample)
            unjudged = Score(sample.id, NAME, None, status, reason, instrument)
            judged.append(unavailable(unjudged) if sample.id in left_out else unjudged)
            continue
        judged.append(Score(sample.id, NAME, answer.groundedness, instrument=instrument))
        rows += [
            (sample.id, revisions[sample.id], week, s.index, s.start, s.end, s.unsupported, s.passage_id, s.reason)
            for s in answer.sentences
        ]
    scores.replace_scores(db, week, NAME, judged, revisions)
    scores.replace_sentences(db, week, rows)


def unavailable(score: Score) -> Score:
    """Say of a score that the passages it needs are not at hand."""
    if score.reason == NO_ANSWER:
        return score
    return replace(score, value=None, status="not_available", reason=LEFT_OUT)


def why_unscored(sample: Sample) -> tuple[Status, str]:
    """Say why the detector could not judge a sample."""
    if not sample.response.strip():
        return "not_applicable", NO_ANSWER
    return (
        ("not_applicable", "no passages")
        if not sample.passages
        else ("not_applicable", "nothing to judge in the answer")
    )


def count_metrics(db: duckdb.DuckDBPyConnection, week: str) -> list[MetricCount]:
    """Count what each metric could and could not say of a week."""
    by_metric: dict[str, list[dict[str, Any]]] = {}
    for row in scores.summarise(db, week):
        by_metric.setdefault(row["metric"], []).append(row)
    return [
        MetricCount(
            metric,
            rows[0]["instrument"],
            sum(row["traces"] for row in rows if row["status"] == "ok"),
            sum(row["traces"] for row in rows if row["status"] != "ok"),
            next((row["mean"] for row in rows if row["status"] == "ok"), None),
            tuple(f"{row['traces']} {row['status']}: {row['reason']}" for row in rows if row["status"] != "ok"),
        )
        for metric, rows in by_metric.items()
    ]
