import json
from dataclasses import replace

import pytest

from eval.errors import UserError
from flywheel.ingest.quarantine import Kept, line_of, read_kept
from flywheel.ingest.retry import retry
from flywheel.warehouse.deliveries import Count, TraceCount
from tests.flywheel.made_otlp import make_span, make_spans, request
from tests.flywheel.made_traces import how_made, make_trace, open_made, tables, take, write_lines

DEEP = {"deep": [[[[["x"]]]]]}


@pytest.fixture
def db(tmp_path):
    with open_made(tmp_path) as connection:
        yield connection


def quarantined(folder):
    return sorted((folder / "quarantine").iterdir())


def test_records_that_are_good_now_leave_the_quarantine_for_the_warehouse(db, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("t1", metadata=DEEP), b"broken", make_trace("t2"))
    assert take(db, path, max_nesting=4).count == Count(3, 1, rejected=2)
    (kept,) = quarantined(tmp_path)
    counted = retry(db, kept, how_made(tmp_path))
    assert (counted.name, counted.format, counted.count) == ("a.jsonl", "native", Count(2, 1, rejected=1))
    assert db.execute("select trace_id from trace order by 1").fetchall() == [("t1",), ("t2",)]
    (left,) = quarantined(tmp_path)
    assert left != kept
    assert [(one.file, one.line, one.raw) for one in read_kept(left)] == [("a.jsonl", 2, b"broken")]


def test_when_all_are_good_the_file_goes(db, tmp_path):
    take(db, write_lines(tmp_path / "a.jsonl", make_trace("t1", metadata=DEEP)), max_nesting=4)
    retry(db, quarantined(tmp_path)[0], how_made(tmp_path))
    assert quarantined(tmp_path) == []


def test_where_nothing_is_mended_the_file_and_the_warehouse_stay_as_they_are(db, tmp_path):
    take(db, write_lines(tmp_path / "a.jsonl", b"broken", make_trace("t2"), b"{}"))
    (kept,) = quarantined(tmp_path)
    before, content = tables(db), kept.read_bytes()
    counted = retry(db, kept, how_made(tmp_path))
    assert counted.failure is not None
    assert counted.failure.startswith(f"{kept.name}: none of its records can be read yet (the first: JSON is malformed")
    assert counted.failure.endswith(f"deliver a.jsonl again once it is mended, and delete {kept}")
    assert (tables(db), quarantined(tmp_path), kept.read_bytes()) == (before, [kept], content)


def test_a_record_of_which_only_the_beginning_was_kept_stays_there(db, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", make_trace("long", response="x" * 9000), make_trace("t1", metadata=DEEP))
    take(db, path, max_line_bytes=5000, max_nesting=4)
    counted = retry(db, quarantined(tmp_path)[0], how_made(tmp_path))
    assert counted.count == Count(2, 1, rejected=1)
    (left,) = quarantined(tmp_path)
    assert [(one.line, one.whole, one.reason) for one in read_kept(left)] == [
        (1, False, "the line is longer than 5000 bytes")
    ]


def test_a_record_that_somebody_mended_by_hand_is_taken(db, tmp_path):
    take(db, write_lines(tmp_path / "a.jsonl", b'{"trace_id": "t1", "user_input": "Q"}'))
    (kept,) = quarantined(tmp_path)
    (one,) = read_kept(kept)
    kept.write_bytes(line_of(replace(one, raw=json.dumps(make_trace("t1")).encode())))
    assert retry(db, kept, how_made(tmp_path)).count == Count(1, 1)


def test_spans_that_are_good_now_complete_their_trace(db, tmp_path):
    chain, retriever, llm = make_spans("t")
    deep: dict = {"stringValue": "x"}
    for _ in range(10):
        deep = {"kvlistValue": {"values": [{"key": "k", "value": deep}]}}
    retriever["attributes"].append({"key": "deep", "value": deep})
    take(db, write_lines(tmp_path / "a.jsonl", request(chain), request(retriever), request(llm)), max_nesting=12)
    assert db.execute("select revision, contexts_missing from trace").fetchall() == [(1, True)]
    counted = retry(db, quarantined(tmp_path)[0], how_made(tmp_path))
    assert (counted.count, counted.traces) == (Count(1, 1), TraceCount(updated=1))
    assert db.execute("select revision, contexts_missing from trace").fetchall() == [(2, False)]


def test_a_span_that_was_rejected_alone_is_kept_so_that_it_can_be_read_again(db, tmp_path):
    good, bad = make_span("t", "chain", "CHAIN", input_value="Q"), make_span("t", "llm", "LLM", output_value="A")
    del bad["traceId"]
    assert take(db, write_lines(tmp_path / "a.jsonl", request(good, bad))).count == Count(2, 1, rejected=1)
    (kept,) = quarantined(tmp_path)
    counted = retry(db, kept, how_made(tmp_path))
    assert counted.failure
    assert [one.format for one in read_kept(kept)] == ["otlp-json"]


def test_an_empty_file_and_one_of_an_unknown_format_are_the_users_to_mend(db, tmp_path):
    path = tmp_path / "q.jsonl"
    path.touch()
    with pytest.raises(UserError, match="holds no records; delete it"):
        retry(db, path, how_made(tmp_path))
    path.write_bytes(line_of(Kept("a", 1, "why", "../../evil", b"{}", True)))
    with pytest.raises(UserError, match="there is no format"):
        retry(db, path, how_made(tmp_path))
    assert path.exists()
    assert not (tmp_path / "quarantine").exists()


def test_a_record_of_a_mapping_waits_until_the_mapping_is_named(db, tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_bytes(line_of(Kept("a", 1, "why", "mapped", b"{}", True)))
    assert retry(db, path, how_made(tmp_path)).failure
    assert path.exists()


def test_a_record_that_is_tried_again_leaves_alone_what_came_since(db, tmp_path):
    take(db, write_lines(tmp_path / "a.jsonl", make_trace("t1", response="old", metadata=DEEP)), max_nesting=4)
    take(db, write_lines(tmp_path / "b.jsonl", make_trace("t1", response="new")))
    counted = retry(db, quarantined(tmp_path)[0], how_made(tmp_path))
    assert counted.count == Count(1, unchanged=1)
    assert db.execute("select response, revision from trace").fetchall() == [("new", 1)]


def test_what_is_mended_is_no_longer_told_as_rejected(db, tmp_path):
    take(db, write_lines(tmp_path / "a.jsonl", make_trace("t1", metadata=DEEP), b"broken"), max_nesting=4)
    retry(db, quarantined(tmp_path)[0], how_made(tmp_path))
    assert db.execute("select name, line from rejected_record").fetchall() == [("a.jsonl", 2)]


def test_a_line_is_tried_again_as_a_line_and_not_as_a_document(db, tmp_path):
    take(db, write_lines(tmp_path / "a.jsonl", make_trace("t1"), json.dumps([make_trace("t2")]).encode()))
    assert retry(db, quarantined(tmp_path)[0], how_made(tmp_path)).failure is not None
