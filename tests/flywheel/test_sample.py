import json
import re
from collections import Counter
from importlib.resources import files

import pytest

from flywheel.sample import Document, Question, documents_in, read_documents, read_questions


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return read_documents()


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    return read_questions()


def normalised(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def test_there_are_enough_documents_and_questions(documents, questions):
    assert len(documents) >= 60
    assert len(questions) >= 200
    assert sum(not q.answerable for q in questions) >= 30


def test_document_ids_are_unique_sorted_and_name_a_topic(documents):
    ids = [d.id for d in documents]
    assert ids == sorted(set(ids))
    assert {i.split("-")[0] for i in ids} == {"hr", "it", "support"}


def test_every_document_has_a_title_and_70_to_160_words(documents):
    assert [d.id for d in documents if not d.title or d.title.startswith("#")] == []
    assert [d.id for d in documents if not 70 <= len(d.text.split()) <= 160] == []


def test_document_titles_are_unique(documents):
    assert [title for title, n in Counter(d.title for d in documents).items() if n > 1] == []


def test_a_title_line_is_taken_off_the_text(tmp_path):
    (tmp_path / "hr-tea.md").write_text("# Tea\n\nTea is free.\n\nCoffee is not.\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not a document", encoding="utf-8")
    assert list(documents_in(tmp_path)) == [Document("hr-tea", "Tea", "Tea is free.\n\nCoffee is not.")]


def test_question_ids_are_unique(questions):
    assert len({q.id for q in questions}) == len(questions)


def test_no_two_questions_have_the_same_words(questions):
    assert [text for text, n in Counter(normalised(q.question) for q in questions).items() if n > 1] == []


def test_every_evidence_sentence_stands_verbatim_in_one_of_its_documents(documents, questions):
    text = {d.id: d.text for d in documents}
    lost = [(q.id, e) for q in questions for e in q.evidence if not any(e in text[d] for d in q.documents)]
    assert lost == []


def test_every_supporting_document_gives_evidence(documents, questions):
    text = {d.id: d.text for d in documents}
    idle = [(q.id, d) for q in questions for d in q.documents if not any(e in text[d] for e in q.evidence)]
    assert idle == []


def test_answerable_questions_have_reference_documents_and_evidence(questions):
    assert [q.id for q in questions if q.answerable and not (q.reference and q.documents and q.evidence)] == []


def test_unanswerable_questions_have_no_reference_documents_or_evidence(questions):
    unanswerable = [q for q in questions if not q.answerable]
    assert [q.id for q in unanswerable if q.reference is not None or q.documents or q.evidence] == []


def test_kind_says_whether_a_question_is_unanswerable_or_needs_several_documents(questions):
    assert [q.id for q in questions if (q.kind == "unanswerable") == q.answerable] == []
    assert [q.id for q in questions if (q.kind == "multi") != (len(q.documents) > 1)] == []


def test_topic_is_the_prefix_of_the_documents(questions):
    assert [q.id for q in questions if any(d.split("-")[0] != q.topic for d in q.documents)] == []


def test_every_document_is_asked_about_at_least_three_times(documents, questions):
    asked = Counter(d for q in questions for d in q.documents)
    assert [d.id for d in documents if asked[d.id] < 3] == []
    assert set(asked) <= {d.id for d in documents}


def test_no_question_copies_a_sentence_of_the_evidence(questions):
    copied = [q.id for q in questions for e in q.evidence if normalised(q.question) in normalised(e)]
    assert copied == []


def test_the_numbers_of_a_reference_stand_in_its_evidence(questions):
    def numbers(text: str) -> set[str]:
        return set(re.findall(r"\b\d(?:[\d.,]*\d)?", text))

    invented = [
        (q.id, sorted(numbers(q.reference) - numbers(" ".join(q.evidence))))
        for q in questions
        if q.reference and not numbers(q.reference) <= numbers(" ".join(q.evidence))
    ]
    assert invented == []


def test_every_line_holds_exactly_the_fields_of_a_question(questions):
    lines = (files("flywheel.sample") / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(questions)
    assert {tuple(json.loads(line)) for line in lines} == {tuple(Question.__dataclass_fields__)}
