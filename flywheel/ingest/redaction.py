"""Personal data that is never stored: masked in every text of a record before anything is written."""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from flywheel.governance.escapes import redact_escaped
from flywheel.governance.masking import mask_name
from flywheel.governance.pii import (
    DEEPEST,
    FILL,
    Recogniser,
    chosen_recognisers,
    redact,
    redact_value,
    redacted_keys,
)
from flywheel.settings import Governance
from flywheel.sources.records import ExportedScore, Rejected, Span
from flywheel.trace import Trace

What = TypeVar("What", bound=Trace | Span | ExportedScore)
AS_THEY_ARE = frozenset({"timestamp", "started_at", "ended_at", "created_at", "status", "kind", "source"})
"""Fields of a record that hold a time or one of our own words."""

CONTROLS = bytes({*range(1, 32)} - set(b"\t\n\f\r"))


@dataclass(frozen=True, slots=True)
class Redactor:
    """Masks what its recognisers find."""

    recognisers: tuple[Recogniser, ...]

    def record(self, what: What) -> What:
        """Mask the texts of a record, and name anew what is named after personal data.

        One that is no record any more with its masks is a `ValueError`.
        """
        try:
            fields = msgspec.to_builtins(what)
            masked = {name: value if name in AS_THEY_ARE else self.field(value, name) for name, value in fields.items()}
            return msgspec.convert(masked, type(what))
        except (msgspec.MsgspecError, RecursionError, TypeError, OverflowError) as error:
            raise ValueError(f"it cannot be stored with its personal data masked: {self.text(str(error))}") from error

    def field(self, value: Any, key: str) -> Any:
        """Mask the texts in a field. Its numbers are counts and measures, its keys our own, but for the metadata."""
        if key == "metadata":
            return self.value(value, key)
        if isinstance(value, dict):
            return {name: self.field(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.field(inner, key) for inner in value]
        return self.value(value, key) if isinstance(value, str) else value

    def value(self, value: Any, key: str, levels: int = DEEPEST) -> Any:
        """Mask a value of JSON, that of an id by its name; what nests too deep is masked whole."""
        if isinstance(value, dict | list) and levels <= 0:
            return FILL
        if isinstance(value, dict):
            names = redacted_keys(value, self.recognisers)
            return {str(names[name]): self.value(inner, str(name), levels - 1) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner, key, levels - 1) for inner in value]
        if isinstance(value, str):
            return self.name(value) if key == "id" or key.endswith("_id") else self.text(value)
        return redact_value(value, self.recognisers)

    def text(self, text: str) -> str:
        """Mask a text."""
        return redact(text, self.recognisers)

    def name(self, name: str) -> str:
        """Mask an id. One that is masked gets a hash, so that two stay two, and deliveries meet again."""
        return mask_name(name, self.text)

    def rejected(self, record: Rejected) -> Rejected:
        """Mask the bytes of a rejected record, and the reason that may quote them.

        They are read as UTF-8 as far as they are, and behind their escapes. Of what cannot be read for sure, a binary
        record or escapes within escapes without end, only a hash is kept.
        """
        reason = redact_escaped(record.reason, self.recognisers) or "its reason cannot be masked for sure"
        text = record.raw.decode("utf-8", "surrogateescape")
        masked = None if is_binary(record.raw) else redact_escaped(text, self.recognisers)
        if masked is None:
            told = f"{reason} (not kept: personal data in it could not be masked for sure)"
            return replace(record, reason=told, raw=b"#" + sha256(record.raw).hexdigest()[:12].encode(), whole=False)
        raw = masked.encode("utf-8", "surrogateescape")
        is_broken = raw != record.raw and is_json(record.raw) and not is_json(raw)
        return replace(record, raw=raw, reason=reason, whole=record.whole and not is_broken)


def is_binary(raw: bytes) -> bool:
    """Tell whether bytes are those of a binary format: a length that stands before a text there looks like a letter."""
    return raw.lstrip()[:1] not in (b"{", b"[") and raw.translate(None, CONTROLS) != raw


def is_json(raw: bytes) -> bool:
    """Tell whether bytes are JSON, whatever is in it."""
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def redactor_of(settings: Governance) -> Redactor | None:
    """Give what masks records before they are stored, None where the settings do not ask for that."""
    if settings.redact != "store":
        return None
    return Redactor(tuple(chosen_recognisers(settings.pii, settings.recognisers, settings.region)))
