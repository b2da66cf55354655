"""Opens the warehouse: one writer at a time, its tables up to date, no network, bounded memory."""

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from eval.errors import OperationalError, UserError
from flywheel.settings import Warehouse
from flywheel.warehouse.migrations import MIGRATIONS

STORAGE_VERSION = "v1.5.0"
"""Readable by DuckDB 1.5 and 2.0 alike."""

ROW_GROUP = 16_384
"""Rows that are compressed together: at 3 kB a trace the default of 122,880 would hold 400 MB in memory."""

COMPRESSION = "zstd"
"""Of texts: as small as what DuckDB would choose by itself, in half the time, since it need not try the others."""


@contextmanager
def open_warehouse(path: Path, settings: Warehouse) -> Iterator[duckdb.DuckDBPyConnection]:
    """Hold the warehouse as its only writer, its tables up to date.

    Another job at work is an `OperationalError` that names its PID and command; so is a damaged file.
    """
    with only_writer(path):
        try:
            db = connect(path, settings)
        except duckdb.Error as error:
            raise unusable(path, error) from error
        try:
            migrate(db)
            yield db
        except duckdb.Error as error:
            # A wrong checksum has no exception class of its own.
            if not isinstance(error, duckdb.IOException) and "orrupt" not in str(error):
                raise
            raise unusable(path, error) from error
        finally:
            db.close()


def connect(path: Path, settings: Warehouse) -> duckdb.DuckDBPyConnection:
    """Connect to the file, creating it in a storage version that both supported DuckDB lines read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = duckdb.connect(
        config={
            "memory_limit": settings.memory_limit,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": str(path.with_suffix(".tmp")),
            **({"threads": settings.threads} if settings.threads else {}),
        }
    )
    db.execute(
        f"attach {quoted(str(path))} as warehouse (storage_version '{STORAGE_VERSION}', row_group_size {ROW_GROUP})"
    )
    db.execute("use warehouse")
    db.execute(f"set force_compression = '{COMPRESSION}'")
    db.execute("set write_buffer_row_group_count = 1")
    if has_setting(db, "timezone"):
        db.execute("set timezone = 'UTC'")
    db.execute("set enable_progress_bar = false")
    return db


def has_setting(db: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Tell whether this build knows a setting (the time zone comes with ICU)."""
    row = db.execute("select count(*) from duckdb_settings() where lower(name) = ?", [name]).fetchone()
    return bool(row and row[0])


def quoted(text: str) -> str:
    """Quote a string for a statement that takes no parameters."""
    return "'" + text.replace("'", "''") + "'"


def migrate(db: duckdb.DuckDBPyConnection) -> None:
    """Bring the tables up to date, one migration a transaction."""
    db.execute("create table if not exists migration (number integer primary key)")
    row = db.execute("select count(*) from migration").fetchone()
    done = row[0] if row else 0
    if done > len(MIGRATIONS):
        raise UserError(
            f"a newer Flywheel wrote the warehouse ({done} migrations, this one knows {len(MIGRATIONS)}); upgrade"
        )
    for number in range(done, len(MIGRATIONS)):
        with transaction(db):
            db.execute(MIGRATIONS[number])
            db.execute("insert into migration values (?)", [number])


@contextmanager
def transaction(db: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All or nothing."""
    db.begin()
    try:
        yield
    except BaseException:
        db.rollback()
        raise
    db.commit()


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the lock beside the warehouse; who holds it stands in a file beside that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    holder = path.with_name(f"{path.name}.holder")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OperationalError(f"{path} is locked{held_by(holder)}; wait for it, or stop that process") from None
    try:
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        holder.write_text(json.dumps({"pid": os.getpid(), "command": command, "since": datetime.now(UTC).isoformat()}))
        yield
        holder.unlink(missing_ok=True)
    finally:
        lock.release()


def held_by(holder: Path) -> str:
    """Say who holds the lock, as far as its file tells."""
    try:
        told = json.loads(holder.read_text())
    except (OSError, ValueError):
        return ""
    return f" by PID {told['pid']} ({told['command']}, since {told['since'][:19]} UTC)"


def unusable(path: Path, error: duckdb.Error) -> OperationalError:
    """Say why the file cannot be used: the first line of the library's message, and what to do."""
    reason = str(error).splitlines()[0]
    return OperationalError(f"{path} cannot be used: {reason}; close the program that holds it, or restore a backup")
