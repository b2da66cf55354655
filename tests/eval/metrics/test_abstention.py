import gzip
import json
from time import perf_counter

import duckdb
import numpy as np
import pytest

from eval.metrics.abstention import ABSTENTION_PATTERN, are_abstentions, is_abstention, score_abstention
from eval.sample import Sample

LONG = " The mill was built in 1734 by a family of weavers, who kept it until the flood."
ABSTENTIONS = [
    "I don't know.",
    "I don’t know.",
    "I DO NOT KNOW",
    "Sorry, but I do not have that information.",
    "I'm sorry. I cannot answer that question.",
    "I apologize for the confusion. There is no information about this in the documents.",
    "Unfortunately, the passages do not say when the mill was built.",
    "The provided context doesn't mention version 6.16.0 of the tool.",
    "There is no information about the mill.",
    "The date is not mentioned in the given passages.",
    "I'm unable to determine this.",
    "I couldn't find any information on that.",
    "Unable to answer based on given passages.",
    "Unable to answer based on given passages." + 5 * LONG,
    "Passage 1 is about a mill. Passage 2 is about a flood. Unable to answer based on given passages.",
    "Das weiß ich leider nicht.",
    "Dazu liegen mir keine Informationen vor.",
    "Je ne sais pas.",
    "Le contexte ne mentionne pas cette date.",
    "No lo sé.",
    "Lo siento, no tengo información sobre eso.",
    "Non lo so.",
    "Não sei.",
    "Ik weet het niet.",
    "Nie wiem.",
    "Я не знаю.",
    "抱歉，我不知道。",
    "わかりません。",
    "잘 모르겠습니다.",
]
ANSWERS = [
    "",
    "The mill was built in 1734.",
    "The mill was built in 1734. I don't know who built it.",
    LONG.strip() + " I do not know what became of the weavers.",
    "I don't know the day." + 4 * LONG,
    "He said he did not know the answer to the riddle, and left.",
    4 * LONG + 4 * LONG + " Unable to answer based on given passages.",
    "You cannot file a lien on a semi.",
    "The restaurant does not provide parking.",
    "No, paracetamol must not be given to cats.",
    "Das Haus wurde 1734 gebaut.",
    "Unknown Pleasures is an album by Joy Division.",
]


@pytest.mark.parametrize("text", ABSTENTIONS)
def test_abstentions_are_found(text):
    assert is_abstention(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_answers_are_no_abstentions(text):
    assert not is_abstention(text)


def by_duckdb(texts):
    """What DuckDB makes of the pattern."""
    query = "select regexp_matches(text, $1) from (select unnest($2) as text)"
    return [row[0] for row in duckdb.connect().execute(query, [ABSTENTION_PATTERN, texts]).fetchall()]


def test_the_pattern_means_the_same_to_duckdb():
    texts = ABSTENTIONS + ANSWERS
    assert by_duckdb(texts) == are_abstentions(texts)


def test_duckdb_agrees_on_mixed_texts():
    rng = np.random.default_rng(11)
    pieces = [*ABSTENTIONS, *ANSWERS, "\n", "\n\n", " ", "...", "。", "However, ", "1. ", "“", "é", "\u00a0", "\u3000"]
    texts = ["".join(rng.choice(pieces, rng.integers(1, 6))) for _ in range(600)]
    found = are_abstentions(texts)
    assert 0.2 < np.mean(found) < 0.8
    assert by_duckdb(texts) == found


@pytest.mark.parametrize("piece", ["\n", "a. ", "no information ", "sorry ", "I don't know ", "cannot ", ": "])
def test_a_hostile_text_takes_linear_time(piece):
    started = perf_counter()
    is_abstention(piece * 100_000)
    assert perf_counter() - started < 5


def test_a_lone_surrogate_is_read():
    assert is_abstention("I don't know \ud800.")


@pytest.mark.parametrize(
    ("answerable", "response", "value", "reason"),
    [
        (True, "In 1734.", 1, "answered"),
        (False, "I don't know.", 1, "correct abstention"),
        (True, "I don't know.", 0, "wrong abstention"),
        (False, "In 1734.", 0, "missed abstention"),
        (True, " ", 0, "empty answer"),
        (False, "", 0, "empty answer"),
    ],
)
def test_each_of_the_cases_is_named(answerable, response, value, reason):
    (score,) = score_abstention([Sample("s", "q", response, (), answerable=answerable)])
    assert (score.value, score.status, score.reason) == (value, "ok", reason)


def test_where_nobody_said_whether_it_can_be_answered_nothing_can_be_said():
    (score,) = score_abstention([Sample("s", "q", "I don't know.", ())])
    assert (score.value, score.status) == (None, "not_applicable")


def test_no_samples_give_no_scores():
    assert score_abstention([]) == []


@pytest.mark.realdata
def test_the_rule_holds_on_answers_written_by_people(data_dir):
    with gzip.open(data_dir / "mtrag" / "mtragun_reference.jsonl.gz", "rt", encoding="utf-8") as file:
        tasks = [json.loads(line) for line in file]
    found = {"ANSWERABLE": [], "UNANSWERABLE": []}
    for task in tasks:
        if task["answerability"][0] in found:
            found[task["answerability"][0]].append(is_abstention(task["targets"][0]["text"]))
    assert sum(found["ANSWERABLE"]) == 0
    assert sum(found["UNANSWERABLE"]) / len(found["UNANSWERABLE"]) > 0.9
