"""Personal data that is never stored: masked in every text of a record before anything is written."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from flywheel.governance.masking import mask_name
from flywheel.governance.pii import Recogniser, chosen_recognisers, redact, redact_value
from flywheel.settings import Governance
from flywheel.sources.records import ExportedScore, Rejected, Span
from flywheel.trace import Trace

What = TypeVar("What", bound=Trace | Span | ExportedScore)
TIMES = frozenset({"timestamp", "started_at", "ended_at", "created_at"})


@dataclass(frozen=True, slots=True)
class Redactor:
    """Masks what its recognisers find."""

    recognisers: tuple[Recogniser, ...]

    def record(self, what: What) -> What:
        """Mask the texts of a record, and name anew what is named after personal data."""
        fields = msgspec.to_builtins(what)
        masked = {name: value if name in TIMES else self.value(value, name) for name, value in fields.items()}
        return msgspec.convert(masked, type(what))

    def value(self, value: Any, key: str) -> Any:
        """Mask a value of JSON. An id that is masked gets a hash, so that two stay two, and deliveries meet again."""
        if isinstance(value, dict):
            return {str(redact_value(name, self.recognisers)): self.value(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner, key) for inner in value]
        if isinstance(value, str) and (key == "id" or key.endswith("_id")):
            return mask_name(value, lambda text: redact(text, self.recognisers))
        return redact_value(value, self.recognisers)

    def rejected(self, record: Rejected) -> Rejected:
        """Mask the bytes of a rejected record, read as UTF-8 as far as they are, and the reason that may quote them."""
        text = record.raw.decode("utf-8", "surrogateescape")
        raw = redact(text, self.recognisers).encode("utf-8", "surrogateescape")
        return replace(record, raw=raw, reason=redact(record.reason, self.recognisers))


def redactor_of(settings: Governance) -> Redactor | None:
    """Give what masks records before they are stored, None where the settings do not ask for that."""
    if settings.redact != "store":
        return None
    return Redactor(tuple(chosen_recognisers(settings.pii, settings.recognisers, settings.region)))
