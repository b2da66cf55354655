import csv
import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from eval.errors import UserError
from flywheel.sources import phoenix
from flywheel.sources.assemble import assemble
from flywheel.sources.delivery import Delivery
from flywheel.sources.records import Blank, ExportedScore, Found, Rejected, Span

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
TRACE = "a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4"


def row(span_id, kind, seconds, **fields):
    return {
        "name": kind.lower(),
        "span_kind": kind,
        "parent_id": None,
        "start_time": NOON + timedelta(seconds=seconds),
        "end_time": NOON + timedelta(seconds=seconds + 1),
        "status_code": "OK",
        "status_message": "",
        "events": [],
        "context.span_id": span_id,
        "context.trace_id": TRACE,
    } | fields


def message(role, content):
    return {"message.role": role, "message.content": content}


SAID = {"attributes.input.value": "How long is the trial?", "attributes.output.value": "14 days."}
CHAIN = row("00000000000000a1", "CHAIN", 0, **SAID)
RETRIEVER = row(
    "00000000000000b2",
    "RETRIEVER",
    1,
    parent_id="00000000000000a1",
    **{
        "attributes.input.value": "trial length",
        "attributes.retrieval.documents": [
            {"document.id": "plans.md", "document.content": "The trial runs 14 days.", "document.score": 0.5},
            {"document.id": "cancel.md", "document.content": "Cancel any time.", "document.score": None},
        ],
    },
)
LLM = row(
    "00000000000000c3",
    "LLM",
    2,
    parent_id="00000000000000a1",
    **{
        "attributes.llm.model_name": "m1",
        "attributes.llm.input_messages": [message("system", "Be brief."), message("user", "How long?")],
        "attributes.llm.output_messages": [message("assistant", "14 days.")],
        "attributes.llm.token_count.prompt": 90,
        "attributes.llm.token_count.completion": 7,
        "attributes.metadata": {"team": "billing"},
    },
)
ROWS = [CHAIN, RETRIEVER, LLM]


def as_json(record):
    return json.dumps(record, default=datetime.isoformat)


def nested(record):
    """The same span as Phoenix's HTTP interface gives it."""
    attributes = {
        key.removeprefix("attributes."): value for key, value in record.items() if key.startswith("attributes.")
    }
    context = {"trace_id": record["context.trace_id"], "span_id": record["context.span_id"]}
    plain = {key: value for key, value in record.items() if not key.startswith(("attributes.", "context."))}
    return plain | {"context": context, "attributes": attributes}


def write(path, form, rows):
    if form == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    elif form == "csv":
        names = list(dict.fromkeys(name for row in rows for name in row))
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, names)
            table.writeheader()
            for row in rows:
                table.writerow({k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in row.items()})
    elif form == "jsonl":
        path.write_text("\n".join(map(as_json, rows)))
    else:
        path.write_text(as_json({"data": [nested(row) for row in rows], "next_cursor": None}))
    return path


def union(rows):
    """Rows as of a data frame: every one has every column."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in names} for row in rows]


@pytest.fixture(params=["parquet", "csv", "jsonl", "json"])
def spans_file(request, tmp_path):
    return write(tmp_path / f"spans.{request.param}", request.param, union(ROWS))


def test_spans_in_every_form_are_recognised_and_make_one_trace(spans_file):
    delivery = Delivery(spans_file)
    assert phoenix.recognise(delivery.head) is not None
    items = list(phoenix.read(delivery))
    assert all(isinstance(item, Found) for item in items), items
    trace = assemble([item.what for item in items]).trace
    assert (trace.trace_id, trace.user_input, trace.response) == (TRACE, "How long is the trial?", "14 days.")
    assert [(passage.id, passage.score) for passage in trace.retrieved_contexts] == [
        ("plans.md", 0.5),
        ("cancel.md", None),
    ]
    assert (trace.timestamp, trace.latency_ms, trace.model) == (NOON, 1000.0, "m1")
    assert (trace.input_tokens, trace.output_tokens) == (90, 7)
    assert delivery.size == spans_file.stat().st_size


def read(path, rows, form="parquet"):
    return list(phoenix.read(Delivery(write(path / f"x.{form}", form, rows))))


def test_kinds_parents_and_messages_are_read(tmp_path):
    spans = [item.what for item in read(tmp_path, union(ROWS))]
    assert [span.kind for span in spans] == ["chain", "retriever", "llm"]
    assert [span.parent_id for span in spans] == [None, "00000000000000a1", "00000000000000a1"]
    assert (spans[2].question, spans[2].answer) == ("How long?", "14 days.")


def test_an_error_and_its_message_are_read(tmp_path):
    (item,) = read(tmp_path, [CHAIN | {"status_code": "ERROR", "status_message": "timeout"}])
    assert (item.what.is_error, item.what.error) == (True, "timeout")


def test_a_row_without_a_trace_id_is_rejected_and_can_be_read_again(tmp_path):
    rejected, found = read(tmp_path, [CHAIN | {"context.trace_id": None}, LLM])
    assert (type(found), rejected.reason) == (Found, "the span 'chain' has no trace id")
    again = tmp_path / "again.jsonl"
    again.write_bytes(rejected.raw)
    assert [item.reason for item in phoenix.read(Delivery(again))] == [rejected.reason]


def test_evaluations_beside_spans_are_scores(tmp_path):
    said = {"eval.Relevance.label": "relevant", "eval.Relevance.score": 1.0, "eval.Relevance.explanation": "on topic"}
    _, item = read(tmp_path, [CHAIN | said])
    score = item.what
    assert isinstance(score, ExportedScore)
    assert (score.name, score.label, score.value, score.comment) == ("Relevance", "relevant", 1.0, "on topic")
    assert (score.trace_id, score.span_id, score.source) == (TRACE, CHAIN["context.span_id"], "unknown")


def test_annotations_of_people_are_scores(tmp_path):
    said = [{"name": "quality", "annotator_kind": "HUMAN", "result": {"label": "good", "score": 0.9}}]
    _, item = read(tmp_path, [CHAIN | {"annotations": said}], "jsonl")
    assert (item.what.name, item.what.source, item.what.value) == ("quality", "human", 0.9)


def test_a_span_of_a_time_that_is_none_is_rejected(tmp_path):
    (item,) = read(tmp_path, [json.loads(as_json(CHAIN)) | {"start_time": "noon"}], "jsonl")
    assert item.reason == "no moment in time - at `$.start_time`"


def test_a_large_table_is_recognised_by_the_columns_at_its_end(tmp_path):
    path = tmp_path / "spans.parquet"
    big = [
        CHAIN | {"attributes.output.value": "".join(chr(33 + (i * i + n) % 9000) for i in range(9000))}
        for n in range(90)
    ]
    parquet.write_table(pa.Table.from_pylist(big), path, compression="none", use_dictionary=False)
    assert path.stat().st_size > 1 << 20
    assert phoenix.recognise(Delivery(path).head) is not None


def test_other_files_are_not_taken_for_phoenix(tmp_path):
    for form in ("parquet", "csv", "jsonl"):
        assert phoenix.recognise(Delivery(write(tmp_path / f"x.{form}", form, [{"q": "Why?"}])).head) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.just("[{}]"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
COLUMNS = [*CHAIN, *RETRIEVER, *LLM, "eval.x.score", "annotations", "attributes", "context", "data"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.sampled_from(COLUMNS), VALUES, max_size=5))
def test_whatever_the_columns_hold_every_row_is_accounted_for(tmp_path, changed):
    for record in (json.loads(as_json(CHAIN)) | changed, changed):
        items = read(tmp_path, [record, json.loads(as_json(LLM))], "jsonl")
        assert items
        assert isinstance(items[-1].what, Span)
        assert {item.line for item in items} >= {2}
        assert all(isinstance(item, Found | Rejected | Blank) for item in items)


def test_a_file_cut_off_is_a_user_error(tmp_path):
    path = write(tmp_path / "x.parquet", "parquet", [CHAIN])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"x\.parquet"):
        list(phoenix.read(Delivery(path)))


def test_a_page_without_spans_is_blank(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"data": [], "next_cursor": null}')
    assert list(phoenix.read(Delivery(path))) == [Blank(1)]
