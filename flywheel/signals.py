"""Cheap signals of every trace, set-based in DuckDB: one statement, no loop over traces."""

from dataclasses import dataclass

import duckdb

from flywheel.settings import Triage

WORDS = r"[\p{L}\p{N}]+"
"""What counts as a word of the overlap: letters or digits of any script."""


@dataclass(frozen=True, slots=True)
class SignalCount:
    """How many traces of a week carry each signal."""

    traces: int
    errors: int
    slow: int
    empty_retrieval: int
    abstentions: int
    negative_feedback: int


def add_signals(db: duckdb.DuckDBPyConnection, week: str, settings: Triage) -> SignalCount:
    """Write the signals of a week's traces, in place of those it had.

    `overlap` is the share of the answer's distinct words of four letters or more that some passage holds,
    from 0 to 1; null where there is no such word or no passage.
    """
    from eval.metrics.abstention import ABSTENTION_PATTERN

    db.execute("delete from signal where week = ?", [week])
    db.execute(
        f"""
        insert into signal
        with words as (
            select trace_id,
                   list_distinct(
                       [w for w in regexp_extract_all(lower(response), '{WORDS}') if length(w) >= 4]) as answer,
                   list_distinct(regexp_extract_all(
                       lower(array_to_string([c.text for c in retrieved_contexts], ' ')), '{WORDS}')) as passages
            from trace where week = $week)
        select trace_id, revision, week,
               status = 'error',
               coalesce(latency_ms > $slow_ms, false),
               status = 'ok' and len(retrieved_contexts) = 0,
               coalesce(regexp_matches(response, $abstention), false),
               coalesce(rating <= $low_rating, false),
               case when len(answer) > 0 and len(retrieved_contexts) > 0
                    then len(list_intersect(answer, passages)) / len(answer) end
        from trace join words using (trace_id) where week = $week
        """,
        {
            "week": week,
            "slow_ms": settings.slow_ms,
            "abstention": ABSTENTION_PATTERN,
            "low_rating": settings.low_rating,
        },
    )
    row = db.execute(
        """
        select count(*), count(*) filter (is_error), count(*) filter (is_slow), count(*) filter (is_empty_retrieval),
               count(*) filter (is_abstention), count(*) filter (is_negative_feedback)
        from signal where week = ?
        """,
        [week],
    ).fetchone()
    assert row is not None
    return SignalCount(*row)
