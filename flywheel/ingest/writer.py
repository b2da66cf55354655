"""Appends to the warehouse on a thread of its own: while DuckDB writes one batch, the next is decoded."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import duckdb


class Writer:
    """One append at a time, in order. Between `wait` and the next `write` the connection is the caller's again."""

    def __init__(self, db: duckdb.DuckDBPyConnection) -> None:
        self.db = db
        self.pool = ThreadPoolExecutor(max_workers=1)
        self.pending: Future[None] | None = None

    def write(self, append: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
        """Begin an append, as soon as the one before it is done; its error is raised here."""
        self.wait()
        self.pending = self.pool.submit(append, self.db)

    def wait(self) -> None:
        """Wait until everything is appended; an error of the append is raised here."""
        pending, self.pending = self.pending, None
        if pending is not None:
            pending.result()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # On an error the append still has to end before anybody may roll back; what it raises matters no more.
        self.pool.shutdown(wait=True)
