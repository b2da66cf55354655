"""The label store: its tables, and how a transaction on it begins, fails and ends.

Everything a person does is a row of `event` that is never changed or deleted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError
from sqlalchemy.exc import OperationalError as StoreError

from eval.errors import OperationalError, UserError

BUSY_SECONDS = 10
LOCK = 0x666C7977  # "flyw": the advisory lock that writers on Postgres queue for

tables = sa.MetaData()

migration = sa.Table("label_migration", tables, sa.Column("number", sa.Integer, primary_key=True, autoincrement=False))

draw = sa.Table(
    "draw",
    tables,
    sa.Column("draw_id", sa.Text, primary_key=True),
    sa.Column("week", sa.Text, nullable=False, unique=True),
    sa.Column("body", sa.Text, nullable=False),
)

task = sa.Table(
    "task",
    tables,
    sa.Column("task_id", sa.Text, primary_key=True),
    sa.Column("draw_id", sa.Text, sa.ForeignKey("draw.draw_id"), nullable=False),
    sa.Column("week", sa.Text, nullable=False),
    sa.Column("trace_id", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

# Bodies are JSON in text columns: Postgres refuses U+0000 in both text and jsonb, JSON escapes it.
event = sa.Table(
    "event",
    tables,
    sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("natural_key", sa.Text, unique=True),
    sa.Column("week", sa.Text),
    sa.Column("task_id", sa.Text, sa.ForeignKey("task.task_id")),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("undoes", sa.BigInteger),
    sa.Column("body", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)

MIGRATIONS: tuple[tuple[sa.schema.ExecutableDDLElement, ...], ...] = (
    (
        sa.schema.CreateTable(draw, if_not_exists=True),
        sa.schema.CreateTable(task, if_not_exists=True),
        sa.schema.CreateTable(event, if_not_exists=True),
        sa.schema.CreateIndex(sa.Index("task_week", task.c.week, task.c.position), if_not_exists=True),
        sa.schema.CreateIndex(sa.Index("event_week", event.c.week, event.c.event_id), if_not_exists=True),
    ),
)
"""Append, never edit: what a store of an older version still lacks is run in order."""


@dataclass(frozen=True, slots=True)
class LabelStore:
    """An open label store. `name` is its URL without the password."""

    engine: Engine
    name: str


def open_labels(url: str) -> LabelStore:
    """Open the store at a SQLAlchemy URL and bring its tables up to date.

    Raises `UserError` for a URL that names no store, `OperationalError` for one that cannot be reached.
    """
    try:
        address = sa.make_url(url)
        is_sqlite = address.get_backend_name() == "sqlite"
        # A SQLite file is opened anew for each transaction, so that no handle outlives it.
        engine = sa.create_engine(address, poolclass=sa.NullPool if is_sqlite else None, pool_pre_ping=not is_sqlite)
    except (ArgumentError, NoSuchModuleError) as error:
        raise UserError(
            f"labels.url is no database URL ({error}); write it like sqlite:///labels.db or postgresql://host/name"
        ) from error
    except ModuleNotFoundError as error:
        raise UserError(
            f"labels.url needs the driver {error.name!r}; install it with pip install 'rag-flywheel[postgres]'"
        ) from error
    if is_sqlite:
        set_up_sqlite(engine)
    store = LabelStore(engine, address.render_as_string(hide_password=True))
    with writing(store) as connection:
        migrate(connection)
    return store


def set_up_sqlite(engine: Engine) -> None:
    """Let readers and one writer work at once, wait for a lock, and write each commit through to the disk."""

    @sa.event.listens_for(engine, "connect")
    def connect(raw: Any, _: object) -> None:
        raw.isolation_level = None  # the driver begins no transaction of its own; `begin` below does
        for pragma in (
            f"busy_timeout={BUSY_SECONDS * 1000}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            raw.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and locks later fails at once where another has written in between.
        is_write = connection.get_execution_options().get("is_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


def migrate(connection: Connection) -> None:
    """Run the migrations that the store has not seen."""
    connection.execute(sa.schema.CreateTable(migration, if_not_exists=True))
    count = connection.scalar(sa.select(sa.func.count()).select_from(migration)) or 0
    for number in range(count, len(MIGRATIONS)):
        for statement in MIGRATIONS[number]:
            connection.execute(statement)
        connection.execute(sa.insert(migration).values(number=number))


@contextmanager
def reading(store: LabelStore) -> Iterator[Connection]:
    """Give a connection that sees one state of the store throughout."""
    with said_plainly(store), store.engine.connect() as connection:
        if store.engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextmanager
def writing(store: LabelStore) -> Iterator[Connection]:
    """Give a connection whose changes land together or not at all, one writer at a time.

    One at a time also means that event ids become visible in order: no event older than `last_event_id` turns up late.
    """
    with (
        said_plainly(store),
        store.engine.connect().execution_options(is_write=True) as connection,
        connection.begin(),
    ):
        if store.engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        yield connection


@contextmanager
def said_plainly(store: LabelStore) -> Iterator[None]:
    """Turn a locked, unreachable or broken store into an `OperationalError` that names it."""
    try:
        yield
    except DatabaseError as error:
        if not isinstance(error, StoreError) and "not a database" not in str(error.orig):
            raise
        raise OperationalError(
            f"the label store {store.name} cannot be used: {str(error.orig).strip()}; "
            "check that it can be reached and that no other program holds it locked, then run the same command again"
        ) from error


def insert_new(connection: Connection, table: sa.Table, row: dict[str, Any]) -> Any | None:
    """Insert a row and give its primary key; None, and no change, where one of its keys is already there."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    (primary_key,) = table.primary_key.columns
    return connection.scalar(dialect.insert(table).values(row).on_conflict_do_nothing().returning(primary_key))


def iso(moment: datetime) -> str:
    """Write a moment in UTC so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
