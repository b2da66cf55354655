"""What the scratch warehouse holds of an export after the stages: reading only, all its SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from flywheel.governance.masking import Mask, mask_by_default, mask_name, note_mask
from flywheel.look.findings import FileFinding, Read, Shown

PASSAGES = 12
"""Passages of a trace that are shown: nobody reads more of one at a first look."""

REASONS = 12


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known of a trace without its texts. `unsupported` is None where the detector could not judge it."""

    trace_id: str
    group_id: str
    has_answered: bool
    is_flagged: bool
    failure_type: str | None
    severity: str | None
    unsupported: float | None
    is_pii_leak: bool
    is_injection: bool
    is_disliked: bool
    rating: int | None

    @property
    def is_suspected(self) -> bool:
        """Whether it is flagged for anything but that somebody disliked it: what a dislike may be compared with."""
        return self.is_flagged and self.failure_type != "negative_feedback"


def observe(db: duckdb.DuckDBPyConnection) -> list[Observed]:
    """Give every trace, by trace id."""
    rows = db.execute(
        """
        select t.trace_id, t.group_id, t.status = 'ok' and coalesce(trim(t.response), '') <> '',
               g.is_flagged, g.failure_type, g.severity, case when isfinite(s.value) then 1 - s.value end,
               coalesce(n.is_pii_leak, false), coalesce(n.is_injection, false),
               n.is_negative_feedback or n.is_disliked_in_export, t.rating
        from trace t join triage g using (trace_id) join signal n using (trace_id)
        left join score s on s.trace_id = t.trace_id and s.metric = 'groundedness'
        order by t.trace_id
        """
    ).fetchall()
    return [Observed(*row) for row in rows]


def weeks(db: duckdb.DuckDBPyConnection) -> tuple[tuple[str, int], ...]:
    """Count the traces of each week."""
    return tuple(db.execute("select week, count(*) from trace group by week order by week").fetchall())


def show_traces(db: duckdb.DuckDBPyConnection, trace_ids: Sequence[str], mask: Mask) -> dict[str, Shown]:
    """Give some traces as people see them; masks are as long as what they cover, so no offset moves."""
    rows = db.execute(
        """
        with worst as (
            select trace_id, arg_max((start_offset, end_offset, reason), (unsupported, -index)) as told
            from sentence_score where trace_id in (select unnest($ids)) group by trace_id)
        select t.trace_id, t."timestamp", t.user_input, coalesce(t.response, ''), coalesce(t.error, ''),
               t.retrieved_contexts[:$most], w.told, g.reason,
               case when isfinite(s.value) then 1 - s.value end, g.is_flagged, g.failure_type, g.severity
        from trace t join triage g using (trace_id) left join worst w using (trace_id)
        left join score s on s.trace_id = t.trace_id and s.metric = 'groundedness'
        where t.trace_id in (select unnest($ids))
        """,
        {"ids": list(trace_ids), "most": PASSAGES},
    ).fetchall()
    return {row[0]: shown(row, mask) for row in rows}


def shown(row: tuple[Any, ...], mask: Mask) -> Shown:
    """Lay out one trace."""
    trace_id, when, question, response, error, contexts, told, reason, unsupported, flagged, kind, severity = row
    passages = tuple(
        Read(mask(context["id"]), mask(context["text"]), mask(context["source"]) if context["source"] else None)
        for context in contexts
    )
    return Shown(
        mask_name(trace_id, mask),
        when,
        mask(question),
        mask(response),
        mask(error),
        passages,
        (told[0], told[1]) if told else None,
        note_mask((question, response, *(context["text"] for context in contexts)), mask)(told[2] if told else reason),
        unsupported,
        flagged,
        kind,
        severity,
    )


def texts(db: duckdb.DuckDBPyConnection, trace_ids: Sequence[str]) -> dict[str, str]:
    """Give question and answer of some traces, as far as likeness needs them."""
    return dict(
        db.execute(
            """
            select trace_id, lower(left(user_input, 2000) || ' ' || left(coalesce(response, error, ''), 2000))
            from trace where trace_id in (select unnest(?))
            """,
            [list(trace_ids)],
        ).fetchall()
    )


def human_scores(db: duckdb.DuckDBPyConnection) -> list[tuple[str, str, float | None, str | None, str | None]]:
    """Give what people said of the traces at hand: trace id, name, value, label, comment."""
    return db.execute(
        """
        select e.trace_id, e.name, e.value, e.label, e.comment from exported_score e semi join trace using (trace_id)
        where e.source = 'human' order by e.name, e.trace_id, e.score_id
        """
    ).fetchall()


def machine_scores(db: duckdb.DuckDBPyConnection, mask: Mask = mask_by_default) -> list[tuple[str, int]]:
    """Count the traces that models, code or nobody knows who scored, by the score's name."""
    counted = db.execute(
        """
        select name, count(distinct trace_id) from exported_score semi join trace using (trace_id)
        where source <> 'human' group by name order by 2 desc, 1
        """
    ).fetchall()
    return [(mask_name(name, mask), many) for name, many in counted]


def count_unjudged(db: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Count every trace once, by why the detector has no verdict on it; `judged` are those it has one on."""
    return dict(
        db.execute(
            """
            select case
                when isfinite(s.value) then 'judged'
                when t.status = 'error' then 'error'
                when coalesce(trim(t.response), '') = '' then 'no answer'
                when len(list_filter(t.retrieved_contexts, lambda c: c.text <> '')) = 0
                     and len(t.retrieved_contexts) > 0 then 'no texts'
                when len(t.retrieved_contexts) = 0 and t.contexts_missing then 'no passages'
                when len(t.retrieved_contexts) = 0 then 'nothing retrieved'
                else 'nothing to judge' end, count(*)
            from trace t left join score s on s.trace_id = t.trace_id and s.metric = 'groundedness' group by 1
            """
        ).fetchall()
    )


def count_partly(db: duckdb.DuckDBPyConnection) -> int:
    """Count judged traces that lack the text of some passage."""
    return count(
        db,
        """
        select count(*) from trace join score using (trace_id)
        where metric = 'groundedness' and isfinite(value) and contexts_missing
        """,
    )


def count_waiting(db: duckdb.DuckDBPyConnection) -> int:
    """Count the traces whose steps hold no question."""
    return count(db, "select count(distinct trace_id) from span anti join trace using (trace_id)")


def count_strays(db: duckdb.DuckDBPyConnection) -> int:
    """Count the scores of traces that the export does not hold."""
    return count(db, "select count(*) from exported_score anti join trace using (trace_id)")


def count(db: duckdb.DuckDBPyConnection, query: str) -> int:
    """Run a query that counts."""
    row = db.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def name_rejected(db: duckdb.DuckDBPyConnection, name: str) -> None:
    """Call the file whose rejected records came last by another name: two files of one name are not one file.

    For a warehouse that is thrown away.
    """
    db.execute(
        """
        update rejected_record set name = ? where delivery = (select max(delivery) from rejected_record)
        """,
        [name],
    )


def rejected_reasons(db: duckdb.DuckDBPyConnection, mask: Mask) -> dict[str, tuple[tuple[str, int], ...]]:
    """Give of each file the commonest reasons for which records were rejected, with the first place of each."""
    rows = db.execute(
        """
        with counted as (
            select name, reason, count(*) as many, min(line) as first from rejected_record group by name, reason)
        select name, reason || ' (first at ' || first || ')', many from counted
        qualify row_number() over (partition by name order by many desc, first) <= ?
        order by name, many desc, first
        """,
        [REASONS],
    ).fetchall()
    by_file: dict[str, tuple[tuple[str, int], ...]] = {}
    for name, reason, many in rows:
        by_file[name] = (*by_file.get(name, ()), (mask(reason), many))
    return by_file


def add_up(files: Sequence[FileFinding]) -> FileFinding:
    """Sum the counts of some files."""
    names = ("records", "added", "updated", "unchanged", "rejected", "blank", "traces")
    return FileFinding("total", "", "", "record", *(sum(getattr(file, name) for file in files) for name in names))
