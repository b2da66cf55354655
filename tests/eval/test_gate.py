from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.errors import OperationalError, UserError
from eval.gate import Comparison, GateResult, decide
from eval.pipeline import Answer
from eval.policy import GatePolicy
from eval.suite import MetricFacts, Run
from tests.eval.made_runs import BINARY, CONTINUOUS, JUDGE, cases_of, made_run

FACTS = {"expectation": BINARY}


def passes(values: Sequence[object], **options: object) -> Run:
    return made_run({"expectation": values}, FACTS, **options)  # type: ignore[arg-type]


def judged(baseline: Run, candidate: Run, policy: GatePolicy | None = None) -> GateResult:
    return decide(baseline, candidate, policy or GatePolicy(), np.random.default_rng(0))


def only(result: GateResult, metric: str = "expectation", part: str = "all") -> Comparison:
    return next(one for one in result.comparisons if (one.metric, one.slice) == (metric, part))


def mixed(n: int, passed: int) -> list[int]:
    return [1] * passed + [0] * (n - passed)


def test_large_drop_blocks() -> None:
    result = judged(passes([1] * 200), passes(mixed(200, 170)))
    assert result.verdict == "BLOCK"
    assert only(result).difference == pytest.approx(-0.15)
    assert only(result).low < -0.15 < only(result).high < 0
    assert (result.worse, result.better) == (30, 0)


def test_identical_runs_pass_where_the_cases_are_many() -> None:
    result = judged(passes(mixed(200, 180)), passes(mixed(200, 180)))
    assert result.verdict == "PASS"
    assert -0.05 < only(result).low < 0 < only(result).high


def test_identical_runs_are_inconclusive_where_the_cases_are_few() -> None:
    result = judged(passes([1] * 30), passes([1] * 30))
    assert result.verdict == "INCONCLUSIVE"
    assert only(result).passes_at is not None
    assert only(result).passes_at > 30


def test_identical_continuous_scores_do_not_claim_a_difference_of_exactly_nothing() -> None:
    values = {"token_f1": [0.5] * 10, "expectation": [1] * 10}
    run = made_run(values, {"token_f1": CONTINUOUS, **FACTS})
    one = only(judged(run, run), "token_f1")
    assert one.low < -0.1
    assert one.verdict == "INCONCLUSIVE"


def test_significant_drop_within_the_margin_warns() -> None:
    result = judged(passes([1] * 1000), passes(mixed(1000, 980)))
    assert only(result).high < 0
    assert result.verdict == "WARN"


def test_drop_beyond_the_margin_that_may_be_chance_is_inconclusive() -> None:
    result = judged(passes([1] * 40), passes(mixed(40, 37)))
    assert only(result).difference < -0.05
    assert result.verdict == "INCONCLUSIVE"
    assert only(result).blocks_at is not None


def test_improvement_passes() -> None:
    assert judged(passes(mixed(200, 150)), passes(mixed(200, 190))).verdict == "PASS"


def test_lower_is_better_turns_the_sign() -> None:
    facts = {"expectation": replace(BINARY, higher_is_better=False)}
    low, high = ({"expectation": mixed(200, passed)} for passed in (10, 60))
    worse = judged(made_run(low, facts), made_run(high, facts))
    assert worse.verdict == "BLOCK"
    assert only(worse).difference == pytest.approx(0.25)
    assert 0 < only(worse).low < 0.25 < only(worse).high
    assert worse.worse == 50
    assert judged(made_run(high, facts), made_run(low, facts)).verdict == "PASS"


def test_unmeasured_judge_never_blocks() -> None:
    facts = {"groundedness": JUDGE, **FACTS}
    good = made_run({"groundedness": [0.9] * 200, "expectation": [1] * 200}, facts)
    rng = np.random.default_rng(1)
    bad = made_run({"groundedness": list(rng.uniform(0, 0.3, 200)), "expectation": [1] * 200}, facts)
    policy = GatePolicy(tiers={"groundedness": "critical"})
    result = judged(good, bad, policy)
    assert only(result, "groundedness").verdict == "BLOCK"
    assert (only(result, "groundedness").counts_as, result.verdict) == ("WARN", "WARN")
    assert only(result, "groundedness").p_adjusted is None
    assert judged(good, bad, replace(policy, measured_judges=frozenset({"groundedness"}))).verdict == "BLOCK"


def test_supporting_metric_that_is_inconclusive_only_warns() -> None:
    facts = {"token_f1": replace(BINARY), **FACTS}
    good = made_run({"token_f1": [1] * 200, "expectation": [1] * 200}, facts)
    odd = made_run({"token_f1": mixed(200, 191), "expectation": [1] * 200}, facts)
    result = judged(good, odd)
    assert (only(result, "token_f1").verdict, result.verdict) == ("INCONCLUSIVE", "WARN")


def test_margin_of_a_metric_can_be_set() -> None:
    policy = GatePolicy(margins={"expectation": 0.3})
    assert judged(passes([1] * 200), passes(mixed(200, 170)), policy).verdict == "WARN"


def test_mode_that_breaks_blocks_though_the_whole_hardly_moves() -> None:
    cases = [replace(case, mode_id="FM-0003" if n < 30 else None) for n, case in enumerate(cases_of(1000))]
    result = judged(passes([1] * 1000, cases=cases), passes([0] * 30 + [1] * 970, cases=cases))
    assert only(result).verdict == "WARN"
    assert only(result, part="FM-0003").verdict == "BLOCK"
    assert result.verdict == "BLOCK"
    assert result.worst_slice is not None
    assert (result.worst_slice.name, result.worst_slice.worse) == ("FM-0003", 30)


def test_slice_too_small_to_pass_does_not_hold_the_verdict_up() -> None:
    cases = [replace(case, failure_type="retrieval_miss" if n < 25 else None) for n, case in enumerate(cases_of(200))]
    result = judged(passes([1] * 200, cases=cases), passes([1] * 200, cases=cases))
    assert only(result, part="retrieval_miss").counts_as is None
    assert result.verdict == "PASS"


def test_mode_named_like_its_failure_type_is_one_slice() -> None:
    run = passes([1] * 100, cases=cases_of(100, failure_type="slow", mode_id="slow"))
    assert [(one.slice, one.n_cases) for one in judged(run, run).comparisons] == [("all", 100), ("slow", 100)]


def test_p_is_adjusted_for_how_many_comparisons_may_block() -> None:
    def run(passed: int, more: int) -> Run:
        facts = {"expectation": BINARY} | {f"m{number}": BINARY for number in range(more)}
        steady = {f"m{number}": [1] * 60 for number in range(more)}
        return made_run({"expectation": mixed(60, passed), **steady}, facts)

    alone, among_four = judged(run(60, 0), run(53, 0)), judged(run(60, 3), run(53, 3))
    assert (only(alone).p_adjusted, only(alone).verdict) == (pytest.approx(1 / 128), "BLOCK")
    assert (only(among_four).p_adjusted, only(among_four).verdict) == (pytest.approx(4 / 128), "INCONCLUSIVE")
    assert (only(among_four).blocks_at or 0) > 60


def test_slice_of_a_handful_is_not_looked_at() -> None:
    cases = [replace(case, mode_id="FM-1" if n < 5 else None) for n, case in enumerate(cases_of(100))]
    result = judged(passes([1] * 100, cases=cases), passes([1] * 100, cases=cases))
    assert {one.slice for one in result.comparisons} == {"all"}


def test_too_few_cases_to_ever_block_are_said() -> None:
    result = judged(passes([1] * 5), passes([0] * 5))
    assert result.verdict == "INCONCLUSIVE"
    assert any("5 independent cases cannot block, however large the drop; it takes 7" in note for note in result.notes)


def test_cases_of_one_group_count_less_than_as_many_groups() -> None:
    alone = judged(passes([1] * 60), passes(mixed(60, 52)))
    cases = [replace(case, group=f"document {n // 10}") for n, case in enumerate(cases_of(60))]
    grouped = judged(passes([1] * 60, cases=cases), passes(mixed(60, 52), cases=cases))
    assert only(grouped).n_groups == 6
    assert only(grouped).low < only(alone).low
    assert grouped.verdict == "INCONCLUSIVE"


def test_repeats_of_a_binary_metric_go_by_majority() -> None:
    result = judged(passes([(1, 1, 0)] * 100), passes([(0, 1, 1)] * 100))
    assert (only(result).baseline, only(result).worse) == (1.0, 0)
    assert only(judged(passes([(1, 1, 0)] * 100), passes([(0, 1, 0)] * 100))).worse == 100


def test_half_of_the_repeats_is_no_majority() -> None:
    assert only(judged(passes([(1, 0)] * 50), passes([(1, 1)] * 50))).baseline == 0.0


def test_repeat_that_could_not_be_scored_leaves_the_others() -> None:
    result = judged(passes([(1, "abstained")] * 50), passes([("error", 0)] * 50))
    assert (only(result).n_cases, only(result).worse) == (50, 50)


def critical(n: int) -> list[object]:
    return [replace(case, severity="P0" if n == 0 else "P2") for n, case in enumerate(cases_of(n))]


def test_critical_case_that_fails_in_every_repeat_blocks_alone() -> None:
    cases = critical(200)
    good = passes([(1, 1, 1)] * 200, cases=cases)
    result = judged(good, passes([(0, 0, 0)] + [(1, 1, 1)] * 199, cases=cases))
    assert result.verdict == "BLOCK"
    assert result.broken_critical_cases == ("c000",)
    assert only(result).verdict == "PASS"


@pytest.mark.parametrize(
    ("before", "after"),
    [((1, 1, 1), (0, 0, 1)), ((1, 0, 1), (0, 0, 0)), ((1, 1), (0, 0))],
)
def test_critical_case_does_not_block_alone_when_it_wavers_or_was_asked_twice(
    before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    cases, rest = critical(200), [(1,) * len(before)] * 199
    result = judged(passes([before, *rest], cases=cases), passes([after, *rest], cases=cases))
    assert (result.verdict, result.broken_critical_cases) == ("PASS", ())


def test_case_that_is_not_critical_does_not_block_alone() -> None:
    result = judged(passes([(1, 1, 1)] * 200), passes([(0, 0, 0)] + [(1, 1, 1)] * 199))
    assert result.verdict == "PASS"


def test_flips_stand_with_both_answers_and_the_severe_ones_first() -> None:
    cases = [replace(case, severity=f"P{3 - n}") for n, case in enumerate(cases_of(3))]
    before, after = passes([1, 1, 0], cases=cases, name="old"), passes([0, 0, 1], cases=cases, name="new")
    flips = judged(before, after).flips
    assert [(flip.case_id, flip.is_worse) for flip in flips] == [("c001", True), ("c000", True), ("c002", False)]
    assert (flips[0].baseline_response, flips[0].candidate_response) == ("old answers c001", "new answers c001")
    assert flips[0].why == ("expectation: not met",)


def test_different_cases_are_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"2 only in the baseline \['c003', 'c004'\].* score both on the same golden"):
        judged(passes([1] * 5), passes([1] * 3))


def test_edited_case_is_refused_though_its_id_is_the_same() -> None:
    cases = cases_of(3)
    edited = [replace(cases[0], reference="other"), *cases[1:]]
    with pytest.raises(UserError, match=r"1 edited \['c000'\] \(versions g-1 and g-2\)"):
        judged(passes([1] * 3, cases=cases), passes([1] * 3, cases=edited, version="g-2"))


def test_two_instruments_of_a_blocking_metric_are_refused() -> None:
    other = made_run({"expectation": [1] * 3}, {"expectation": replace(BINARY, instrument="passes@2")})
    with pytest.raises(UserError, match="passes@1 and passes@2, which cannot be compared; score the older answers"):
        judged(passes([1] * 3), other)


def test_two_instruments_of_an_advisory_metric_leave_it_out() -> None:
    def run(instrument: str) -> Run:
        facts = {"groundedness": replace(JUDGE, instrument=instrument), **FACTS}
        return made_run({"groundedness": [0.5] * 100, "expectation": [1] * 100}, facts)

    result = judged(run("groundedness@1"), run("groundedness@2"))
    assert {one.metric for one in result.comparisons} == {"expectation"}
    assert "groundedness is left out: two instruments measured it" in result.notes


def test_metric_that_a_run_lacks_is_named() -> None:
    with pytest.raises(UserError, match="made did not measure 'mrr'"):
        judged(passes([1]), passes([1]), GatePolicy(metrics=("mrr",)))


def failed(*numbers: int, status: str = "error") -> dict[str, Answer]:
    return {f"c{n:03}": Answer(status=status, reason="HTTP 500") for n in numbers}  # type: ignore[arg-type]


def test_too_many_failed_answers_measure_nothing() -> None:
    with pytest.raises(OperationalError, match=r"only 90\.0% of 20 cases were answered in both runs.*c000, c001"):
        judged(passes([1] * 20), passes([1] * 20, answers=failed(0, 1)))


def test_few_failed_answers_are_counted_and_named() -> None:
    result = judged(passes([1] * 100), passes([1] * 100, answers=failed(7)))
    assert result.missing == ("c007",)
    assert (only(result).n_cases, only(result).n_expected) == (99, 100)
    assert "expectation scored 99 of 100 cases: error: HTTP 500" in result.notes


def test_case_recorded_in_neither_run_is_out_of_scope() -> None:
    gone = failed(0, 1, 2, status="not_recorded")
    result = judged(passes([1] * 100, answers=gone), passes([1] * 100, answers=gone))
    assert (result.n_cases, result.out_of_scope, result.missing) == (97, ("c000", "c001", "c002"), ())


def test_nothing_recorded_is_operational() -> None:
    gone = failed(0, 1, status="not_recorded")
    with pytest.raises(OperationalError, match="neither run answered one of 2 cases"):
        judged(passes([1] * 2, answers=gone), passes([1] * 2, answers=gone))


def test_blocking_metric_without_enough_scores_is_operational() -> None:
    with pytest.raises(OperationalError, match=r"expectation scored 5 of 10 cases in both runs \(timeout: no value\)"):
        judged(passes([1] * 10), passes([1] * 5 + ["timeout"] * 5))


def test_metric_that_applies_to_no_case_is_operational_when_it_is_the_only_one() -> None:
    none = passes(["not_applicable"] * 10)
    with pytest.raises(OperationalError, match="no metric scored a case"):
        judged(none, none)


def test_case_outside_a_metric_lowers_no_coverage() -> None:
    half = passes([1] * 100 + ["not_applicable"] * 100)
    assert only(judged(half, half)).n_expected == 100


outcomes = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 9)), min_size=1, max_size=60)


@settings(max_examples=40, deadline=None)
@given(outcomes)
def test_swapping_the_runs_mirrors_the_difference(pairs: list[tuple[bool, bool, int]]) -> None:
    cases = [replace(case, group=str(group)) for case, (_, _, group) in zip(cases_of(len(pairs)), pairs, strict=True)]
    old, new = (passes([pair[side] for pair in pairs], cases=cases) for side in (0, 1))
    forth, back = only(judged(old, new)), only(judged(new, old))
    assert forth.difference == pytest.approx(-back.difference)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low), abs=1e-6)
    assert (forth.p_worse, forth.worse) == pytest.approx((back.p_better, back.better))


@settings(max_examples=40, deadline=None)
@given(st.integers(20, 150), st.integers(0, 60), st.integers(1, 12))
def test_adding_metrics_that_pass_never_turns_block_into_pass(n: int, worse: int, more: int) -> None:
    drop = [0] * min(worse, n) + [1] * max(n - worse, 0)
    facts: dict[str, MetricFacts] = {"expectation": BINARY} | {f"m{number}": BINARY for number in range(more)}
    steady = {f"m{number}": [1] * n for number in range(more)}
    before = judged(passes([1] * n), passes(drop)).verdict
    after = judged(
        made_run({"expectation": [1] * n, **steady}, facts), made_run({"expectation": drop, **steady}, facts)
    ).verdict
    if before == "BLOCK":
        assert after in ("BLOCK", "INCONCLUSIVE")


def test_change_of_nothing_blocks_in_at_most_two_and_a_half_percent() -> None:
    rng = np.random.default_rng(20261121)
    policy = GatePolicy(margin=0.0)
    cases = cases_of(120)
    facts = {f"m{number}": BINARY for number in range(3)}
    blocked, rounds = 0, 120
    for _ in range(rounds):
        rate = rng.uniform(0.6, 0.95, size=(3, 120))
        old, new = (
            made_run({f"m{m}": list((rng.random(120) < rate[m]).astype(int)) for m in range(3)}, facts, cases)
            for _ in range(2)
        )
        blocked += judged(old, new, policy).verdict == "BLOCK"
    assert blocked <= 8  # a rate of 2.5 % gives more in fewer than 1 of 100 seeds


@pytest.mark.parametrize("drop", [0.0, 0.5])
def test_judges_alone_warn_and_never_pass_or_block(drop: float) -> None:
    def run(value: float) -> Run:
        return made_run({"groundedness": [value] * 100}, {"groundedness": JUDGE})

    result = judged(run(0.9), run(0.9 - drop))
    assert result.verdict == "WARN"
    assert any("no metric that may block scored a case" in note for note in result.notes)


def test_candidate_that_crashes_on_a_few_cases_does_not_pass() -> None:
    result = judged(passes([1] * 200), passes([1] * 200, answers=failed(*range(10))))
    one = only(result, "answered")
    assert (one.baseline, one.candidate, one.worse, one.n_cases) == (1.0, 0.95, 10, 200)
    assert (one.title, one.tier, one.verdict, result.verdict) == ("Answered at all", "critical", *["INCONCLUSIVE"] * 2)


@pytest.mark.parametrize("status", ["error", "timeout"])
def test_case_that_only_the_baseline_answered_stands_among_the_flips(status: str) -> None:
    result = judged(passes([1] * 100), passes([1] * 100, answers=failed(7, status=status)))
    assert [(flip.case_id, flip.worse_on) for flip in result.flips] == [("c007", ("answered",))]
    assert (result.flips[0].baseline_response, result.flips[0].candidate_response) == ("made answers c007", "")
    assert result.flips[0].why == (f"answered: {status}: HTTP 500",)
    assert result.worse == 1


def test_case_that_only_the_candidate_answered_got_better() -> None:
    result = judged(passes([1] * 200, answers=failed(7)), passes([1] * 200))
    assert [(flip.case_id, flip.better_on) for flip in result.flips] == [("c007", ("answered",))]
    assert result.verdict == "PASS"


def test_crashes_in_one_mode_block_though_most_cases_were_answered() -> None:
    cases = [replace(case, mode_id="FM-0003" if n < 30 else None) for n, case in enumerate(cases_of(1000))]
    result = judged(passes([1] * 1000, cases=cases), passes([1] * 1000, cases=cases, answers=failed(*range(20))))
    assert only(result, "answered", "FM-0003").verdict == "BLOCK"
    assert result.verdict == "BLOCK"


def test_critical_case_without_an_answer_in_every_repeat_blocks_alone() -> None:
    cases, run = critical(200), [(1, 1, 1)] * 200
    result = judged(passes(run, cases=cases), passes(run, cases=cases, answers=failed(0)))
    assert (result.verdict, result.broken_critical_cases) == ("BLOCK", ("c000",))


def test_runs_that_answered_the_same_cases_compare_no_answering() -> None:
    down = failed(3)
    result = judged(passes([1] * 200, answers=down), passes([1] * 200, answers=down))
    assert {one.metric for one in result.comparisons} == {"expectation"}
    assert result.n_blocking == 1


def test_case_recorded_in_one_run_only_is_no_crash() -> None:
    gone = failed(3, status="not_recorded")
    result = judged(passes([1] * 200), passes([1] * 200, answers=gone))
    assert {one.metric for one in result.comparisons} == {"expectation"}
    assert (result.missing, result.flips) == (("c003",), ())


def test_answering_alone_makes_judges_no_pass() -> None:
    facts, values = {"groundedness": JUDGE}, {"groundedness": [0.9] * 1000}
    result = judged(made_run(values, facts, answers=failed(7)), made_run(values, facts))
    assert result.verdict == "WARN"
    assert any("no metric that may block scored a case" in note for note in result.notes)
