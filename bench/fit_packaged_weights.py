"""Fit the weights that the groundedness detector is packaged with, from BEGIN-WoW and texts of our own.

Reads `begin_wow/` under $FLYWHEEL_DATA (default ../shared/data) and `own_texts.jsonl` beside this script; writes
`groundedness_words.json` and `groundedness_weights.json`. The last line is one JSON object of figures.

Example: python -m bench.fit_packaged_weights
"""

import csv
import gzip
import json
import os
from collections import Counter
from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np

from bench.own_records import answer_of, own_records
from eval.metrics.groundedness import Detector, Layer, detect, sentence_logits
from eval.metrics.groundedness_features import ANSWER_FEATURES, SENTENCE_FEATURES, answer_values, read_samples
from eval.metrics.groundedness_fit import LabelledAnswer, best_threshold, fit_detector
from eval.metrics.groundedness_words import META, STOP, rarities, read_words
from eval.sample import Passage, Sample
from eval.sentences import split_sentences

HERE = Path(__file__).parent
PACKAGED = HERE.parent / "eval" / "metrics"
DATA = Path(os.environ.get("FLYWHEEL_DATA", HERE.parent.parent / "shared" / "data"))
TRAINED_ON = (
    "BEGIN-WoW (google/BEGIN-dataset, CC-BY-4.0: 4,037 answers and answers joined from them) and texts of our own"
)
RAREST_KEPT = 4
LEVELS = 25
SEED = 20_260_928


def main() -> None:
    rows = [row for part in ("dev", "test") for row in read_begin(DATA / "begin_wow" / f"begin_{part}_wow.tsv.gz")]
    write_words(rows)
    rng = np.random.default_rng(SEED)
    own = own_answers(1200, rng)
    found = begin_answers(rows) + joined_answers(rows, 3000, rng) + own
    labelled = with_other_passages(found, [row["knowledge"] for row in rows], rng) + own_records(900, rng)
    fitted = fit_detector(labelled, blank_detector(labelled), "nothing")
    detector = replace(centred(fitted, own), trained_on=TRAINED_ON, training_groups=frozenset())
    (PACKAGED / "groundedness_weights.json").write_text(detector.to_json(), encoding="utf-8")
    print(json.dumps(figures(detector, labelled)))


def centred(detector: Detector, own: list[LabelledAnswer]) -> Detector:
    """Move the answer layer so that 0.5 is the best cut on our own prose.

    BEGIN's answers copy their passage more than those of today's models; ours paraphrase it as those do.
    """
    scores = [score for score in detect([label.sample for label in own], detector) if score is not None]
    chances = np.array([1 - score.groundedness for score in scores])
    cut = best_threshold(chances, np.array([float(not label.is_supported) for label in own]), 0.5)
    moved = replace(detector.answer, intercept=detector.answer.intercept - log(cut / (1 - cut)))
    return replace(detector, answer=moved, threshold=0.5)


def read_begin(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def write_words(rows: list[dict[str, str]]) -> None:
    """Write how rare each common stem is, by the share of texts that have it, in steps."""
    texts = {row[column] for row in rows for column in ("knowledge", "message")}
    counts = Counter(stem for text in texts for stem in set(read_words(text).content))
    levels: dict[str, list[str]] = {}
    for stem, count in sorted(counts.items()):
        if count >= RAREST_KEPT and stem.isascii() and stem not in STOP and stem not in META:
            rarity = log(len(texts) / count) / log(len(texts))
            levels.setdefault(str(round(rarity * LEVELS) * 100 // LEVELS), []).append(stem)
    stored = {
        "from": "document frequencies in BEGIN-WoW (CC-BY-4.0); a stem that is not here has rarity 100",
        "stems_by_rarity": {
            level: " ".join(stems) for level, stems in sorted(levels.items(), key=lambda item: int(item[0]))
        },
    }
    text = json.dumps(stored, indent=0) + "\n"
    (PACKAGED / "groundedness_words.json").write_text(text, encoding="utf-8")
    rarities.cache_clear()


def begin_answers(rows: list[dict[str, str]]) -> list[LabelledAnswer]:
    """Each BEGIN answer with its knowledge as the only passage; which sentence fails is known where there is one."""
    answers = []
    for number, row in enumerate(rows):
        is_supported = row["begin_label"] == "Fully attributable"
        sample = Sample(
            f"begin-{number}",
            row["message"],
            row["response"],
            (Passage("k", row["knowledge"]),),
            group=row["knowledge"],
        )
        spans = (
            () if is_supported else ((0, len(row["response"])),) if len(split_sentences(sample.response)) == 1 else None
        )
        answers.append(LabelledAnswer(sample, is_supported, spans))
    return answers


def joined_answers(rows: list[dict[str, str]], count: int, rng: np.random.Generator) -> list[LabelledAnswer]:
    """Long answers: two to eight BEGIN answers in a row, over the passages of all of them and a few more.

    Their groups are blocks of rows, so that no fold sees a passage of another.
    """
    block_of = {row["knowledge"]: number for number, row in enumerate(rows)}
    blocks: dict[int, list[dict[str, str]]] = {}
    for row in rows:
        blocks.setdefault(block_of[row["knowledge"]] % 40, []).append(row)
    answers = []
    for number in range(count):
        block = int(rng.integers(40))
        good = [row for row in blocks[block] if row["begin_label"] == "Fully attributable"]
        bad = [row for row in blocks[block] if row["begin_label"] == "Not fully attributable"]
        chosen = [(good[int(i)], False) for i in rng.choice(len(good), size=int(rng.integers(2, 8)), replace=False)]
        if rng.random() < 0.5:
            chosen += [(bad[int(i)], True) for i in rng.choice(len(bad), size=int(rng.integers(1, 3)), replace=False)]
        chosen = [chosen[int(i)] for i in rng.permutation(len(chosen))]
        extra = [blocks[block][int(i)] for i in rng.choice(len(blocks[block]), size=4, replace=False)]
        known = dict.fromkeys(row["knowledge"] for row in [*(row for row, _ in chosen), *extra])
        passages = tuple(Passage(f"k{place}", text) for place, text in enumerate(known))
        told = [(f"{row['response'].rstrip(' .')}.", is_bad) for row, is_bad in chosen]
        answers.append(answer_of(f"joined-{number}", "", passages, told, f"block-{block}"))
    return answers


def with_other_passages(
    labelled: list[LabelledAnswer], texts: list[str], rng: np.random.Generator
) -> list[LabelledAnswer]:
    """Add up to 15 unrelated passages to each answer, so that the length of the passages tells nothing."""
    widened = []
    for label in labelled:
        extra = rng.choice(len(texts), size=int(rng.integers(0, 16)), replace=False)
        passages = (*label.sample.passages, *(Passage(f"x{place}", texts[place]) for place in extra.tolist()))
        widened.append(replace(label, sample=replace(label.sample, passages=passages)))
    return widened


def own_answers(count: int, rng: np.random.Generator) -> list[LabelledAnswer]:
    """Answers to passages of our own: supported sentences, half of the time with one or two unsupported ones."""
    texts = [json.loads(line) for line in (HERE / "own_texts.jsonl").read_text(encoding="utf-8").splitlines()]
    answers = []
    for number in range(count):
        place = int(rng.integers(len(texts)))
        good, bad = texts[place]["supported"], texts[place]["unsupported"]
        told = [
            (good[int(i)], False)
            for i in rng.choice(len(good), size=int(rng.integers(1, len(good) + 1)), replace=False)
        ]
        if rng.random() < 0.5:
            told += [(bad[int(i)], True) for i in rng.choice(len(bad), size=int(rng.integers(1, 3)), replace=False)]
        told = [told[int(i)] for i in rng.permutation(len(told))]
        others = [texts[int(i)]["passage"] for i in rng.choice(len(texts), size=2, replace=False) if int(i) != place]
        passages = tuple(Passage(f"p{n}", text) for n, text in enumerate([texts[place]["passage"], *others]))
        answers.append(answer_of(f"own-{number}", "", passages, told, f"own-text-{place}"))
    return answers


def blank_detector(labelled: list[LabelledAnswer]) -> Detector:
    """A detector of zero weights whose means and scales are those of the training answers."""
    readings = read_samples([label.sample for label in labelled])
    sentence = blank_layer(
        SENTENCE_FEATURES, np.array([found.values for reading in readings for found in reading.sentences])
    )
    logits = sentence_logits(readings, replace(sentence, weights=first_guess()))
    rows = [answer_values(reading, found) for reading, found in zip(readings, logits, strict=True)]
    return Detector(sentence, blank_layer(ANSWER_FEATURES, np.array(rows)), 0.5, "nothing")


def first_guess() -> tuple[float, ...]:
    """Weights that give sentence log-odds of about the right spread, only to scale the answer layer's features."""
    return tuple(0.5 if name.startswith("unseen") else 0.0 for name in SENTENCE_FEATURES)


def blank_layer(names: tuple[str, ...], rows: np.ndarray) -> Layer:
    means, scales = rows.mean(axis=0), np.maximum(rows.std(axis=0), 0.1)
    return Layer(names, tuple(means.round(4).tolist()), tuple(scales.round(4).tolist()), (0.0,) * len(names), 0.0)


def figures(detector: Detector, labelled: list[LabelledAnswer]) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    scores = detect([label.sample for label in labelled], detector)
    parts: dict[str, tuple[list[bool], list[float]]] = {}
    for label, score in zip(labelled, scores, strict=True):
        if score is not None:
            truth, values = parts.setdefault("_".join(label.sample.id.split("-")[:-1]), ([], []))
            truth.append(label.is_supported)
            values.append(score.groundedness)
    return {f"auroc_in_sample_{name}": round(float(roc_auc_score(*pair)), 4) for name, pair in parts.items()}


if __name__ == "__main__":
    main()
