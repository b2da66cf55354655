import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import pytest
import uvicorn
from fastapi.testclient import TestClient

from eval.cases import GoldenCase
from eval.errors import OperationalError
from eval.pipeline import open_pipeline
from flywheel.serving.answer import ABSTENTION
from flywheel.serving.app import create_app
from flywheel.serving.pipeline import RagPipeline
from flywheel.serving.trace_log import TraceLog
from flywheel.trace import Trace

from .conftest import CHUNKS

QUESTION = "When does the trial of the Plus plan end?"


def traces(folder: Path) -> list[Trace]:
    found = b"".join(path.read_bytes() for path in folder.glob("*.jsonl"))
    return msgspec.json.Decoder(Trace).decode_lines(found)


def client_of(pipeline: RagPipeline, folder: Path) -> TestClient:
    app = create_app(pipeline, TraceLog(folder))
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


@pytest.fixture
def client(pipeline: RagPipeline, tmp_path: Path) -> TestClient:
    return client_of(pipeline, tmp_path / "traces")


@pytest.fixture
def served(pipeline: RagPipeline, tmp_path: Path) -> Iterator[str]:
    """The URL of the service on a real socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = create_app(pipeline, TraceLog(tmp_path / "traces"))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_a_question_is_answered_and_its_trace_is_in_the_landing_folder(served: str, tmp_path: Path):
    body = {"question": QUESTION, "session_id": "s1", "user_id": "u1", "tenant_id": "acme", "metadata": {"a": 1.5}}
    reply = httpx.post(f"{served}/query", json=body)
    found = reply.json()
    assert reply.status_code == 200
    assert found["answer"] == CHUNKS[1].text
    assert found["passages"][0] | {"score": 0} == {
        "id": "trial",
        "text": CHUNKS[1].text,
        "score": 0,
        "source": "trial.md",
    }
    assert (found["model"], found["prompt_version"]) == ("extractive", "v1")
    [trace] = traces(tmp_path / "traces")
    assert (trace.trace_id, trace.response, trace.latency_ms) == (
        found["trace_id"],
        found["answer"],
        found["latency_ms"],
    )
    assert (trace.user_input, trace.session_id, trace.tenant_id, trace.metadata) == (QUESTION, "s1", "acme", {"a": 1.5})


def test_questions_at_the_same_time_all_leave_a_whole_line(served: str, tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda n: httpx.post(f"{served}/query", json={"question": f"Refund {n}?"}), range(40)))
    assert {reply.status_code for reply in replies} == {200}
    assert {trace.trace_id for trace in traces(tmp_path / "traces")} == {reply.json()["trace_id"] for reply in replies}


def test_the_suite_can_ask_the_service(served: str):
    case = GoldenCase(case_id="c1", user_input=QUESTION, reference="14 days")
    with open_pipeline(f"{served}/query") as suite:
        answer = suite.ask(case, 0)
    assert (answer.status, answer.response, answer.passages[0].id) == ("ok", CHUNKS[1].text, "trial")


def test_it_abstains_when_nothing_fits(client: TestClient):
    assert client.post("/query", json={"question": "Quelle est la capitale du Togo"}).json()["answer"] == ABSTENTION


def test_given_passages_take_the_place_of_a_search(client: TestClient):
    body = {"question": QUESTION, "passages": [{"id": "x", "text": "The trial of the Plus plan ends after 99 days."}]}
    found = client.post("/query", json=body).json()
    assert found["answer"] == body["passages"][0]["text"]
    assert [passage["id"] for passage in found["passages"]] == ["x"]


@pytest.mark.parametrize(
    "question",
    [
        "../../etc/passwd",
        "'; drop table points; --",
        "<script>alert(1)</script>",
        "{{7*7}} %s \x00 \u202e",
        "\n" * 9 + "?",
    ],
)
def test_a_hostile_question_is_only_data(client: TestClient, tmp_path: Path, question: str):
    reply = client.post("/query", json={"question": question})
    assert reply.status_code == 200
    [trace] = traces(tmp_path / "traces")
    assert trace.user_input == question.strip()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"question": ""},
        {"question": "  "},
        {"question": None},
        {"question": "x" * 4001},
        {"question": "x", "top_k": 3},
        {"question": "x", "session_id": "s" * 257},
        {"question": "x", "metadata": {"a": {"b": 1}}},
        {"question": "x", "metadata": {str(n): n for n in range(51)}},
        {"question": "x", "passages": [{"id": "x"}]},
        [],
        "x",
    ],
)
def test_a_request_of_another_shape_is_refused_and_not_logged(client: TestClient, tmp_path: Path, body: object):
    reply = client.post("/query", json=body)
    assert reply.status_code == 422
    assert list(reply.json()) == ["error"]
    assert traces(tmp_path / "traces") == []


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff\xfe",
        b'{"question": "\\ud800"}',
        b'{"question": NaN}',
        b'{"question": "x", "metadata": {"a": 1e400}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_json_is_refused(client: TestClient, content: bytes):
    reply = client.post("/query", content=content, headers={"content-type": "application/json"})
    assert 400 <= reply.status_code < 500
    assert list(reply.json()) == ["error"]


def test_metadata_keeps_its_types(client: TestClient, tmp_path: Path):
    metadata = {"flag": True, "count": 3, "share": 0.5, "name": "3", "none": None}
    client.post("/query", json={"question": "x", "metadata": metadata})
    [trace] = traces(tmp_path / "traces")
    assert trace.metadata == metadata
    assert [type(value) for value in trace.metadata.values()] == [bool, int, float, str, type(None)]


def test_a_body_that_is_too_large_is_refused(client: TestClient):
    reply = client.post("/query", json={"question": "x" * 600_000})
    assert (reply.status_code, list(reply.json())) == (413, ["error"])


def test_a_body_without_a_length_is_refused_as_soon_as_it_is_too_large(served: str):
    chunks = (b" " * 100_000 for _ in range(6))
    reply = httpx.post(f"{served}/query", content=chunks, headers={"content-type": "application/json"})
    assert reply.status_code == 413


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1"])
def test_a_request_under_another_name_is_refused(client: TestClient, host: str):
    assert client.get("/health", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:8400", "127.0.0.1:1", "[::1]:8400"])
def test_this_machine_is_answered_under_each_of_its_names(client: TestClient, host: str):
    assert client.get("/health", headers={"host": host}).status_code == 200


def test_a_form_of_a_web_page_cannot_ask(client: TestClient):
    reply = client.post("/query", content=b'{"question": "x"}', headers={"content-type": "text/plain"})
    assert (reply.status_code, list(reply.json())) == (422, ["error"])


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/nothing"])
def test_there_are_no_pages(client: TestClient, path: str):
    reply = client.get(path)
    assert (reply.status_code, list(reply.json())) == (404, ["error"])


def test_health_tells_the_size_of_the_index_and_the_model(client: TestClient):
    assert client.get("/health").json() == {
        "status": "ok",
        "passages": 3,
        "model": "extractive",
        "prompt_version": "v1",
        "traces_lost": 0,
    }


@pytest.mark.parametrize(
    ("error", "status"), [(OperationalError("model at 10.0.0.7 is down"), 503), (KeyError("bug"), 500)]
)
def test_a_failure_is_logged_as_an_error_and_told_without_detail(
    pipeline: RagPipeline, tmp_path: Path, error: Exception, status: int
):
    def fail(question, hits):
        raise error

    reply = client_of(replace(pipeline, answerer=fail), tmp_path / "traces").post("/query", json={"question": "Why?"})
    [trace] = traces(tmp_path / "traces")
    assert reply.status_code == status
    assert reply.json() == {"error": f"no answer could be given; see trace {trace.trace_id}"}
    assert (trace.status, trace.user_input, trace.response) == ("error", "Why?", None)
    assert str(error) in trace.error


def test_a_trace_that_cannot_be_written_costs_no_answer_and_shows_in_health(pipeline: RagPipeline, tmp_path: Path):
    (tmp_path / "traces").write_text("a file where the folder should be")
    client = client_of(pipeline, tmp_path / "traces")
    assert client.post("/query", json={"question": QUESTION}).json()["answer"] == CHUNKS[1].text
    health = client.get("/health").json()
    assert (health["status"], health["traces_lost"]) == ("degraded", 1)
