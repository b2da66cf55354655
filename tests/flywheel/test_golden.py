from collections import Counter
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.cases import Expectation, read_dataset
from eval.sample import Passage, Sample
from flywheel.firewall import NOTHING, Roles, role_of, training_side
from flywheel.golden import grow, make_case
from flywheel.governance.masking import as_it_is
from tests.flywheel.made_traces import WEEK, make_gold

ROLES = Roles(0.5, 0.1)


def make_sample(name="t1", question=None, group=None, passages=("The trial runs 14 days.",)):
    given_out = tuple(Passage(f"p{n}", text) for n, text in enumerate(passages, start=1))
    return Sample(name, question or f"What of {name}?", "It runs 30 days.", given_out, group=group or f"g-{name}")


def grow_with(folder, labels, samples, week=WEEK, relevant=None, modes=None):
    return grow(folder, week, labels, {s.id: s for s in samples}, relevant or {}, modes or {}, ROLES)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_group_keeps_its_role_for_ever():
    known = {"source 1": "dev", "source 2": "train", "source 3": "train", "session-9": "gate"}
    assert {group: role_of(group, ROLES) for group in known} == known


@given(st.text(max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_for_training_takes_no_group_out_of_it(group, train, dev):
    if role_of(group, Roles(train, dev)) == "train":
        assert role_of(group, Roles(min(1, train * 1.5), 0)) == "train"


def test_a_case_of_a_group_has_its_role_whatever_else_it_is():
    cases = [
        make_case(
            make_sample(name, group="same source"), make_gold(name, failure_type=kind), (), mode, week, ROLES, NOTHING
        )
        for name, kind, mode, week in (
            ("t1", "contradiction", "FM-1", "2026-W44"), ("t2", "missed_abstention", None, "2026-W45")
        )
    ]  # fmt: skip
    assert {case.role for case in cases} == {role_of("same source", ROLES)}


def test_over_many_groups_the_shares_come_out_right():
    counted = Counter(role_of(f"source {n}", ROLES) for n in range(10_000))
    assert counted["train"] == pytest.approx(5000, abs=200)
    assert counted["dev"] == pytest.approx(1000, abs=120)
    assert counted["gate"] == pytest.approx(4000, abs=200)


def test_without_shares_everything_is_for_the_gate():
    assert {role_of(f"g{n}", Roles(0, 0)) for n in range(100)} == {"gate"}
    assert {role_of(f"g{n}", Roles(1, 0)) for n in range(100)} == {"train"}


def test_a_failure_that_should_have_been_an_abstention_expects_one():
    label = make_gold("t1", failure_type="missed_abstention", corrected_response="I don't know.")
    case = make_case(make_sample(), label, (), None, WEEK, ROLES, NOTHING)
    assert (case.expectation, case.answerable, case.reference) == (Expectation(abstain=True), False, None)
    assert case.passages == ()


def test_a_corrected_answer_is_the_reference():
    case = make_case(make_sample(), make_gold("t1", corrected_response="14 days."), (), "FM-1", WEEK, ROLES, NOTHING)
    assert (case.reference, case.answerable, case.expectation) == ("14 days.", True, Expectation(supported=True))
    assert case.passages == make_sample().passages
    assert (case.mode_id, case.severity, case.source_trace, case.label_ids, case.added_in) == (
        "FM-1", "P2", "t1", ("task-t1",), WEEK
    )  # fmt: skip


def test_relevant_passages_leave_the_retrieval_to_the_pipeline():
    case = make_case(make_sample(), make_gold("t1", corrected_response="14 days."), ("p1",), None, WEEK, ROLES, NOTHING)
    assert (case.passages, case.passage_ids, case.expectation) == ((), ("p1",), Expectation())
    assert case.passage_hashes == (sha256(b"The trial runs 14 days.").hexdigest(),)


def test_a_relevant_passage_that_was_not_retrieved_has_no_hash():
    case = make_case(make_sample(), make_gold("t1"), ("p1", "elsewhere"), None, WEEK, ROLES, NOTHING)
    assert (case.passage_ids, case.passage_hashes) == (("p1", "elsewhere"), ())


def test_without_a_correction_the_case_expects_an_answer_that_its_passages_support():
    case = make_case(make_sample(), make_gold("t1"), (), None, WEEK, ROLES, NOTHING)
    assert (case.reference, case.answerable, case.expectation) == (None, None, Expectation(supported=True))


def test_only_labelled_failures_become_cases(tmp_path):
    labels = [make_gold("t1"), make_gold("t2", "pass"), make_gold("t3", None), make_gold("unknown")]
    growth = grow_with(tmp_path, labels, [make_sample(f"t{n}") for n in (1, 2, 3)])
    assert [case.source_trace for case in growth.added] == ["t1"]
    assert (growth.cases, growth.repeated) == (1, 0)
    assert read_dataset(tmp_path).version == growth.version


def test_growing_twice_changes_nothing(tmp_path):
    labels, samples = [make_gold(f"t{n}") for n in range(8)], [make_sample(f"t{n}") for n in range(8)]
    first = grow_with(tmp_path, labels, samples)
    before = files(tmp_path)
    assert grow_with(tmp_path, labels, samples) == first
    assert files(tmp_path) == before
    assert len(first.added) == 8


def test_a_case_of_an_earlier_week_is_never_overwritten(tmp_path):
    sample = make_sample("t1", "When?", "source")
    grow_with(tmp_path, [make_gold("t1", corrected_response="first")], [sample], "2026-W44")
    again = grow_with(
        tmp_path, [make_gold("t2", corrected_response="second")], [replace(sample, id="t2")], modes={"t2": "FM-9"}
    )
    assert (again.added, again.cases, again.repeated) == ((), 1, 1)
    (case,) = read_dataset(tmp_path).cases
    assert (case.reference, case.source_trace, case.added_in) == ("first", "t1", "2026-W44")


def test_one_question_on_other_passages_is_another_case(tmp_path):
    samples = [make_sample("t1", "Summarize."), make_sample("t2", "Summarize.", passages=("Another article.",))]
    assert grow_with(tmp_path, [make_gold("t1"), make_gold("t2")], samples).cases == 2


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_the_labels_does_not_matter(tmp_path_factory, order):
    samples = [make_sample(f"t{n}", f"Question {n // 2}?") for n in range(6)]
    labels = [make_gold(f"t{n}") for n in range(6)]
    one, other = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")
    assert grow_with(one, labels, samples) == grow_with(other, [labels[n] for n in order], samples)
    assert files(one) == files(other)


def test_a_week_without_failures_leaves_the_version(tmp_path):
    version = grow_with(tmp_path, [make_gold("t1")], [make_sample("t1")], "2026-W44").version
    before = files(tmp_path)
    assert grow_with(tmp_path, [make_gold("t2", "pass")], [make_sample("t2")]).version == version
    assert files(tmp_path) == before


def test_a_wrong_abstention_expects_an_answer():
    case = make_case(make_sample(), make_gold("t1", failure_type="wrong_abstention"), (), None, WEEK, ROLES, NOTHING)
    assert (case.expectation, case.answerable) == (Expectation(abstain=False, supported=True), True)


@pytest.mark.parametrize("side", ["group", "text"])
def test_what_trained_the_detector_loses_its_place_in_the_gate(side):
    gate = next(f"g{n}" for n in range(100) if role_of(f"g{n}", ROLES) == "gate")
    sample = make_sample(group=gate)
    same = {"other": make_sample("other", question=sample.user_input.upper(), group="elsewhere")}
    trained = training_side(frozenset({gate if side == "group" else "elsewhere"}), {} if side == "group" else same)
    assert make_case(sample, make_gold("t1"), (), None, WEEK, ROLES, NOTHING).role == "gate"
    assert make_case(sample, make_gold("t1"), (), None, WEEK, ROLES, trained).role == "train"


def test_a_question_alone_counts_where_retrieval_is_tested():
    gate = next(f"g{n}" for n in range(100) if role_of(f"g{n}", ROLES) == "gate")
    twin = {"other": make_sample("other", question="What of t1?", group="elsewhere", passages=("Other words.",))}
    trained = training_side(frozenset({"elsewhere"}), twin)
    sample = make_sample(group=gate)
    assert make_case(sample, make_gold("t1"), (), None, WEEK, ROLES, trained).role == "gate"
    assert make_case(sample, make_gold("t1"), ("p1",), None, WEEK, ROLES, trained).role == "train"


EMAIL, PHONE = "maria.keller@example.com", "+1 202-555-0143"
MASKED_EMAIL, MASKED_PHONE = f"[email{'█' * 17}]", f"[phone{'█' * 8}]"


def sample_with_data(name="t1", email=EMAIL, **fields):
    return make_sample(name, f"Who is {email}?", passages=(f"Call {PHONE}.",), **fields)


def test_a_case_is_masked_before_it_is_written(tmp_path):
    typed = make_gold("t1", corrected_response=f"Ask {EMAIL} or call {PHONE}.")
    (case,) = grow_with(tmp_path, [typed], [sample_with_data(group=f"of {EMAIL}")]).added
    assert case.user_input == f"Who is {MASKED_EMAIL}?"
    assert case.passages[0].text == f"Call {MASKED_PHONE}."
    assert case.reference == f"Ask {MASKED_EMAIL} or call {MASKED_PHONE}."
    written = b"".join(files(tmp_path).values())
    assert not [text for text in (EMAIL, PHONE) if text.encode() in written]
    assert read_dataset(tmp_path).cases == (case,)


def test_the_same_question_gives_the_same_masked_case(tmp_path):
    samples = [sample_with_data("t1"), sample_with_data("t2")]
    growth = grow_with(tmp_path, [make_gold("t1"), make_gold("t2")], samples)
    assert (len(growth.added), growth.repeated) == (1, 1)
    assert grow_with(tmp_path, [make_gold("t1"), make_gold("t2")], samples).version == growth.version


def test_a_question_without_personal_data_keeps_the_name_it_had():
    plain, masked = (
        make_case(make_sample(), make_gold("t1"), (), None, WEEK, ROLES, NOTHING, *mask) for mask in ((as_it_is,), ())
    )
    assert plain == masked


def test_a_case_written_before_masking_is_not_repeated(tmp_path):
    sample = sample_with_data()
    grow(tmp_path, "2026-W44", [make_gold("t1")], {"t1": sample}, {}, {}, ROLES, mask=as_it_is)
    growth = grow_with(tmp_path, [make_gold("t1")], [sample])
    assert (growth.added, growth.cases, growth.repeated) == ((), 1, 1)


def test_masking_does_not_change_the_role_of_a_case():
    groups = [f"session of {EMAIL} {n}" for n in range(40)]
    roles = [
        make_case(sample_with_data(group=group), make_gold("t1"), (), None, WEEK, ROLES, NOTHING).role
        for group in groups
    ]
    assert roles == [role_of(group, ROLES) for group in groups]


def test_a_case_that_names_its_passages_keeps_the_hashes_of_the_corpus():
    case = make_case(sample_with_data(), make_gold("t1"), ("p1",), None, WEEK, ROLES, NOTHING)
    assert case.passage_hashes == (sha256(f"Call {PHONE}.".encode()).hexdigest(),)


def grow_incomplete(folder, label, incomplete=None, relevant=()):
    """Grow with one trace whose delivery left passages out, as the warehouse gives it."""
    sample = make_sample(passages=())
    return grow(folder, WEEK, [label], {"t1": sample}, {label.task_id: relevant}, {}, ROLES, incomplete=incomplete)


HELD = {"t1": (Passage("p1", "The trial runs 14 days."), Passage("p2", ""))}


@pytest.mark.parametrize("incomplete", [HELD, {"t1": ()}, None])
@pytest.mark.parametrize("kind", ["unsupported_claim", "wrong_abstention"])
def test_a_failure_whose_passages_were_left_out_makes_no_case_and_is_counted(tmp_path, incomplete, kind):
    growth = grow_incomplete(tmp_path, make_gold("t1", failure_type=kind), incomplete)
    assert (growth.added, growth.cases, growth.ungrounded) == ((), 0, 1)


def test_with_a_corrected_answer_it_makes_a_case_that_expects_no_support(tmp_path):
    (case,) = grow_incomplete(tmp_path, make_gold("t1", corrected_response="14 days."), HELD).added
    assert (case.passages, case.reference, case.expectation) == ((), "14 days.", Expectation())


def test_a_missed_abstention_expects_one_whatever_was_left_out(tmp_path):
    (case,) = grow_incomplete(tmp_path, make_gold("t1", failure_type="missed_abstention"), HELD).added
    assert case.expectation == Expectation(abstain=True)


def test_passages_that_people_named_get_the_hashes_of_what_was_delivered(tmp_path):
    (case,) = grow_incomplete(tmp_path, make_gold("t1"), HELD, ["p1"]).added
    assert (case.passage_ids, case.expectation) == (("p1",), Expectation())
    assert case.passage_hashes == (sha256(b"The trial runs 14 days.").hexdigest(),)


def test_a_named_passage_that_came_without_its_text_has_no_hash(tmp_path):
    (case,) = grow_incomplete(tmp_path, make_gold("t1"), HELD, ["p1", "p2"]).added
    assert (case.passage_ids, case.passage_hashes) == (("p1", "p2"), ())


def test_a_question_for_which_nothing_was_retrieved_still_makes_a_case(tmp_path):
    (case,) = grow_incomplete(tmp_path, make_gold("t1"), {}).added
    assert (case.passages, case.expectation) == ((), Expectation(supported=True))


def test_a_case_without_its_passages_leaves_the_gate_where_its_question_trained_the_detector(tmp_path):
    gate = next(f"g{n}" for n in range(100) if role_of(f"g{n}", ROLES) == "gate")
    twin = {"other": make_sample("other", question="What of t1?", group="elsewhere")}
    trained = training_side(frozenset({"elsewhere"}), twin)
    sample, label = make_sample(group=gate, passages=()), make_gold("t1", corrected_response="14 days.")
    case = make_case(sample, label, (), None, WEEK, ROLES, trained, incomplete=())
    assert case.role == "train"
