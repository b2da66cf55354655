"""One module per trace format; a new format is one module and one line in `READERS`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import ModuleType

from eval.errors import UserError
from flywheel.sources import (
    attribute_map,
    langfuse,
    langsmith,
    mlflow,
    native,
    otlp_json,
    otlp_protobuf,
    phoenix,
    trulens,
)
from flywheel.sources.delivery import Delivery, Head
from flywheel.sources.records import Record

Reader = Callable[[Delivery], Iterator[Record]]


@dataclass(frozen=True, slots=True)
class Format:
    """A trace format: its name, what its records are called, how it is recognised, and its reader.

    `recognise` says in words why a file looks like it, or None. `variant` tells apart what reads the same bytes
    otherwise: two mappings.
    """

    name: str
    unit: str
    recognise: Callable[[Head], str | None]
    read: Reader
    variant: str = ""


def format_of(module: ModuleType) -> Format:
    """Take the format that a module describes."""
    return Format(module.NAME, module.UNIT, module.recognise, module.read)


MODULES = (native, otlp_json, phoenix, langfuse, langsmith, mlflow, trulens, attribute_map, otlp_protobuf)
READERS: dict[str, Format] = {module.NAME: format_of(module) for module in MODULES}
"""By name, in the order in which they are tried."""

LINES = (".jsonl", ".ndjson", ".log")


def recognise(delivery: Delivery) -> tuple[Format, str] | None:
    """Find the format of a file, and say in words what it was recognised by; None where it is none of them."""
    head = delivery.head
    for place, first in enumerate((head.first, *head.others)):
        for form in READERS.values():
            if why := form.recognise(replace(head, first=first)):
                return form, why if place == 0 else f"{why} (that is line {place + 1}, those above it are others)"
    if not head.start.strip() or head.first == []:
        return READERS[native.NAME], "it is empty"
    if head.first is None and any(suffix in delivery.path.suffixes for suffix in LINES):
        return READERS[native.NAME], "its name ends like JSON lines; nothing in it tells otherwise"
    return None


def named(name: str) -> Format:
    """Give a format by its name."""
    if name not in READERS:
        near = get_close_matches(name, READERS, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"there is no format {name!r}; known: auto, {', '.join(READERS)}, or a --mapping{meant}")
    return READERS[name]
