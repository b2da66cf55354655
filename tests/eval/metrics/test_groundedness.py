import gzip
import json
from dataclasses import replace
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.errors import UserError
from eval.metrics.groundedness import AnswerScore, Detector, detect, packaged_detector, score_groundedness
from eval.sample import Passage, Sample

POLICY = (
    Passage(
        "returns", "Customers may return an unused kettle within 30 days of delivery. The receipt must be included."
    ),
    Passage("shop", "The shop in Harlow was opened by Marta Lindqvist in 1932. Opened filters cannot be returned."),
)


def sample(response: str, passages: tuple[Passage, ...] = POLICY, name: str = "s1") -> Sample:
    return Sample(name, "How long can I return it?", response, passages)


def judged(response: str, passages: tuple[Passage, ...] = POLICY) -> AnswerScore:
    [score] = detect([sample(response, passages)], packaged_detector())
    assert score is not None
    return score


@pytest.mark.parametrize(
    ("supported", "edited"),
    [
        ("You may return an unused kettle within 30 days.", "You may return an unused kettle within 14 days."),
        ("The shop was opened in 1932.", "The shop was opened in 1954."),
        ("Marta Lindqvist opened the shop.", "Marta Sandberg opened the shop."),
        ("Opened filters cannot be returned.", "Opened filters can be returned."),
        ("The receipt must be included.", "The receipt and a signed photograph must be included."),
    ],
)
def test_an_edited_sentence_is_less_supported_than_the_true_one(supported: str, edited: str) -> None:
    good, bad = judged(supported), judged(edited)
    assert good.sentences[0].unsupported < bad.sentences[0].unsupported
    assert good.groundedness > bad.groundedness


def test_one_invented_sentence_lowers_the_whole_answer() -> None:
    good = "You may return an unused kettle within 30 days. The receipt must be included."
    assert judged(good + " Our courier collects parcels on Sundays.").groundedness < judged(good).groundedness


def test_a_null_field_told_as_a_fact_is_less_supported() -> None:
    record = (
        Passage("r", json.dumps({"name": "Blue Lantern", "attributes": {"Reservations": None, "TakeOut": True}})),
    )
    unknown, known = judged("It takes reservations.", record), judged("It offers takeout.", record)
    assert unknown.sentences[0].unsupported > known.sentences[0].unsupported
    assert unknown.sentences[0].reason == "'Reservations' is null in the record"


def test_the_reason_names_the_number_that_is_in_no_passage() -> None:
    sentence = judged("You may return an unused kettle within 14 days.").sentences[0]
    assert sentence.reason == "'14 days' is in no passage"
    assert sentence.passage_id == "returns"


def test_the_reason_counts_words_that_are_in_no_passage() -> None:
    assert judged("Couriers collect parcels daily.").sentences[0].reason == "4 of 4 content words are in no passage"


def test_a_supported_sentence_says_so() -> None:
    assert judged("The receipt must be included.").sentences[0].reason == "all 2 content words are in the passages"


def test_sentence_offsets_point_into_the_response() -> None:
    response = "  The receipt must be included.\n- Opened filters cannot be returned. 😀 Done."
    score = judged(response)
    assert [response[s.start : s.end] for s in score.sentences] == [
        "The receipt must be included.",
        "- Opened filters cannot be returned.",
        "😀 Done.",
    ]
    assert [s.index for s in score.sentences] == [0, 1, 2]


def test_the_order_of_passages_and_the_company_of_other_samples_do_not_matter() -> None:
    response = "Marta Lindqvist opened it in 1932. You have 14 days to return the filters you opened."
    alone = detect([sample(response)], packaged_detector())[0]
    turned = sample(response, POLICY[::-1])
    other = sample("Something else.", (Passage("x", "Another text."),), "s2")
    assert detect([other, turned, other], packaged_detector())[1] == alone


def test_of_equally_near_passages_the_order_decides_nothing() -> None:
    near = (Passage("a", "Red kettles boil. They are heavy."), Passage("b", "Red kettles boil. They do not leak."))
    assert judged("Red kettles boil and leak.", near) == judged("Red kettles boil and leak.", near[::-1])
    equal = (Passage("a", "Red kettles boil loudly."), Passage("b", "Red kettles boil slowly."))
    assert judged("Red kettles boil.", equal) == judged("Red kettles boil.", equal[::-1])


def test_an_answer_that_only_abstains_is_not_unsupported() -> None:
    score = judged("I don't know based on the passages. The passages do not mention the warranty.")
    assert score.groundedness == 1.0
    assert [s.unsupported for s in score.sentences] == [0.0, 0.0]


@pytest.mark.parametrize(
    "response",
    [
        "I don't know.",
        "I'm sorry, I could not find an answer to that in the documents I have.",
        "I'm sorry, but I couldn't find an answer to that in the documents I have.",
        "Unable to answer based on the given passages. They tell of kettles.",
        "Das weiß ich leider nicht.",
    ],
)
def test_what_counts_as_an_abstention_elsewhere_is_not_unsupported(response: str) -> None:
    score = judged(response)
    assert score.groundedness == 1.0
    assert {(s.unsupported, s.reason) for s in score.sentences} == {(0.0, "says that the passages give no answer")}


@pytest.mark.parametrize(
    "response",
    [
        "The passages do not mention it, but the warranty is 99 years.",
        "I don't know for sure. The warranty is 99 years.",
        "I could not find the price. Ask Henrik Dahl about it.",
        "Unfortunately, brochures cannot be mailed.",
    ],
)
def test_an_abstention_with_a_claim_in_it_is_judged(response: str) -> None:
    assert judged(response).groundedness < 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (sample("It is blue.", ()), "no passages"),
        (sample("It is blue.", (Passage("p", " \n"),)), "no passages"),
        (sample(""), "no answer"),
        (sample(" \n "), "no answer"),
    ],
)
def test_without_passages_or_answer_a_sample_is_not_applicable(given: Sample, why: str) -> None:
    assert detect([given], packaged_detector()) == [None]
    [score] = score_groundedness([given], packaged_detector())
    assert (score.value, score.status, score.reason) == (None, "not_applicable", why)


def test_scores_keep_the_order_of_samples_and_name_their_instrument() -> None:
    samples = [sample("It is blue.", (), "a"), sample("The receipt must be included.", name="b"), sample("", name="c")]
    scores = score_groundedness(samples, packaged_detector())
    assert [(s.sample_id, s.status) for s in scores] == [("a", "not_applicable"), ("b", "ok"), ("c", "not_applicable")]
    assert {s.instrument for s in scores} == {packaged_detector().instrument.id}


def test_no_samples_give_no_scores() -> None:
    assert score_groundedness([], packaged_detector()) == []


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=120), st.lists(st.text(max_size=120), max_size=3), st.text(max_size=30))
def test_any_text_is_scored_between_0_and_1(response: str, passages: list[str], question: str) -> None:
    given_passages = tuple(Passage(f"p{n}", text) for n, text in enumerate(passages))
    [score] = detect([Sample("s", question, response, given_passages)], packaged_detector())
    if score is not None:
        assert 0 <= score.groundedness <= 1
        assert all(0 <= sentence.unsupported <= 1 and sentence.reason for sentence in score.sentences)


UNITS = ("a", "😀", "e\u0301", "\x00", ". ", "kettle. ", "9", "1:1 ", "[1", "a\n", "{", "Monday 9-5 ", "do not ", "你")


@pytest.mark.parametrize("unit", UNITS)
def test_a_hundred_kilobytes_of_anything_take_no_quadratic_time(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    started = process_time()
    detect([sample(text, (Passage("p", text),))], packaged_detector())
    assert process_time() - started < 8


def test_a_detector_survives_json() -> None:
    detector = replace(packaged_detector(), training_groups=frozenset({"b", "ä"}))
    assert Detector.from_json(detector.to_json()) == detector


def test_the_packaged_weights_name_their_training_data() -> None:
    assert "BEGIN" in packaged_detector().trained_on


def test_other_weights_are_another_instrument() -> None:
    packaged = packaged_detector()
    moved = replace(packaged, answer=replace(packaged.answer, intercept=packaged.answer.intercept + 0.1))
    assert moved.instrument.id != packaged.instrument.id


def test_a_missing_or_unknown_feature_is_refused_by_name() -> None:
    fields = json.loads(packaged_detector().to_json())
    fields["sentence"]["features"]["shoe_size"] = fields["sentence"]["features"].pop("position")
    with pytest.raises(UserError, match=r"missing \['position'\], unknown \['shoe_size'\]"):
        Detector.from_json(json.dumps(fields))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"features_version": "0"}'])
def test_what_is_no_detector_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        Detector.from_json(text)


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_a_weight_that_is_no_number_is_refused(value: str) -> None:
    fields = json.loads(packaged_detector().to_json())
    fields["answer"]["intercept"] = float(value)
    with pytest.raises(UserError, match="finite"):
        Detector.from_json(json.dumps(fields))


@pytest.mark.realdata
def test_the_packaged_detector_ranks_the_answers_of_a_real_week(data_dir: Path) -> None:
    from sklearn.metrics import roc_auc_score

    weeks = data_dir / "weeks"
    with gzip.open(weeks / "labels.jsonl.gz", "rt", encoding="utf-8") as file:
        faithful = {label["trace_id"]: label["faithful"] for label in map(json.loads, file)}
    with gzip.open(weeks / "2026-W40.jsonl.gz", "rt", encoding="utf-8") as file:
        traces = {trace["trace_id"]: trace for trace in map(json.loads, file) if trace["status"] == "ok"}
    samples = [
        Sample(
            name, t["user_input"], t["response"], tuple(Passage(c["id"], c["text"]) for c in t["retrieved_contexts"])
        )
        for name, t in traces.items()
    ]
    scores = [score for score in detect(samples, packaged_detector()) if score is not None]
    truth = [faithful[score.sample_id] for score in scores]
    assert len(scores) > 300
    assert roc_auc_score(truth, [score.groundedness for score in scores]) > 0.68
