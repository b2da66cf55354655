import numpy as np
import pytest

from flywheel.modes.group import FEW, centroids_of, group, is_collapsed


def blobs(sizes, seed=0, spread=0.02):
    """Unit vectors around orthogonal centres."""
    rng = np.random.default_rng(seed)
    centres = np.eye(len(sizes), 384)
    rows = np.concatenate([centres[g] + spread * rng.normal(size=(size, 384)) for g, size in enumerate(sizes)])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_four_clear_groups_are_found_the_largest_first():
    grouping = group(blobs([10, 30, 20, 14]), min_size=5, seed=0)
    for label, (start, end) in enumerate([(10, 40), (40, 60), (60, 74), (0, 10)]):
        assert set(grouping.labels[start:end]) == {label}


def test_row_order_changes_nothing():
    rows = blobs([12, 12, 12, 8], spread=0.05)
    order = np.random.default_rng(5).permutation(len(rows))
    straight, shuffled = group(rows, 5, seed=3), group(rows[order], 5, seed=3)
    assert (straight.labels[order] == shuffled.labels).all()
    assert (straight.membership[order] == shuffled.membership).all()
    assert (straight.map_xy[order] == shuffled.map_xy).all()


@pytest.mark.parametrize("n", [1, 2, 3, 10, FEW - 1])
def test_each_of_a_few_has_a_group(n):
    grouping = group(blobs([1] * n, spread=0.001), min_size=5, seed=0)
    assert sorted(grouping.labels) == list(range(n))
    assert np.isfinite(grouping.map_xy).all()


def test_few_that_resemble_each_other_are_one_group():
    assert set(group(blobs([3], spread=0.001), min_size=5, seed=0).labels) == {0}


@pytest.mark.parametrize("n", [FEW, FEW + 1, 40])
def test_equal_failures_are_one_group(n):
    grouping = group(np.eye(1, 384, dtype=np.float32).repeat(n, axis=0), min_size=5, seed=0)
    assert set(grouping.labels) == {0}


def test_nothing_gives_nothing():
    grouping = group(np.zeros((0, 384), dtype=np.float32), min_size=5, seed=0)
    assert grouping.labels.shape == (0,)
    assert grouping.map_xy.shape == (0, 2)


def test_rows_beyond_the_fit_join_the_group_they_resemble():
    grouping = group(blobs([40, 40, 40]), min_size=5, seed=0, fit_rows=60)
    assert [len(set(grouping.labels[start : start + 40]) - {-1}) for start in (0, 40, 80)] == [1, 1, 1]
    assert (grouping.labels >= 0).sum() >= 80


def test_noise_has_no_membership_and_members_have_some():
    rows = np.concatenate([blobs([15, 15, 15], spread=0.01), -np.eye(1, 384, 200, dtype=np.float32)])
    grouping = group(rows, min_size=5, seed=0)
    assert ((grouping.membership > 0) == (grouping.labels >= 0)).all()
    assert grouping.membership.max() <= 1


def test_two_groups_or_one_of_half_are_a_collapse():
    assert is_collapsed(np.array([0, 0, 1, 1]))
    assert is_collapsed(np.array([0] * 5 + [1, 1, 1, 2, 2]))
    assert not is_collapsed(np.array([0] * 4 + [1, 1, 1, 2, 2, 2]))
    assert is_collapsed(np.array([-1, -1]))


def test_centroids_have_unit_length():
    rows = blobs([4, 4])
    assert np.linalg.norm(centroids_of(rows, np.repeat([0, 1], 4)), axis=1) == pytest.approx([1, 1], abs=1e-6)
