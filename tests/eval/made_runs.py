"""Runs made from plain values, for tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.cases import GoldenCase
from eval.pipeline import Answer
from eval.sample import Score
from eval.suite import MetricFacts, Result, Run

BINARY = MetricFacts("Passes", "binary", True, False, "passes@1")
CONTINUOUS = MetricFacts("Token F1", "continuous", True, False, "token_f1@1")
JUDGE = MetricFacts("Groundedness", "continuous", True, True, "groundedness@1")


def cases_of(n: int, **fields: object) -> list[GoldenCase]:
    return [GoldenCase(f"c{number:03}", f"question {number}", **fields) for number in range(n)]  # type: ignore[arg-type]


def made_run(
    values: Mapping[str, Sequence[object]],
    facts: Mapping[str, MetricFacts],
    cases: Sequence[GoldenCase] | None = None,
    name: str = "made",
    version: str = "g-1",
    answers: Mapping[str, Answer] | None = None,
) -> Run:
    """Make a run from the values of its metrics, case by case: one value, or a tuple of one a repeat."""
    n = len(next(iter(values.values())))
    cases = cases if cases is not None else cases_of(n)
    repeats = len(next(iter(values.values()))[0]) if isinstance(next(iter(values.values()))[0], tuple) else 1
    results = []
    for place, case in enumerate(cases):
        for repeat in range(repeats):
            answer = (answers or {}).get(case.case_id, Answer(f"{name} answers {case.case_id}"))
            scores = {}
            for metric, found in values.items():
                value = found[place]
                value = value[repeat] if isinstance(value, tuple) else value
                if answer.status == "ok":
                    scores[metric] = score(metric, case.case_id, value, facts[metric].instrument)
            results.append(Result(case.case_id, repeat, answer, scores))
    return Run(
        name=name,
        folder=Path("runs") / name,
        pipeline="made:up",
        dataset_version=version,
        git_sha="3f2c9d8e7a6b",
        started="2026-11-20T08:00:00+00:00",
        finished="2026-11-20T08:01:00+00:00",
        repeats=repeats,
        metrics=facts,
        counts={"ok": len(results)},
        cost_usd=0.41,
        cases={case.case_id: case for case in cases},
        results=tuple(results),
    )


def score(metric: str, case_id: str, value: object, instrument: str) -> Score:
    """A number is a value; a word is a status without one."""
    if isinstance(value, str):
        return Score(case_id, metric, None, value, "no value", instrument)  # type: ignore[arg-type]
    return Score(case_id, metric, float(value), "ok", "" if value else "not met", instrument)  # type: ignore[arg-type]
