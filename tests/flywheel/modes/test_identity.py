import numpy as np
import pytest

from flywheel.modes.identity import (
    KnownMode,
    match_modes,
    new_mode_ids,
    state_when_absent,
    state_when_seen,
    updated_centroid,
)


def unit(*values):
    row = np.array(values, dtype=np.float32)
    return row / np.linalg.norm(row)


def known(mode_id, centroid, state="ongoing", last_week="2026-W44", size=10):
    return KnownMode(mode_id, mode_id, centroid, "2026-W40", last_week, size, state)


A, B = known("FM-0001", unit(1, 0, 0)), known("FM-0002", unit(0, 1, 0))


def test_assignment_takes_the_best_sum_not_the_first_come():
    # Both are nearest to A; giving A to the first would leave the second without a match.
    centroids = np.stack([unit(1, 0.9, 0), unit(1, 0.2, 0)])
    assert match_modes(centroids, [A, B], 0.6) == (B, A)


def test_nothing_below_the_threshold_is_matched():
    assert match_modes(np.stack([unit(1, 1, 1)]), [A, B], 0.75) == (None,)


def test_a_known_mode_is_matched_once():
    assert match_modes(np.stack([unit(1, 0.1, 0), unit(1, 0, 0)]), [A], 0.75) == (None, A)


def test_no_centroids_and_no_known_modes_match_nothing():
    assert match_modes(np.zeros((0, 3), dtype=np.float32), [A], 0.75) == ()
    assert match_modes(np.stack([unit(1, 0, 0)]), [], 0.75) == (None,)


def test_new_ids_follow_the_highest_ever_given():
    assert new_mode_ids([known("FM-0007", unit(1, 0)), A], 2) == ["FM-0008", "FM-0009"]
    assert new_mode_ids([], 1) == ["FM-0001"]


def test_new_mode_gets_no_id_that_a_later_week_has():
    assert new_mode_ids([known("FM-0002", unit(1, 0))], 1, ["FM-0009", "FM-0003"]) == ["FM-0010"]


@pytest.mark.parametrize(("before", "state"), [("new", "ongoing"), ("regressed", "ongoing"), ("resolved", "regressed")])
def test_state_of_a_mode_that_is_seen(before, state):
    assert state_when_seen(known("FM-0001", unit(1, 0), state=before)) == state


def test_mode_is_resolved_after_as_many_weeks_without_traces_as_set():
    mode = known("FM-0001", unit(1, 0), last_week="2026-W53")
    assert state_when_absent(mode, "2027-W01", 1) == "resolved"
    assert state_when_absent(mode, "2027-W01", 2) == "ongoing"
    assert state_when_absent(mode, "2027-W02", 2) == "resolved"


def test_centroid_moves_at_most_halfway_and_at_least_a_fifth():
    old, new = unit(1, 0), unit(0, 1)
    equal = updated_centroid(known("FM-0001", old, size=1), new, 50)
    slow = updated_centroid(known("FM-0001", old, size=5000), new, 50)
    assert equal == pytest.approx(unit(1, 1), abs=1e-6)
    assert slow == pytest.approx(unit(4, 1), abs=1e-6)
