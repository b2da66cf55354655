"""Traces as they stand: appended as they arrive, settled once a delivery is complete."""

from collections.abc import Sequence
from typing import Any, Final

import duckdb
import pyarrow as pa

from flywheel.warehouse.arrivals import Settled, count_settled, drop_all_but, met_again

FOUND_IN_A_WEEK = ("signal", "score", "sentence_score", "triage")
"""What was found of a trace; it goes when a new timestamp moves the trace to another week."""
CONTENT: Final = (
    '"timestamp", group_id, user_input, response, session_id, user_id, tenant_id, environment, retrieved_contexts, '
    "contexts_missing, model, prompt_version, latency_ms, input_tokens, output_tokens, cost_usd, status, error, "
    "rating, comment, metadata"
)


def append_traces(db: duckdb.DuckDBPyConnection, rows: pa.Table) -> None:
    """Append traces in one Arrow scan, as their first revision; `settle_traces` follows.

    A relation, and not a registered view: DuckDB holds on to what a view shows until the transaction ends.
    """
    columns = f"trace_id, 1, content_hash, strftime(\"timestamp\", '%G-W%V'), {CONTENT}, delivery, line"
    db.from_arrow(rows).project(columns).insert_into("trace")


def drop_known(db: duckdb.DuckDBPyConnection, delivery: int) -> int:
    """Drop the traces of a delivery that another one brought. Gives their number."""
    row = db.execute(
        """
        delete from trace where delivery = $delivery
        and trace_id in (select trace_id from trace where delivery <> $delivery)
        """,
        {"delivery": delivery},
    ).fetchone()
    return int(row[0]) if row else 0


def settle_traces(db: duckdb.DuckDBPyConnection, delivery: int, *, by_content: bool = False) -> Settled:
    """Keep the newest arrival of each trace that changed something; each change on the way counts one revision.

    Two arrivals of the same bytes are the same, unless `by_content` asks to look closer; those of other bytes are
    compared field by field, so that the order of keys and white space change nothing.
    """
    met_again(db, "trace", "trace_id", delivery)
    db.execute(
        f"""
        create or replace temp table seen as
        with arrived as (
            select trace_id, delivery, line, content_hash, revision, week,
                   lag(content_hash) over arrival as hash_before,
                   lag(delivery) over arrival as delivery_before, lag(line) over arrival as line_before
            from trace semi join met using (trace_id)
            window arrival as (partition by trace_id order by delivery, line)),
        doubtful as (select * from arrived where $by_content or hash_before <> content_hash),
        written as (
            select delivery, line, md5(row({CONTENT})::varchar) as content from trace
            where (delivery, line) in (
                select (delivery, line) from doubtful
                union all select (delivery_before, line_before) from doubtful))
        select a.trace_id, a.delivery, a.line, a.week, a.revision, a.hash_before as before,
               a.hash_before is null
               or (($by_content or a.hash_before <> a.content_hash) and now.content <> earlier.content) as is_change
        from arrived a
        left join written now on now.delivery = a.delivery and now.line = a.line
        left join written earlier on earlier.delivery = a.delivery_before and earlier.line = a.line_before
        """,
        {"by_content": by_content},
    )
    settled = count_settled(db, "trace", delivery, "is_change")
    db.execute(
        """
        create or replace temp table kept as
        with counted as (
            select *,
                   coalesce(max(revision) filter (delivery <> $delivery) over trace, 0)
                   + count(*) filter (delivery = $delivery and is_change) over trace as newest_revision,
                   first(week) over trace as first_week
            from seen window trace as (
                partition by trace_id order by delivery, line rows between unbounded preceding and unbounded following))
        select trace_id, delivery, line, week, first_week, newest_revision from counted where is_change
        qualify row_number() over (partition by trace_id order by delivery desc, line desc) = 1
        """,
        {"delivery": delivery},
    )
    for table in FOUND_IN_A_WEEK:
        db.execute(f"delete from {table} where trace_id in (select trace_id from kept where week <> first_week)")
    db.execute(
        """
        update trace set revision = kept.newest_revision from kept
        where trace.delivery = kept.delivery and trace.line = kept.line and revision <> kept.newest_revision
        """
    )
    drop_all_but(db, "trace", "select delivery, line from kept")
    db.execute("drop table kept")
    return settled


def add_corpus(db: duckdb.DuckDBPyConnection, passages: pa.Table) -> int:
    """Keep passages by their id, each in place of one of the same id, the later by `place`. Gives their number."""
    db.register("arriving", passages)
    try:
        db.execute("delete from corpus_passage where passage_id in (select passage_id from arriving)")
        db.execute(
            """
            insert into corpus_passage
            select passage_id, arg_max("text", place) from arriving group by passage_id
            """
        )
    finally:
        db.unregister("arriving")
    return int(passages.num_rows)


def join_corpus(db: duckdb.DuckDBPyConnection) -> int:
    """Put the corpus's text into passages that came by id alone; each trace that gains one is a new revision.

    A trace whose passages then all have a text misses none any more. Gives the number of traces that gained one.
    """
    if db.execute("select 1 from corpus_passage limit 1").fetchone() is None:
        return 0
    db.execute(
        """
        create or replace temp table completed as
        with waiting as (
            select trace_id, unnest(retrieved_contexts) as context,
                   generate_subscripts(retrieved_contexts, 1) as place
            from trace where contexts_missing and len(retrieved_contexts) > 0)
        select trace_id,
               list({
                   'id': context.id,
                   'text': case when context.text = '' then coalesce(c.text, '') else context.text end,
                   'score': context.score, 'source': context.source} order by place) as contexts,
               count(*) filter (context.text = '' and c.text is not null) as gained,
               count(*) filter (context.text = '' and c.text is null) as missing
        from waiting left join corpus_passage c on c.passage_id = context.id
        group by trace_id having gained > 0
        """
    )
    db.execute(
        """
        update trace set retrieved_contexts = completed.contexts, contexts_missing = completed.missing > 0,
                         revision = revision + 1
        from completed where trace.trace_id = completed.trace_id
        """
    )
    row = db.execute("select count(*) from completed").fetchone()
    db.execute("drop table completed")
    assert row is not None
    return int(row[0])


def week_fingerprint(db: duckdb.DuckDBPyConnection, week: str) -> str:
    """Give a hash of what traces a week holds, at which revision and content."""
    row = db.execute(
        """
        select coalesce(md5(string_agg(trace_id || content_hash || revision, ',' order by trace_id)), '')
        from trace where week = ?
        """,
        [week],
    ).fetchone()
    assert row is not None
    return str(row[0])


def count_traces(db: duckdb.DuckDBPyConnection, week: str) -> tuple[int, int]:
    """Count a week's traces: all, and those with status ok."""
    row = db.execute("select count(*), count(*) filter (status = 'ok') from trace where week = ?", [week]).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def weeks(db: duckdb.DuckDBPyConnection) -> list[str]:
    """List the weeks that hold traces, in order."""
    return [week for (week,) in db.execute("select distinct week from trace order by week").fetchall()]


def weeks_of(db: duckdb.DuckDBPyConnection, first_delivery: int) -> list[tuple[str, int]]:
    """Count the traces that stand as a delivery from `first_delivery` on left them, by week, in order."""
    return db.execute(
        "select week, count(*) from trace where delivery >= ? group by week order by week", [first_delivery]
    ).fetchall()


def revisions(db: duckdb.DuckDBPyConnection, trace_ids: Sequence[str]) -> dict[str, int]:
    """Give the current revision of some traces."""
    found = db.execute("select trace_id, revision from trace where trace_id in (select unnest(?))", [list(trace_ids)])
    return dict(found.fetchall())


def rows(db: duckdb.DuckDBPyConnection, week: str, *columns: str) -> list[tuple[Any, ...]]:
    """Give columns of a week's traces, ordered by trace id."""
    return db.execute(f"select {', '.join(columns)} from trace where week = ? order by trace_id", [week]).fetchall()


def as_one_week(db: duckdb.DuckDBPyConnection) -> str:
    """Put all traces into the newest week that any of them is in, and name it: an export looked at as one period.

    For a warehouse that is thrown away: what week a trace is of is lost.
    """
    row = db.execute("select max(week) from trace").fetchone()
    if row is None or row[0] is None:
        raise ValueError("there are no traces; take some in first")
    db.execute("update trace set week = $week where week <> $week", {"week": row[0]})
    return str(row[0])
