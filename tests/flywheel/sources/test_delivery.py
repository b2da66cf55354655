import gzip
import json
import os
import tracemalloc
from datetime import UTC, datetime
from threading import Event, Thread

import msgspec
import pytest
import zstandard
from blake3 import blake3
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eval.errors import UserError
from flywheel.sources import delivery as deliveries
from flywheel.sources.delivery import KEPT_OF_A_LONG_LINE, Delivery, Limits, is_whole_zstd
from flywheel.sources.records import Blank, Rejected

PACKERS = {"plain": bytes, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}


def read(path, limit=100):
    return list(Delivery(path, Limits(line_bytes=limit)).lines())


@pytest.mark.parametrize("packer", PACKERS)
@settings(deadline=None)
@given(content=st.binary(max_size=300))
def test_only_lf_ends_a_line_and_nothing_is_lost(packer, content, tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "file"
    assume(packer != "plain" or not content.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")))
    path.write_bytes(PACKERS[packer](content))
    found = read(path, 1000)
    assert [number for number, _, _ in found] == list(range(1, len(found) + 1))
    assert b"\n".join(line for _, line, _ in found) == content.removesuffix(b"\n")
    assert all(whole for _, _, whole in found)


def test_a_line_of_just_the_limit_is_whole_and_one_byte_more_is_not(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100 + b"\n" + b"y" * 101 + b"\n" + b"z" * 100)
    assert [(line[:1], whole) for _, line, whole in read(path)] == [(b"x", True), (b"y", False), (b"z", True)]


@pytest.mark.parametrize("packer", PACKERS)
def test_the_lines_after_a_long_one_are_read(packer, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(PACKERS[packer](b"a\n" + b"x" * 3_000_000 + b"\nb\n"))
    found = read(path)
    assert [(number, line[:1], whole) for number, line, whole in found] == [
        (1, b"a", True), (2, b"x", False), (3, b"b", True)
    ]  # fmt: skip
    assert len(found[1][1]) <= KEPT_OF_A_LONG_LINE


def test_a_line_of_any_length_is_read_in_bounded_memory(tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(b"x" * 40_000_000 + b"\n", 1))
    tracemalloc.start()
    read(path, 1 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16_000_000


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
def test_archives_packed_one_after_the_other_are_one_file(packer, tmp_path):
    path = tmp_path / "file"
    parts = [b"".join(b"%d line of part %d\n" % (line, part) for line in range(50_000)) for part in range(3)]
    path.write_bytes(b"".join(PACKERS[packer](part) for part in parts))
    assert b"".join(line + b"\n" for _, line, _ in read(path)) == b"".join(parts)


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.999])
def test_an_archive_that_is_cut_off_is_damaged(packer, kept, tmp_path):
    path = tmp_path / "file"
    packed = PACKERS[packer](b"".join(b"line %d\n" % number for number in range(100_000)))
    path.write_bytes(packed[: int(len(packed) * kept)])
    with pytest.raises(UserError, match=r"the file is damaged .*nothing was added, deliver it again"):
        read(path)


@settings(deadline=None)
@given(st.data())
def test_a_zstd_file_is_whole_only_at_its_full_length(tmp_path_factory, data):
    content = data.draw(st.binary(max_size=200)) * data.draw(st.integers(1, 3000))
    packer = zstandard.ZstdCompressor(write_checksum=data.draw(st.booleans()))
    skippable = b"\x50\x2a\x4d\x18" + (7).to_bytes(4, "little") + b"padding"
    packed = packer.compress(content) + data.draw(st.sampled_from([b"", skippable, packer.compress(b"more")]))
    path = tmp_path_factory.mktemp("zstd") / "file"
    path.write_bytes(packed)
    assert is_whole_zstd(path)
    path.write_bytes(packed[: data.draw(st.integers(1, len(packed) - 1))])
    first = len(packer.compress(content))
    assert is_whole_zstd(path) == (path.stat().st_size == first)


def test_garbage_behind_an_archive_is_damage(tmp_path):
    for packer in ("gzip", "zstd"):
        path = tmp_path / packer
        path.write_bytes(PACKERS[packer](b"line\n") + b"garbage that is no archive")
        with pytest.raises(UserError, match="damaged"):
            read(path)


def test_a_file_that_is_not_there_is_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read(tmp_path / "nothing")


def test_an_empty_file_has_no_lines(tmp_path):
    for name, packer in PACKERS.items():
        (tmp_path / name).write_bytes(packer(b""))
        assert read(tmp_path / name) == []


@given(content=st.binary(max_size=300), packer=st.sampled_from(sorted(PACKERS)))
def test_what_was_read_is_counted_and_hashed_as_it_lies_there(tmp_path_factory, content, packer):
    path = tmp_path_factory.mktemp("digest") / "file"
    path.write_bytes(PACKERS[packer](content))
    for holds_back in (False, True):
        delivery = Delivery(path, holds_back=holds_back and packer == "plain")
        read_of_it = b"".join(line + b"\n" for _, line, _ in delivery.lines())
        taken = path.read_bytes()[: delivery.size]
        assert delivery.digest == blake3(taken).hexdigest()
        if delivery.holds_back:
            assert taken == content[: content.rfind(b"\n") + 1] == read_of_it
        else:
            assert taken == path.read_bytes()


def lines_of(delivery):
    return [(number, line) for number, line, _ in delivery.lines()]


def test_a_last_line_without_its_end_is_read_unless_it_is_held_back(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one\ntwo")
    assert lines_of(Delivery(path)) == [(1, b"one"), (2, b"two")]
    held = Delivery(path, holds_back=True)
    assert lines_of(held) == [(1, b"one")]
    assert (held.size, held.digest) == (4, blake3(b"one\n").hexdigest())


@pytest.mark.parametrize("length", [1, 3_000_000])
def test_an_unfinished_line_of_any_length_is_held_back_whole(tmp_path, length):
    path = tmp_path / "file"
    path.write_bytes(b"one\n" + b"x" * length)
    held = Delivery(path, Limits(line_bytes=4_000_000), holds_back=True)
    assert lines_of(held) == [(1, b"one")]
    assert held.size == 4


def test_reading_goes_on_where_it_ended_and_the_hash_is_of_the_whole_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one\ntwo\n" + b"three\n" * 300_000)
    delivery = Delivery(path, start=8, first_line=3)
    found = lines_of(delivery)
    assert (found[0], found[-1]) == ((3, b"three"), (300_002, b"three"))
    assert delivery.digest == blake3(path.read_bytes()).hexdigest()
    assert delivery.size == path.stat().st_size


@given(st.lists(st.binary(max_size=8), max_size=20), st.integers(0, 20), st.integers(1, 20))
def test_two_readings_one_after_the_other_are_one_reading(tmp_path_factory, lines, cut, chunk):
    path = tmp_path_factory.mktemp("cut") / "file"
    lines = [line.replace(b"\n", b"") for line in lines]
    assume(not lines or not lines[0].startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")))
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    start = sum(len(line) + 1 for line in lines[:cut])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deliveries, "CHUNK", chunk)
        rest = Delivery(path, start=start, first_line=len(lines[:cut]) + 1)
        assert lines_of(rest) == list(enumerate(lines, start=1))[cut:]
        assert rest.digest == blake3(path.read_bytes()).hexdigest()


def test_a_file_can_go_on_only_behind_a_line_and_unpacked(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b'{"a": 1}\n{"a": 2}\n')
    assert Delivery(path).continues_at(9)
    assert not Delivery(path).continues_at(8)
    path.write_bytes(gzip.compress(b'{"a": 1}\n{"a": 2}\n'))
    assert not any(Delivery(path).continues_at(size) for size in range(1, path.stat().st_size))
    path.write_text(json.dumps([{"a": 1}], indent=1))
    assert not Delivery(path).continues_at(2)


def test_of_a_file_that_grows_while_it_is_read_comes_what_it_held_at_first(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one\ntw")
    delivery = Delivery(path)
    lines = delivery.lines()
    assert next(lines)[1] == b"one"
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert list(lines) == []
    assert delivery.size == 4


def test_a_document_that_is_still_being_written_is_refused(tmp_path):
    path = tmp_path / "file.json"
    path.write_bytes(b"[\n" + b" " * 3_000_000)
    delivery = Delivery(path)
    chunks = delivery.chunks(by_line=False)
    next(chunks)
    with path.open("ab") as file:
        file.write(b"]")
    with pytest.raises(UserError, match="is still being written; nothing was added, run the command again"):
        list(chunks)


def test_lines_appended_by_a_thread_never_come_in_halves(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    done = Event()

    def write():
        number = 0
        with path.open("ab", buffering=0) as file:
            while not done.is_set():
                file.write(b"line %d " % number)
                file.write(b"ends\n")
                number += 1

    writer = Thread(target=write)
    writer.start()
    try:
        read_so_far: list[list] = [[]]
        while len(read_so_far[-1]) < 2000 and writer.is_alive():
            read_so_far.append(lines_of(Delivery(path, holds_back=True)))
    finally:
        done.set()
        writer.join()
    assert all(line == b"line %d ends" % (number - 1) for lines in read_so_far for number, line in lines)
    assert len(read_so_far[-1]) >= 2000


@pytest.mark.parametrize("pack", [lambda data: gzip.compress(data, 9), zstandard.ZstdCompressor(level=3).compress])
def test_an_archive_that_unpacks_without_end_is_refused(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(deliveries, "BOMBS_FROM", 8 << 20)
    path = tmp_path / "bomb.jsonl"
    path.write_bytes(pack(b"x" * (64 << 20)))
    with pytest.raises(UserError, match=r"unpacks to more than 200 times its size, like a zip bomb; nothing was added"):
        read(path)
    assert len(list(Delivery(path, Limits(unpacking=10**6)).lines())) == 1


def test_a_document_larger_than_its_limit_is_refused(tmp_path):
    path = tmp_path / "file.json"
    path.write_bytes(b"[\n" + b"1,\n" * 1000 + b"1]")
    with pytest.raises(UserError, match="is one document of more than 100 bytes, which has to fit into memory"):
        Delivery(path, Limits(document_bytes=100)).document()
    assert len(Delivery(path, Limits(document_bytes=5000)).document()) == path.stat().st_size


def values(path, content, limits=None):
    path.write_bytes(content)
    return list(Delivery(path, limits).values())


def test_a_line_of_json_may_be_longer_than_a_native_line_up_to_its_own_limit(tmp_path):
    long = b'{"a":"' + b"x" * 2000 + b'"}'
    limits = Limits(line_bytes=1000, envelope_bytes=len(long))
    content = b"{}\n" + long + b"\n" + long.replace(b"a", b"ab") + b"\n{}"
    found = values(tmp_path / "file", content, limits)
    assert [(value.line, isinstance(value, Rejected)) for value in found] == [
        (1, False), (2, False), (3, True), (4, False)
    ]  # fmt: skip
    assert (found[1].raw, found[2].reason) == (long, f"the line is longer than {len(long)} bytes")
    assert [whole for _, _, whole in Delivery(tmp_path / "file", limits).lines()] == [True, False, False, True]


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("before", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_a_first_line_longer_than_a_megabyte_is_looked_at(tmp_path, packer, before):
    line = json.dumps({"a": list(range(400_000)), "b": {"c": 1}}).encode()
    path = tmp_path / "file"
    path.write_bytes(PACKERS[packer](before + line + b"\n" + line + b"\n"))
    head = Delivery(path).head
    assert (head.is_document, list(head.first), head.first["b"], head.first["a"][:2]) == (
        False, ["a", "b"], {"c": 1}, [0, 1]
    )  # fmt: skip
    assert len(list(Delivery(path).values())) == 2 + before.count(b"\n")


def test_values_are_the_lines_or_the_elements_of_one_document(tmp_path):
    path = tmp_path / "file"
    for content in (b'{"a":1}\n{"a":2}\n', b'[{"a":1},\n {"a":2}]', b'\xef\xbb\xbf [\n{"a":1}, {"a":2}]\n\n'):
        assert [(value.line, msgspec.json.decode(value.raw)) for value in values(path, content)] == [
            (1, {"a": 1}), (2, {"a": 2})
        ]  # fmt: skip
    (whole,) = values(path, b'{"a":\n[1]}')
    assert (whole.line, whole.raw) == (1, b'{"a":\n[1]}')


def test_an_empty_line_is_counted_wherever_it_stands(tmp_path):
    found = values(tmp_path / "file", b'\n{"a":1}\n\n')
    assert [type(value) is Blank for value in found] == [True, False, True]
    assert [value.line for value in found] == [1, 2, 3]


@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_one_line_is_one_value_with_or_without_its_end(tmp_path, ending):
    assert [(value.line, value.raw) for value in values(tmp_path / "file", b'{"a":1}' + ending)] == [(1, b'{"a":1}')]


def test_one_line_longer_than_a_line_may_be_is_a_document(tmp_path):
    text = json.dumps({"a": "x" * 3000}).encode()
    (value,) = values(tmp_path / "file", text + b"\n", Limits(line_bytes=1000))
    assert value.raw == text


@pytest.mark.parametrize("start", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000])
def test_json_that_nests_without_end_is_rejected_as_line_and_as_document(tmp_path, start):
    good, deep, last = values(tmp_path / "file", b'{"a":1}\n' + start + b'\n{"a":2}\n')
    assert (good.line, last.line) == (1, 3)
    assert isinstance(deep, Rejected)
    assert deep.reason == "the JSON nests deeper than 64 levels"
    assert [type(value) for value in values(tmp_path / "file", b"\n" + start)][-1] is Rejected
    found = values(tmp_path / "file", b'[\n{"a": 1},\n' + start + b"]")
    assert any(isinstance(value, Rejected) for value in found)


def test_nul_is_dropped_from_values(tmp_path):
    (value, _) = values(tmp_path / "file", b'{"a":"b\\u0000c"}\n{}\n')
    assert msgspec.json.decode(value.raw) == {"a": "bc"}


@given(st.binary(max_size=80))
def test_no_bytes_stop_the_look_or_the_reading(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp("noise") / "file"
    assume(not noise.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")))
    path.write_bytes(noise)
    delivery = Delivery(path)
    assume(not delivery.head.start.startswith(b"PAR1"))
    assert delivery.head.start in (noise, noise.removeprefix(b"\xef\xbb\xbf"))
    for value in delivery.values():
        assert value.line >= 1


def test_the_head_is_the_first_value_whatever_stands_before_it(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b'\nbroken\n{"a": 1}\n{"a": 2}\n')
    assert (Delivery(path).head.first, Delivery(path).head.is_document) == ({"a": 1}, False)
    path.write_bytes(json.dumps({"a": [1] * 400_000}, indent=0).encode())
    assert Delivery(path).head.is_document
    assert len(Delivery(path).head.start) == 1 << 20
    path.write_bytes(b"plain text\n" * 5)
    assert Delivery(path).head.first is None


def test_an_array_of_millions_is_looked_at_in_little_memory(tmp_path):
    path = tmp_path / "file.json"
    path.write_bytes(b"[\n" + b"{}," * 2_566_000 + b"{}]")
    tracemalloc.start()
    head = Delivery(path).head
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (head.is_document, head.first[:2]) == (True, [{}, {}])
    assert len(head.first) == 50
    assert peak < 60_000_000
    assert held < 3_000_000


def test_a_long_document_is_known_by_its_keys_and_the_first_of_its_lists(tmp_path):
    path = tmp_path / "file.json"
    spans = [{"name": f"step {number}", "attributes": {"text": "x" * 100}} for number in range(30_000)]
    document = {"note": "n" * 3_000_000, "data": [{"info": {"trace_id": "t1"}, "spans": spans}], "n": 7}
    path.write_text(json.dumps(document, indent=1))
    head = Delivery(path).head
    assert head.is_document
    assert (list(head.first), head.first["note"], head.first["n"]) == (["note", "data", "n"], "", 7)
    (record,) = head.first["data"]
    assert record["info"] == {"trace_id": "t1"}
    assert record["spans"] == spans[:50]


@pytest.mark.parametrize("text", [b"[" * 60 + b'"' + b"x" * 2_000_000 + b'"' + b"]" * 60, b"[\n" + b"1" * 4_000_000])
def test_a_look_goes_only_a_few_levels_deep(tmp_path, text):
    path = tmp_path / "file.json"
    path.write_bytes(text)
    assert Delivery(path).head.first in ([[[[[[[]]]]]]], None)


@pytest.mark.parametrize("name", ["logs.csv", "logs"])
def test_a_table_never_goes_on_behind_a_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b'q,a\n"one\n')
    assert not Delivery(path).continues_at(9)
    path.write_bytes(b'{"a": 1}\n')
    assert Delivery(path).continues_at(9)


def test_a_parquet_file_cut_off_has_no_columns(tmp_path):
    path = tmp_path / "file.parquet"
    path.write_bytes(b"PAR1" + bytes(50))
    assert (Delivery(path).head.columns, Delivery(path).head.first) == ((), None)
    with pytest.raises(UserError, match=r"file\.parquet is a damaged Parquet file"):
        list(Delivery(path).values())


def test_the_time_of_a_file_is_in_utc(tmp_path):
    path = tmp_path / "file"
    path.touch()
    os.utime(path, (1_793_700_000, 1_793_700_000))
    assert Delivery(path).modified == datetime(2026, 11, 3, 10, tzinfo=UTC)
