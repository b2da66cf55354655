from hypothesis import given
from hypothesis import strategies as st

from flywheel.labels.marks import answer_parts, closest_part, doubt_of, most_doubtful
from flywheel.labels.records import TaskPayload, TaskSentence
from tests.flywheel.labels.queues import make_payload

SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted), max_size=4).map(sorted)


@given(st.text(max_size=20), SPANS)
def test_the_parts_of_an_answer_are_the_whole_answer(response, spans):
    sentences = tuple(TaskSentence(*span) for span in spans)
    assert "".join(part.text for part in answer_parts(TaskPayload("?", response, sentences=sentences))) == response


def test_a_sentence_carries_its_number_and_its_doubt():
    parts = answer_parts(make_payload("It ends after 30 days. You can extend it."))
    assert [(part.text, part.number, part.doubt) for part in parts] == [
        ("It ends after 30 days.", 1, 3),
        (" ", None, 0),
        ("You can extend it.", 2, 0),
    ]


def test_a_sentence_the_detector_could_not_judge_carries_no_mark():
    assert [doubt_of(value) for value in (None, 0.0, 0.25, 0.5, 0.75, 1.0)] == [0, 0, 1, 2, 3, 3]


def test_the_most_doubtful_sentence_is_the_one_to_look_at():
    assert most_doubtful(make_payload()) == 1
    assert most_doubtful(TaskPayload("?", "Yes.", sentences=(TaskSentence(0, 4, 0.1),))) is None


def test_the_closest_sentence_of_a_passage_shares_most_words():
    passage = "Plus costs 9 euros. Every trial runs 14 days. Days pass."
    start, end = closest_part("The trial ends after 30 days.", passage)
    assert passage[start:end] == "Every trial runs 14 days."
    assert closest_part("Something else.", passage) is None
    assert closest_part("Something else.", "") is None
