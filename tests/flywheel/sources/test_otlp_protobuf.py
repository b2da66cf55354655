import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from eval.errors import UserError
from flywheel.sources import otlp_json, otlp_protobuf
from flywheel.sources.delivery import Delivery
from flywheel.sources.records import Blank, Found, Rejected
from tests.flywheel.sources.made_spans import SPAN_ID, TRACE_ID, again, otlp_span, request, written

QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def encoded(*spans, resource=None) -> bytes:
    message = ParseDict(request(*spans, resource=resource), ExportTraceServiceRequest())
    for span, given_ids in zip(message.resource_spans[0].scope_spans[0].spans, spans, strict=True):
        span.trace_id = bytes.fromhex(given_ids["traceId"])
        span.span_id = bytes.fromhex(given_ids["spanId"])
    return message.SerializeToString()


def with_length(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


@pytest.fixture
def read(tmp_path):
    def read_bytes(data):
        return list(otlp_protobuf.read(written(tmp_path / "spans.binpb", data)))

    return read_bytes


@pytest.mark.realdata
@pytest.mark.parametrize("convention", ["openinference", "genai_semconv"])
def test_the_replayed_file_gives_the_same_spans_as_its_json(data_dir, convention):
    folder = data_dir / "traces" / "otlp_replay"
    delivery = Delivery(folder / f"{convention}.binpb")
    assert otlp_protobuf.recognise(delivery.head) == "it begins like a protobuf trace request"
    items = list(otlp_protobuf.read(delivery))
    as_json = list(otlp_json.read(Delivery(folder / f"{convention}.jsonl")))[:12]
    assert [item.what for item in items] == [item.what for item in as_json]
    assert [item.line for item in items] == list(range(1, 13))
    assert [len(item.what.documents or ()) for item in items[::3]] == [
        len(i.what.documents or ()) for i in as_json[::3]
    ]


@pytest.mark.realdata
def test_json_files_are_not_recognised(data_dir):
    paths = list((data_dir / "traces").glob("*/*.json*"))
    assert [path.name for path in paths if otlp_protobuf.recognise(Delivery(path).head)] == []


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"\n\n\n\n\n\n\n\n\n\n\n\n\n\n", b"\n~\n\n" + b"a" * 200, b"id,text\n1,a\n", b"PAR1"]
)
def test_a_text_that_begins_alike_is_not_recognised(tmp_path, text):
    assert otlp_protobuf.recognise(written(tmp_path / "f", text).head) is None


def test_every_field_of_a_span_is_read_and_nul_dropped(read):
    attributes = {
        "input.value": "Wh\x00y?",
        "openinference.span.kind": "CHAIN",
        "a": 7,
        "b": True,
        "c": ["x"],
        "d": 0.5,
    }
    (item,) = read(encoded(otlp_span(attributes, status={"code": 2, "message": "gone"}, events=[{"name": "exception"}]),
                           resource={"service.name": "shop"}))  # fmt: skip
    span = item.what
    assert (span.trace_id, span.span_id, span.kind, span.question) == (TRACE_ID, SPAN_ID, "chain", "Why?")
    assert (span.error, (span.ended_at - span.started_at).total_seconds()) == ("gone", 0.25)
    assert span.metadata == {"a": 7, "b": True, "c": ["x"], "d": 0.5, "service.name": "shop"}


def test_requests_behind_their_lengths_are_told_apart_and_read(read, tmp_path):
    data = with_length(encoded(otlp_span())) + with_length(
        encoded(otlp_span(spanId="c" * 16), otlp_span(spanId="d" * 16))
    )
    assert otlp_protobuf.recognise(written(tmp_path / "f", data).head) == (
        "it begins with a length and a protobuf trace request"
    )
    assert [(item.line, item.what.span_id) for item in read(data)] == [(1, SPAN_ID), (2, "c" * 16), (3, "d" * 16)]


def test_a_request_that_is_cut_off_is_one_rejected(read):
    (item,) = read(encoded(otlp_span(), otlp_span(spanId="c" * 16))[:-10])
    assert isinstance(item, Rejected)
    assert "cut off" in item.reason


def test_a_request_cut_off_behind_a_whole_one_leaves_that_one(read):
    whole = with_length(encoded(otlp_span()))
    assert [type(item) for item in read(whole + whole[:-5])] == [Found, Rejected]
    assert [type(item) for item in read(whole + whole[:3])] == [Found, Rejected]


def test_a_span_without_ids_is_rejected_alone_and_its_bytes_give_the_same_again(read, tmp_path):
    items = read(encoded(otlp_span(spanId=""), otlp_span()))
    assert [type(item) for item in items] == [Rejected, Found]
    assert again(otlp_protobuf, items[0].raw, tmp_path / "again") == [items[0]]


def test_lines_of_json_as_an_exporter_sends_them_give_all_their_spans(tmp_path):
    text = {"input.value": "x" * 2_900}
    lines = [
        request(*[otlp_span(text, spanId=f"{batch * 512 + number:016x}") for number in range(1, 513)])
        for batch in range(2)
    ]
    delivery = written(tmp_path / "spans.jsonl", *lines)
    assert 1_500_000 < delivery.path.stat().st_size / 2 < 2_000_000
    assert otlp_json.recognise(delivery.head) == "its first value has `resourceSpans`"
    items = list(otlp_json.read(delivery))
    assert [(item.line, item.what.span_id) for item in items] == [
        (1 + (number - 1) // 512, f"{number:016x}") for number in range(1, 1025)
    ]


def test_an_empty_file_is_blank(read):
    assert read(b"") == [Blank(1)]


@QUIET
@given(st.binary(max_size=60), st.integers(0, 300), st.booleans())
def test_damaged_requests_never_stop_the_reader(tmp_path, noise, place, is_prefixed):
    valid = encoded(otlp_span({"input.value": "Why?", "a": ["x"]}), otlp_span(spanId="c" * 16))
    valid = with_length(valid) if is_prefixed else valid
    path = tmp_path / "damaged"
    path.write_bytes(valid[:place] + noise + valid[place + len(noise) :])
    otlp_protobuf.recognise(Delivery(path).head)
    try:
        items = list(otlp_protobuf.read(Delivery(path)))
    except UserError:
        return
    assert items
    assert all(isinstance(item, Found | Rejected | Blank) for item in items)
