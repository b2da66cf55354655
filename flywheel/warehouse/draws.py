"""A week's draw as it was frozen, the labels that came of it, and the rate they give."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from flywheel.plan import ABSTAINED, UNSCORED, Candidate, PlannedDraw
from flywheel.warehouse.scores import insert


@dataclass(frozen=True, slots=True)
class FrozenDraw:
    """The draw of a week: its strata with sizes and allocation, and the instrument whose predictions it holds."""

    draw_id: str
    week: str
    seed: int
    instrument: str
    strata: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class PopulationRow:
    """A trace of a draw's population, as it was when the draw was frozen; `position` is None when it was not drawn."""

    trace_id: str
    revision: int
    group: str
    stratum: str
    prediction: float | None
    position: int | None
    inclusion_probability: float


@dataclass(frozen=True, slots=True)
class GoldLabel:
    """What the people together say of a task; `verdict` is None while they disagree or defer."""

    task_id: str
    trace_id: str
    revision: int
    purpose: str
    stratum: str | None
    verdict: str | None
    failure_type: str | None
    severity: str | None
    corrected_response: str | None
    note: str | None
    spans: tuple[tuple[int, int], ...]
    annotators: tuple[str, ...]
    origin: str


def candidates(db: duckdb.DuckDBPyConnection, week: str) -> list[Candidate]:
    """The population of a week's draw: its `ok` traces, each with the detector's probability that it fails.

    Abstentions stand apart, without a prediction: their groundedness says nothing of whether they were right.
    """
    rows = db.execute(
        """
        select t.trace_id, t.revision, t.group_id, case when not is_abstention then 1 - s.value end,
               case when is_abstention then $abstained else $unscored end
        from trace t join signal using (trace_id)
        left join score s on s.trace_id = t.trace_id and s.metric = 'groundedness'
        where t.week = $week and t.status = 'ok' order by t.trace_id
        """,
        {"week": week, "abstained": ABSTAINED, "unscored": UNSCORED},
    ).fetchall()
    return [Candidate(*row) for row in rows]


def freeze_draw(
    db: duckdb.DuckDBPyConnection,
    week: str,
    draw: PlannedDraw,
    instrument: str,
    exemplars: Sequence[tuple[str, int, str]],
) -> None:
    """Keep a draw with its whole population; exemplars are (trace id, revision, reason), outside every rate."""
    for table in ("draw", "draw_population", "purposive_task"):
        db.execute(f"delete from {table} where week = ?", [week])
    strata = [{"name": s.name, "size": s.size, "allocated": s.allocated} for s in draw.strata]
    db.execute(
        "insert into draw values (?, ?, ?, ?, ?)", [draw.draw_id, week, draw.seed, instrument, json.dumps(strata)]
    )
    rows = [
        (
            draw.draw_id,
            week,
            one.candidate.trace_id,
            one.candidate.revision,
            one.candidate.group,
            one.stratum,
            one.candidate.prediction,
            instrument,
            one.position,
            one.inclusion_probability,
        )
        for one in draw.population
    ]
    insert(
        db,
        "draw_population",
        (
            "draw_id",
            "week",
            "trace_id",
            "revision",
            "group_id",
            "stratum",
            "prediction",
            "instrument",
            "position",
            "inclusion_probability",
        ),
        ("string", "string", "string", "int32", "string", "string", "float64", "string", "int32", "float64"),
        rows,
    )
    insert(
        db,
        "purposive_task",
        ("draw_id", "week", "trace_id", "revision", "reason"),
        ("string", "string", "string", "int32", "string"),
        [(draw.draw_id, week, *exemplar) for exemplar in exemplars],
    )


def find_draw(db: duckdb.DuckDBPyConnection, week: str) -> FrozenDraw | None:
    """Give the draw of a week, None before there is one."""
    row = db.execute("select draw_id, week, seed, instrument, strata from draw where week = ?", [week]).fetchone()
    return FrozenDraw(row[0], row[1], row[2], row[3], tuple(json.loads(row[4]))) if row else None


def population(db: duckdb.DuckDBPyConnection, draw_id: str) -> list[PopulationRow]:
    """Give a draw's population, by trace id."""
    rows = db.execute(
        """
        select trace_id, revision, group_id, stratum, prediction, position, inclusion_probability
        from draw_population where draw_id = ? order by trace_id
        """,
        [draw_id],
    ).fetchall()
    return [PopulationRow(*row) for row in rows]


def purposive(db: duckdb.DuckDBPyConnection, draw_id: str) -> list[tuple[str, int, str]]:
    """Give a draw's exemplars: trace id, revision, why people should see it."""
    return db.execute(
        "select trace_id, revision, reason from purposive_task where draw_id = ? order by trace_id", [draw_id]
    ).fetchall()


def replace_gold_labels(db: duckdb.DuckDBPyConnection, week: str, labels: Sequence[GoldLabel]) -> None:
    """Put a week's gold labels in place of those it had."""
    db.execute("delete from gold_label where week = ?", [week])
    if not labels:
        return
    db.executemany(
        "insert into gold_label values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            [
                week,
                g.task_id,
                g.trace_id,
                g.revision,
                g.purpose,
                g.stratum,
                g.verdict,
                g.failure_type,
                g.severity,
                g.corrected_response,
                g.note,
                json.dumps(g.spans),
                list(g.annotators),
                g.origin,
            ]
            for g in labels
        ],
    )


def gold_labels(db: duckdb.DuckDBPyConnection, first_week: str, last_week: str) -> list[GoldLabel]:
    """Give the gold labels of a span of weeks, by week and task."""
    rows = db.execute(
        """
        select task_id, trace_id, revision, purpose, stratum, verdict, failure_type, severity, corrected_response, note,
               spans, annotators, origin
        from gold_label where week between ? and ? order by week, task_id
        """,
        [first_week, last_week],
    ).fetchall()
    return [make_gold_label(row) for row in rows]


def make_gold_label(row: tuple[Any, ...]) -> GoldLabel:
    """Make a gold label of its columns."""
    told = dict(zip(GoldLabel.__slots__, row, strict=True))
    told["spans"] = tuple((start, end) for start, end in json.loads(told["spans"]))
    told["annotators"] = tuple(told["annotators"])
    return GoldLabel(**told)


ESTIMATE = (
    "estimand", "value", "low", "high", "n", "population", "drawn", "deferred", "lowest", "highest", "method", "note",
    "instrument",
)  # fmt: skip


def save_estimate(db: duckdb.DuckDBPyConnection, week: str, draw_id: str, fields: dict[str, Any]) -> None:
    """Keep a week's estimate; `fields` are those of `ESTIMATE`."""
    columns = ("week", "draw_id", *ESTIMATE)
    db.execute(
        f"insert or replace into estimate ({', '.join(columns)}) values ({', '.join('?' * len(columns))})",
        [week, draw_id, *(fields[name] for name in ESTIMATE)],
    )


def estimates(db: duckdb.DuckDBPyConnection, last_week: str, estimand: str = "this week") -> list[dict[str, Any]]:
    """Give every week's estimate up to a week, oldest first; `estimand` is "this week" or "the process"."""
    columns = ("week", "draw_id", *ESTIMATE)
    rows = db.execute(
        f"select {', '.join(columns)} from estimate where week <= ? and estimand = ? order by week",
        [last_week, estimand],
    ).fetchall()
    return [dict(zip(columns, row, strict=True)) for row in rows]
