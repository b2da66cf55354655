"""The DuckDB file: all its SQL, one module per table group."""

from flywheel.warehouse.connection import open_warehouse, transaction

__all__ = ["open_warehouse", "transaction"]
