"""What a weekly report shows: counts by day and attribute, exemplars, labels by stratum. Reading only."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from flywheel.governance.masking import Mask, mask_by_default, mask_name, note_mask
from flywheel.warehouse.connection import quoted

Counted = tuple[tuple[str, int, int], ...]
NEWEST = 30
"""Files whose rejected lines a report tells: those that it has room for."""

ATTRIBUTES = ("model", "prompt_version", "tenant_id")
NAMES = ("group_id", *ATTRIBUTES)
"""Columns of an export that may hold personal data: a session, a tenant may be called after a person."""


def files(db: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    """Give every delivery that was ingested, with its count, the newest first."""
    return db.execute(
        """
        select name, lines, added, updated, unchanged, rejected, blank from delivery
        order by ingested_at desc, name, delivery desc
        """
    ).fetchall()


def rejected(db: duckdb.DuckDBPyConnection) -> list[tuple[str, int, str]]:
    """Give the first hundred rejected lines (file, line, reason) of the `NEWEST` files, the newest file first."""
    return db.execute(
        """
        with newest as (select delivery, ingested_at from delivery order by ingested_at desc, name limit ?)
        select r.name, r.line, r.reason from rejected_record r join newest using (delivery)
        order by newest.ingested_at desc, r.name, r.line limit 100
        """,
        [NEWEST],
    ).fetchall()


def by_day(db: duckdb.DuckDBPyConnection, week: str) -> Counted:
    """Count a week's traces and errors by UTC day."""
    return tuple(
        db.execute(
            """
            select strftime("timestamp", '%Y-%m-%d'), count(*), count(*) filter (status = 'error')
            from trace where week = ? group by 1 order by 1
            """,
            [week],
        ).fetchall()
    )


def by_attribute(db: duckdb.DuckDBPyConnection, week: str, attribute: str) -> Counted:
    """Count a week's traces and flagged traces by one of `ATTRIBUTES`, the most frequent value first."""
    if attribute not in ATTRIBUTES:
        raise ValueError(f"{attribute} is none of {ATTRIBUTES}")
    return tuple(
        db.execute(
            f"""
            select coalesce({attribute}, 'not said'), count(*), count(*) filter (is_flagged)
            from trace join triage using (trace_id) where trace.week = ? group by 1 order by 2 desc, 1 limit 12
            """,
            [week],
        ).fetchall()
    )


def latency(db: duckdb.DuckDBPyConnection, week: str) -> tuple[float | None, float | None]:
    """Give the median and the 95th percentile of a week's latency in milliseconds."""
    row = db.execute(
        """
        select quantile_cont(latency_ms, 0.5), quantile_cont(latency_ms, 0.95)
        from trace where week = ? and status = 'ok'
        """,
        [week],
    ).fetchone()
    return row or (None, None)


def flagged_by_type_and_severity(db: duckdb.DuckDBPyConnection, week: str) -> tuple[tuple[str, str, int], ...]:
    """Count a week's flagged traces by failure type and severity."""
    return tuple(
        db.execute(
            """
            select failure_type, severity, count(*) from triage where week = ? and is_flagged
            group by 1, 2 order by 3 desc, 1, 2
            """,
            [week],
        ).fetchall()
    )


def flagged_by_week(db: duckdb.DuckDBPyConnection, week: str) -> tuple[tuple[str, str, int], ...]:
    """Count flagged traces by week and failure type, up to a week."""
    return tuple(
        db.execute(
            """
            select week, failure_type, count(*) from triage where week <= ? and is_flagged
            group by 1, 2 order by 1, 2
            """,
            [week],
        ).fetchall()
    )


def flagged_shares(db: duckdb.DuckDBPyConnection, week: str) -> list[tuple[str, int, int, str]]:
    """Give of every week up to one: its `ok` traces, those flagged, and the detector that looked, oldest first."""
    return db.execute(
        """
        select g.week, count(*) filter (not is_error), count(*) filter (is_flagged and not is_error),
               coalesce(max(s.instrument), '')
        from triage g join signal using (trace_id)
        left join score s on s.trace_id = g.trace_id and s.metric = 'groundedness'
        where g.week <= ? group by g.week order by g.week
        """,
        [week],
    ).fetchall()


def exemplars(
    db: duckdb.DuckDBPyConnection, trace_ids: list[str], mask: Mask = mask_by_default
) -> dict[str, tuple[str, str, str]]:
    """Give of some traces the question, the least supported sentence, and why it is doubted, masked.

    The answer is masked whole before the sentence is cut out of it: what makes a number personal may stand outside.
    """
    rows = db.execute(
        """
        with worst as (
            select trace_id, arg_max((start_offset, end_offset, reason), unsupported) as told
            from sentence_score where trace_id in (select unnest($ids)) group by trace_id)
        select t.trace_id, t.user_input, coalesce(t.response, t.error, ''), w.told, coalesce(w.told[3], g.reason),
               [context."text" for context in t.retrieved_contexts]
        from trace t join triage g using (trace_id) left join worst w using (trace_id)
        where t.trace_id in (select unnest($ids))
        """,
        {"ids": trace_ids},
    ).fetchall()
    return {
        trace_id: (
            mask(question),
            mask(answer)[told[0] : told[1]] if told else mask(answer),
            note_mask((question, answer, *passages), mask)(reason),
        )
        for trace_id, question, answer, told, reason, passages in rows
    }


def map_points(db: duckdb.DuckDBPyConnection, week: str) -> list[tuple[float, float, str | None, str]]:
    """Give the map of a week's failures: place, mode, phrase."""
    return db.execute(
        "select x, y, mode_id, phrase from mode_member where week = ? order by trace_id", [week]
    ).fetchall()


def labels_by_stratum(db: duckdb.DuckDBPyConnection, week: str) -> dict[str, tuple[int, int]]:
    """Count a week's random labels and failures by stratum."""
    rows = db.execute(
        """
        select stratum, count(*), count(*) filter (verdict = 'fail') from gold_label
        where week = ? and purpose = 'random' and verdict is not null group by stratum
        """,
        [week],
    ).fetchall()
    return {stratum: (labelled, failed) for stratum, labelled, failed in rows}


def labels_by_mode(db: duckdb.DuckDBPyConnection, week: str) -> dict[str, tuple[int, int]]:
    """Count a week's labels and failures by failure mode."""
    rows = db.execute(
        """
        select mode_id, count(*), count(*) filter (verdict = 'fail')
        from gold_label join mode_member using (trace_id, week)
        where week = ? and verdict is not null and mode_id is not null group by mode_id
        """,
        [week],
    ).fetchall()
    return {mode_id: (labelled, failed) for mode_id, labelled, failed in rows}


def failure_types(db: duckdb.DuckDBPyConnection, week: str) -> tuple[tuple[str, int], ...]:
    """Count the failure types that people named in a week."""
    return tuple(
        db.execute(
            """
            select coalesce(failure_type, 'not said'), count(*) from gold_label where week = ? and verdict = 'fail'
            group by 1 order by 2 desc, 1
            """,
            [week],
        ).fetchall()
    )


def judged_predictions(db: duckdb.DuckDBPyConnection, week: str) -> list[tuple[str, float, bool, float]]:
    """Give group, frozen prediction, verdict (True fails) and weight of a week's random labels.

    The weight is the number of traces that a label stands for: those of its stratum over those labelled in it.
    """
    return db.execute(
        """
        with labelled as (
            select p.*, g.verdict from gold_label g join draw_population p using (trace_id, week)
            where week = $week and g.purpose = 'random' and g.verdict is not null),
        size as (select stratum, count(*) as traces from draw_population where week = $week group by stratum)
        select group_id, prediction, verdict = 'fail', traces / count(*) over (partition by stratum)
        from labelled join size using (stratum)
        qualify prediction is not null order by trace_id
        """,
        {"week": week},
    ).fetchall()


def export_traces(db: duckdb.DuckDBPyConnection, week: str, path: Path, mask: Mask = mask_by_default) -> None:
    """Write a week's traces for the app and for `estimate`: scores, stratum and draw of each, without any text.

    Names that hold personal data are masked; two that differ still do.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.part")
    db.execute(
        """
        create or replace temp table exported as
        select t.trace_id, t.revision, t.week, t."timestamp", t.group_id, t.tenant_id, t.model, t.prompt_version,
               t.status,
               s.value as groundedness, s.status as groundedness_status, s.instrument, g.is_flagged, g.failure_type,
               g.severity, m.mode_id, p.draw_id, p.stratum, p.prediction, p.position, p.inclusion_probability
        from trace t left join score s on s.trace_id = t.trace_id and s.metric = 'groundedness'
        left join triage g on g.trace_id = t.trace_id
        left join mode_member m on m.trace_id = t.trace_id and m.week = t.week
        left join draw_population p on p.trace_id = t.trace_id and p.week = t.week
        where t.week = ? order by t.trace_id
        """,
        [week],
    )
    for column in NAMES:
        rename(db, column, mask)
    db.execute(f"copy exported to {quoted(str(half))} (format parquet, compression zstd)")
    db.execute("drop table exported")
    half.replace(path)


def rename(db: duckdb.DuckDBPyConnection, column: str, mask: Mask) -> None:
    """Mask the names in a column of the export."""
    names = [name for (name,) in db.execute(f"select distinct {column} from exported").fetchall() if name]
    renamed = [(name, masked) for name in names if (masked := mask_name(name, mask)) != name]
    if not renamed:
        return
    befores, afters = zip(*renamed, strict=True)
    db.register("renamed", pa.table({"name": pa.array(befores), "masked": pa.array(afters)}))
    db.execute(f"update exported set {column} = masked from renamed where {column} = name")
    db.unregister("renamed")
