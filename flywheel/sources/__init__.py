"""One module per trace format; a new format is one module and one line in `READERS`."""

from collections.abc import Callable, Iterator
from pathlib import Path

from flywheel.sources.lines import Blank, Limits, Rejected
from flywheel.sources.native import NativeLine, read_native

__all__ = ["READERS", "Blank", "Item", "Limits", "NativeLine", "Reader", "Rejected", "read_native"]

Item = NativeLine | Rejected | Blank
Reader = Callable[[Path, Limits], Iterator[Item]]

READERS: dict[str, Reader] = {"jsonl": read_native}
"""Each reader yields one item a line, in file order: a trace, a rejected line, or a blank one."""
