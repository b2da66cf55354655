import pytest

from eval.errors import UserError
from flywheel.labels.submission import make_label, read_submission, warnings_of
from tests.flywheel.labels.queues import NOON, make_task


def submit(annotator="ann", **given):
    return make_label(make_task(0), read_submission({"verdict": "fail", **given}), annotator, NOON)


def test_a_label_takes_time_and_name_from_who_submits_unless_it_brings_its_own():
    assert (submit().annotator, submit().submitted_at) == ("ann", NOON)
    own = submit(annotator="bob", submitted_at="2026-11-08T10:00:00+01:00")
    assert (own.annotator, own.submitted_at.isoformat()) == ("bob", "2026-11-08T10:00:00+01:00")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"verdict": "maybe"}, "verdict: .*'pass', 'fail' or 'defer'.* got 'maybe'"),
        ({"verdict": ""}, "verdict is empty"),
        ({"verdict": None}, "verdict is empty"),
        ({"failure_type": "bad"}, "failure_type: .*unsupported_claim"),
        ({"severity": "P9"}, "severity: .*P0"),
        ({"target": "answer"}, "target: .*write trace, sentence:START-END or passage:ID"),
        ({"submitted_at": "2026-11-08T10:00:00"}, "submitted_at: .*timezone"),
        ({"spans": [[0, 999]]}, r"spans: \[0, 999\] is no part of the response of 46 characters"),
        ({"spans": [[5, 5]]}, "spans: "),
        ({"verdict": "pass", "severity": "P0"}, "verdict pass comes with"),
        ({"note": "x" * 100_001}, "note: .*100000"),
    ],
)
def test_what_does_not_fit_is_said_with_its_field(given, said):
    with pytest.raises(UserError, match=said):
        submit(**given)


def test_a_label_needs_an_annotator():
    with pytest.raises(UserError, match="needs an annotator"):
        submit(annotator=" ")


def test_blank_cells_are_no_answer_and_verdicts_may_be_shouted():
    label = submit(verdict=" PASS", failure_type="", severity=" ", corrected_response="")
    assert (label.verdict, label.failure_type, label.severity, label.corrected_response) == ("pass", None, None, None)


def test_a_fail_without_a_failure_type_counts_but_is_warned_of():
    assert "without a failure type" in warnings_of(submit())[0]
    assert warnings_of(submit(failure_type="contradiction")) == []
