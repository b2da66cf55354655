from datetime import timedelta

from flywheel.labels.decisions import add_decision, decisions
from flywheel.labels.queue import last_event_id
from flywheel.labels.records import Decision
from tests.flywheel.labels.queues import NOON, open_queue

RENAMED = Decision("mode_renamed", "FM-0007", {"name": "refund deadlines"}, "ann", NOON)


def test_a_decision_comes_back_and_the_second_time_changes_nothing(tmp_path):
    store = open_queue(tmp_path)
    assert add_decision(store, RENAMED)
    assert not add_decision(store, RENAMED)
    assert decisions(store) == [RENAMED]


def test_decisions_are_read_by_kind_and_up_to_an_event(tmp_path):
    store = open_queue(tmp_path)
    add_decision(store, RENAMED)
    seen = last_event_id(store)
    retired = Decision("case_retired", "g014", {}, "bob", NOON + timedelta(minutes=1))
    add_decision(store, retired)
    assert decisions(store, up_to_event=seen) == [RENAMED]
    assert decisions(store, "case_retired") == [retired]
    assert decisions(store, "unheard_of") == []
