import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.quality import detector_shares, share
from flywheel.warehouse import scores
from flywheel.warehouse.steps import finish_step
from flywheel.week import open_job
from tests.flywheel.made_weeks import WEEK, make_workspace

WEIGHTED = st.lists(st.tuples(st.floats(0.5, 1000), st.booleans()), min_size=1, max_size=30)
ROWS = [
    # group, prediction, verdict, stratum
    ("a", 0.9, "fail", "high"),
    ("b", 0.8, "fail", "high"),
    ("c", 0.2, "fail", "low"),
    ("d", 0.1, "pass", "low"),
    ("e", 0.2, "pass", "low"),
    ("f", 0.7, "pass", "high"),
    ("g", 0.7, None, "high"),
    ("h", None, "fail", "apart"),
]
SIZES = {"high": 6, "low": 30, "apart": 1}
"""Three labels in each of the first two: a label stands for 2 traces in the one, for 10 in the other."""


@pytest.fixture
def shares(tmp_path):
    """Give the shares of a week with the labels of ROWS, by a detector that saw some groups."""
    workspace = make_workspace(tmp_path)

    def told(threshold=0.5, trained_on=frozenset(), rows=ROWS, purpose="random"):
        with open_job(workspace, WEEK) as job:
            finish_step(job.db, WEEK, 1, "triage", "x", {"text": "", "figures": {"threshold": threshold}}, 0.0)
            for name in ("gold_label", "draw_population", "detector"):
                job.db.execute(f"delete from {name}")
            for group, _, verdict, stratum in rows:
                job.db.execute(
                    "insert into gold_label values (?, ?, ?, 1, ?, ?, ?, null, null, null, null, '[]', ['ann'], 'x')",
                    [WEEK, f"task-{group}", f"t-{group}", purpose, stratum, verdict],
                )
            there = {stratum: [row for row in rows if row[3] == stratum] for stratum in SIZES}
            more = [(f"{s}{n}", 0.5, None, s) for s, size in SIZES.items() for n in range(size - len(there[s]))]
            for group, prediction, _, stratum in [*rows, *more]:
                job.db.execute(
                    "insert into draw_population values ('d', ?, ?, 1, ?, ?, ?, 'i', 0, 0.5)",
                    [WEEK, f"t-{group}", group, stratum, prediction],
                )
            if trained_on:
                save_detector_that_saw(job, trained_on)
            return detector_shares(job)

    return told


def save_detector_that_saw(job, groups):
    from dataclasses import replace

    from eval.metrics.groundedness import packaged_detector

    detector = replace(packaged_detector(), training_groups=frozenset(groups))
    scores.save_detector(job.db, WEEK, "2026-W44", "made", 3, detector.to_json())


def test_shares_are_weighted_by_what_each_label_stands_for(shares):
    tpr, tnr, labels = shares()
    assert tpr.value == pytest.approx((2 + 2) / (2 + 2 + 10))
    assert tnr.value == pytest.approx((10 + 10) / (10 + 10 + 2))
    assert (tpr.n, tnr.n, labels) == (3, 3, 6)
    assert tpr.low < tpr.value < tpr.high
    assert tnr.low < tnr.value < tnr.high


def test_a_prediction_at_the_threshold_is_flagged(shares):
    tpr, tnr, _ = shares(threshold=0.7)
    assert tpr.value == pytest.approx(4 / 14)
    assert tnr.value == pytest.approx(20 / 22)


def test_sources_that_trained_the_detector_are_left_out(shares):
    tpr, tnr, labels = shares(trained_on={"c", "f"})
    assert (tpr.value, tnr.value, labels) == (1.0, 1.0, 4)


def test_labels_of_one_verdict_give_one_share(shares):
    tpr, tnr, labels = shares(rows=ROWS[:3])
    assert (tpr.n, tnr, labels) == (3, None, 3)


def test_without_labels_there_are_no_shares(shares):
    assert shares(rows=[]) == (None, None, 0)


def test_labels_that_no_chance_drew_do_not_count(shares):
    assert shares(purpose="purposive") == (None, None, 0)


@given(WEIGHTED)
def test_a_share_lies_in_its_interval(weighted):
    rate = share(weighted)
    assert 0 <= rate.low <= rate.value + 1e-9
    assert rate.value - 1e-9 <= rate.high <= 1
    assert rate.n == len(weighted)


@given(WEIGHTED, st.floats(0.1, 10))
def test_only_the_proportions_of_the_weights_matter(weighted, factor):
    scaled = share([(weight * factor, hit) for weight, hit in weighted])
    rate = share(weighted)
    assert (scaled.value, scaled.low, scaled.high) == pytest.approx((rate.value, rate.low, rate.high))


def test_unequal_weights_widen_the_interval():
    even = share([(1.0, hit) for hit in (True, False) * 10])
    uneven = share([(weight, hit) for weight in (1.0, 9.0) for hit in (True, False) * 5])
    assert uneven.value == even.value
    assert uneven.low < even.low
