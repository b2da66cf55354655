"""What a report quotes from traces and people, masked before it is written."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from flywheel.governance.masking import Mask
from flywheel.report import facts

Record = TypeVar("Record")

TEXTS: Mapping[type, tuple[str, ...]] = {
    facts.IngestFacts: ("rejected_lines",),
    facts.FileFacts: ("name",),
    facts.Traffic: ("by_model", "by_prompt_version", "by_tenant"),
    facts.MetricFacts: ("reasons",),
    facts.ModeFacts: ("title", "terms", "over_represented", "owner"),
    facts.Exemplar: ("user_input", "sentence", "reason"),
    facts.MapPoint: ("title",),
    facts.AddedCase: ("user_input",),
    facts.GateRow: ("slice",),
    facts.GateFacts: ("headline", "note"),
}
"""The fields that hold what others wrote. All others hold our own words, names and figures."""


def mask_facts(record: Record, mask: Mask) -> Record:
    """Mask the texts in a record, and in the records that it holds."""
    texts = TEXTS.get(type(record), ())
    changed: dict[str, Any] = {}
    for field in fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        found = each_text(value, mask) if field.name in texts else each_record(value, mask)
        if found is not value:
            changed[field.name] = found
    return replace(record, **changed) if changed else record  # type: ignore[type-var]


def each_record(value: Any, mask: Mask) -> Any:
    """Mask the records in a field."""
    if is_dataclass(value):
        return mask_facts(value, mask)
    return through(value, lambda held: each_record(held, mask))


def each_text(value: Any, mask: Mask) -> Any:
    """Mask the strings in a field."""
    return mask(value) if isinstance(value, str) else through(value, lambda held: each_text(held, mask))


def through(value: Any, change: Callable[[Any], Any]) -> Any:
    """Change what a tuple holds; anything else stays."""
    return tuple(map(change, value)) if isinstance(value, tuple) else value
