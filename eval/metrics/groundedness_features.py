"""What the groundedness detector measures: features of each sentence against its passages, and of the whole answer."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import exp, log, log1p

from eval.metrics.abstention import are_abstentions
from eval.metrics.groundedness_record import Record, conflicts, read_record
from eval.metrics.groundedness_words import HEDGES, OPPOSITES, Words, rarities, read_words
from eval.sample import Passage, Sample
from eval.sentences import Sentence, split_sentences

FEATURES_VERSION = "1"
SENTENCE_FEATURES = (
    "unseen_share", "unseen_rarity", "unseen_count", "unseen_in_best", "unseen_in_window", "unseen_in_best_two",
    "unseen_numbers", "far_numbers", "unseen_names", "far_names", "unseen_times", "unseen_pairs", "unseen_triples",
    "length", "hedges", "position", "is_last", "negation_differs", "opposite_word", "says_absent", "is_question",
    "null_told", "field_turned", "hours_differ", "is_record",
)  # fmt: skip
ANSWER_FEATURES = (
    "highest", "mean", "highest_two", "any_unsupported", "last", "sentences", "words", "passage_words", "unseen_total",
    "unseen_share", "unseen_in_window", "unseen_triples", "numbers", "names",
    "record_conflicts", "absent_share", "is_record",
)  # fmt: skip
MOST_POSTINGS = 256
"""Passage sentences kept per stem: a word in more of them tells nothing about where a sentence comes from."""

ABSENT = re.compile(
    r"\b(?:unable|not able) to (?:answer|determine|find|provide)"
    r"|\bcan(?:not|'t|’t| not) (?:answer|determine|find|be (?:answered|determined))"
    r"|\b(?:do|does|did|is|are)(?: not|n't|n’t) (?:\w{1,20} )?(?:know|have|contain|provide|mention|include"
    r"|specify|state|give|say|address|mentioned|specified|provided|stated)\b"
    r"|\bno (?:specific |relevant )?(?:information|mention|details?|answer)\b"
    r"|\bnot (?:mentioned|specified|provided|stated|available)\b",
    re.I,
)
SPEAKER = re.compile(
    r"\b(?:i|we|passages?|documents?|texts?|contexts?|information|sources?|articles?|question|record|data|unable)\b",
    re.I,
)
# "Sorry, but" contrasts nothing.
CONTRAST = re.compile(r"(?<!sorry )(?<!sorry, )\b(?:but|however|though|although|nevertheless|instead)\b", re.I)


REGRET = re.compile(r"\b(?:sorry|apologi[sz]e|unfortunately)\b", re.I)


@dataclass(frozen=True, slots=True)
class Unit:
    """One sentence of a passage, or one line of a record."""

    passage_id: str
    stems: frozenset[str]
    all_stems: frozenset[str]
    numbers: frozenset[str]
    is_negated: bool


@dataclass(frozen=True, slots=True)
class PassageIndex:
    """The passages of an answer, read once; the order in which they came is forgotten."""

    units: tuple[Unit, ...]
    postings: dict[str, tuple[int, ...]]
    stems: frozenset[str]
    numbers: frozenset[str]
    times: frozenset[int]
    pairs: frozenset[tuple[str, str]]
    triples: frozenset[tuple[str, str, str]]
    records: tuple[Record, ...]
    words: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found out about one sentence. `values` go with `SENTENCE_FEATURES`; the texts become the reason."""

    start: int
    end: int
    values: tuple[float, ...]
    passage_id: str | None
    content_words: int
    unseen_words: int
    words: int
    unseen_numbers: tuple[str, ...]
    unseen_names: tuple[str, ...]
    record_conflicts: tuple[str, ...]
    other_polarity: str
    is_abstention: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """A response measured: its sentences, and the number of words in its passages."""

    sentences: tuple[Evidence, ...]
    passage_words: int


def read_samples(samples: Sequence[Sample]) -> list[Reading]:
    """Measure responses, in the order given; those that share their passages are read together."""
    keys = [tuple(sorted(sample.passages, key=lambda passage: (passage.text, passage.id))) for sample in samples]
    readings: dict[int, Reading] = {}
    for place in sorted(range(len(samples)), key=lambda place: [(passage.text, passage.id) for passage in keys[place]]):
        readings[place] = read_sample(samples[place], index_passages(keys[place]))
    return [readings[place] for place in range(len(samples))]


def find_abstentions(samples: Sequence[Sample], readings: Sequence[Reading]) -> list[bool]:
    """Say of each response whether it only says that it has no answer, sentence by sentence or as a whole.

    As a whole the rule of `abstention` counts. It looks at how an answer opens or ends, so beside it nothing may
    contrast, be a number or a name that no passage holds, or be regretted of anything but the search itself.
    """
    return [
        all(found.is_abstention for found in reading.sentences)
        or (
            abstains
            and not CONTRAST.search(sample.response)
            and not any(found.unseen_numbers or found.unseen_names for found in reading.sentences)
            and not (REGRET.search(sample.response) and not SPEAKER.search(sample.response))
        )
        for sample, reading, abstains in zip(
            samples, readings, are_abstentions([sample.response for sample in samples]), strict=True
        )
    ]


def read_sample(sample: Sample, index: PassageIndex) -> Reading:
    """Measure each sentence of a response against its passages.

    A word of the question counts as seen; a number of the question does not, for the answer vouches for it.
    """
    asked = frozenset(read_words(sample.user_input).all)
    sentences = split_sentences(sample.response)
    measured = (measure(sentence, number, len(sentences), index, asked) for number, sentence in enumerate(sentences))
    return Reading(tuple(measured), index.words)


@lru_cache(maxsize=8)
def index_passages(passages: tuple[Passage, ...]) -> PassageIndex:
    """Read a set of passages; kept for the answers that follow from the same set."""
    units: list[Unit] = []
    postings: dict[str, list[int]] = {}
    numbers: set[str] = set()
    times: set[int] = set()
    pairs: set[tuple[str, str]] = set()
    triples: set[tuple[str, str, str]] = set()
    records: list[Record] = []
    length = 0
    for passage in passages:
        record = read_record(passage.text)
        if record is not None:
            records.append(record)
        for line in record.lines if record is not None else (passage.text,):
            for sentence in split_sentences(line):
                words = read_words(sentence.text)
                length += len(words.all)
                written = frozenset(number for number, _ in words.numbers)
                numbers |= written
                times.update(minute for minutes, _ in words.times for minute in minutes)
                pairs.update(pairwise(words.content))
                triples.update(zip(words.all, words.all[1:], words.all[2:], strict=False))
                stems = frozenset(words.content)
                for stem in stems:
                    postings.setdefault(stem, []).append(len(units))
                units.append(Unit(passage.id, stems, frozenset(words.all), written, words.is_negated))
        if record is not None:
            times.update(minute for span in record.hours.values() for minute in span)
    kept = {stem: tuple(places[:MOST_POSTINGS]) for stem, places in postings.items()}
    every = frozenset().union(*(unit.all_stems for unit in units))
    return PassageIndex(
        tuple(units),
        kept,
        every,
        frozenset(numbers),
        frozenset(times),
        frozenset(pairs),
        frozenset(triples),
        tuple(records),
        length,
    )


def measure(sentence: Sentence, number: int, count: int, index: PassageIndex, asked: frozenset[str]) -> Evidence:
    """Measure one sentence."""
    words = read_words(sentence.text)
    content = tuple(dict.fromkeys(words.content))
    rarity = rarities()
    weights = [rarity.get(stem, 1.0) for stem in content]
    total = sum(weights) or 1.0
    unseen = [stem not in index.stems and stem not in asked for stem in content]
    unseen_weight = sum(weight for weight, is_unseen in zip(weights, unseen, strict=True) if is_unseen)
    best, near, lacking = nearest(index, content, weights)
    unseen_numbers = [phrase for digits, phrase in words.numbers if digits not in index.numbers]
    near_numbers = frozenset[str]().union(*(unit.numbers for unit in window(index, best)))
    far_numbers = sum(digits in index.numbers and digits not in near_numbers for digits, _ in words.numbers)
    unseen_names = [word for stem, word in words.names if stem not in index.stems and stem not in asked]
    far_names = sum(stem in index.stems and stem not in near for stem, _ in words.names)
    unseen_times = [written for minutes, written in words.times if index.times.isdisjoint(minutes)]
    null_told, turned, hours = record_conflicts(index, sentence.text, words)
    polarity = other_polarity(index, best, words, 1 - lacking[0])
    is_absent = bool(ABSENT.search(sentence.text)) and not hours
    values = (
        sum(unseen) / (len(content) or 1),
        unseen_weight / total,
        log1p(unseen_weight),
        *lacking,
        log1p(len(unseen_numbers)),
        log1p(far_numbers),
        log1p(len(unseen_names)),
        log1p(far_names),
        log1p(len(unseen_times)),
        share_missing(tuple(pairwise(words.content)), index.pairs),
        share_missing(tuple(zip(words.all, words.all[1:], words.all[2:], strict=False)), index.triples),
        log1p(len(words.content)),
        log1p(sum(stem in HEDGES for stem in words.all)),
        number / (count - 1) if count > 1 else 0.0,
        float(number == count - 1 and count > 1),
        float(polarity == "negation"),
        float(polarity not in ("", "negation")),
        float(is_absent),
        float(sentence.text.endswith("?")),
        log1p(len(null_told)),
        log1p(len(turned)),
        log1p(len(hours)),
        float(bool(index.records)),
    )
    return Evidence(
        sentence.start,
        sentence.end,
        values,
        index.units[best].passage_id if best is not None else None,
        len(content),
        sum(unseen),
        len(words.all),
        (*unseen_numbers, *unseen_times),
        tuple(unseen_names),
        (*turned, *hours, *null_told),
        polarity,
        is_absent and bool(SPEAKER.search(sentence.text)) and not CONTRAST.search(sentence.text),
    )


def nearest(
    index: PassageIndex, content: tuple[str, ...], weights: list[float]
) -> tuple[int | None, frozenset[str], tuple[float, float, float]]:
    """Give the passage sentence that shares most with a sentence, the stems around it, and what it lacks.

    What it lacks are three shares of its weight, from 0 to 1: missing in that passage sentence, in it and its
    neighbours, in it and the passage sentence that has most of the rest.
    """
    best = heaviest(index, content, weights)
    if best is None:
        return None, frozenset(), (1.0, 1.0, 1.0) if content else (0.0, 0.0, 0.0)
    first = index.units[best].stems
    around = frozenset().union(*(unit.stems for unit in window(index, best)))
    left = [(stem, weight) for stem, weight in zip(content, weights, strict=True) if stem not in first]
    second = heaviest(index, tuple(stem for stem, _ in left), [weight for _, weight in left])
    both = first if second is None else first | index.units[second].stems
    total = sum(weights) or 1.0
    in_first, in_window, in_both = (
        sum(weight for stem, weight in zip(content, weights, strict=True) if stem not in place) / total
        for place in (first, around, both)
    )
    return best, around, (in_first, in_window, in_both)


def heaviest(index: PassageIndex, content: tuple[str, ...], weights: list[float]) -> int | None:
    """Give the number of the passage sentence that holds most of the weight, the first of equals."""
    shared: dict[int, float] = {}
    for stem, weight in zip(content, weights, strict=True):
        for place in index.postings.get(stem, ()):
            shared[place] = shared.get(place, 0.0) + weight
    return max(shared, key=lambda place: (shared[place], -place)) if shared else None


def window(index: PassageIndex, best: int | None) -> tuple[Unit, ...]:
    """Give a passage sentence with its neighbours in the same passage."""
    if best is None:
        return ()
    home = index.units[best].passage_id
    return tuple(unit for unit in index.units[max(0, best - 1) : best + 2] if unit.passage_id == home)


def share_missing(wanted: Sequence[object], there: frozenset[object]) -> float:
    """Give the share of the wanted things that are not there, 0 where nothing is wanted."""
    return sum(item not in there for item in wanted) / len(wanted) if wanted else 0.0


def record_conflicts(index: PassageIndex, text: str, words: Words) -> tuple[list[str], list[str], list[str]]:
    """Give what a sentence tells otherwise than the record; of several records nobody knows which one is meant."""
    return conflicts(index.records[0], text, words) if len(index.records) == 1 else ([], [], [])


def other_polarity(index: PassageIndex, best: int | None, words: Words, coverage: float) -> str:
    """Say what turns a sentence against the passage sentence it resembles: 'negation', or 'more / less', or nothing."""
    if best is None or coverage < 0.5:
        return ""
    unit = index.units[best]
    for stem in words.all:
        other = OPPOSITES.get(stem)
        if other in unit.all_stems and stem not in unit.all_stems and other not in words.all:
            return f"{stem} / {other}"
    return "negation" if words.is_negated != unit.is_negated else ""


def answer_values(reading: Reading, logits: Sequence[float]) -> tuple[float, ...]:
    """Give the `ANSWER_FEATURES` of an answer from its sentences and their log-odds of being unsupported."""
    evidence = reading.sentences
    ranked = sorted(logits, reverse=True)
    columns = dict(zip(SENTENCE_FEATURES, zip(*(sentence.values for sentence in evidence), strict=True), strict=True))
    lengths = [sentence.content_words for sentence in evidence]
    total = sum(lengths) or 1

    def mean_by_words(name: str) -> float:
        weighted: float = sum(value * length for value, length in zip(columns[name], lengths, strict=True)) / total
        return weighted

    return (
        ranked[0],
        sum(logits) / len(logits),
        sum(ranked[:2]) / len(ranked[:2]),
        log(sum(log1p_exp(logit) for logit in logits)),
        logits[-1],
        log1p(len(logits)),
        log1p(sum(sentence.words for sentence in evidence)),
        log1p(reading.passage_words),
        log1p(sum(sentence.unseen_words for sentence in evidence)),
        mean_by_words("unseen_rarity"),
        mean_by_words("unseen_in_window"),
        mean_by_words("unseen_triples"),
        log1p(sum(len(sentence.unseen_numbers) for sentence in evidence)),
        log1p(sum(len(sentence.unseen_names) for sentence in evidence)),
        log1p(sum(len(sentence.record_conflicts) for sentence in evidence)),
        sum(columns["says_absent"]) / len(logits),
        columns["is_record"][0],
    )


def log1p_exp(logit: float) -> float:
    """Give -log(1 - p) of log-odds, without overflow."""
    return logit + log1p(exp(-logit)) if logit > 0 else log1p(exp(logit))
