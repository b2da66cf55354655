import base64
import gzip
import json
import os
from hashlib import sha256
from threading import Event, Thread

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval.errors import UserError
from flywheel.ingest import ingest, ingest_file, trace_files
from flywheel.settings import Ingest
from flywheel.sources import READERS
from flywheel.warehouse import traces
from flywheel.warehouse.traces import Count
from tests.flywheel.made_traces import WEEK, deliver, make_trace, open_made, tables, write_lines


@pytest.fixture
def db(tmp_path):
    with open_made(tmp_path) as connection:
        yield connection


@pytest.mark.realdata
def test_the_dirty_file_gives_158_traces_40_rejected_lines_and_2_blank_ones(db, tmp_path, data_dir):
    counted = ingest_file(db, data_dir / "weeks" / "2026-W45-dirty.jsonl.gz", tmp_path / "quarantine", Ingest())
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
    first = ingest_file(db, path, tmp_path / "quarantine", Ingest(group="metadata.source_id"))
    before = tables(db)
    second = ingest_file(db, path, tmp_path / "quarantine", Ingest(group="metadata.source_id"))
    c = first.count
    assert c.lines == c.added + c.updated + c.unchanged + c.rejected + c.blank
    assert (second.was_known, second.count.unchanged) == (True, c.added + c.updated + c.unchanged)
    assert tables(db) == before
    assert c.updated
    assert c.unchanged


KINDS = st.sampled_from(["good", "broken", "blank"])
DELIVERIES = st.lists(
    st.lists(st.tuples(KINDS, st.integers(0, 4), st.integers(0, 2)), max_size=12), min_size=1, max_size=4
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DELIVERIES)
def test_counts_add_up_and_the_store_is_what_a_plain_dictionary_would_be(tmp_path_factory, deliveries):
    folder = tmp_path_factory.mktemp("model")
    model: dict[str, list[int]] = {}
    with open_made(folder) as db:
        for number, delivery in enumerate(deliveries):
            # A unique first line: these bytes were never ingested before.
            lines: list[dict | bytes] = [make_trace(f"first {number}")]
            expected = {"added": 1, "updated": 0, "unchanged": 0, "rejected": 0, "blank": 0}
            model[f"first {number}"] = [-1]
            for kind, name, content in delivery:
                if kind == "broken":
                    lines.append(b'{"trace_id": ')
                    expected["rejected"] += 1
                elif kind == "blank":
                    lines.append(b"  ")
                    expected["blank"] += 1
                else:
                    lines.append(make_trace(f"t{name}", response=f"answer {content}"))
                    contents = model.setdefault(f"t{name}", [])
                    happened = "added" if not contents else "unchanged" if contents[-1] == content else "updated"
                    expected[happened] += 1
                    if happened != "unchanged":
                        contents.append(content)
            assert deliver(db, folder, *lines) == Count(lines=len(lines), **expected)
        stored = db.execute("select trace_id, revision, response from trace order by trace_id").fetchall()
    assert stored == [
        (name, len(contents), f"answer {contents[-1]}" if contents[-1] >= 0 else make_trace()["response"])
        for name, contents in sorted(model.items())
    ]


def test_the_same_bytes_under_another_name_change_nothing(db, tmp_path):
    deliver(db, tmp_path, make_trace("t1"), b"broken", b"")
    before = tables(db)
    again = write_lines(tmp_path / "renamed.jsonl", make_trace("t1"), b"broken", b"")
    counted = ingest_file(db, again, tmp_path / "quarantine", Ingest())
    assert counted.was_known
    assert counted.count == Count(lines=3, unchanged=1, rejected=1, blank=1)
    assert tables(db) == before


def test_a_grown_file_adds_only_what_is_new(db, tmp_path):
    deliver(db, tmp_path, make_trace("t1"), make_trace("t2"))
    assert deliver(db, tmp_path, make_trace("t1"), make_trace("t2"), make_trace("t3")) == Count(3, 1, 0, 2, 0, 0)
    assert db.execute("select trace_id, revision from trace order by 1").fetchall() == [("t1", 1), ("t2", 1), ("t3", 1)]


def test_a_file_without_a_line_is_counted(db, tmp_path):
    assert deliver(db, tmp_path) == Count()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_file_is_unpacked_by_its_bytes_whatever_its_name(db, tmp_path, pack):
    path = write_lines(tmp_path / "traces.jsonl", make_trace("t1"), make_trace("t2"))
    path.write_bytes(pack(path.read_bytes()))
    assert ingest_file(db, path, tmp_path / "quarantine", Ingest()).count == Count(lines=2, added=2)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_an_archive_that_is_cut_off_adds_nothing(db, tmp_path, pack):
    deliver(db, tmp_path, make_trace("there"))
    before = tables(db)
    lines = [make_trace(f"t{n}", response=f"{n * 7919}" * 50) for n in range(6000)]
    path = write_lines(tmp_path / "cut.jsonl", *lines)
    packed = pack(path.read_bytes())
    path.write_bytes(packed[: len(packed) * 9 // 10])
    with pytest.raises(UserError, match="nothing was added, deliver it again"):
        ingest_file(db, path, tmp_path / "quarantine", Ingest())
    assert tables(db) == before
    path.write_bytes(packed)
    assert ingest_file(db, path, tmp_path / "quarantine", Ingest()).count.added == 6000


def test_a_line_of_five_megabytes_is_rejected_and_only_its_head_is_kept(db, tmp_path):
    deliver_count = deliver(db, tmp_path, make_trace("long", response="x" * 5_000_000), make_trace("t2"))
    assert deliver_count == Count(lines=2, added=1, rejected=1)
    (kept,) = (tmp_path / "quarantine").iterdir()
    told = json.loads(kept.read_text())
    assert told["reason"] == "the line is longer than 1048576 bytes"
    assert base64.b64decode(told["raw"]).startswith(b'{"trace_id": "long"')
    assert kept.stat().st_size < 10_000


def test_quarantine_tells_file_line_reason_and_the_raw_bytes(db, tmp_path):
    raw = b'{"trace_id": "\xff"'
    deliver(db, tmp_path, make_trace("t1"), raw)
    (kept,) = (tmp_path / "quarantine").iterdir()
    told = json.loads(kept.read_text())
    assert (told["file"], told["line"], base64.b64decode(told["raw"])) == ("delivery.jsonl", 2, raw)
    assert db.execute("select name, line, reason from rejected_line").fetchall() == [
        ("delivery.jsonl", 2, told["reason"])
    ]


def test_without_a_rejected_line_there_is_no_quarantine(db, tmp_path):
    deliver(db, tmp_path, make_trace("t1"))
    assert not (tmp_path / "quarantine").exists()


@pytest.fixture
def meanwhile(monkeypatch):
    """Let something happen to a file each time that it has been read, until the test takes it back."""

    def arrange(happen):
        def read(path, limits):
            yield from reader(path, limits)
            happen(path)

        reader = READERS["jsonl"]
        monkeypatch.setitem(READERS, "jsonl", read)
        return monkeypatch.undo

    return arrange


def append(path, content):
    with path.open("ab") as file:
        file.write(content)


def as_line(trace_id):
    return json.dumps(make_trace(trace_id)).encode() + b"\n"


def test_a_file_that_grows_while_it_is_read_gives_what_it_held_and_the_rest_next_time(db, tmp_path, meanwhile):
    path = write_lines(tmp_path / "growing.jsonl", make_trace("t1"))
    taken = sha256(path.read_bytes()).hexdigest()
    stop = meanwhile(lambda path: append(path, as_line("t2")))
    assert ingest_file(db, path, tmp_path / "quarantine", Ingest()).count == Count(lines=1, added=1)
    assert db.execute("select sha256 from source_file").fetchall() == [(taken,)]
    stop()
    assert ingest_file(db, path, tmp_path / "quarantine", Ingest()).count == Count(lines=2, added=1, unchanged=1)


def test_a_line_that_is_still_being_written_waits_for_the_next_time(db, tmp_path, meanwhile):
    path = tmp_path / "growing.jsonl"
    path.write_bytes(as_line("t1") + as_line("t2")[:20])
    stop = meanwhile(lambda path: append(path, as_line("t2")[20:30]))
    assert ingest_file(db, path, tmp_path / "quarantine", Ingest()).count == Count(lines=1, added=1)
    assert ingest_file(db, path, tmp_path / "quarantine", Ingest()).was_known
    stop()
    path.write_bytes(as_line("t1") + as_line("t2"))
    assert ingest_file(db, path, tmp_path / "quarantine", Ingest()).count == Count(lines=2, added=1, unchanged=1)


def test_a_last_line_without_line_feed_is_read_where_nothing_grows(db, tmp_path):
    path = tmp_path / "whole.jsonl"
    path.write_bytes(as_line("t1") + as_line("t2")[:-1])
    assert ingest_file(db, path, tmp_path / "quarantine", Ingest()).count == Count(lines=2, added=2)


def replace(path):
    write_lines(path.with_suffix(".new"), make_trace("other")).replace(path)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_an_archive_that_grows_while_it_is_read_adds_nothing(db, tmp_path, meanwhile, pack):
    path = tmp_path / "packed.jsonl.gz"
    path.write_bytes(pack(as_line("t1")))
    meanwhile(lambda path: append(path, pack(as_line("t2"))))
    before = tables(db)
    with pytest.raises(UserError, match="changed while it was read; nothing of it was added"):
        ingest_file(db, path, tmp_path / "quarantine", Ingest())
    assert tables(db) == before


@pytest.mark.parametrize("happen", [replace, lambda path: os.truncate(path, 10)], ids=["replaced", "shrunk"])
def test_a_file_that_is_replaced_or_shrinks_while_it_is_read_adds_nothing(db, tmp_path, meanwhile, happen):
    path = write_lines(tmp_path / "changing.jsonl", make_trace("t1"), make_trace("t2"))
    meanwhile(happen)
    before = tables(db)
    with pytest.raises(UserError, match="changed while it was read; nothing of it was added"):
        ingest_file(db, path, tmp_path / "quarantine", Ingest())
    assert tables(db) == before


def test_a_file_that_is_appended_to_all_the_time_is_ingested(db, tmp_path):
    path = write_lines(tmp_path / "served.jsonl", *(make_trace(f"t{n}") for n in range(500)))
    done = Event()

    def serve():
        while not done.wait(0.001):
            append(path, as_line(f"late {path.stat().st_size}"))

    server = Thread(target=serve)
    server.start()
    try:
        counted = [ingest_file(db, path, tmp_path / "quarantine", Ingest()).count for _ in range(3)]
    finally:
        done.set()
        server.join()
    assert counted[0].lines >= 500
    assert [count.rejected for count in counted] == [0, 0, 0]
    total = ingest_file(db, path, tmp_path / "quarantine", Ingest()).count.lines
    assert db.execute("select count(*), max(revision) from trace").fetchone() == (total, 1)


def test_a_damaged_file_leaves_the_files_before_it(db, tmp_path):
    good = write_lines(tmp_path / "a.jsonl", make_trace("t1"))
    bad = tmp_path / "b.jsonl"
    bad.write_bytes(gzip.compress(b"x" * 1000)[:20])
    heard = []
    with pytest.raises(UserError, match=r"b\.jsonl"):
        ingest(db, [good, bad], tmp_path / "quarantine", Ingest(), heard.append)
    assert [one.path.name for one in heard] == ["a.jsonl"]
    assert traces.count_traces(db, WEEK) == (1, 1)


@pytest.mark.parametrize(
    ("group", "fields", "expected"),
    [
        ("session_id", {"session_id": "s1"}, "s1"),
        ("session_id", {}, "t1"),
        ("metadata.source_id", {"metadata": {"source_id": 7}}, "7"),
        ("metadata.source.id", {"metadata": {"source": {"id": "deep"}}}, "deep"),
        ("metadata.source.id", {"metadata": {"source": "flat"}}, "t1"),
        ("no_such_field", {}, "t1"),
    ],
)
def test_the_group_is_the_field_the_settings_name_or_else_the_trace_itself(db, tmp_path, group, fields, expected):
    deliver(db, tmp_path, make_trace("t1", **fields), group=group)
    assert db.execute("select group_id from trace").fetchone() == (expected,)


def test_folders_give_their_trace_files_in_name_order_and_nothing_else(tmp_path):
    for name in ("b.jsonl", "a.jsonl.gz", "c.ndjson.zst", "notes.txt", "d.jsonl.part"):
        (tmp_path / name).touch()
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "x.jsonl").touch()
    assert [path.name for path in trace_files([tmp_path])] == ["a.jsonl.gz", "b.jsonl", "c.ndjson.zst"]
    assert trace_files([tmp_path / "notes.txt"]) == [tmp_path / "notes.txt"]


def test_a_path_that_is_not_there_is_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match="there is no file or folder"):
        trace_files([tmp_path / "nothing"])
