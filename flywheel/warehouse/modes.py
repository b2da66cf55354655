"""Failure modes of every week, and the failing traces that belong to them."""

import json
from typing import Any

import duckdb

from flywheel.governance.masking import Mask, mask_by_default
from flywheel.modes import Failure, KnownMode, ModeWeek
from flywheel.modes.phrase import READ_CHARACTERS
from flywheel.warehouse.scores import insert

MODE_COLUMNS = (
    "week", "mode_id", "title", "terms", "state", "size", "first_week", "last_week", "centroid", "exemplars",
    "borderline", "failure_types", "over_represented",
)  # fmt: skip


NEARBY = 200
"""Characters around a sentence that may tell that something in it is personal data."""


def read_failures(db: duckdb.DuckDBPyConnection, week: str, mask: Mask = mask_by_default) -> list[Failure]:
    """Give a week's flagged traces that answered badly, each with its least supported sentence.

    What phrases and titles are made of is masked before: in small letters and without signs nothing is found any more.
    Slow answers and dislike alone are no failure modes of the answer: they are left out.
    """
    rows = db.execute(
        """
        with worst as (
            select trace_id, arg_max((start_offset, end_offset), (unsupported, -index)) as place
            from sentence_score where week = $week group by trace_id)
        select t.trace_id, t.revision, g.failure_type, g.severity, t.user_input, coalesce(t.response, ''),
               worst.place, t.model, t.prompt_version, t.tenant_id, t.error
        from triage g join trace t using (trace_id) left join worst using (trace_id)
        where g.week = $week and g.is_flagged and g.failure_type not in ('slow', 'negative_feedback')
        order by t.trace_id
        """,
        {"week": week},
    ).fetchall()
    return [failure(*row, mask=mask) for row in rows]


def failure(
    trace_id: str, revision: int, failure_type: Any, severity: Any, user_input: str, response: str,
    place: tuple[int, int] | None, model: str | None, prompt_version: str | None, tenant_id: str | None,
    error: str | None, *, mask: Mask = mask_by_default,
) -> Failure:  # fmt: skip
    """Lay out one failing trace; an error's message stands for the sentence it never gave."""
    sentence = masked_part(response, *place, mask) if place else masked_part(error or "", 0, READ_CHARACTERS, mask)
    attributes = {"model": model, "prompt version": prompt_version, "tenant": tenant_id}
    known = {name: value for name, value in attributes.items() if value}
    question = masked_part(user_input, 0, READ_CHARACTERS, mask)
    return Failure(trace_id, revision, failure_type, severity, question, response, sentence, known)


def masked_part(text: str, start: int, end: int, mask: Mask) -> str:
    """Cut a part out of a text, masked in the light of what stands near by."""
    first = max(0, start - NEARBY)
    return mask(text[first : end + NEARBY])[start - first : end - first]


def known_modes(db: duckdb.DuckDBPyConnection, week: str) -> list[KnownMode]:
    """Give the registry as it stood before a week: the newest row of each mode."""
    rows = db.execute(
        """
        select mode_id, title, centroid, first_week, last_week, size, state from mode_week where week < ?
        qualify row_number() over (partition by mode_id order by week desc) = 1 order by mode_id
        """,
        [week],
    ).fetchall()
    import numpy as np

    return [KnownMode(row[0], row[1], np.array(row[2], dtype=np.float32), *row[3:]) for row in rows]


def ids_of_other_weeks(db: duckdb.DuckDBPyConnection, week: str) -> list[str]:
    """Give every mode id that another week has, earlier or later."""
    rows = db.execute("select distinct mode_id from mode_week where week <> ? order by mode_id", [week])
    return [mode_id for (mode_id,) in rows.fetchall()]


def registry_hash(db: duckdb.DuckDBPyConnection, week: str) -> str:
    """Hash the modes of the weeks before one: what identity in that week depends on."""
    row = db.execute(
        """
        select coalesce(md5(string_agg(told, ',' order by told)), '') from (
            select week || mode_id || state || size || centroid::varchar as told from mode_week where week < ?)
        """,
        [week],
    ).fetchone()
    assert row is not None
    return str(row[0])


def replace_modes(db: duckdb.DuckDBPyConnection, found: ModeWeek, week: str) -> None:
    """Put a week's modes and their members in place of those it had."""
    db.execute("delete from mode_week where week = ?", [week])
    db.execute("delete from mode_member where week = ?", [week])
    for mode in found.modes:
        lifts = [[lift.attribute, lift.value, lift.lift, lift.count] for lift in mode.over_represented]
        db.execute(
            f"insert into mode_week ({', '.join(MODE_COLUMNS)}) values ({', '.join('?' * len(MODE_COLUMNS))})",
            [
                week, mode.mode_id, mode.title, list(mode.terms), mode.state, mode.size, mode.first_week,
                mode.last_week,
                [float(x) for x in mode.centroid], list(mode.exemplars), mode.borderline,
                json.dumps(dict(mode.failure_types)), json.dumps(lifts),
            ],
        )  # fmt: skip
    insert(
        db,
        "mode_member",
        ("week", "trace_id", "revision", "mode_id", "membership", "x", "y", "phrase"),
        ("string", "string", "int32", "string", "float64", "float64", "float64", "string"),
        [(week, m.trace_id, m.revision, m.mode_id, m.membership, m.x, m.y, m.phrase) for m in found.members],
    )


def modes_of_week(db: duckdb.DuckDBPyConnection, week: str) -> list[dict[str, Any]]:
    """Give a week's modes, the largest first."""
    names = (
        "mode_id",
        "title",
        "terms",
        "state",
        "size",
        "first_week",
        "exemplars",
        "failure_types",
        "over_represented",
    )
    rows = db.execute(f"select {', '.join(names)} from mode_week where week = ? order by size desc, mode_id", [week])
    return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


def sizes_by_week(db: duckdb.DuckDBPyConnection, week: str) -> dict[str, list[tuple[str, int]]]:
    """Give each mode's size in every week up to one, oldest first."""
    sizes: dict[str, list[tuple[str, int]]] = {}
    for mode_id, each, size in db.execute(
        "select mode_id, week, size from mode_week where week <= ? order by week", [week]
    ).fetchall():
        sizes.setdefault(mode_id, []).append((each, size))
    return sizes


def mode_of_traces(db: duckdb.DuckDBPyConnection, week: str) -> dict[str, str]:
    """Say which mode each failing trace of a week belongs to; noise is left out."""
    return dict(
        db.execute(
            "select trace_id, mode_id from mode_member where week = ? and mode_id is not null", [week]
        ).fetchall()
    )
