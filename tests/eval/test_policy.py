import pytest

from eval.policy import GatePolicy, Tier, Verdict, capped, exit_code


@pytest.mark.parametrize(
    ("metric", "is_judge", "tier"),
    [
        ("expectation", False, "critical"),
        ("retrieval_hit", False, "critical"),
        ("abstention_correct", False, "critical"),
        ("token_f1", False, "supporting"),
        ("mrr", False, "supporting"),
        ("groundedness", True, "advisory"),
    ],
)
def test_default_tiers(metric: str, is_judge: bool, tier: Tier) -> None:
    assert GatePolicy().tier(metric, is_judge) == tier


def test_tier_of_the_settings_wins_except_for_an_unmeasured_judge() -> None:
    policy = GatePolicy(tiers={"mrr": "advisory", "hhem": "critical"})
    assert (policy.tier("mrr", False), policy.tier("hhem", True)) == ("advisory", "advisory")


def test_default_margins_are_five_five_and_ten_points() -> None:
    policy = GatePolicy()
    assert [policy.margin_of("x", tier) for tier in ("critical", "supporting", "advisory")] == [0.05, 0.05, 0.10]


@pytest.mark.parametrize(
    ("tier", "counts"),
    [
        ("critical", ("PASS", "WARN", "INCONCLUSIVE", "BLOCK")),
        ("supporting", ("PASS", "WARN", "WARN", "BLOCK")),
        ("advisory", ("PASS", "WARN", "WARN", "WARN")),
    ],
)
def test_tiers_cap_verdicts(tier: Tier, counts: tuple[Verdict, ...]) -> None:
    verdicts: tuple[Verdict, ...] = ("PASS", "WARN", "INCONCLUSIVE", "BLOCK")
    assert tuple(capped(verdict, tier) for verdict in verdicts) == counts


def test_exit_codes() -> None:
    assert [exit_code(verdict, "fail") for verdict in ("PASS", "WARN", "INCONCLUSIVE", "BLOCK")] == [0, 0, 3, 1]
    assert [exit_code("INCONCLUSIVE", way) for way in ("warn", "pass")] == [0, 0]
    assert exit_code("BLOCK", "pass") == 1
