import numpy as np
import pytest

from eval.errors import UserError
from eval.metrics.groundedness import detect, packaged_detector
from eval.metrics.groundedness_fit import LabelledAnswer, best_threshold, fit_detector, fit_logistic, is_marked
from eval.sample import Passage, Sample

PASSAGE = Passage("p", "The ferry to Saint Orla takes 55 minutes. Bicycles travel free. Dogs stay on the lower deck.")


def labelled(count: int, rng: np.random.Generator, with_spans: bool = False) -> list[LabelledAnswer]:
    """Answers of a strange system: questions are its failures, all other sentences are fine."""
    answers = []
    for number in range(count):
        fails = bool(rng.random() < 0.5)
        start = "The ferry takes 55 minutes. "
        response = start + ("Do bicycles travel free?" if fails else "Passengers enjoy cheap coffee.")
        sample = Sample(f"s{number}", "", response, (PASSAGE,), group=f"g{number // 2}")
        spans = (((len(start), len(response)),) if fails else ()) if with_spans else None
        answers.append(LabelledAnswer(sample, not fails, spans))
    return answers


def test_with_no_labels_the_detector_is_the_start() -> None:
    assert fit_detector([], packaged_detector(), "nothing") is packaged_detector()


def test_labels_that_cannot_be_judged_leave_the_start() -> None:
    label = LabelledAnswer(Sample("s", "", "It is blue.", ()), True, None)
    assert fit_detector([label], packaged_detector(), "one label") is packaged_detector()


def test_many_labels_teach_what_the_start_did_not_know() -> None:
    start = packaged_detector()
    fitted = fit_detector(labelled(300, np.random.default_rng(1), with_spans=True), start, "ferry")
    question = Sample("q", "", "The ferry takes 55 minutes. Do bicycles travel free?", (PASSAGE,))
    fine = Sample("f", "", "The ferry takes 55 minutes. Passengers enjoy cheap coffee.", (PASSAGE,))
    before = [score.groundedness for score in detect([question, fine], start) if score]
    after = [score.groundedness for score in detect([question, fine], fitted) if score]
    assert before[0] > before[1]
    assert 1 - after[0] >= fitted.threshold > 1 - after[1]


def distance(count: int) -> float:
    start = packaged_detector()
    fitted = fit_detector(labelled(count, np.random.default_rng(2)), start, "ferry")
    return float(np.abs(np.subtract(fitted.answer.weights, start.answer.weights)).sum())


def test_few_labels_stay_closer_to_the_start_than_many() -> None:
    assert 0 < distance(4) < distance(300)


def test_the_sentence_layer_stays_where_no_span_is_given() -> None:
    start = packaged_detector()
    assert fit_detector(labelled(40, np.random.default_rng(3)), start, "ferry").sentence == start.sentence


def test_a_fit_records_what_and_which_groups_it_saw() -> None:
    fitted = fit_detector(labelled(4, np.random.default_rng(4)), packaged_detector(), "ferry labels")
    assert fitted.training_groups == {"g0", "g1"}
    assert fitted.trained_on == f"{packaged_detector().trained_on}; ferry labels"
    assert fitted.instrument.id != packaged_detector().instrument.id


def test_a_fit_does_not_depend_on_the_order_of_labels() -> None:
    labels = labelled(60, np.random.default_rng(5), with_spans=True)
    assert fit_detector(labels, packaged_detector(), "x") == fit_detector(labels[::-1], packaged_detector(), "x")


def test_labels_of_one_class_keep_the_threshold() -> None:
    labels = [label for label in labelled(40, np.random.default_rng(6)) if label.is_supported]
    assert fit_detector(labels, packaged_detector(), "x").threshold == packaged_detector().threshold


def test_a_span_outside_the_response_is_refused() -> None:
    label = LabelledAnswer(Sample("s", "", "It is blue.", (PASSAGE,)), False, ((5, 99),))
    with pytest.raises(UserError, match="span 5-99"):
        fit_detector([label], packaged_detector(), "x")


@pytest.mark.parametrize("penalty", [0.5, 10.0])
def test_with_a_prior_of_zero_it_is_the_ridge_of_scikit_learn(penalty: float) -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(7)
    rows = rng.normal(size=(400, 5))
    fails = (rng.random(400) < 1 / (1 + np.exp(-rows @ np.array([2.0, -1, 0.5, 0, 0]) - 0.7))).astype(float)
    found = fit_logistic(rows, fails, np.zeros(6), np.array([penalty] * 5 + [0.0]))
    reference = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=5000).fit(rows, fails)
    assert found == pytest.approx([*reference.coef_[0], reference.intercept_[0]], abs=1e-5)


def test_a_strong_penalty_keeps_the_prior_and_a_perfect_split_stays_finite() -> None:
    rows, fails = np.array([[-1.0], [1.0]]), np.array([0.0, 1.0])
    prior = np.array([-3.0, 0.5])
    assert fit_logistic(rows, fails, prior, np.array([1e9, 1e9])) == pytest.approx(prior, abs=1e-6)
    assert np.isfinite(fit_logistic(rows, fails, prior, np.array([1e-3, 1e-3]))).all()


def test_the_threshold_lies_in_the_gap_with_the_best_balanced_accuracy() -> None:
    assert best_threshold(np.array([0.1, 0.2, 0.6, 0.9]), np.array([0.0, 0.0, 1.0, 1.0]), 0.5) == pytest.approx(0.4)
    assert best_threshold(np.array([0.1, 0.2]), np.array([0.0, 0.0]), 0.7) == 0.7


def test_a_span_marks_the_sentences_that_it_touches_by_three_characters() -> None:
    from eval.metrics.groundedness_features import read_samples

    [reading] = read_samples([Sample("s", "", "One here. Two there.", (PASSAGE,))])
    assert [is_marked(found, ((10, 13),)) for found in reading.sentences] == [False, True]
    assert [is_marked(found, ((0, 11),)) for found in reading.sentences] == [True, False]
