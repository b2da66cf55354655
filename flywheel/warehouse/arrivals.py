"""What arrives in bulk: appended first, settled after, so that nothing of a file has to be kept in memory.

A delivery's rows are appended as they come. When all are there, `settle` looks only at keys that are there more than
once: of each it keeps the newest row that changed something, and drops the others.
"""

from dataclasses import dataclass
from typing import Final

import duckdb
import pyarrow as pa

SPAN_KEY: Final = ("trace_id", "span_id", "part")
SCORE_KEY: Final = ("score_id",)


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a delivery's rows: added + updated + unchanged."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0

    def __add__(self, other: "Settled") -> "Settled":
        return Settled(self.added + other.added, self.updated + other.updated, self.unchanged + other.unchanged)


def append(db: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    """Append an Arrow table that has a column of each name in the table, in one scan.

    A relation, and not a registered view: DuckDB holds on to what a view shows until the transaction ends.
    """
    names = db.execute("select column_name from duckdb_columns() where table_name = ? order by column_index", [table])
    order = ", ".join(f'"{name}"' for (name,) in names.fetchall())
    db.from_arrow(rows).project(order).insert_into(table)


def settle(db: duckdb.DuckDBPyConnection, table: str, key: tuple[str, ...], delivery: int) -> Settled:
    """Keep one row for each key of a delivery: the newest whose content differs from the one before it."""
    keys = ", ".join(key)
    met_again(db, table, keys, delivery)
    db.execute(
        f"""
        create or replace temp table seen as
        select {keys}, delivery, line, content_hash,
               lag(content_hash) over (partition by {keys} order by delivery, line) as before
        from {table} semi join met using ({keys})
        """
    )
    settled = count_settled(db, table, delivery, "before is distinct from content_hash")
    drop_all_but(
        db,
        table,
        f"""
        select delivery, line from seen where before is distinct from content_hash
        qualify row_number() over (partition by {keys} order by delivery desc, line desc) = 1
        """,
    )
    return settled


def met_again(db: duckdb.DuckDBPyConnection, table: str, keys: str, delivery: int) -> None:
    """Find the keys of a delivery that the table holds more than once."""
    db.execute(
        f"""
        create or replace temp table met as
        with arrived as (select distinct {keys} from {table} where delivery = $delivery)
        select {keys} from {table} semi join arrived using ({keys}) group by {keys} having count(*) > 1
        """,
        {"delivery": delivery},
    )


def count_settled(db: duckdb.DuckDBPyConnection, table: str, delivery: int, is_changed: str) -> Settled:
    """Count a delivery's rows, where `seen` holds those whose key is there more than once."""
    row = db.execute(
        f"""
        select (select count(*) from {table} where delivery = $delivery), count(*) filter (before is not null),
               count(*) filter (before is not null and {is_changed})
        from seen where delivery = $delivery
        """,
        {"delivery": delivery},
    ).fetchone()
    assert row is not None
    rows, met, updated = row
    return Settled(int(rows - met), int(updated), int(met - updated))


def drop_all_but(db: duckdb.DuckDBPyConnection, table: str, kept: str) -> None:
    """Delete the rows of `seen` that a query does not name by delivery and line."""
    db.execute(f"create or replace temp table dropped as select delivery, line from seen except ({kept})")
    db.execute(
        f"delete from {table} using dropped where {table}.delivery = dropped.delivery and {table}.line = dropped.line"
    )
    for name in ("met", "seen", "dropped"):
        db.execute(f"drop table {name}")
