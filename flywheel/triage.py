"""Which traces of a week look failed, how, and how badly: rules over signals and scores, set-based.

A flagged trace is a suspicion, not a failure: only labels make a rate.
"""

from dataclasses import dataclass

import duckdb

from flywheel.settings import Triage

REASON = """
    case failure_type
        when 'unsupported_claim'
        then format('the detector gives {:.2f} that the passages do not support it', unsupported)
        when 'pii_leak' then 'the answer holds personal data that the question does not'
        when 'prompt_injection' then 'the question tries to give instructions'
        when 'wrong_abstention' then 'the answer says that it cannot answer'
        when 'empty_retrieval' then 'nothing was retrieved'
        when 'retrieval_miss' then format('{:.0f} % of the answer''s words are in a passage', overlap * 100)
        when 'negative_feedback' then 'the user rated it low'
        when 'slow' then 'it took longer than the limit'
        when 'error' then 'the pipeline failed'
        else ''
    end
"""
"""What a flag says for itself."""


@dataclass(frozen=True, slots=True)
class TriageCount:
    """How many traces of a week are flagged, of how many; `ok_flagged` counts those that answered."""

    traces: int
    flagged: int
    ok: int
    ok_flagged: int
    by_type: tuple[tuple[str, int], ...]

    @property
    def flagged_share(self) -> float | None:
        """The share of `ok` traces that are flagged; None in a week without any."""
        return self.ok_flagged / self.ok if self.ok else None


def triage_week(db: duckdb.DuckDBPyConnection, week: str, settings: Triage, threshold: float) -> TriageCount:
    """Write what is flagged in a week, in place of what was. The first rule that fits gives the failure type.

    `threshold` is the probability of an unsupported answer from which on a trace is flagged. Severity:
    P0 an unsupported answer that the user also disliked, P1 an error, leaked personal data or a clearly
    unsupported answer, P2 an answer that lacks support or retrieval, or a question that gives instructions,
    P3 slowness and dislike alone.

    A leak comes before all that is wrong with an answer: it harms whoever it names even where the rest is right. A
    question that gives instructions hides no unsupported claim, for there the attempt may have worked; it comes
    before poor retrieval, which is to be expected of such a question, and takes the place of a wrong abstention,
    since to decline was right. Without its passages an answer is neither unsupported nor poorly retrieved for. What
    people said in the tool that a trace came from flags nothing: it must never enter a rate.
    """
    db.execute("delete from triage where week = ?", [week])
    db.execute(
        f"""
        insert into triage
        with seen as (
            select s.*, case when isfinite(g.value) and not is_contexts_missing then 1 - g.value end as unsupported
            from signal s left join score g on g.trace_id = s.trace_id and g.metric = 'groundedness'
            where s.week = $week),
        typed as (
            select *, case
                when is_error then 'error'
                when is_pii_leak then 'pii_leak'
                when is_abstention and is_injection then 'prompt_injection'
                when is_abstention and is_empty_retrieval then 'empty_retrieval'
                when is_abstention then 'wrong_abstention'
                when unsupported >= $threshold then 'unsupported_claim'
                when is_injection then 'prompt_injection'
                when is_empty_retrieval then 'empty_retrieval'
                when overlap < $overlap then 'retrieval_miss'
                when is_negative_feedback then 'negative_feedback'
                when is_slow then 'slow'
            end as failure_type from seen)
        select trace_id, revision, week, failure_type is not null, failure_type,
            case
                when failure_type = 'unsupported_claim' and is_negative_feedback then 'P0'
                when failure_type in ('error', 'pii_leak') then 'P1'
                when failure_type = 'unsupported_claim' and unsupported > (1 + $threshold) / 2 then 'P1'
                when failure_type in ('negative_feedback', 'slow') then 'P3'
                when failure_type is not null then 'P2'
            end,
            {REASON}
        from typed
        """,
        {"week": week, "threshold": threshold, "overlap": settings.retrieval_overlap_below},
    )
    return count_triage(db, week)


def count_triage(db: duckdb.DuckDBPyConnection, week: str) -> TriageCount:
    """Count what is flagged in a week."""
    row = db.execute(
        """
        select count(*), count(*) filter (is_flagged), count(*) filter (not is_error),
               count(*) filter (is_flagged and not is_error)
        from triage join signal using (trace_id) where triage.week = ?
        """,
        [week],
    ).fetchone()
    assert row is not None
    types = db.execute(
        "select failure_type, count(*) from triage where week = ? and is_flagged group by 1 order by 2 desc, 1", [week]
    ).fetchall()
    total, flagged, ok, ok_flagged = row
    return TriageCount(total, flagged, ok, ok_flagged, tuple((name, count) for name, count in types))
