"""Appends to the warehouse on a thread of its own: while DuckDB writes, the next batches are decoded."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import duckdb

WAITING = 5
"""Batches that wait, at most. DuckDB compresses when a group of rows is full, every fourth batch or so, and takes as
long for that as the batches until the next one do to decode."""


class Writer:
    """Appends in order. Once `wait` is through, and until the next `write`, the connection is the caller's again."""

    def __init__(self, db: duckdb.DuckDBPyConnection) -> None:
        self.db = db
        self.pool = ThreadPoolExecutor(max_workers=1)
        self.waiting: deque[Future[None]] = deque()

    def write(self, append: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
        """Begin an append; an error of an earlier one may be raised here."""
        while len(self.waiting) >= WAITING or (self.waiting and self.waiting[0].done()):
            self.waiting.popleft().result()
        self.waiting.append(self.pool.submit(append, self.db))

    def wait(self) -> None:
        """Wait until everything is appended; an error of an append is raised here."""
        while self.waiting:
            self.waiting.popleft().result()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # On an error the append at work has to end before anybody may roll back; what it raises matters no more.
        self.pool.shutdown(wait=True, cancel_futures=True)
