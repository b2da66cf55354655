"""Every trace format that the documentation names goes in by the command that it gives, with question and passages."""

import csv
import json
import re
import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import duckdb
import pandas
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pyarrow import parquet

from eval import errors
from flywheel.cli.main import cli
from flywheel.governance.pii import RECOGNISERS, redact
from flywheel.settings import Governance, Settings
from flywheel.sources import READERS
from flywheel.sources.mapped import NAME as MAPPED
from tests.flywheel.made_otlp import make_spans, request
from tests.flywheel.made_traces import MOMENT, make_trace, write_lines
from tests.test_docs import read, table_rows

FORMATS = read("formats.md").partition("## Trace formats")[2].partition("\n## ")[0]
QUESTION, ANSWER, PASSAGE = "How long is the trial?", "14 days.", "The trial runs 14 days."
LATER = "2026-11-03T10:00:02Z"


def rows_of_formats() -> list[list[str]]:
    """The rows of the table of formats."""
    return table_rows(FORMATS.partition("| format |")[2].partition("\n\n")[0])


def block(beginning: str) -> str:
    """The code block of the section that begins so, without its indent."""
    found = re.search(rf"^ {{4}}{re.escape(beginning)}.*?(?=^\S|\Z)", FORMATS, re.MULTILINE | re.DOTALL)
    assert found is not None, beginning
    return textwrap.dedent(found[0])


def write_native(path: Path) -> None:
    write_lines(path, make_trace("t1", user_input=QUESTION, response=ANSWER, passages=(PASSAGE,)))


def spans() -> list[dict[str, Any]]:
    return make_spans("t1", QUESTION, ANSWER, PASSAGE)


def write_otlp_json(path: Path) -> None:
    write_lines(path, request(*spans()))


def write_otlp_protobuf(path: Path) -> None:
    """As the collector's file exporter writes `format: proto`: a length of four bytes before each request."""
    binary = {key: key.endswith("Id") for key in ("traceId", "spanId", "parentSpanId")}
    told = [{k: v for k, v in span.items() if k not in binary} for span in spans()]
    message = json_format.ParseDict(request(*told), ExportTraceServiceRequest())
    for there, span in zip(message.resource_spans[0].scope_spans[0].spans, spans(), strict=True):
        there.trace_id, there.span_id = bytes.fromhex(span["traceId"]), bytes.fromhex(span["spanId"])
        there.parent_span_id = bytes.fromhex(span.get("parentSpanId", ""))
    packed = message.SerializeToString()
    path.write_bytes(len(packed).to_bytes(4, "big") + packed)


def langfuse_trace() -> dict[str, Any]:
    return {
        "id": "t1", "name": "ask", "timestamp": MOMENT, "environment": "production", "sessionId": "s1", "userId": None,
        "tags": [], "release": None, "version": None, "public": False, "bookmarked": False,
        "input": json.dumps(QUESTION), "output": json.dumps(ANSWER), "metadata": "{}",
    }  # fmt: skip


def langfuse_observations() -> list[dict[str, Any]]:
    steps: tuple[tuple[str, str, str | None, Any, Any], ...] = (
        ("o1", "CHAIN", None, QUESTION, ANSWER),
        ("o2", "RETRIEVER", "o1", "trial length", [{"id": "p1", "page_content": PASSAGE}]),
    )
    return [
        {"id": name, "traceId": "t1", "type": kind, "parentObservationId": parent, "name": kind.lower(),
         "startTime": MOMENT, "endTime": LATER, "level": "DEFAULT", "input": json.dumps(asked),
         "output": json.dumps(told)}
        for name, kind, parent, asked, told in steps
    ]  # fmt: skip


def write_langfuse_download(path: Path) -> None:
    score = {"id": "s1", "traceId": "t1", "name": "correct", "source": "ANNOTATION", "dataType": "BOOLEAN", "value": 1,
             "timestamp": LATER}  # fmt: skip
    told = {"trace": langfuse_trace(), "observations": langfuse_observations(), "scores": [score]}
    path.write_text(json.dumps(told, indent=2))


def write_langfuse_page(path: Path) -> None:
    path.write_text(json.dumps({"data": langfuse_observations(), "meta": {"cursor": None}}))


def write_langfuse_blob(path: Path) -> None:
    """One line an observation, in snake_case, with the fields of its trace."""
    lines = [
        {re.sub("([A-Z])", lambda letter: f"_{letter[1].lower()}", key): value for key, value in one.items()}
        | {"trace_name": "ask", "session_id": "s1"}
        for one in langfuse_observations()
    ]
    write_lines(path, *lines)


def write_langsmith(path: Path) -> None:
    steps: tuple[tuple[str, str, str | None, dict[str, Any], dict[str, Any]], ...] = (
        ("r1", "chain", None, {"question": QUESTION}, {"answer": ANSWER}),
        ("r2", "retriever", "r1", {"query": "trial"}, {"documents": [{"page_content": PASSAGE, "metadata": {}}]}),
    )
    runs = [
        {"id": name, "trace_id": "r1", "run_type": kind, "parent_run_id": parent, "name": kind, "start_time": MOMENT,
         "end_time": LATER, "inputs": asked, "outputs": told}
        for name, kind, parent, asked, told in steps
    ]  # fmt: skip
    write_lines(path, *runs)


def write_mlflow(path: Path) -> None:
    """MLflow's own writer, of a trace that MLflow's own classes hold."""
    from mlflow.entities import Trace

    def span(number: int, parent: int | None, kind: str, asked: Any, told: Any) -> dict[str, Any]:
        said = {"mlflow.spanType": kind, "mlflow.spanInputs": asked, "mlflow.spanOutputs": told,
                "mlflow.traceRequestId": "tr-1"}  # fmt: skip
        return {
            "trace_id": "LCyTmnKnbaINijZKiAb2IA==", "span_id": f"AAAAAAAAAA{number}=", "name": kind.lower(),
            "parent_span_id": f"AAAAAAAAAA{parent}=" if parent else None, "start_time_unix_nano": 1793700000000000000,
            "end_time_unix_nano": 1793700001000000000, "events": [],
            "status": {"code": "STATUS_CODE_OK", "message": ""},
            "attributes": {key: json.dumps(value) for key, value in said.items()},
        }  # fmt: skip

    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "1"}}
    info = {"trace_id": "tr-1", "trace_location": location, "request_time": MOMENT, "state": "OK", "tags": {},
            "trace_metadata": {"mlflow.trace_schema.version": "3"}, "execution_duration_ms": 1000}  # fmt: skip
    steps = [
        span(4, None, "CHAIN", {"question": QUESTION}, {"answer": ANSWER}),
        span(8, 4, "RETRIEVER", {"query": "trial"}, [{"id": "p1", "page_content": PASSAGE, "metadata": {}}]),
    ]
    path.write_text(Trace.from_dict({"info": info, "data": {"spans": steps}}).to_json() + "\n")


def phoenix_spans() -> pandas.DataFrame:
    """A table of spans with the columns and the index that Phoenix's client gives."""
    told = {"name": "ask", "start_time": pandas.Timestamp(MOMENT), "end_time": pandas.Timestamp(LATER),
            "status_code": "OK", "status_message": "", "context.trace_id": "a1" * 16}  # fmt: skip
    documents = [{"document.id": "p1", "document.content": PASSAGE, "document.score": 0.5}]
    rows = [
        told | {"span_kind": "CHAIN", "parent_id": None, "context.span_id": "b1" * 8,
                "attributes.input.value": QUESTION, "attributes.output.value": ANSWER},
        told | {"span_kind": "RETRIEVER", "parent_id": "b1" * 8, "context.span_id": "b2" * 8,
                "attributes.input.value": "trial", "attributes.retrieval.documents": documents},
    ]  # fmt: skip
    return pandas.DataFrame(rows).set_index("context.span_id", drop=False)


def write_phoenix_parquet(path: Path) -> None:
    phoenix_spans().to_parquet(path)


def write_phoenix_csv(path: Path) -> None:
    phoenix_spans().to_csv(path, index=False)


def write_phoenix_lines(path: Path) -> None:
    phoenix_spans().to_json(path, orient="records", lines=True, date_format="iso")


def write_trulens(path: Path) -> None:
    def event(name: str, parent: str, kind: str, said: dict[str, Any]) -> dict[str, Any]:
        attributes = {"ai.observability.record_id": "t1", "ai.observability.span_type": kind}
        return {
            "event_id": name, "record": {"name": f"Rag.{kind}", "kind": 1, "status": "STATUS_CODE_UNSET"},
            "record_attributes": attributes | {f"ai.observability.{key}": value for key, value in said.items()},
            "record_type": "SPAN", "resource_attributes": {"service.name": "made"},
            "start_timestamp": "2026-11-03 10:00:00.000000", "timestamp": "2026-11-03 10:00:02.500000",
            "trace": {"trace_id": "382855521138822", "span_id": name, "parent_id": parent},
        }  # fmt: skip

    write_lines(
        path,
        event("11", "", "record_root", {"record_root.input": QUESTION, "record_root.output": ANSWER}),
        event("12", "11", "retrieval", {"retrieval.query_text": "trial", "retrieval.retrieved_contexts": [PASSAGE]}),
    )


def write_attributes(path: Path) -> None:
    said = {"openinference.span.kind": "CHAIN", "input.value": QUESTION}
    output = {"answer": ANSWER, "source_documents": [{"page_content": PASSAGE, "metadata": {"source": "trial.md"}}]}
    path.write_text(json.dumps(said | {"output.value": json.dumps(output)}))


ROW = {
    "request_id": "t1", "asked_at": 1793700000, "question": QUESTION, "answer": ANSWER, "chat": "s1", "seconds": 1.25,
    "docs": [{"key": "p1", "body": PASSAGE, "file": "trial.md"}], "stars": 4, "team": "billing", "result": "done",
}  # fmt: skip


def write_own_lines(path: Path) -> None:
    write_lines(path, ROW)


def write_own_csv(path: Path) -> None:
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(ROW))
        table.writeheader()
        table.writerow(ROW | {"docs": json.dumps(ROW["docs"])})


def write_own_parquet(path: Path) -> None:
    parquet.write_table(pa.Table.from_pylist([ROW]), path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "traces.jsonl": write_native,
    "otlp.jsonl": write_otlp_json,
    "otlp.binpb": write_otlp_protobuf,
    "trace-t1.json": write_langfuse_download,
    "observations.json": write_langfuse_page,
    "observations.jsonl": write_langfuse_blob,
    "runs.jsonl": write_langsmith,
    "mlflow.jsonl": write_mlflow,
    "spans.parquet": write_phoenix_parquet,
    "spans.csv": write_phoenix_csv,
    "spans.jsonl": write_phoenix_lines,
    "events.jsonl": write_trulens,
    "attributes.json": write_attributes,
    "logs.jsonl": write_own_lines,
    "logs.csv": write_own_csv,
    "logs.parquet": write_own_parquet,
}


def give(workspace: Path, words: list[str]) -> Result:
    """Give a command in a workspace; an error is an error."""
    return CliRunner().invoke(cli, ["--workspace", str(workspace), *words], catch_exceptions=False)


def stored(workspace: Path) -> list[dict[str, Any]]:
    """The traces of a workspace's warehouse."""
    with duckdb.connect(workspace / "warehouse.duckdb", read_only=True) as db:
        rows: list[dict[str, Any]] = db.sql("select * from trace order by trace_id").to_arrow_table().to_pylist()
    return rows


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with the mapping that the page shows."""
    (tmp_path / "mapping.toml").write_text(block("[fields]"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_format_has_a_row():
    assert {row[0].split()[0].strip("`") for row in rows_of_formats()} == {*READERS, MAPPED}


@pytest.mark.parametrize("row", rows_of_formats(), ids=lambda row: row[0])
def test_the_command_of_a_format_adds_a_trace_with_a_passage(row: list[str], here: Path):
    name, *_, command = row
    words = shlex.split(command.strip("`"))[1:]
    WRITERS[words[1]](here / words[1])
    ran = give(here, [*words, "--output", "json"])
    assert ran.exit_code == errors.OK, ran.output
    (told,) = json.loads(ran.stdout)["files"]
    assert (told["format"], told["rejected"]) == (name.split()[0].strip("`"), 0)
    (trace,) = stored(here)
    assert (trace["user_input"], trace["response"], trace["contexts_missing"]) == (QUESTION, ANSWER, False)
    assert [context["text"] for context in trace["retrieved_contexts"]] == [PASSAGE]


def test_the_mapping_of_the_page_maps_each_of_its_fields(here: Path):
    write_own_lines(here / "logs.jsonl")
    assert give(here, ["ingest", "logs.jsonl"]).exit_code == errors.OK  # mapping.toml lies beside it
    (trace,) = stored(here)
    assert (trace["trace_id"], trace["session_id"], trace["environment"]) == ("t1", "s1", "production")
    assert (trace["latency_ms"], trace["status"], trace["rating"]) == (1250, "ok", 4)
    assert (json.loads(trace["metadata"]), trace["week"]) == ({"team": "billing"}, "2026-W45")
    assert trace["retrieved_contexts"][0] == {"id": "p1", "text": PASSAGE, "score": None, "source": "trial.md"}


def test_the_suggested_mapping_can_be_used_as_it_is(here: Path):
    write_own_lines(here / "logs.jsonl")
    (command,) = re.findall(r"^ {4}flywheel (.*--suggest-mapping)$", FORMATS, re.MULTILINE)
    (here / "mapping.toml").write_text(give(here, shlex.split(command)).stdout)
    assert give(here, ["ingest", "logs.jsonl", "--mapping", "mapping.toml"]).exit_code == errors.OK
    assert stored(here)[0]["retrieved_contexts"][0]["text"] == PASSAGE


def test_the_corpus_gives_passages_their_texts(here: Path):
    lines = make_spans("t1", QUESTION, ANSWER, "")
    write_lines(here / "otlp.jsonl", request(*lines))
    write_lines(here / "passages.jsonl", {"id": "p1", "text": PASSAGE})
    (command,) = re.findall(r"^ {4}flywheel (.*--corpus.*)$", FORMATS, re.MULTILINE)
    assert give(here, ["ingest", "otlp.jsonl"]).exit_code == errors.OK
    assert stored(here)[0]["contexts_missing"]
    assert give(here, shlex.split(command)).exit_code == errors.OK
    (trace,) = stored(here)
    assert (trace["contexts_missing"], trace["retrieved_contexts"][0]["text"]) == (False, PASSAGE)


@pytest.mark.parametrize(("told", "is_missing"), [([], False), (None, True), ("absent", True)])
def test_a_native_line_without_passages_says_whether_it_knows(here: Path, told: list[Any] | None, is_missing: bool):
    line = make_trace("t1", retrieved_contexts=told)
    if told == "absent":
        del line["retrieved_contexts"]
    write_lines(here / "traces.jsonl", line)
    give(here, ["ingest", "traces.jsonl"])
    assert stored(here)[0]["contexts_missing"] is is_missing


def test_a_rejected_record_goes_in_once_its_limit_is_raised(here: Path, monkeypatch: pytest.MonkeyPatch):
    write_lines(here / "traces.jsonl", make_trace("t1"), make_trace("t2", metadata={"a": {"b": {"c": 1}}}))
    monkeypatch.setenv("FLYWHEEL_INGEST__MAX_NESTING", "3")
    assert give(here, ["ingest", "traces.jsonl"]).exit_code == errors.OK
    assert [trace["trace_id"] for trace in stored(here)] == ["t1"]
    monkeypatch.delenv("FLYWHEEL_INGEST__MAX_NESTING")
    (command,) = re.findall(r"^ {4}flywheel (.*--retry-quarantine)$", FORMATS, re.MULTILINE)
    assert give(here, shlex.split(command)).exit_code == errors.OK
    assert [trace["trace_id"] for trace in stored(here)] == ["t1", "t2"]


def test_the_kinds_of_personal_data_are_those_of_the_code():
    page = read("privacy.md")
    kinds = table_rows(page.partition("| kind |")[2].partition("\n\n")[0])
    assert {row[0].strip("`") for row in kinds} == set(Settings().governance.pii) == set(RECOGNISERS)
    modes = table_rows(page.partition("| value |")[2].partition("\n\n")[0])
    assert [row[0].split()[0].strip("`") for row in modes] == list(
        get_args(Governance.model_fields["redact"].annotation)
    )


def test_the_masks_of_the_page_are_those_of_the_code():
    page = read("privacy.md")
    found = re.search(r"`([^`]+)` becomes `([^`]+)`", page)
    assert found is not None
    assert redact(found[1], RECOGNISERS.values()) == found[2]


def test_the_recognisers_of_the_page_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shown = textwrap.dedent("".join(re.findall(r"^ {4}.*\n", read("privacy.md"), re.MULTILINE)))
    rules = """
        from flywheel.governance.pii import Finding

        def find_tickets(text):
            at = text.find("TCK-")
            if at >= 0:
                yield Finding("ticket", at, at + 8)
    """
    (tmp_path / "my_rules.py").write_text(textwrap.dedent(rules))
    (tmp_path / "flywheel.toml").write_text(shown + 'redact = "store"\n')
    monkeypatch.syspath_prepend(tmp_path)
    write_lines(tmp_path / "traces.jsonl", make_trace("t1", user_input="TCK-1234 of C-123456 (ann@example.org)"))
    assert give(tmp_path, ["ingest", str(tmp_path / "traces.jsonl")]).exit_code == errors.OK
    assert stored(tmp_path)[0]["user_input"] == "████████ of ████████ ([email████████])"


def test_every_sample_is_that_of_a_row():
    assert {shlex.split(row[-1].strip("`"))[2] for row in rows_of_formats()} == set(WRITERS)
