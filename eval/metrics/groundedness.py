"""Groundedness: the probability that the passages support the whole answer, from 0 to 1, higher is better.

An embedded detector: lexical features and two logistic layers, sentences first and the answer over its sentences.
It needs no download, and `groundedness_fit` lets it learn from labels.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from math import isfinite
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from eval.errors import UserError
from eval.metrics.groundedness_features import (
    ANSWER_FEATURES,
    FEATURES_VERSION,
    SENTENCE_FEATURES,
    Evidence,
    Reading,
    answer_values,
    find_abstentions,
    read_samples,
)
from eval.sample import Instrument, Sample, Score

NAME = "groundedness"
RULES_VERSION = "2"
"""Goes up where scores change though the weights still fit the features."""

LOGIT_LIMIT = 12.0
NO_ANSWER = "says that the passages give no answer"
Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Layer:
    """A logistic model: the log-odds are `intercept` plus the weighted sum of the standardised features."""

    names: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    def standardise(self, rows: Vector) -> Vector:
        """Bring feature rows to the scale of the weights."""
        scaled: Vector = (rows - np.array(self.means)) / np.array(self.scales)
        return scaled

    def logits(self, rows: Vector) -> Vector:
        """Give the log-odds of each row, cut at 12 either way."""
        # A sum by rows, for a matrix product rounds differently in batches of another size.
        logits: Vector = (self.standardise(rows) * np.array(self.weights)).sum(axis=1) + self.intercept
        return np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT)


@dataclass(frozen=True, slots=True)
class SentenceScore:
    """What the detector says of one sentence of a response, `response[start:end]`.

    `unsupported` is the probability that the passages do not support it; `passage_id` the passage nearest to it.
    """

    index: int
    start: int
    end: int
    unsupported: float
    passage_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """What the detector says of one response: the probability that the passages support all of it, and why."""

    sample_id: str
    groundedness: float
    sentences: tuple[SentenceScore, ...]


@dataclass(frozen=True, slots=True)
class Detector:
    """The weights of the detector. An answer is flagged where 1 - groundedness is `threshold` or more."""

    sentence: Layer
    answer: Layer
    threshold: float
    trained_on: str
    training_groups: frozenset[str] = frozenset()

    @property
    def instrument(self) -> Instrument:
        """What scores of this detector are comparable by."""
        weights = json.dumps([layer_fields(self.sentence), layer_fields(self.answer)])
        settings = f"threshold={self.threshold!r}"
        return Instrument(
            NAME,
            f"features-{FEATURES_VERSION}, rules-{RULES_VERSION}",
            sha256(weights.encode()).hexdigest(),
            sha256(settings.encode()).hexdigest(),
            self.trained_on,
            self.training_groups,
        )

    def to_json(self) -> str:
        """Write the detector as JSON; equal detectors give equal text."""
        fields = {
            "features_version": FEATURES_VERSION,
            "trained_on": self.trained_on,
            "threshold": self.threshold,
            "sentence": layer_fields(self.sentence),
            "answer": layer_fields(self.answer),
            "training_groups": sorted(self.training_groups),
        }
        return json.dumps(fields, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Detector":
        """Read a detector that `to_json` wrote; UserError where a feature is missing, unknown or of another version."""
        try:
            fields = json.loads(text)
            version = fields["features_version"]
            if version != FEATURES_VERSION:
                raise UserError(
                    f"these detector weights are for features version {version!r}, this code has {FEATURES_VERSION!r}; "
                    "fit the detector again"
                )
            threshold = float(fields["threshold"])
            if not 0 <= threshold <= 1:
                raise UserError(f"the detector's threshold is {threshold}, not between 0 and 1; fit the detector again")
            return cls(
                read_layer(fields["sentence"], SENTENCE_FEATURES),
                read_layer(fields["answer"], ANSWER_FEATURES),
                threshold,
                str(fields["trained_on"]),
                frozenset(map(str, fields["training_groups"])),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"this is no detector: {error!r}; write one with Detector.to_json or fit one again"
            ) from error


def layer_fields(layer: Layer) -> dict[str, object]:
    """Give a layer as JSON fields, each feature with its mean, scale and weight."""
    rows = zip(layer.names, layer.means, layer.scales, layer.weights, strict=True)
    return {
        "intercept": layer.intercept,
        "features": {name: [mean, scale, weight] for name, mean, scale, weight in rows},
    }


def read_layer(fields: dict[str, object], names: tuple[str, ...]) -> Layer:
    """Read a layer that has exactly the features this code computes, all of them finite."""
    given = fields["features"]
    if not isinstance(given, dict):
        raise ValueError("a layer's features are no object")
    missing, unknown = sorted(set(names) - set(given)), sorted(set(given) - set(names))
    if missing or unknown:
        raise UserError(
            f"the detector's features differ from the code's: missing {missing}, unknown {unknown}; fit it again"
        )
    means, scales, weights = zip(*([float(value) for value in given[name]] for name in names), strict=True)
    intercept = float(str(fields["intercept"]))
    if not all(map(isfinite, (*means, *scales, *weights, intercept))) or min(scales) <= 0:
        raise UserError(
            "the detector holds a weight that is no finite number or a scale that is not above 0; fit it again"
        )
    return Layer(names, means, scales, weights, intercept)


@cache
def packaged_detector() -> Detector:
    """The detector that comes with the package; its weights name what they were trained on."""
    return Detector.from_json(files("eval.metrics").joinpath("groundedness_weights.json").read_text(encoding="utf-8"))


def detect(samples: Sequence[Sample], detector: Detector) -> list[AnswerScore | None]:
    """Judge each response sentence by sentence and as a whole; None where `why_not_judged` has a reason.

    A response that only says it has no answer claims nothing: its groundedness is 1. The order of the passages and
    the other samples do not matter.
    """
    judged = [sample for sample in samples if not why_not_judged(sample)]
    if not judged:
        return [None] * len(samples)
    readings = read_samples(judged)
    logits = sentence_logits(readings, detector.sentence)
    rows = np.array([answer_values(reading, found) for reading, found in zip(readings, logits, strict=True)])
    supported = (1 - probabilities(detector.answer.logits(rows))).tolist()
    scored = map(answer_score, judged, readings, logits, supported, find_abstentions(judged, readings))
    return [None if why_not_judged(sample) else next(scored) for sample in samples]


def score_groundedness(samples: Sequence[Sample], detector: Detector) -> list[Score]:
    """Score each response by the probability that its passages support all of it."""
    started = perf_counter()
    answers = detect(samples, detector)
    instrument = detector.instrument.id
    seconds = (perf_counter() - started) / max(1, len(samples))
    return [
        Score(sample.id, NAME, None, "not_applicable", why_not_judged(sample), instrument, seconds)
        if answer is None
        else Score(sample.id, NAME, answer.groundedness, "ok", worst_reason(answer), instrument, seconds)
        for sample, answer in zip(samples, answers, strict=True)
    ]


def why_not_judged(sample: Sample) -> str:
    """Say why a sample cannot be judged; empty where it can."""
    if not any(passage.text.strip() for passage in sample.passages):
        return "no passages"
    return "" if sample.response.strip() else "no answer"


def worst_reason(answer: AnswerScore) -> str:
    """Give the reason of the least supported sentence."""
    return max(answer.sentences, key=lambda sentence: sentence.unsupported).reason


def sentence_logits(readings: Sequence[Reading], layer: Layer) -> list[list[float]]:
    """Give the log-odds of being unsupported of every sentence of every answer."""
    rows = np.array([sentence.values for reading in readings for sentence in reading.sentences])
    logits = iter(layer.logits(rows).tolist())
    return [[next(logits) for _ in reading.sentences] for reading in readings]


def probabilities(logits: Vector) -> Vector:
    """Give the probabilities of log-odds."""
    odds: Vector = 1 / (1 + np.exp(-logits))
    return odds


def answer_score(
    sample: Sample, reading: Reading, logits: Sequence[float], supported: float, is_abstention: bool
) -> AnswerScore:
    """Put an answer's score together; sentences that say the passages have no answer count as supported."""
    chances = probabilities(np.array(logits)).tolist()
    sentences = tuple(
        SentenceScore(
            number,
            found.start,
            found.end,
            0.0 if is_abstention or found.is_abstention else chance,
            found.passage_id,
            NO_ANSWER if is_abstention or found.is_abstention else reason(found, chance),
        )
        for number, (found, chance) in enumerate(zip(reading.sentences, chances, strict=True))
    )
    return AnswerScore(sample.id, 1.0 if is_abstention else supported, sentences)


def reason(found: Evidence, chance: float) -> str:
    """Say in words what speaks against a sentence, or that nothing does."""
    if found.record_conflicts:
        return found.record_conflicts[0]
    missing = found.unseen_numbers or found.unseen_names
    if missing:
        return (
            " and ".join(f"'{text}'" for text in missing[:2])
            + (" is" if len(missing) == 1 else " are")
            + " in no passage"
        )
    if found.other_polarity == "negation" and chance >= 0.5:
        return "negates what the nearest passage says, or the other way round"
    if found.other_polarity and found.other_polarity != "negation":
        return f"the nearest passage says the opposite ({found.other_polarity})"
    if found.content_words == 0:
        return "no content words to check"
    if found.unseen_words:
        return f"{found.unseen_words} of {found.content_words} content words are in no passage"
    if chance >= 0.5:
        return "its words stand in the passages, but not together"
    return f"all {found.content_words} content words are in the passages"
