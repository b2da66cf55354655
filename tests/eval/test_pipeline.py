import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

import eval.pipeline
from eval.cases import GoldenCase
from eval.errors import UserError
from eval.pipeline import Answer, Shape, open_pipeline
from eval.sample import Passage

CASE = GoldenCase("c1", "When does it end?")


class Service(BaseHTTPRequestHandler):
    """Answers by what the question asks for."""

    seen: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append(asked)
        question = asked.get("question", asked.get("q", ""))
        failures = sum(one.get("question") == question for one in self.seen)
        status, body = 200, {"answer": "After 14 days", "passages": [{"id": "p1", "text": "14 days"}], "cost_usd": 0.5}
        if question == "flaky" and failures < 3:
            status = 503
        elif question == "broken":
            status = 500
        elif question == "refused":
            status, body = 422, {"detail": "too long"}
        elif question == "odd":
            body = {"answer": 7}
        elif question == "nested":
            body = {"data": {"text": "yes", "docs": [{"name": 3, "body": "b"}, "plain"]}}
        elif question == "slow":
            threading.Event().wait(0.6)
        content = b"<html>" if question == "html" else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/query"
    server.shutdown()
    server.server_close()
    thread.join()


def ask(spec: str, case: GoldenCase = CASE, repeat: int = 0, **options: Any) -> Answer:
    with open_pipeline(spec, **options) as pipeline:
        return pipeline.ask(case, repeat)


def question(text: str) -> GoldenCase:
    return GoldenCase("c1", text)


def test_service_gives_answer_passages_and_cost(url: str) -> None:
    answer = ask(url)
    assert (answer.response, answer.passages, answer.status) == ("After 14 days", (Passage("p1", "14 days"),), "ok")
    assert answer.cost_usd == 0.5
    assert answer.seconds > 0


def test_service_is_handed_the_passages_that_a_case_fixes(url: str) -> None:
    ask(url, GoldenCase("c1", "fixed", passages=(Passage("f", "t"),)))
    assert Service.seen[-1] == {"question": "fixed", "passages": [{"id": "f", "text": "t"}]}


def test_paths_into_the_reply_can_be_set(url: str) -> None:
    shape = Shape("q", "data.text", "data.docs", "name", "body")
    assert ask(url, question("nested"), shape=shape).passages == (Passage("3", "b"), Passage("1", "plain"))


def test_service_that_recovers_is_asked_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval.pipeline, "PAUSE_SECONDS", 0.001)
    assert ask(url, question("flaky")).status == "ok"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("broken", "HTTP 500"),
        ("refused", "HTTP 422"),
        ("odd", "no text at 'answer', found int"),
        ("html", "the reply is no JSON"),
    ],
)
def test_failure_of_the_service_is_a_result(url: str, text: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval.pipeline, "PAUSE_SECONDS", 0.001)
    answer = ask(url, question(text))
    assert answer.status == "error"
    assert reason in answer.reason


def test_service_that_takes_too_long_is_a_timeout(url: str) -> None:
    assert ask(url, question("slow"), timeout_seconds=0.1).status == "timeout"


def test_nobody_listening_is_an_error_with_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval.pipeline, "PAUSE_SECONDS", 0.001)
    answer = ask("http://127.0.0.1:9/query")
    assert answer.status == "error"
    assert "127.0.0.1:9" in answer.reason


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "rag_under_test.py").write_text(
        "from eval.pipeline import Answer\n"
        "def plain(question): return {'answer': question.upper(), 'passages': ['a']}\n"
        "def record(question): return Answer('yes')\n"
        "def given(question, passages): return {'answer': passages[0].text}\n"
        "def broken(question): return {}['x']\n"
        "def nothing(question): return None\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return "rag_under_test"


def test_callable_gives_a_mapping_or_an_answer(module: str) -> None:
    assert ask(f"{module}:plain", question("hi")).response == "HI"
    assert ask(f"{module}:plain").passages == (Passage("0", "a"),)
    assert ask(f"{module}:record") == Answer("yes")


def test_callable_that_takes_passages_is_handed_them(module: str) -> None:
    assert ask(f"{module}:given", GoldenCase("c", "?", passages=(Passage("1", "t"),))).response == "t"


@pytest.mark.parametrize(("name", "reason"), [("broken", "KeyError"), ("nothing", "no text at 'answer'")])
def test_callable_that_fails_is_a_result(module: str, name: str, reason: str) -> None:
    answer = ask(f"{module}:{name}")
    assert answer.status == "error"
    assert reason in answer.reason


@pytest.mark.parametrize("spec", ["no_such_module:answer", "json:no_such_function", "answer", "runs/pr-1"])
def test_spec_that_names_nothing_is_a_user_error(spec: str) -> None:
    with pytest.raises(UserError, match="module:function"):
        ask(spec)


def test_recorded_lines_of_a_case_are_its_repeats(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"case_id": "c1", "response": "a"}\n\n{"case_id": "c1", "response": "b", "passages": []}\n')
    assert [ask(str(path), repeat=repeat).response for repeat in (0, 1)] == ["a", "b"]
    assert ask(str(path), repeat=2).status == "not_recorded"
    assert ask(str(path), GoldenCase("other", "?")).status == "not_recorded"


def test_recorded_failure_stays_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"case_id": "c1", "response": "", "status": "timeout", "reason": "30 s", "repeat": 1}')
    assert ask(str(path), repeat=1) == Answer(status="timeout", reason="30 s")


@pytest.mark.parametrize("line", ["{", '{"response": "x"}', "[]", "7"])
def test_recorded_line_without_a_case_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(f'{{"case_id": "c1", "response": "a"}}\n{line}\n')
    with pytest.raises(UserError, match=r"answers\.jsonl, line 2"):
        ask(str(path))


def test_missing_recording_is_operational(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jsonl: No such file"):
        ask(str(tmp_path / "none.jsonl"))
