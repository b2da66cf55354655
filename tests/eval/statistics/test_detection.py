import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from eval.statistics.detection import (
    auroc,
    balanced_accuracy,
    detector_quality,
    expected_calibration_error,
    true_negative_rate,
    true_positive_rate,
)

LABELLED = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({positive for _, positive in pairs}) == 2
)


@given(LABELLED)
def test_auroc_agrees_with_sklearn_ties_included(pairs):
    scores, positives = zip(*pairs, strict=True)
    assert auroc(scores, positives) == pytest.approx(roc_auc_score(positives, scores))


@given(LABELLED)
def test_balanced_accuracy_agrees_with_sklearn(pairs):
    scores, positives = zip(*pairs, strict=True)
    flagged = np.array(scores) >= 3
    assert balanced_accuracy(flagged, positives) == pytest.approx(balanced_accuracy_score(positives, flagged))


@given(LABELLED)
def test_auroc_of_reversed_scores_is_the_complement(pairs):
    scores, positives = zip(*pairs, strict=True)
    assert auroc([-score for score in scores], positives) == pytest.approx(1 - auroc(scores, positives))


@pytest.mark.parametrize("positives", [[True, True], [False, False]])
def test_one_class_alone_raises(positives):
    for function in (auroc, balanced_accuracy):
        with pytest.raises(ValueError, match="both failures and passes"):
            function([0.1, 0.9], positives)


def test_a_missing_score_raises():
    with pytest.raises(ValueError, match="not a finite number"):
        auroc([0.1, float("nan")], [True, False])


def test_true_rates_count_their_own_class_only():
    flagged, positives = [True, True, False, False, True], [True, True, True, False, False]
    assert (true_positive_rate(flagged, positives).value, true_positive_rate(flagged, positives).n) == (2 / 3, 3)
    assert (true_negative_rate(flagged, positives).value, true_negative_rate(flagged, positives).n) == (0.5, 2)


def test_a_detector_that_never_flags_looks_no_better_than_the_constant_predictor():
    quality = detector_quality([0.1, 0.2, 0.3, 0.4], [False, False, False, True], threshold=0.5)
    assert quality.accuracy == quality.constant_predictor == 0.75
    assert quality.balanced_accuracy == 0.5
    assert (quality.tpr.value, quality.tnr.value, quality.n) == (0.0, 1.0, 4)


def test_the_threshold_itself_is_flagged():
    assert detector_quality([0.5, 0.4], [True, False], threshold=0.5).tpr.value == 1.0


def test_calibration_error_is_the_gap_between_promise_and_outcome():
    assert expected_calibration_error([0.8] * 10, [True] * 8 + [False] * 2) == pytest.approx(0.0)
    assert expected_calibration_error([0.9] * 10, [True] * 5 + [False] * 5) == pytest.approx(0.4)
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0.0


def test_calibration_error_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match=r"1\.5"):
        expected_calibration_error([1.5, 0.2], [True, False])
