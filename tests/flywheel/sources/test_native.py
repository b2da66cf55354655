import gzip
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.sources import native
from flywheel.sources.delivery import Delivery, Limits
from flywheel.sources.records import Blank, Found, Rejected
from tests.flywheel.made_traces import make_trace, write_lines

KINDS = {Found: "accept", Rejected: "quarantine", Blank: "skip"}


def read_native(path, limits=None):
    return list(native.read(Delivery(path, limits)))


@pytest.fixture
def read(tmp_path):
    def read_lines(*lines):
        return read_native(write_lines(tmp_path / "file.jsonl", *lines))

    return read_lines


@pytest.fixture
def trace_of(read):
    def one(line):
        (item,) = read(line)
        assert isinstance(item, Found), item
        return item.what

    return one


@pytest.fixture
def reason_of(read):
    def one(line):
        item, _ = read(line, make_trace("next"))
        assert isinstance(item, Rejected), item
        assert item.line == 1
        return item.reason

    return one


@pytest.mark.realdata
def test_each_line_of_the_dirty_file_is_taken_as_its_key_says(data_dir):
    key = json.loads((data_dir / "weeks" / "dirty_key.json").read_text())["lines"]
    items = read_native(data_dir / "weeks" / "2026-W45-dirty.jsonl.gz")
    assert [(i.line, KINDS[type(i)]) for i in items] == [(k["line"], k["expect"]) for k in key]
    for item, told in zip(items, key, strict=True):
        if isinstance(item, Found):
            moment = item.what.timestamp.astimezone(UTC).isoformat(timespec="milliseconds")
            assert (item.what.trace_id, moment.replace("+00:00", "Z")) == (told["trace_id"], told["timestamp_utc"])


@pytest.mark.realdata
def test_a_rejected_line_of_the_dirty_file_keeps_its_bytes_and_says_why(data_dir):
    path = data_dir / "weeks" / "2026-W45-dirty.jsonl.gz"
    with gzip.open(path) as file:
        lines = file.read().split(b"\n")
    rejected = [item for item in read_native(path) if isinstance(item, Rejected)]
    assert len(rejected) == 40
    assert all(item.reason for item in rejected)
    assert all(lines[item.line - 1].startswith(item.raw) for item in rejected)


def test_a_byte_order_mark_is_dropped_at_the_start_and_in_the_middle(read):
    line = b"\xef\xbb\xbf" + json.dumps(make_trace()).encode()
    assert [type(item) for item in read(line, line)] == [Found, Found]


def test_a_carriage_return_before_the_line_feed_is_dropped(trace_of):
    assert trace_of(json.dumps(make_trace()).encode() + b"\r").trace_id == "t1"


@pytest.mark.parametrize("blank", [b"", b"  \t", b"\r", b"\xef\xbb\xbf"])
def test_a_blank_line_is_neither_a_trace_nor_rejected(read, blank):
    assert read(blank) == [Blank(1)]


def test_line_separators_of_unicode_are_content(trace_of):
    text = "one\u2028two\u0085three\x0cfour"
    line = json.dumps(make_trace(response=text), ensure_ascii=False).replace("\x0c", "\\f").encode()
    assert trace_of(line).response == text


def test_an_escaped_nul_is_dropped_everywhere(trace_of):
    trace = trace_of(make_trace(response="a\x00b", metadata={"k\x00": ["v\x00"]}, passages=("p\x00q",)))
    assert (trace.response, trace.metadata, trace.retrieved_contexts[0].text) == ("ab", {"k": ["v"]}, "pq")


def test_a_raw_nul_is_no_json(reason_of):
    assert reason_of(json.dumps(make_trace(response="a@b")).encode().replace(b"@", b"\x00"))


@pytest.mark.parametrize("field", ["user_input", "trace_id"])
def test_half_a_surrogate_pair_is_rejected(reason_of, field):
    assert "surrogate" in reason_of(make_trace(**{field: "half \ud83d of one"}))


def test_half_a_surrogate_pair_in_the_metadata_is_rejected_too(reason_of):
    assert "surrogate" in reason_of(make_trace(metadata={"note": "\udc00"}))


def test_a_whole_surrogate_pair_is_one_character(trace_of):
    assert trace_of(make_trace(user_input="\U0001f600")).user_input == "\U0001f600"


@pytest.mark.parametrize("field", ["trace_id", "timestamp", "user_input", "response", "metadata"])
def test_a_key_that_stands_twice_is_rejected_by_name(reason_of, field):
    line = (
        json.dumps(make_trace(metadata={}))[:-1] + f', "{field}": ' + json.dumps(make_trace(metadata={})[field]) + "}"
    )
    assert f"the key '{field}' stands twice" in reason_of(line.encode())


def test_the_name_of_a_field_may_stand_in_a_text_and_in_the_metadata(trace_of):
    trace = trace_of(make_trace(user_input='what is "status"?', metadata={"status": "x", "response": "y"}))
    assert trace.metadata == {"status": "x", "response": "y"}


@pytest.mark.parametrize("field", ["trace_id", "timestamp", "user_input"])
def test_a_missing_field_is_named(reason_of, field):
    line = make_trace()
    del line[field]
    assert field in reason_of(line)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"trace_id": ""}, "$.trace_id"),
        ({"trace_id": 7}, "$.trace_id"),
        ({"user_input": None}, "$.user_input"),
        ({"latency_ms": -1}, "$.latency_ms"),
        ({"input_tokens": 1.5}, "$.input_tokens"),
        ({"input_tokens": 2**63}, "$.input_tokens"),
        ({"status": "fine"}, "$.status"),
        ({"retrieved_contexts": [{"id": "p"}]}, "$.retrieved_contexts[0]"),
        ({"feedback": {"rating": 9}}, "$.feedback.rating"),
        ({"timestamp": "yesterday"}, "$.timestamp"),
        ({"timestamp": 1762164000}, "$.timestamp"),
        ({"timestamp": True}, "$.timestamp"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_its_path(reason_of, fields, place):
    assert place in reason_of(make_trace(**fields))


@pytest.mark.parametrize(
    "fields",
    [{"input_tokens": 10**30}, {"timestamp": "0001-01-01T00:00:00+14:00"},
     {"timestamp": "0001-01-01T00:00:00+00:01"}],
)  # fmt: skip
def test_a_number_or_moment_that_cannot_be_stored_is_rejected_and_the_next_line_read(read, fields):
    assert [type(item) for item in read(make_trace(**fields), make_trace("t2"))] == [Rejected, Found]


@pytest.mark.parametrize(
    "line", [b"[]", b"null", b'"text"', b"7", b"{", b"{} {}", b"not json", b"\xff\xfe", b"{'a': 1}"]
)
def test_what_is_no_json_object_is_rejected(reason_of, line):
    assert reason_of(line)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-03T10:00:00+02:00", "2026-11-03T08:00:00+00:00"),
        ("2026-11-03T10:00:00", "2026-11-03T10:00:00+00:00"),
        ("2026-11-03 10:00:00.250", "2026-11-03T10:00:00.250000+00:00"),
        (1_793_700_000_000, "2026-11-03T10:00:00+00:00"),
    ],
)
def test_a_timestamp_without_a_zone_is_utc_and_a_count_is_of_milliseconds(trace_of, written, meant):
    moment = trace_of(make_trace(timestamp=written)).timestamp
    assert moment.astimezone(UTC) == datetime.fromisoformat(meant)


def test_a_timestamp_may_lie_a_day_ahead_but_no_further(read):
    now = datetime.now(UTC)
    ahead = [(now + timedelta(hours=hours)).isoformat() for hours in (23, 25)]
    near, far = read(*(make_trace(timestamp=moment) for moment in ahead))
    assert isinstance(near, Found)
    assert "lies in the future - at `$.timestamp`" in far.reason


def test_a_count_written_with_a_point_is_a_whole_number(trace_of):
    assert trace_of(make_trace(input_tokens=812.0)).input_tokens == 812


def test_a_number_of_any_size_may_stand_in_the_metadata(trace_of):
    assert trace_of(make_trace(metadata={"n": 10**30})).metadata == {"n": 10**30}


def test_json_may_nest_to_the_limit_and_no_deeper(read):
    def nested(levels):
        value = "x"
        for _ in range(levels - 2):  # the trace and its metadata are two levels
            value = [value]
        return make_trace(metadata={"deep": value})

    assert [type(item) for item in read(nested(64), nested(65))] == [Found, Rejected]


def test_nesting_that_would_break_a_parser_is_rejected(reason_of):
    assert "nests deeper than 64 levels" in reason_of(b'{"metadata":' + b"[" * 200_000 + b"]" * 200_000 + b"}")


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_stop_the_reader(tmp_path_factory, noise):
    path = write_lines(tmp_path_factory.mktemp("noise") / "file", make_trace("first"), noise, make_trace("last"))
    items = read_native(path)
    assert [items[0].what.trace_id, items[-1].what.trace_id] == ["first", "last"]
    assert len(items) == 3 + noise.count(b"\n")


def test_the_hash_is_that_of_the_bytes_without_what_stands_around_them(read):
    line = json.dumps(make_trace()).encode()
    same, padded, marked, spaced, other = read(line, b"  " + line + b" \r", b"\xef\xbb\xbf" + line,
                                               line.replace(b", ", b","), make_trace(response="x"))  # fmt: skip
    assert same.content_hash == padded.content_hash == marked.content_hash
    assert len({same.content_hash, spaced.content_hash, other.content_hash}) == 3


def test_an_array_of_traces_is_read_element_by_element(tmp_path):
    path = tmp_path / "file.json"
    path.write_text(json.dumps([make_trace("t1"), {"trace_id": "t2"}, make_trace("t3")], indent=2))
    first, broken, last = read_native(path)
    assert (first.what.trace_id, broken.line, last.what.trace_id) == ("t1", 2, "t3")
    assert "missing required field" in broken.reason


def test_one_trace_over_several_lines_is_one_record(tmp_path):
    path = tmp_path / "file.json"
    path.write_text(json.dumps(make_trace("t1"), indent=2))
    assert [item.what.trace_id for item in read_native(path)] == ["t1"]


def test_a_line_longer_than_its_limit_is_rejected_with_its_beginning_alone(tmp_path):
    path = write_lines(tmp_path / "file.jsonl", make_trace("long", response="x" * 9000), make_trace("t2"))
    long, short = read_native(path, Limits(line_bytes=8000))
    assert (long.reason, long.whole, len(long.raw)) == ("the line is longer than 8000 bytes", False, 4096)
    assert short.what.trace_id == "t2"


@pytest.mark.parametrize(
    ("first", "is_native"),
    [
        (make_trace(), True),
        ({"trace_id": "t", "timestamp": 1}, True),
        ({"timestamp": 1, "user_input": "q"}, True),
        ({"trace_id": "t"}, False),
        ({"level": "info"}, False),
        ([1], False),
    ],
)
def test_a_file_is_native_by_two_of_the_three_fields(tmp_path, first, is_native):
    path = tmp_path / "file"
    path.write_text(json.dumps(first) + "\n" + json.dumps(first) + "\n")
    assert bool(native.recognise(Delivery(path).head)) == is_native


@settings(deadline=None)
@given(st.text(max_size=40), st.floats(0, 1e6, allow_nan=False), st.integers(0, 2**63 - 1))
def test_what_the_encoder_writes_is_read_back_the_same(tmp_path_factory, text, latency, tokens):
    line = make_trace(user_input=text.replace("\x00", ""), latency_ms=latency, input_tokens=tokens)
    path = tmp_path_factory.mktemp("round") / "file"
    path.write_bytes(msgspec.json.encode(line))
    (item,) = read_native(path)
    assert (item.what.user_input, item.what.latency_ms, item.what.input_tokens) == (
        line["user_input"], latency, tokens
    )  # fmt: skip
