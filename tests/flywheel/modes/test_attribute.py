from flywheel.modes.attribute import over_represented
from flywheel.modes.phrase import Failure


def failures(count, **attributes):
    return [Failure("t", 1, "error", "P1", "", "", "", attributes) for _ in range(count)]


def test_value_concentrated_in_a_mode_is_found_with_its_lift():
    inside, outside = failures(20, model="small"), failures(60, model="large")
    (lifts,) = over_represented([inside], inside + outside)
    assert [(lift.attribute, lift.value, lift.lift, lift.count) for lift in lifts] == [("model", "small", 4.0, 20)]


def test_value_spread_evenly_is_not():
    inside = failures(10, model="small") + failures(10, model="large")
    assert over_represented([inside], inside * 3) == [()]


def test_two_of_two_are_too_few():
    inside = failures(2, tenant="acme")
    assert over_represented([inside], inside + failures(2, tenant="initech")) == [()]


def test_no_modes_have_no_lifts():
    assert over_represented([], []) == []
