import pytest

from eval.cases import Expectation, GoldenCase
from eval.expectation import score_expectations
from eval.sample import Sample, Score


def scored(response: str, expectation: Expectation) -> Score:
    sample = Sample("s", "How long?", response, ())
    return score_expectations([sample], {"s": GoldenCase("c", "How long?", expectation=expectation)})[0]


def test_answer_that_says_all_it_must_passes() -> None:
    assert scored("It ends after 14 days.", Expectation(("14 days",), abstain=False)).value == 1.0


@pytest.mark.parametrize(
    ("response", "expectation", "reason"),
    [
        ("After 30 days.", Expectation(("14 days",)), "does not say '14 days'"),
        ("After 30 days.", Expectation(abstain=True), "answers instead of abstaining"),
        ("I don't know.", Expectation(abstain=False), "abstains instead of answering"),
        (" ", Expectation(abstain=False), "is empty"),
    ],
)
def test_unmet_expectation_is_named(response: str, expectation: Expectation, reason: str) -> None:
    score = scored(response, expectation)
    assert (score.value, score.reason) == (0.0, reason)


def test_right_abstention_passes() -> None:
    assert scored("I don't know.", Expectation(abstain=True)).value == 1.0


@pytest.mark.parametrize("expectation", [Expectation(), Expectation(supported=True)])
def test_case_that_expects_nothing_checkable_is_not_applicable(expectation: Expectation) -> None:
    assert (scored("Yes.", expectation).value, scored("Yes.", expectation).status) == (None, "not_applicable")
