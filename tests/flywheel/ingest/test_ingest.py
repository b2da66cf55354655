import base64
import gzip
import json
import subprocess
import sys
from dataclasses import replace
from io import BytesIO, TextIOWrapper
from pathlib import Path
from threading import Event, Thread

import pytest
import zstandard
from blake3 import blake3

from eval.errors import UserError
from flywheel.ingest import How, ingest, ingest_file
from flywheel.sources.delivery import Delivery
from flywheel.sources.mapping import parse_mapping
from flywheel.warehouse import traces
from flywheel.warehouse.deliveries import Count, TraceCount
from tests.flywheel.made_otlp import make_spans, request
from tests.flywheel.made_traces import WEEK, deliver, how_made, make_trace, open_made, tables, take, write_lines

PACKERS = [bytes, gzip.compress, zstandard.ZstdCompressor().compress]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def db(tmp_path):
    with open_made(tmp_path) as connection:
        yield connection


def append(path, content):
    with path.open("ab") as file:
        file.write(content)


def as_line(trace_id, **fields):
    return json.dumps(make_trace(trace_id, **fields)).encode() + b"\n"


@pytest.mark.realdata
def test_the_dirty_file_gives_158_traces_40_rejected_lines_and_2_blank_ones(db, tmp_path, data_dir):
    counted = ingest_file(db, data_dir / "weeks" / "2026-W45-dirty.jsonl.gz", how_made(tmp_path))
    assert counted.count == Count(200, 158, 0, 0, 40, 2)
    assert len(counted.quarantine.read_text().splitlines()) == 40
    assert db.execute("select count(*), min(revision), max(revision) from trace").fetchone() == (158, 1, 1)
    key = json.loads((data_dir / "weeks" / "dirty_key.json").read_text())["lines"]
    moments = {k["trace_id"]: k["timestamp_utc"] for k in key if k["expect"] == "accept"}
    stored = db.execute(
        """select trace_id, strftime("timestamp", '%Y-%m-%dT%H:%M:%S.%g') || 'Z' from trace"""
    ).fetchall()
    assert dict(stored) == moments


@pytest.mark.realdata
def test_a_real_week_ingested_twice_is_there_once(db, tmp_path, data_dir):
    path = data_dir / "weeks" / "2026-W44.jsonl.gz"
    first = ingest_file(db, path, how_made(tmp_path, group="metadata.source_id"))
    before = tables(db)
    second = ingest_file(db, path, how_made(tmp_path, group="metadata.source_id"))
    c = first.count
    assert c.lines == c.added + c.updated + c.unchanged + c.rejected + c.blank
    assert (second.was_known, second.count.unchanged) == (True, c.added + c.updated + c.unchanged)
    assert tables(db) == before
    assert c.updated
    assert c.unchanged


@pytest.mark.realdata
def test_a_real_week_in_another_order_of_keys_changes_no_row(db, tmp_path, data_dir):
    path = data_dir / "weeks" / "2026-W44.jsonl.gz"
    ingest_file(db, path, how_made(tmp_path))
    columns = "select * exclude (delivery, line, content_hash) from trace order by trace_id"
    before = db.execute(columns).fetchall()
    turned = tmp_path / "turned.jsonl"
    with gzip.open(path) as file:
        # The newest line of each trace alone: on the way to it a trace may change and change back.
        newest = {fields["trace_id"]: fields for fields in map(json.loads, file)}
    turned.write_text("".join(json.dumps(dict(reversed(one.items())), indent=None) + "\n" for one in newest.values()))
    counted = ingest_file(db, turned, how_made(tmp_path)).count
    assert counted == Count(len(newest), unchanged=len(newest))
    assert db.execute(columns).fetchall() == before


def test_the_same_bytes_under_another_name_change_nothing(db, tmp_path):
    deliver(db, tmp_path, make_trace("t1"), b"broken", b"")
    before = tables(db)
    counted = take(db, write_lines(tmp_path / "renamed.jsonl", make_trace("t1"), b"broken", b""))
    assert counted.was_known
    assert counted.count == Count(lines=3, unchanged=1, rejected=1, blank=1)
    assert tables(db) == before


def test_a_known_file_is_read_again_where_that_is_asked_for(db, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"), b"broken")
    take(db, path)
    counted = ingest_file(db, path, replace(how_made(tmp_path), again=True))
    assert not counted.was_known
    assert counted.count == Count(lines=2, unchanged=1, rejected=1)


@pytest.mark.parametrize("pack", PACKERS)
def test_a_file_is_unpacked_by_its_bytes_whatever_its_name(db, tmp_path, pack):
    path = write_lines(tmp_path / "traces.jsonl", make_trace("t1"), make_trace("t2"))
    path.write_bytes(pack(path.read_bytes()))
    assert take(db, path).count == Count(lines=2, added=2)


@pytest.mark.parametrize("pack", PACKERS[1:])
def test_an_archive_that_is_cut_off_adds_nothing(db, tmp_path, pack):
    deliver(db, tmp_path, make_trace("there"))
    before = tables(db)
    lines = [make_trace(f"t{n}", response=f"{n * 7919}" * 50) for n in range(6000)]
    path = write_lines(tmp_path / "cut.jsonl", *lines, b"broken")
    packed = pack(path.read_bytes())
    path.write_bytes(packed[: len(packed) * 9 // 10])
    with pytest.raises(UserError, match="nothing was added, deliver it again"):
        take(db, path)
    assert tables(db) == before
    assert not list(tmp_path.glob("quarantine/*"))
    path.write_bytes(packed)
    assert take(db, path).count == Count(6001, 6000, rejected=1)


def test_a_line_of_five_megabytes_is_rejected_and_only_its_head_is_kept(db, tmp_path):
    counted = deliver(db, tmp_path, make_trace("long", response="x" * 5_000_000), make_trace("t2"))
    assert counted == Count(lines=2, added=1, rejected=1)
    (kept,) = (tmp_path / "quarantine").iterdir()
    told = json.loads(kept.read_text())
    assert told["reason"] == "the line is longer than 1048576 bytes"
    assert told["whole"] is False
    assert base64.b64decode(told["raw"]).startswith(b'{"trace_id": "long"')
    assert kept.stat().st_size < 10_000


def test_quarantine_tells_file_line_reason_and_the_raw_bytes(db, tmp_path):
    raw = b'{"trace_id": "\xff"'
    deliver(db, tmp_path, make_trace("t1"), raw)
    (kept,) = (tmp_path / "quarantine").iterdir()
    told = json.loads(kept.read_text())
    assert (told["file"], told["line"], base64.b64decode(told["raw"])) == ("delivery.jsonl", 2, raw)
    assert (told["format"], told["whole"]) == ("native", True)
    assert db.execute("select name, line, reason from rejected_record").fetchall() == [
        ("delivery.jsonl", 2, told["reason"])
    ]


def test_without_a_rejected_line_there_is_no_quarantine(db, tmp_path):
    deliver(db, tmp_path, make_trace("t1"))
    assert not (tmp_path / "quarantine").exists()


def test_a_grown_file_goes_on_at_its_next_line_and_counts_only_the_new_ones(db, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"), b"", b"broken")
    assert take(db, path).continued_at is None
    append(path, as_line("t2") + b"broken\n" + as_line("t1", response="new"))
    counted = take(db, path)
    assert (counted.continued_at, counted.count) == (4, Count(3, 1, 1, 0, 1, 0))
    assert db.execute("select line from rejected_record order by delivery").fetchall() == [(3,), (5,)]
    assert db.execute("select trace_id, revision from trace order by 1").fetchall() == [("t1", 2), ("t2", 1)]
    append(path, as_line("t3"))
    counted = take(db, path)
    assert (counted.continued_at, counted.count) == (7, Count(1, 1))
    assert take(db, path).was_known


def test_a_file_of_one_line_goes_on_too(db, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"))
    take(db, path)
    append(path, as_line("t2"))
    counted = take(db, path)
    assert (counted.continued_at, counted.count) == (2, Count(1, 1))


def test_a_grown_file_of_spans_goes_on_too(db, tmp_path):
    chain, retriever, llm = make_spans("t")
    path = write_lines(tmp_path / "a.jsonl", request(chain), request(llm))
    take(db, path)
    append(path, json.dumps(request(retriever)).encode() + b"\n")
    counted = take(db, path)
    assert (counted.continued_at, counted.count, counted.traces) == (3, Count(1, 1), TraceCount(updated=1))
    assert db.execute("select revision, len(retrieved_contexts) from trace").fetchall() == [(2, 1)]


def test_a_rewritten_file_is_read_whole(db, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1"), make_trace("t2"))
    take(db, path)
    write_lines(path, make_trace("t0"), make_trace("t1"), make_trace("t2"))
    counted = take(db, path)
    assert (counted.continued_at, counted.count) == (None, Count(3, 1, unchanged=2))


def test_a_file_that_goes_on_under_another_name_is_read_whole(db, tmp_path):
    take(db, write_lines(tmp_path / "a.jsonl", make_trace("t1")))
    counted = take(db, write_lines(tmp_path / "b.jsonl", make_trace("t1"), make_trace("t2")))
    assert (counted.continued_at, counted.count) == (None, Count(2, 1, unchanged=1))


def test_a_grown_archive_is_read_whole(db, tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(as_line("t1")))
    take(db, path)
    append(path, gzip.compress(as_line("t2")))
    assert take(db, path).count == Count(2, 1, unchanged=1)


def test_a_last_line_that_was_read_without_its_end_is_read_again_once_it_has_grown(db, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(as_line("t1") + as_line("t2")[:-1])
    assert take(db, path).count == Count(2, 2)
    append(path, b"\n" + as_line("t3"))
    counted = take(db, path)
    assert (counted.continued_at, counted.count) == (None, Count(3, 1, unchanged=2))


def test_a_line_that_is_held_back_comes_once_it_has_its_end(db, tmp_path):
    how = replace(how_made(tmp_path), holds_back=True)
    path = tmp_path / "a.jsonl"
    path.write_bytes(as_line("t1") + as_line("t2")[:40])
    assert ingest_file(db, path, how).count == Count(1, 1)
    assert ingest_file(db, path, how).count == Count()
    append(path, as_line("t2")[40:])
    counted = ingest_file(db, path, how)
    assert (counted.continued_at, counted.count) == (2, Count(1, 1))
    assert db.execute("select count(*) from delivery").fetchone() == (2,)


def test_a_file_without_a_line_is_counted_and_noted_once(db, tmp_path):
    assert deliver(db, tmp_path) == Count()
    before = db.execute("select * from delivery").fetchall()
    assert deliver(db, tmp_path) == Count()
    assert db.execute("select * from delivery").fetchall() == before
    assert deliver(db, tmp_path, make_trace("t1")) == Count(1, 1)


@pytest.fixture
def meanwhile(monkeypatch):
    """Let something happen to a file once, when its first bytes have been read for the warehouse."""

    def arrange(happen):
        def chunks(delivery, *, by_line=True):
            for chunk in read(delivery, by_line=by_line):
                if delivery.__dict__.get("head") and not happened:
                    happened.append(1)
                    happen(delivery.path)
                yield chunk

        read = Delivery.chunks
        happened: list[int] = []
        monkeypatch.setattr(Delivery, "chunks", chunks)

    return arrange


def test_a_file_that_grows_while_it_is_read_gives_what_it_held_and_the_rest_next_time(db, tmp_path, meanwhile):
    path = write_lines(tmp_path / "growing.jsonl", make_trace("t1"))
    taken = path.read_bytes()
    meanwhile(lambda path: append(path, as_line("t2")))
    assert take(db, path).count == Count(lines=1, added=1)
    assert db.execute("select digest, bytes from delivery").fetchall() == [(blake3(taken).hexdigest(), len(taken))]
    counted = take(db, path)
    assert (counted.continued_at, counted.count) == (2, Count(lines=1, added=1))


def test_a_line_that_is_still_being_written_waits_for_the_next_time(db, tmp_path, meanwhile):
    path = tmp_path / "growing.jsonl"
    path.write_bytes(as_line("t1") + as_line("t2")[:20])
    meanwhile(lambda path: append(path, as_line("t2")[20:]))
    assert take(db, path).count == Count(lines=1, added=1)
    assert take(db, path).count == Count(lines=1, added=1)
    assert traces.count_traces(db, WEEK) == (2, 2)


def test_a_file_that_is_replaced_while_it_is_read_gives_one_or_the_other_and_is_noted_as_what_was_read(
    db, tmp_path, meanwhile
):
    path = write_lines(tmp_path / "changing.jsonl", make_trace("t1"), make_trace("t2"))
    before = path.read_bytes()
    meanwhile(lambda path: write_lines(path.with_suffix(".new"), make_trace("other")).replace(path))
    assert take(db, path).count == Count(lines=2, added=2)
    assert db.execute("select digest from delivery").fetchall() == [(blake3(before).hexdigest(),)]
    counted = take(db, path)
    assert (counted.continued_at, counted.count) == (None, Count(lines=1, added=1))


def test_a_last_line_without_line_feed_is_read_where_nothing_grows(db, tmp_path):
    path = tmp_path / "whole.jsonl"
    path.write_bytes(as_line("t1") + as_line("t2")[:-1])
    assert take(db, path).count == Count(lines=2, added=2)


def test_a_file_that_is_appended_to_all_the_time_is_ingested(db, tmp_path):
    path = write_lines(tmp_path / "served.jsonl", *(make_trace(f"t{n}") for n in range(500)))
    done = Event()

    def serve():
        while not done.wait(0.001):
            append(path, as_line(f"late {path.stat().st_size}"))

    server = Thread(target=serve)
    server.start()
    try:
        counted = [take(db, path).count for _ in range(3)]
    finally:
        done.set()
        server.join()
    counted.append(take(db, path).count)
    assert counted[0].lines >= 500
    assert [count.rejected for count in counted] == [0, 0, 0, 0]
    written = path.read_bytes().count(b"\n")
    assert db.execute("select count(*), max(revision) from trace").fetchone() == (written, 1)


def test_a_failing_file_stops_only_itself(db, tmp_path):
    first = write_lines(tmp_path / "a.jsonl", make_trace("t1"))
    bad = tmp_path / "b.jsonl"
    bad.write_bytes(gzip.compress(b"x" * 1000)[:20])
    last = write_lines(tmp_path / "c.jsonl", make_trace("t2"))
    heard = []
    counted = ingest(db, [first, bad, last], how_made(tmp_path), heard.append)
    assert counted == heard
    assert [bool(one.failure) for one in counted] == [False, True, False]
    assert "b.jsonl" in counted[1].failure
    assert traces.count_traces(db, WEEK) == (2, 2)


def test_where_every_record_has_to_be_good_a_bad_one_stops_all_and_nothing_of_its_file_is_added(db, tmp_path):
    first = write_lines(tmp_path / "a.jsonl", make_trace("t1"))
    bad = write_lines(tmp_path / "b.jsonl", make_trace("t2"), b"broken")
    with pytest.raises(UserError, match=r"b\.jsonl, line 2: .*nothing of the file was added \(--strict\)"):
        ingest(db, [first, bad], how_made(tmp_path, is_strict=True))
    assert db.execute("select trace_id from trace").fetchall() == [("t1",)]
    assert not list(tmp_path.glob("quarantine/*"))


def test_a_format_that_is_named_is_not_guessed_and_an_unknown_file_says_what_was_looked_for(db, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", {"level": "info"}, {"level": "info"})
    with pytest.raises(UserError, match=r"a\.jsonl"):
        take(db, path)
    counted = ingest_file(db, path, replace(how_made(tmp_path), form="native"))
    assert (counted.recognised_by, counted.count) == ("it was named", Count(2, rejected=2))


def test_standard_input_is_taken_like_a_file(db, tmp_path, monkeypatch):
    for text in (as_line("t1") + as_line("t2"), gzip.compress(as_line("t3"))):
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(text)))
        counted = take_standard_input(db, how_made(tmp_path))
        assert (counted.name, counted.failure) == ("standard input", None)
    assert traces.count_traces(db, WEEK) == (3, 3)


def take_standard_input(db, how: How):
    return ingest_file(db, Path("-"), how)


def test_files_are_taken_where_there_is_no_standard_input(db, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert take(db, write_lines(tmp_path / "a.jsonl", make_trace("t1"))).count.added == 1


HUGE = """
import resource, sys, tempfile, time
from pathlib import Path
from flywheel.ingest import how_to, ingest_file
from flywheel.settings import Settings, Warehouse
from flywheel.warehouse import open_warehouse
folder, path = Path(sys.argv[1]), Path(sys.argv[2])
with open_warehouse(folder / "warehouse.duckdb", Warehouse(threads=1)) as db:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = ingest_file(db, path, how_to(Settings(), folder / "quarantine")).count
    print(count.lines, count.added, count.rejected, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_line_of_two_gigabytes_is_rejected_in_bounded_memory(tmp_path):
    path = tmp_path / "huge.jsonl"
    with path.open("wb") as file:
        file.write(b'{"trace_id": "long", "')
        file.seek(2 << 30)  # a hole: it takes no room
        file.write(b"\n" + as_line("t1"))
    told = subprocess.run(
        [sys.executable, "-c", HUGE, str(tmp_path), str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    lines, added, rejected, kilobytes = map(int, told)
    assert (lines, added, rejected) == (2, 1, 1)
    assert kilobytes < 600_000


def test_the_same_bytes_by_another_mapping_are_read_again(db, tmp_path):
    path = write_lines(tmp_path / "logs.jsonl", {"id": "1", "q": "What?", "q2": "Why?", "ts": "2026-11-03T10:00:00Z"})
    for question, said in (("q", "What?"), ("q2", "Why?"), ("q2", "Why?")):
        mapping = parse_mapping(f'[fields]\ntrace_id = "id"\ntimestamp = "ts"\nuser_input = "{question}"\n', "mapping")
        ingest_file(db, path, replace(how_made(tmp_path), mapping=mapping))
        assert db.execute("select user_input from trace").fetchall() == [(said,)]
    assert db.execute("select count(*) from delivery").fetchone() == (2,)


def test_reading_again_applies_settings_that_have_changed(db, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1", metadata={"source_id": "s"}))
    take(db, path)
    how = how_made(tmp_path, group="metadata.source_id")
    again = replace(how, again=True, orders=replace(how.orders, by_content=True))
    assert ingest_file(db, path, again).count == Count(1, updated=1)
    assert db.execute("select group_id, revision from trace").fetchall() == [("s", 2)]
    assert ingest_file(db, path, again).count == Count(1, unchanged=1)
