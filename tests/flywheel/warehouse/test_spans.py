from datetime import UTC, datetime

import pytest

from flywheel.sources.records import ExportedScore
from flywheel.warehouse import arrivals, spans
from tests.flywheel.made_traces import deliver, make_trace, open_made


@pytest.fixture
def db(tmp_path):
    with open_made(tmp_path) as connection:
        spans.forget_touched(connection)
        yield connection


def stage(db, delivery, *told):
    """Add spans, each told as trace and span; say of each trace how many there are."""
    rows = [(trace, span, "", trace + span, b'{"n":"%s"}' % span.encode(), n) for n, (trace, span) in enumerate(told)]
    arrivals.append(db, "span", spans.span_table(rows, delivery))
    traces = sorted({trace for trace, _ in told})
    touched = [(name, sum(trace == name for trace, _ in told), name != "asks nothing") for name in traces]
    arrivals.append(db, "touched", spans.touched_table(touched))


def pieces(db):
    return [(trace, contents) for some in spans.read_pieces(db) for trace, contents in some]


def test_a_trace_that_stands_in_one_batch_is_in_no_pieces(db):
    stage(db, 1, ("t1", "a"), ("t1", "b"), ("t2", "a"))
    assert spans.traces_in_pieces(db, 1) == 0


def test_a_trace_over_several_batches_or_deliveries_comes_with_all_its_spans_in_order(db):
    stage(db, 1, ("t1", "b"), ("t2", "a"))
    spans.forget_touched(db)
    stage(db, 2, ("t1", "c"), ("t3", "b"), ("t4", "a"))
    stage(db, 2, ("t3", "a"), ("t1", "a"))
    assert spans.traces_in_pieces(db, 2) == 2
    assert pieces(db) == [("t1", ['{"n":"a"}', '{"n":"b"}', '{"n":"c"}']), ("t3", ['{"n":"a"}', '{"n":"b"}'])]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_trace_is_never_cut_where_a_slice_ends(db, monkeypatch, size):
    monkeypatch.setattr(spans, "SLICE", size)
    for span in "abc":
        stage(db, 1, *((f"t{n}", span) for n in range(4)))
    assert spans.traces_in_pieces(db, 1) == 4
    assert pieces(db) == [(f"t{n}", ['{"n":"a"}', '{"n":"b"}', '{"n":"c"}']) for n in range(4)]


def test_what_was_made_of_a_part_is_taken_back_in_this_delivery_alone(db, tmp_path):
    deliver(db, tmp_path, make_trace("t1"))
    spans.forget_touched(db)
    db.execute("insert into trace select * replace (2 as delivery) from trace")
    stage(db, 2, ("t1", "a"))
    stage(db, 2, ("t1", "b"))
    assert spans.traces_in_pieces(db, 2) == 1
    assert db.execute("select delivery from trace").fetchall() == [(1,)]


def test_traces_that_are_whole_and_still_none_are_counted_as_waiting(db):
    stage(db, 1, ("t1", "a"), ("asks nothing", "a"))
    spans.traces_in_pieces(db, 1)
    assert spans.count_waiting(db) == 1
    left = db.execute("select table_name from duckdb_tables() where temporary").fetchall()
    assert left == []


def test_an_exported_score_is_stored_as_it_came(db):
    at = datetime(2026, 11, 3, 10, tzinfo=UTC)
    score = ExportedScore(
        score_id="s", trace_id="t", name="helpful", source="human", span_id="x", value=0.5, label="yes",
        comment="it's 🙂", author="ann", created_at=at,
    )  # fmt: skip
    bare = ExportedScore(score_id="s2", trace_id="t", name="n", source="unknown")
    arrivals.append(db, "exported_score", spans.score_table([(1, "h", score), (2, "g", bare)], 7))
    assert db.execute("select * from exported_score order by line").fetchall() == [
        ("s", "h", "t", "x", "helpful", "human", 0.5, "yes", "it's 🙂", "ann", at.replace(tzinfo=None), 7, 1),
        ("s2", "g", "t", None, "n", "unknown", None, None, None, None, None, 7, 2),
    ]


def test_the_scores_of_a_week_have_a_hash_that_no_order_and_no_other_week_changes(db, tmp_path):
    deliver(db, tmp_path, make_trace("t1"), make_trace("t2"), make_trace("t3", timestamp="2026-11-10T10:00:00Z"))

    def after(*told):
        rows = [
            (1, content, ExportedScore(score_id=content, trace_id=trace, name="thumbs", source="human"))
            for content, trace in told
        ]
        db.execute("delete from exported_score")
        arrivals.append(db, "exported_score", spans.score_table(rows, 9))
        return spans.scores_fingerprint(db, "2026-W45")

    assert spans.scores_fingerprint(db, "2026-W45") == ""
    both = after(("a", "t1"), ("b", "t2"))
    assert after(("b", "t2"), ("a", "t1"), ("c", "t3"), ("d", "stray")) == both
    assert len({both, after(("a", "t1")), after(("a", "t2"), ("b", "t1")), after(("e", "t1"), ("b", "t2"))}) == 4
