import json
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval.errors import OperationalError
from flywheel.serving.index import Hit
from flywheel.serving.pipeline import Answer
from flywheel.serving.trace_log import Asked, TraceLog
from flywheel.trace import RetrievedContext, Trace

from .conftest import CHUNKS

MONDAY = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
ANSWER = Answer("Five days.", (Hit(CHUNKS[0], 0.7),), 12.5, "extractive", "v1", 30, 4)


def lines(folder: Path) -> list[Trace]:
    found = b"".join(path.read_bytes() for path in sorted(folder.glob("*.jsonl")))
    return msgspec.json.Decoder(Trace).decode_lines(found)


def test_an_answered_question_becomes_a_native_trace(tmp_path: Path):
    log = TraceLog(tmp_path, clock=lambda: MONDAY, new_id=lambda: "t1")
    trace = log.answered(Asked("How long?", "s1", "u1", "acme", {"page": 3}), ANSWER)
    log.add(trace)
    assert lines(tmp_path) == [trace]
    assert trace == Trace(
        trace_id="t1",
        timestamp=MONDAY,
        user_input="How long?",
        session_id="s1",
        user_id="u1",
        tenant_id="acme",
        retrieved_contexts=[RetrievedContext("refunds", CHUNKS[0].text, 0.7, "refunds.md")],
        response="Five days.",
        model="extractive",
        prompt_version="v1",
        latency_ms=12.5,
        input_tokens=30,
        output_tokens=4,
        metadata={"page": 3},
    )


def test_a_failed_question_is_logged_as_an_error(tmp_path: Path):
    log = TraceLog(tmp_path)
    log.add(log.failed(Asked("How long?"), "the model is down", 3.0))
    [trace] = lines(tmp_path)
    assert (trace.status, trace.error, trace.response) == ("error", "the model is down", None)


def test_there_is_one_file_per_utc_day_named_after_the_process(tmp_path: Path):
    moments = iter(
        [
            MONDAY,
            MONDAY + timedelta(hours=1),
            datetime(2026, 11, 3, 1, 0, tzinfo=timezone(timedelta(hours=2))),
            MONDAY + timedelta(days=1),
        ]
    )
    log = TraceLog(tmp_path, clock=lambda: next(moments))
    for _ in range(4):
        log.add(log.answered(Asked("How long?"), ANSWER))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"served-2026-11-0{day}-{log.name}.jsonl" for day in (2, 3)]
    assert log.name.startswith(f"{os.getpid()}-")
    assert [len((tmp_path / name).read_bytes().splitlines()) for name in names] == [3, 1]


def test_two_logs_of_one_process_never_share_a_file(tmp_path: Path):
    assert TraceLog(tmp_path).name != TraceLog(tmp_path).name


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_any_text_stays_on_one_line(tmp_path: Path, text: str):
    log = TraceLog(tmp_path)
    log.add(log.answered(Asked(text), ANSWER))
    [path] = tmp_path.glob(f"*{log.name}.jsonl")
    [line] = path.read_bytes().split(b"\n")[:-1]
    assert json.loads(line)["user_input"] == text


def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = TraceLog(tmp_path)
    log.add(log.answered(Asked("first"), ANSWER))
    whole_write = os.write
    monkeypatch.setattr(os, "write", lambda file, line: whole_write(file, line[:10]))
    with pytest.raises(OperationalError, match=r"cannot write the trace log .*No space left"):
        log.add(log.answered(Asked("second"), ANSWER))
    monkeypatch.undo()
    log.add(log.answered(Asked("third"), ANSWER))
    assert [trace.user_input for trace in lines(tmp_path)] == ["first", "third"]
