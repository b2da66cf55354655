import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.sources.payload import (
    answer_of,
    decoded,
    documents_of,
    history_of,
    named_documents_of,
    question_of,
)
from flywheel.sources.python_text import read_python
from flywheel.sources.records import Turn
from flywheel.trace import RetrievedContext

ASKED = "When does the ferry leave?"
ANSWERED = "At nine from pier two."


def said(role, text):
    return {"role": role, "content": text}


TALK = [said("system", "Be brief."), said("user", "Hello"), said("assistant", "Hi!"), said("user", ASKED)]

QUESTIONS = {
    "a plain text": ASKED,
    "a text encoded twice": json.dumps(json.dumps(ASKED)),
    "an object under a known key": {"query": ASKED, "k": 4},
    "the same as a JSON text": json.dumps({"user_input": ASKED}),
    "an argument of any name": {"ask": ASKED, "top_k": 4},
    "messages in OpenAI's style": {"messages": TALK, "model": "small"},
    "a list of messages": TALK,
    "parts of content": [said("user", [{"type": "text", "text": ASKED}, {"type": "image_url", "image_url": "x"}])],
    "messages in LangChain's style": {"messages": [{"type": "human", "content": ASKED, "id": None}]},
    "a batch of messages": {"messages": [[{"type": "system", "content": "no"}, {"type": "human", "content": ASKED}]]},
    "LangChain's own serialisation": [
        {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "HumanMessage"], "kwargs": {"content": ASKED}}
    ],
    "messages as dicts with data": [{"type": "human", "data": {"content": ASKED}}],
    "pairs of role and text": {"messages": [["system", "no"], ["human", ASKED]]},
    "contents in Gemini's style": {"model": "g", "contents": [{"role": "user", "parts": [{"text": ASKED}]}]},
    "contents that are one text": {"model": "g", "contents": ASKED},
    "parts of the GenAI conventions": [{"role": "user", "parts": [{"type": "text", "content": ASKED}]}],
    "arguments": {"args": [ASKED], "kwargs": {}},
    "arguments after another": {"args": [{"model": "x"}, ASKED], "kwargs": {"k": 3}},
    "keyword arguments": {"args": [], "kwargs": {"question": ASKED}},
    "an envelope that holds JSON": {"input": json.dumps({"messages": TALK})},
    "a prompt of one": {"prompts": [ASKED]},
    "the notation of Python": str({"question": ASKED, "history": None}),
    "an agent's new message": {"user_id": "u", "new_message": {"parts": [{"text": ASKED}], "role": "user"}},
    "an Anthropic talk with a tool's result": [
        said("user", ASKED), said("assistant", [{"type": "tool_use", "name": "t", "input": {}}]),
        said("user", [{"type": "tool_result", "content": "nine"}]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("shape", QUESTIONS)
def test_the_question_is_found_in(shape):
    assert question_of(QUESTIONS[shape]) == ASKED


ANSWERS = {
    "a plain text": ANSWERED,
    "a known key": {"answer": ANSWERED, "sources": ["p2"]},
    "a JSON text": json.dumps({"response": ANSWERED}),
    "choices of chat": {"id": "c", "choices": [{"index": 0, "message": said("assistant", ANSWERED)}], "model": "m"},
    "choices of completion": {"choices": [{"index": 0, "text": ANSWERED}]},
    "one choice": {"index": 0, "message": said("assistant", ANSWERED)},
    "the responses API": {
        "object": "response",
        "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": ANSWERED}]},
        ],
    },
    "Anthropic's content": {"content": [{"type": "text", "text": ANSWERED}], "role": "assistant"},
    "Gemini's candidates": {"candidates": [{"content": {"role": "model", "parts": [
        {"text": "hm", "thought": True}, {"text": ANSWERED}]}}]},
    "a Gemini content": {"content": {"parts": [{"text": ANSWERED}], "role": "model"}, "finish_reason": "STOP"},
    "the GenAI conventions": [{"role": "assistant", "parts": [
        {"type": "reasoning", "content": "hm"}, {"type": "text", "content": ANSWERED}]}],
    "LangChain generations": {"generations": [[{"text": ANSWERED, "generation_info": {}}]]},
    "messages of a graph": {"messages": [
        {"type": "human", "content": ASKED}, {"type": "ai", "content": "", "tool_calls": []},
        {"type": "tool", "content": "nine"}, {"type": "ai", "content": ANSWERED}]},
    "a refusal": {"role": "assistant", "content": None, "refusal": ANSWERED},
    "the notation of Python": "{'role': 'assistant', 'text': \"" + ANSWERED + '"}',
    "an unknown key": {"said": ANSWERED},
}  # fmt: skip


@pytest.mark.parametrize("shape", ANSWERS)
def test_the_answer_is_found_in(shape):
    assert answer_of(ANSWERS[shape]) == ANSWERED


@pytest.mark.parametrize("nothing", [None, "", "  ", {}, [], 7, True, "{}", "[]", {"tool_calls": [{"id": "a"}]}])
def test_nothing_is_neither_question_nor_answer(nothing):
    assert question_of(nothing) is None
    assert answer_of(nothing) is None


def test_an_assistants_message_is_no_question_and_a_users_no_answer():
    assert question_of([said("assistant", ANSWERED)]) is None
    assert answer_of([said("user", ASKED)]) is None
    assert answer_of([said("assistant", "Hi!"), said("user", ASKED)]) is None


def test_an_answer_that_is_itself_json_stays_as_the_model_wrote_it():
    structured = '{"answer": "nine", "certain": true}'
    assert answer_of([said("assistant", structured)]) == structured
    assert answer_of({"choices": [{"message": said("assistant", structured)}]}) == structured


def test_tool_calls_alone_are_no_answer():
    assert answer_of({"role": "assistant", "content": [{"type": "tool_use", "name": "t", "input": {}}]}) is None


def test_the_history_is_what_was_said_before_the_last_question():
    turns = [Turn("user", "Hello"), Turn("assistant", "Hi!")]
    assert history_of({"messages": TALK}) == turns
    assert history_of(json.dumps({"question": ASKED, "messages": TALK})) == turns


def test_a_history_of_its_own_is_read_with_or_without_the_question_at_its_end():
    turns = [Turn("user", "Hello"), Turn("assistant", "Hi!")]
    assert history_of({"question": ASKED, "chat_history": [["human", "Hello"], ["ai", "Hi!"]]}) == turns
    assert history_of({"question": ASKED, "history": TALK}) == turns
    assert history_of({"question": ASKED, "history": [["Hello", "Hi!"]]}) == turns


def test_a_text_has_no_history():
    assert history_of(ASKED) == []
    assert history_of({"question": ASKED}) == []


PASSAGE = RetrievedContext("p2", "The ferry leaves at nine.", 0.7, "piers.md")
ROW = {"id": "p2", "text": PASSAGE.text, "score": 0.7, "source": "piers.md"}

DOCUMENTS = {
    "plain objects": [ROW],
    "objects as a JSON text": json.dumps([ROW]),
    "objects under a key": {"documents": [ROW], "took": 3},
    "objects under an output": {"output": {"results": [ROW]}},
    "LangChain's documents": [
        {"id": "p2", "page_content": PASSAGE.text, "metadata": {"source": "piers.md", "score": 0.7}, "type": "Document"}
    ],
    "LangChain's own serialisation": [
        {"lc": 1, "type": "constructor", "id": ["langchain", "Document"],
         "kwargs": {"id": "p2", "page_content": PASSAGE.text, "metadata": {"source": "piers.md", "score": 0.7}}}
    ],
    "documents with their scores": [
        [{"id": "p2", "page_content": PASSAGE.text, "metadata": {"source": "piers.md"}}, 0.7]],
    "LlamaIndex's nodes": [
        {"node": {"id_": "p2", "text": PASSAGE.text, "metadata": {"file_name": "piers.md"}}, "score": 0.7}
    ],
    "a vector store's matches": {"matches": [
        {"id": "p2", "score": 0.7, "metadata": {"text": PASSAGE.text, "source": "piers.md"}}]},
    "Qdrant's points": {"points": [
        {"id": "p2", "score": 0.7, "payload": {"text": PASSAGE.text, "source": "piers.md"}}]},
    "a search engine's hits": {"hits": {"total": 1, "hits": [
        {"_id": "p2", "_score": 0.7, "_source": {"text": PASSAGE.text, "url": "piers.md"}}]}},
    "Chroma's columns": {
        "ids": [["p2"]], "documents": [[PASSAGE.text]], "distances": [[0.7]], "metadatas": [[{"source": "piers.md"}]]},
    "a reranker's results": {"results": [
        {"index": 0, "relevance_score": 0.7, "document": {"text": PASSAGE.text, "id": "p2"}, "source": "piers.md"}]},
    "a file search": {"data": [{"file_id": "p2", "filename": "piers.md", "score": 0.7,
                                "content": [{"type": "text", "text": PASSAGE.text}]}]},
    "a tool's message": {"type": "tool", "content": json.dumps([ROW])},
    "a list in a list": [[ROW]],
}  # fmt: skip


@pytest.mark.parametrize("shape", DOCUMENTS)
def test_a_passage_is_found_in(shape):
    assert documents_of(DOCUMENTS[shape]) == [PASSAGE]


def test_texts_are_passages_named_by_their_hash():
    first, second, again = documents_of(["one", "two", "one"])
    assert (first.text, second.text) == ("one", "two")
    assert first.id == again.id != second.id


def test_an_object_with_an_id_alone_is_a_passage_whose_text_was_left_out():
    assert documents_of([{"id": "p2", "score": 0.5}]) == [RetrievedContext("p2", "", 0.5)]


@pytest.mark.parametrize("empty", [[], "[]", {"documents": []}, {"results": []}, {"output": "[]"}, [[]]])
def test_an_empty_list_means_that_nothing_was_retrieved(empty):
    assert documents_of(empty) == []


@pytest.mark.parametrize(
    "other", [None, "", "some text", 7, {}, {"answer": "x"}, [1, 2], TALK, said("assistant", "x"), [None]]
)
def test_what_is_no_list_of_documents_gives_none(other):
    assert documents_of(other) is None


def test_a_chain_says_its_passages_only_under_a_name_that_means_passages():
    assert named_documents_of({"answer": "x", "source_documents": [ROW]}) == [PASSAGE]
    assert named_documents_of({"answer": "x", "results": [ROW]}) is None
    assert named_documents_of([ROW]) is None


def test_a_context_that_is_one_text_is_one_passage():
    (passage,) = named_documents_of({"answer": "x", "context": PASSAGE.text})
    assert passage.text == PASSAGE.text


def test_a_score_that_is_no_number_is_left_out():
    for score in (True, "high", 10**400, None):
        assert documents_of([{"id": "p", "text": "t", "score": score}])[0].score is None


def test_objects_in_pythons_notation_are_data_and_nothing_else():
    assert read_python("{'a': [1, -2.5, None, True], 'b': \"it's\\n\\u00e9\"}") == {
        "a": [1, -2.5, None, True], "b": "it's\né"
    }  # fmt: skip
    for text in (
        "{'a': f()}",
        "{'a': UUID('1')}",
        "{'a'",
        "['\\ud800']",
        "[" * 9,
        "['a'] + ['b']",
        "{'a': 1" + "0" * 5000 + "}",
    ):
        assert read_python(text) is None


def test_json_that_nests_without_end_is_left_as_a_text():
    deep = "[" * 200_000 + "]" * 200_000
    assert decoded(deep) == deep
    assert question_of(deep) == deep
    assert read_python("['" + "a" * 100 + "', " * 1 + "[" * 5000) is None


def nested(levels, inner):
    for level in range(levels):
        inner = {"messages": [inner]} if level % 2 else {"outputs": inner, "documents": [inner]}
    return inner


def test_a_payload_deeper_than_anyone_writes_is_given_up_soon():
    for levels in range(3, 60, 4):
        value = nested(levels, {"role": "user", "content": ASKED})
        for read in (question_of, answer_of, history_of, documents_of, named_documents_of):
            read(value)


KEYS = st.sampled_from([
    "messages", "content", "role", "type", "text", "parts", "output", "input", "documents", "id", "metadata", "kwargs",
    "args", "choices", "message", "results", "page_content", "score", "node", "history", "ids", "data", "x",
])  # fmt: skip
WORDS = st.sampled_from(
    ["user", "assistant", "human", "ai", "text", "constructor", "tool", "{}", "[]", '"a"', "[1]", ""]
)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | WORDS
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=5)
        | inner.map(lambda value: json.dumps(value, ensure_ascii=True))
        | inner.map(str)
    ),
    max_leaves=25,
)


@given(trees)
def test_no_tree_of_json_breaks_a_reader_and_each_gives_what_it_promises(tree):
    for read in (question_of, answer_of):
        text = read(tree)
        assert text is None or (isinstance(text, str) and text.strip())
    assert all(turn.role in ("user", "assistant") and turn.content for turn in history_of(tree))
    for passages in (documents_of(tree), named_documents_of(tree)):
        assert passages is None or all(passage.id and isinstance(passage.text, str) for passage in passages)


@given(st.text(alphabet="{}[]'\",:\\ uxN012nonTrue", max_size=60))
def test_no_text_breaks_the_decoder(text):
    decoded(text)
    read_python(text)
    question_of(text)


@pytest.mark.parametrize("kind", [["text"], {"of": "text"}, 7, True])
def test_a_part_whose_type_is_no_name_is_no_text(kind):
    parts = [{"type": kind, "text": "hidden"}, {"type": "text", "text": "How many?"}]
    assert question_of({"role": "user", "content": parts}) == "How many?"
