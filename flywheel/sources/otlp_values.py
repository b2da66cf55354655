"""Attribute values as OTLP JSON writes them, and what they are in plain words."""

from typing import Any

import msgspec


class AnyValue(msgspec.Struct, rename="camel", gc=False):
    """One value; of its fields at most one is there. Numbers may come as text."""

    string_value: str | None = None
    int_value: int | float | str | None = None
    bool_value: bool | str | None = None
    double_value: float | str | None = None
    array_value: "ValueList | None" = None
    kvlist_value: "KeyValueList | None" = None
    bytes_value: str | None = None


class ValueList(msgspec.Struct, gc=False):
    """A list of values."""

    values: list[AnyValue | None] | None = None


class KeyValue(msgspec.Struct, gc=False):
    """A key and its value."""

    key: str
    value: AnyValue | None = None


class KeyValueList(msgspec.Struct, gc=False):
    """An object."""

    values: list[KeyValue] | None = None


def plain_attributes(pairs: list[KeyValue] | None) -> dict[str, Any]:
    """Turn attributes into an object; of a key that stands twice the last value counts, one without a value is None."""
    if not pairs:
        return {}
    attributes: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        said = None if value is None else value.string_value
        attributes[pair.key] = plain(value) if said is None else said
    return attributes


def plain(value: AnyValue | None) -> Any:
    """Turn a value into what it says. How deep it nests was checked when the line was read."""
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return whole(value.int_value)
    if value.double_value is not None:
        return value.double_value
    if value.bool_value is not None:
        return value.bool_value is True or value.bool_value == "true"
    if value.array_value is not None:
        return [plain(item) for item in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return plain_attributes(value.kvlist_value.values)
    return value.bytes_value


def whole(value: float | str) -> int | float | str:
    """Read the text that OTLP JSON writes a 64-bit number as."""
    if isinstance(value, str) and len(value) <= 20:
        try:
            return int(value)
        except ValueError:
            return value
    return value
