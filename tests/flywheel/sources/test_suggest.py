import csv
import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from eval.errors import UserError
from flywheel.sources import mapped
from flywheel.sources.delivery import Delivery
from flywheel.sources.mapping import parse_mapping
from flywheel.sources.records import Found
from flywheel.sources.suggest import explain_unknown, suggest_mapping

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
QUESTIONS = [f"What does plan number {number} cost?" for number in range(20)]
ANSWERS = [f"Plan number {number} costs {number} euros a month, billed once a year." for number in range(20)]
PASSAGES = [["Plans are billed once a year.", f"Plan {number}: {number} euros."] for number in range(20)]


@pytest.fixture
def written(tmp_path):
    def write(records, name="logs.jsonl"):
        path = tmp_path / name
        lines = [json.dumps(record) for record in records]
        path.write_text(f"[{','.join(lines)}]" if name.endswith(".json") else "\n".join(lines))
        return path

    return write


def ingested(path):
    """Suggest a mapping, read the file with it, and give the traces; every record must give one."""
    suggestion = suggest_mapping(Delivery(path))
    assert suggestion.missing == (), suggestion.text
    items = list(mapped.read(Delivery(path), parse_mapping(suggestion.text, "suggested.toml")))
    assert all(isinstance(item, Found) for item in items), (items[0], suggestion.text)
    assert [item.what.user_input for item in items] == QUESTIONS
    assert [item.what.response for item in items] == ANSWERS
    assert [[passage.text for passage in item.what.retrieved_contexts] for item in items] == PASSAGES
    return [item.what for item in items]


def rows(make):
    return [make(*row) for row in zip(range(20), QUESTIONS, ANSWERS, PASSAGES, strict=True)]


def test_records_of_ragas_are_ingested_by_the_suggested_mapping(written):
    made = rows(
        lambda _, q, a, p: {"user_input": q, "response": a, "retrieved_contexts": p, "reference": "x", "rubrics": None}
    )
    ingested(written(made))


def test_cases_of_deepeval_are_ingested_with_what_was_retrieved_and_not_the_ideal(written):
    made = rows(
        lambda _, q, a, p: {
            "name": None,
            "input": q,
            "actual_output": a,
            "expected_output": "ideal",
            "context": ["ideal"],
            "retrieval_context": p,
        }
    )
    ingested(written(made, "cases.json"))


def test_nested_inputs_and_outputs_as_of_mlflow_are_ingested(written):
    made = rows(
        lambda number, q, a, p: {
            "request_id": f"tr-{number}",
            "timestamp_ms": 1793707200_000 + number,
            "execution_time_ms": 500 + number,
            "inputs": {"question": q, "k": 4},
            "outputs": {
                "answer": a,
                "documents": [{"page_content": text, "metadata": {"source": "x.md"}} for text in p],
            },
            "tags": {"mlflow.user": "ada"},
        }
    )
    traces = ingested(written(made))
    assert (traces[3].trace_id, traces[3].latency_ms) == ("tr-3", 503.0)
    assert traces[3].timestamp == NOON + timedelta(milliseconds=3)
    assert traces[3].retrieved_contexts[0].source == "x.md"


def test_requests_and_responses_as_json_texts_are_ingested(written):
    made = rows(
        lambda number, q, a, p: {
            "request": json.dumps({"messages": [{"role": "user", "content": q}]}),
            "response": json.dumps({"choices": [{"message": {"role": "assistant", "content": a}}]}),
            "chunks": [{"content": text, "doc_id": f"d{number}", "score": 0.5} for text in p],
        }
    )
    traces = ingested(written(made))
    assert (traces[3].retrieved_contexts[0].id, traces[3].retrieved_contexts[0].score) == ("d3", 0.5)


@pytest.mark.parametrize(("write", "delimiter"), [(json.dumps, ","), (str, ";")])
def test_a_table_with_lists_in_its_cells_is_ingested(tmp_path, write, delimiter):
    path = tmp_path / "logs.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter=delimiter)
        table.writerow(["id", "created_at", "question", "answer", "contexts", "latency", "model"])
        for number, q, a, p in rows(lambda *row: row):
            table.writerow([number, NOON + timedelta(minutes=-number), q, a, write(p), 0.5 + number, "m1"])
    traces = ingested(path)
    assert (traces[2].trace_id, traces[2].timestamp, traces[2].latency_ms) == ("2", NOON - timedelta(minutes=2), 2500.0)
    assert traces[2].model == "m1"


def test_parquet_with_lists_of_structs_is_ingested(tmp_path):
    made = rows(
        lambda number, q, a, p: {
            "traceId": f"t{number}",
            "ts": NOON - timedelta(minutes=number),
            "payload": {"q": q, "a": a},
            "docs": [{"body": text, "sim": 0.25} for text in p],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3},
        }
    )
    parquet.write_table(pa.Table.from_pylist(made), tmp_path / "logs.parquet")
    traces = ingested(tmp_path / "logs.parquet")
    assert (traces[1].trace_id, traces[1].timestamp) == ("t1", NOON - timedelta(minutes=1))
    assert (traces[1].input_tokens, traces[1].output_tokens) == (7, 3)
    assert traces[1].retrieved_contexts[0].score == 0.25


def test_a_field_that_lies_in_two_places_gets_both(written):
    path = written([{"q": "Why?", "model": "m1"}, {"q": "How?", "meta": {"model": "m2"}}])
    suggestion = suggest_mapping(Delivery(path))
    assert 'model = ["model", "meta.model"]' in suggestion.text


def test_ids_that_repeat_and_times_that_are_none_are_not_suggested(written):
    path = written([{"id": 1, "time": "soon", "q": "Why?"}, {"id": 1, "time": "late", "q": "How?"}])
    text = suggest_mapping(Delivery(path)).text
    assert '# trace_id = "..."' in text
    assert '# timestamp = "..."' in text


def test_a_suggestion_names_fields_and_never_what_they_hold(written):
    path = written(
        [{"id": f"secret-{number}", "q": f"secret {number}", "docs": [{"body": "secret"}]} for number in range(3)]
    )
    suggestion = suggest_mapping(Delivery(path))
    assert suggestion.fields_found == ("id", "q", "docs[].body")
    assert "secret" not in suggestion.text


def test_a_file_without_a_question_is_missing_it_and_says_what_to_try(written):
    path = written([{"ts": "2026-11-03", "payload": {"x": "Hello", "y": 1}, "docs": [{"body": "one"}]}])
    assert suggest_mapping(Delivery(path)).missing == ("user_input",)
    assert explain_unknown("logs.jsonl", Delivery(path)).splitlines() == [
        "logs.jsonl has no field that looks like a question (looked for: user_input, question, query, user_query, "
        "user_question, user_message, prompt, input, ...)",
        "  fields found: ts, payload.x, payload.y, docs[].body",
        "  try: flywheel ingest logs.jsonl --suggest-mapping",
    ]


def test_a_file_with_a_question_in_no_known_format_is_told_so(written):
    said = explain_unknown("logs.jsonl", Delivery(written([{"payload": {"q": "Why?"}}])))
    assert said.startswith("logs.jsonl is in no format that flywheel knows, though payload.q looks like the question")


def test_a_file_without_records_is_told_so(tmp_path):
    (tmp_path / "logs.bin").write_bytes(b"\x00\x01")
    assert "no record that can be read" in explain_unknown("logs.bin", Delivery(tmp_path / "logs.bin"))


def test_keys_of_strangers_are_written_so_that_they_are_read_back(written):
    key = 'a "b".c\\[0]\n'
    path = written([{key: {"question": "Why?"}}])
    suggestion = suggest_mapping(Delivery(path))
    (item,) = mapped.read(Delivery(path), parse_mapping(suggestion.text, "m"))
    assert item.what.user_input == "Why?"


KEYS = st.sampled_from(["question", "q", "answer", "docs", "text", "id", "ts", "inputs", "messages", "role"]) | st.text(
    max_size=5
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.just("[1]"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=5), max_size=4))
@example([{"question": "Why?", "\ud83d": 1, "\U0001f600": 2, "\x7f": {"q": "x"}}])
def test_a_suggestion_for_any_records_is_a_mapping_or_names_what_is_missing(written, records):
    path = written(records)
    suggestion = suggest_mapping(Delivery(path))
    explain_unknown(path.name, Delivery(path))
    if suggestion.missing:
        with pytest.raises(UserError, match="user_input is missing"):
            parse_mapping(suggestion.text, "m")
    else:
        list(mapped.read(Delivery(path), parse_mapping(suggestion.text, "m")))


def test_records_that_a_document_wraps_are_found(written):
    made = rows(lambda number, q, a, p: {"id": number, "question": q, "answer": a, "contexts": p})
    path = written([{"name": "export", "tags": [1], "data": made}])
    assert 'records = "data"' in suggest_mapping(Delivery(path)).text
    assert ingested(path)[4].trace_id == "4"


def test_fields_side_by_side_are_preferred_to_equal_ones_elsewhere(written):
    one, other = {"response": "Short.", "model": "m1"}, {"response": "A longer answer.", "model": "m2"}
    text = suggest_mapping(Delivery(written([{"q": "Why?", "one": one, "other": other}]))).text
    assert 'response = "other.response"' in text
    assert 'model = "other.model"' in text


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("expertqa/rand_val.jsonl.gz", 'user_input = "question"'),
        ("begin_wow/begin_dev_wow.tsv.gz", 'response = "response"'),
        ("mtrag/mtragun_reference.jsonl.gz", 'list = "contexts"'),
        ("ragchecker/human_labeled_data.json.gz", 'user_input = "query"'),
        ("ragtruth/by_source/ragtruth_qa.jsonl.gz", 'texts = "source.passages"'),
    ],
)
def test_every_record_of_a_public_data_set_is_read_by_the_suggested_mapping(data_dir, name, said):
    suggestion = suggest_mapping(Delivery(data_dir / name))
    assert said in suggestion.text
    items = list(mapped.read(Delivery(data_dir / name), parse_mapping(suggestion.text, "m")))
    assert len(items) > 100
    assert all(isinstance(item, Found) for item in items)
