"""How the groundedness detector learns: logistic regression that shrinks towards the weights it starts from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from eval.errors import UserError
from eval.metrics.groundedness import Detector, Layer, Vector, probabilities, sentence_logits, why_not_judged
from eval.metrics.groundedness_features import Evidence, Reading, answer_values, read_samples
from eval.sample import Sample

FOLDS = 5
PENALTIES = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0)
"""Strengths of the pull towards the start, strongest first: a penalty of 100 outweighs some hundred labels."""
INTERCEPT_SHARE = 0.02
"""The intercept is pulled this much less: how often answers fail is what differs most between systems."""
Groups = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelledAnswer:
    """A sample that a person judged as a whole; `unsupported_spans` are code-point offsets in the response.

    Spans are None where the person marked none although there may be some.
    """

    sample: Sample
    is_supported: bool
    unsupported_spans: tuple[tuple[int, int], ...] | None


def fit_detector(labelled: Sequence[LabelledAnswer], start: Detector, trained_on: str) -> Detector:
    """Refit a detector on labels: the fewer there are, the nearer it stays to `start`; with none it is `start`.

    The sentence layer learns from answers with spans, the answer layer from all of them, over sentence scores of
    folds that did not see the answer's group. The threshold has the best balanced accuracy on the same folds.
    """
    judged = [label for label in labelled if not why_not_judged(label.sample)]
    if not judged:
        return start
    check_spans(judged)
    judged.sort(key=lambda label: label.sample.id)
    readings = read_samples([label.sample for label in judged])
    folds = np.array([fold_of(label.sample) for label in judged], dtype=np.int64)
    sentence, logits = fit_sentences(judged, readings, folds, start.sentence)
    rows = np.array([answer_values(reading, found) for reading, found in zip(readings, logits, strict=True)])
    fails = np.array([not label.is_supported for label in judged], dtype=np.float64)
    penalty = choose_penalty(start.answer, rows, fails, folds)
    held_out = probabilities(cross_fit(start.answer, rows, fails, folds, penalty))
    return Detector(
        sentence,
        fit_layer(start.answer, rows, fails, penalty),
        best_threshold(held_out, fails, start.threshold),
        f"{start.trained_on}; {trained_on}",
        start.training_groups | {label.sample.group or label.sample.id for label in judged},
    )


def check_spans(labelled: Sequence[LabelledAnswer]) -> None:
    """Raise UserError where a span lies outside its response."""
    for label in labelled:
        for start, end in label.unsupported_spans or ():
            if not 0 <= start < end <= len(label.sample.response):
                raise UserError(
                    f"label of {label.sample.id}: the span {start}-{end} is not inside the response of "
                    f"{len(label.sample.response)} characters; check that label and trace have the same revision"
                )


def fold_of(sample: Sample) -> int:
    """Give the fold of a sample, the same for all samples of its group and in every run."""
    return sha256((sample.group or sample.id).encode("utf-8", "surrogatepass")).digest()[0] % FOLDS


def fit_sentences(
    labelled: Sequence[LabelledAnswer], readings: Sequence[Reading], folds: Groups, start: Layer
) -> tuple[Layer, list[list[float]]]:
    """Refit the sentence layer if any answer has spans, and give the log-odds of every sentence out of fold."""
    if not any(label.unsupported_spans for label in labelled):
        return start, sentence_logits(readings, start)
    known = [label.unsupported_spans is not None or label.is_supported for label in labelled]
    rows, fails, row_folds = [], [], []
    for label, reading, fold, is_known in zip(labelled, readings, folds, known, strict=True):
        for found in reading.sentences if is_known else ():
            rows.append(found.values)
            fails.append(float(is_marked(found, label.unsupported_spans or ())))
            row_folds.append(fold)
    table, marks, table_folds = np.array(rows), np.array(fails), np.array(row_folds)
    penalty = choose_penalty(start, table, marks, table_folds)
    layers = {
        fold: fit_layer(start, table[table_folds != fold], marks[table_folds != fold], penalty) for fold in range(FOLDS)
    }
    out_of_fold = [
        sentence_logits([reading], layers[int(fold)])[0] for reading, fold in zip(readings, folds, strict=True)
    ]
    return fit_layer(start, table, marks, penalty), out_of_fold


def is_marked(found: Evidence, spans: tuple[tuple[int, int], ...]) -> bool:
    """Say whether a person marked any of this sentence: three characters, for spans take spaces and stops with them."""
    return any(min(found.end, end) - max(found.start, start) >= min(3, end - start) for start, end in spans)


def choose_penalty(start: Layer, rows: Vector, fails: Vector, folds: Groups) -> float:
    """Give the penalty with the lowest log-loss out of fold, the strongest of equals and where a class is too rare."""
    if min(fails.sum(), (1 - fails).sum()) < FOLDS or len(set(folds.tolist())) < 2:
        return PENALTIES[0]
    losses = [log_loss(cross_fit(start, rows, fails, folds, penalty), fails) for penalty in PENALTIES]
    return PENALTIES[int(np.argmin(losses))]


def cross_fit(start: Layer, rows: Vector, fails: Vector, folds: Groups, penalty: float) -> Vector:
    """Give the log-odds of each row by a layer that did not see its fold."""
    logits = np.empty(len(rows))
    for fold in range(FOLDS):
        held_out = folds == fold
        if held_out.any():
            logits[held_out] = fit_layer(start, rows[~held_out], fails[~held_out], penalty).logits(rows[held_out])
    return logits


def fit_layer(start: Layer, rows: Vector, fails: Vector, penalty: float) -> Layer:
    """Refit a layer's weights and intercept around where they are; means and scales stay."""
    if len(rows) == 0:
        return start
    prior = np.array([*start.weights, start.intercept])
    penalties = np.full(len(prior), penalty)
    penalties[-1] = max(1.0, penalty * INTERCEPT_SHARE)
    found = fit_logistic(start.standardise(rows), fails, prior, penalties)
    return replace(start, weights=tuple(found[:-1].tolist()), intercept=float(found[-1]))


def fit_logistic(rows: Vector, fails: Vector, prior: Vector, penalties: Vector) -> Vector:
    """Minimise the summed log-loss plus half of penalties x (weights - prior)^2, by Newton steps that only go down.

    The last weight is the intercept. With a prior of 0 this is ridge logistic regression (Hastie, Tibshirani and
    Friedman, The Elements of Statistical Learning, section 4.4).
    """
    design = np.column_stack([rows, np.ones(len(rows))])

    def loss(weights: Vector) -> float:
        return log_loss(design @ weights, fails) * len(fails) + 0.5 * float(penalties @ (weights - prior) ** 2)

    weights = prior.copy()
    for _ in range(100):
        chances = probabilities(np.clip(design @ weights, -500, 500))
        gradient = design.T @ (chances - fails) + penalties * (weights - prior)
        curvature = (design * (chances * (1 - chances))[:, None]).T @ design + np.diag(penalties)
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        size, here = 1.0, loss(weights)
        while size > 1e-6 and loss(weights - size * step) > here:
            size /= 2
        weights = weights - size * step
        if float(np.abs(size * step).max()) < 1e-9 or size <= 1e-6:
            break
    return weights


def log_loss(logits: Vector, fails: Vector) -> float:
    """Give the mean log-loss of log-odds."""
    return float(np.mean(np.logaddexp(0.0, logits) - fails * logits))


def best_threshold(chances: Vector, fails: Vector, otherwise: float) -> float:
    """Give the cut on the probability of failing with the best balanced accuracy, in the middle of its gap.

    `otherwise` is given where all answers are of one class.
    """
    if fails.min() == fails.max():
        return otherwise
    order = np.argsort(chances, kind="stable")
    ranked, failed = chances[order], fails[order]
    passed_below = np.concatenate([[0.0], np.cumsum(1 - failed)]) / (1 - failed).sum()
    failed_above = 1 - np.concatenate([[0.0], np.cumsum(failed)]) / failed.sum()
    edges = np.concatenate([[0.0], ranked, [1.0]])
    cuts = (edges[:-1] + edges[1:]) / 2
    balanced = np.where(edges[:-1] < edges[1:], passed_below + failed_above, -1.0)
    return float(cuts[int(np.argmax(balanced))])
