from dataclasses import replace

import pytest

from eval.pairing import pair_answered, pair_runs
from eval.pipeline import Answer
from eval.suite import Run
from tests.eval.made_runs import BINARY, made_run


def run_of(*statuses: str) -> Run:
    """One case, asked once for each status."""
    run = made_run({"expectation": [(1,) * len(statuses)]}, {"expectation": BINARY})
    answers = [Answer("yes") if s == "ok" else Answer(status=s, reason="HTTP 500") for s in statuses]  # type: ignore[arg-type]
    results = (replace(result, answer=answer) for result, answer in zip(run.results, answers, strict=True))
    return replace(run, results=tuple(results))


@pytest.mark.parametrize(
    ("statuses", "answered"),
    [
        (("ok",), 1.0),
        (("error",), 0.0),
        (("timeout",), 0.0),
        (("ok", "ok", "error"), 1.0),
        (("ok", "timeout", "error"), 0.0),
        (("ok", "error"), 0.0),
        (("ok", "not_recorded"), 1.0),
    ],
)
def test_case_counts_as_answered_by_most_of_its_recorded_repeats(statuses: tuple[str, ...], answered: float) -> None:
    paired = pair_answered(pair_runs(run_of("ok"), run_of(*statuses)))
    assert [(value.baseline, value.candidate) for value in paired.values] == [(1.0, answered)]


def test_case_not_recorded_in_one_run_is_outside_answering() -> None:
    paired = pair_answered(pair_runs(run_of("ok"), run_of("not_recorded")))
    assert (paired.values, paired.n_expected) == ((), 0)
