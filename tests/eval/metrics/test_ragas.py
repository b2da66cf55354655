import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from eval.metrics.ragas import JudgeEndpoint, instrument_id, score_ragas
from eval.sample import Passage, Sample

pytestmark = [
    # Old releases of instructor warn of their own names; ragas leaves the file of its telemetry id open.
    pytest.mark.filterwarnings("ignore:.*deprecated.*:DeprecationWarning:instructor"),
    pytest.mark.filterwarnings("ignore:unclosed file .*uuid.json:ResourceWarning"),
]

PASSAGES = (Passage("p1", "The mill stands on the Aller. It was built in 1734."),)
GOOD = Sample("s1", "When was the mill built?", "The mill was built in 1734. It is red.", PASSAGES)


def honest(prompt: str) -> str:
    """Answer the prompts of faithfulness and answer relevancy as a careful judge would."""
    if "noncommittal" in prompt:
        return json.dumps({"question": "When was the mill built?", "noncommittal": 0})
    if "verdict" in prompt:
        statements = [("The mill was built in 1734.", 1), ("The mill is red.", 0)]
        return json.dumps({"statements": [{"statement": s, "reason": "r", "verdict": v} for s, v in statements]})
    return json.dumps({"statements": ["The mill was built in 1734.", "The mill is red."]})


@contextmanager
def endpoint(answer=honest, status=200, **settings) -> Iterator[tuple[JudgeEndpoint, list[dict]]]:
    """Serve the OpenAI chat protocol on a free port; yields the endpoint and the requests it saw."""
    seen: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(request | {"authorization": self.headers["Authorization"]})
            content = answer("\n".join(message["content"] for message in request["messages"]))
            message = {"role": "assistant", "content": content}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            body = {"id": "c", "object": "chat.completion", "created": 0, "model": "m"}
            payload = json.dumps(body | {"choices": choices, "usage": usage}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_):
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield JudgeEndpoint(f"http://127.0.0.1:{server.server_port}/v1", "m", **settings), seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_faithfulness_is_the_share_of_supported_statements():
    with endpoint() as (judge, seen):
        (score,) = score_ragas([GOOD], judge)
    assert (score.value, score.status, score.metric) == (0.5, "ok", "ragas_faithfulness")
    assert {request["max_tokens"] for request in seen} == {4096}


def test_answer_relevancy_compares_questions_with_our_embedder():
    with endpoint() as (judge, _):
        (score,) = score_ragas([GOOD], judge, "answer_relevancy")
    assert score.value == pytest.approx(1)


def test_without_a_judge_nothing_has_a_value_and_the_reason_says_what_to_do():
    (score,) = score_ragas([GOOD], None)
    assert (score.value, score.status) == (None, "not_available")
    assert "name an OpenAI-compatible endpoint" in score.reason


def test_a_key_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("SOME_JUDGE_KEY", raising=False)
    (score,) = score_ragas([GOOD], JudgeEndpoint("http://127.0.0.1:9/v1", "m", "SOME_JUDGE_KEY"))
    assert score.status == "not_available"
    assert "SOME_JUDGE_KEY is not set" in score.reason


def test_the_key_is_sent_from_the_environment_and_never_shown(monkeypatch):
    monkeypatch.setenv("SOME_JUDGE_KEY", "sesame")
    with endpoint(api_key_variable="SOME_JUDGE_KEY") as (judge, seen):
        (score,) = score_ragas([GOOD], judge)
    assert seen[0]["authorization"] == "Bearer sesame"
    assert "sesame" not in repr((judge, score))


def test_samples_that_miss_something_are_not_sent():
    samples = [
        Sample("no passages", "q", "a", ()),
        Sample("no answer", "q", " ", PASSAGES),
        Sample("no question", "", "a", PASSAGES),
    ]
    with endpoint() as (judge, seen):
        scores = score_ragas(samples, judge)
    assert {score.status for score in scores} == {"not_applicable"}
    assert seen == []


def test_scores_keep_the_order_of_the_samples():
    samples = [Sample(f"s{n}", "q", "a", PASSAGES if n % 2 else ()) for n in range(5)]
    with endpoint() as (judge, _):
        scores = score_ragas(samples, judge)
    assert [score.sample_id for score in scores] == [f"s{n}" for n in range(5)]
    assert [score.status for score in scores] == ["not_applicable", "ok", "not_applicable", "ok", "not_applicable"]


def test_no_statements_are_an_abstention_of_the_judge_not_a_number():
    with endpoint(lambda _: json.dumps({"statements": []})) as (judge, _):
        (score,) = score_ragas([GOOD], judge)
    assert (score.value, score.status) == (None, "abstained")


def test_an_unreadable_answer_is_a_parse_error():
    with endpoint(lambda _: "I would rather not.") as (judge, _):
        (score,) = score_ragas([GOOD], judge)
    assert (score.value, score.status) == (None, "parse_error")


def test_one_bad_row_leaves_the_others_alone():
    def moody(prompt):
        return "nonsense" if "moody" in prompt else honest(prompt)

    with endpoint(moody) as (judge, _):
        scores = score_ragas([Sample("bad", "moody?", "moody", PASSAGES), GOOD], judge)
    assert [(score.sample_id, score.status) for score in scores] == [("bad", "parse_error"), ("s1", "ok")]


def test_an_http_error_is_an_error_with_its_status():
    with endpoint(status=401) as (judge, _):
        (score,) = score_ragas([GOOD], judge)
    assert score.status == "error"
    assert "HTTP status 401" in score.reason


def test_a_slow_judge_is_a_timeout():
    def slow(prompt):
        time.sleep(0.6)
        return honest(prompt)

    with endpoint(slow, timeout_seconds=0.2) as (judge, _):
        (score,) = score_ragas([GOOD], judge)
    assert (score.value, score.status) == (None, "timeout")


def test_an_endpoint_that_is_down_is_an_error():
    (score,) = score_ragas([GOOD], JudgeEndpoint("http://127.0.0.1:9/v1", "m"))
    assert score.status == "error"
    assert "cannot be reached" in score.reason


def test_no_more_requests_run_at_once_than_allowed():
    running, most = 0, 0
    lock = threading.Lock()

    def counted(prompt):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return honest(prompt)

    with endpoint(counted, concurrency=2) as (judge, _):
        score_ragas([Sample(f"s{n}", "q", "a", PASSAGES) for n in range(8)], judge)
    assert most == 2


def test_another_judge_is_another_instrument():
    one, other = JudgeEndpoint("http://a/v1", "m"), JudgeEndpoint("http://a/v1", "n")
    assert instrument_id("x", one) != instrument_id("x", other)


def test_a_ragas_that_cannot_be_imported_names_the_version_clash():
    code = """
import sys
sys.modules["langchain_community"] = None
from eval.metrics.ragas import JudgeEndpoint, score_ragas
from eval.sample import Sample
score, = score_ragas([Sample("s", "q", "a", ())], JudgeEndpoint("http://127.0.0.1:9/v1", "m"))
print(score.status, score.reason)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert said.startswith("not_available ragas cannot be imported")
    assert "langchain-community>=0.4,<0.4.2" in said
