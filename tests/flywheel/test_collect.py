from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.collect import CollectCount, count_collected, fold_labels
from flywheel.labels.records import Decision, Label
from tests.flywheel.labels.queues import NOON, make_task

TASK = make_task(0)


def say(verdict, annotator="ann", minute=0, task=TASK, **fields):
    return Label(task.task_id, task.trace_id, 1, verdict, annotator, NOON + timedelta(minutes=minute), **fields)


def settle(verdict, minute=60, task=TASK):
    return Decision("adjudication", task.task_id, {"verdict": verdict}, "eve", NOON + timedelta(minutes=minute))


def fold(*labels, adjudications=()):
    (gold,) = fold_labels([TASK], labels, adjudications)
    return gold


def test_agreement_makes_a_gold_label():
    gold = fold(say("fail", "ann"), say("fail", "bob", 1))
    assert (gold.verdict, gold.origin, gold.annotators) == ("fail", "agreed", ("ann", "bob"))
    assert (gold.task_id, gold.trace_id, gold.purpose, gold.stratum) == (
        TASK.task_id, TASK.trace_id, "random", "flagged"
    )  # fmt: skip


def test_disagreement_leaves_the_verdict_open():
    gold = fold(say("fail", "ann"), say("pass", "bob", 1))
    assert (gold.verdict, gold.origin, gold.failure_type) == (None, "disagreed", None)


def test_an_adjudication_decides_a_disagreement():
    labels = [say("fail", "ann", failure_type="contradiction"), say("pass", "bob", 1)]
    gold = fold(*labels, adjudications=[settle("fail")])
    assert (gold.verdict, gold.origin, gold.failure_type) == ("fail", "adjudicated", "contradiction")


def test_the_newest_adjudication_decides_in_whatever_order_they_come():
    labels = [say("fail", "ann"), say("pass", "bob")]
    for order in ([settle("fail", 60), settle("pass", 61)], [settle("pass", 61), settle("fail", 60)]):
        assert fold(*labels, adjudications=order).verdict == "pass"


def test_an_adjudication_of_another_task_decides_nothing():
    assert (
        fold(say("fail", "ann"), say("pass", "bob"), adjudications=[settle("fail", task=make_task(1))]).verdict is None
    )


def test_who_defers_does_not_disagree():
    assert fold(say("defer", "ann"), say("pass", "bob")).verdict == "pass"


def test_where_all_defer_there_is_no_verdict():
    gold = fold(say("defer", "ann"), say("defer", "bob"))
    assert (gold.verdict, gold.origin) == (None, "deferred")


def test_details_are_those_of_the_newest_label_with_the_verdict():
    first = say("fail", "ann", 0, failure_type="contradiction", severity="P0", spans=((0, 3),))
    newest = say("fail", "bob", 1, failure_type="incomplete_answer", severity="P2", corrected_response="14", note="n")
    gold = fold(newest, first, say("defer", "cho", 2, note="unsure"))
    assert (gold.failure_type, gold.severity, gold.corrected_response, gold.note, gold.spans) == (
        "incomplete_answer", "P2", "14", "n", ()
    )  # fmt: skip


def test_a_pass_has_no_failure_in_it():
    gold = fold(say("pass", failure_type="contradiction", severity="P0", corrected_response="x", spans=((0, 3),)))
    assert (gold.failure_type, gold.severity, gold.corrected_response, gold.spans) == (None, None, None, ())


def test_labels_of_a_sentence_or_a_passage_make_no_verdict_of_the_trace():
    assert fold_labels([TASK], [say("fail", target="sentence:0-3"), say("pass", target="passage:p1")], []) == []


def test_a_task_that_nobody_labelled_has_no_gold_label():
    assert fold_labels([TASK, make_task(1)], [say("pass")], []) == [fold(say("pass"))]


VERDICTS = st.sampled_from(["pass", "fail", "defer"])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), VERDICTS, st.booleans()), max_size=15), st.randoms())
def test_counts_add_up_in_whatever_order_labels_come(said, random):
    tasks = [make_task(n) for n in range(3)] + [make_task(n, purpose="purposive") for n in range(2)]
    labels = [say(verdict, f"a{n}", n, tasks[place]) for n, (place, verdict, _) in enumerate(said)]
    settled = [settle("fail", 60 + n, tasks[place]) for n, (place, _, is_settled) in enumerate(said) if is_settled]
    gold = fold_labels(tasks, labels, settled)
    count = count_collected(tasks, gold)
    assert count.drawn == 3 == count.labelled + count.deferred + count.disagreed + count.open
    for things in (tasks, labels, settled):
        random.shuffle(things)
    assert fold_labels(tasks, labels, settled) == gold


def test_purposive_labels_are_counted_apart():
    exemplar = make_task(0, purpose="purposive")
    gold = fold_labels([TASK, exemplar], [say("fail", task=exemplar)], [])
    assert count_collected([TASK, exemplar], gold) == CollectCount(1, 0, 0, 0, 1, 1)


@pytest.mark.parametrize("verdict", ["pass", "fail"])
def test_an_adjudication_against_everybody_carries_no_details_of_theirs(verdict):
    other = "pass" if verdict == "fail" else "fail"
    gold = fold(say(other, failure_type="contradiction" if other == "fail" else None), adjudications=[settle(verdict)])
    assert (gold.verdict, gold.failure_type) == (verdict, None)
