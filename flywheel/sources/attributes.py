"""Flat attributes with dotted keys, sorted out in one pass: which field each may fill, which list it belongs to."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from flywheel.sources import vendor_fields
from flywheel.sources.convention_keys import FIELDS, KEPT_UNDER, LEFT_OUT, LISTS, MAPS
from flywheel.sources.json_text import without_nul

MOST_ITEMS = 10_000
LARGEST_COUNT = 2**63
LONGEST_REMEMBERED_KEY = 200
MOST_REMEMBERED_KEYS = 1 << 14

LIST_KEY = re.compile(rf"({'|'.join(map(re.escape, LISTS))})\.([0-9]{{1,9}})(?:\.(.*))?", re.DOTALL)
WHOLE = -1
"""The place in a list of a value that is the list as a whole."""


def fields_by_key() -> dict[str, tuple[tuple[str, int], ...]]:
    """Turn the table of fields round: for each key the fields it may fill, with its rank in each."""
    places: dict[str, list[tuple[str, int]]] = {}
    for field, keys in FIELDS.items():
        for rank, key in enumerate(keys):
            places.setdefault(key, []).append((field, rank))
    return {key: tuple(found) for key, found in places.items()}


FIELDS_OF = fields_by_key()


Meaning = tuple[tuple[tuple[str, int], ...], str, int, str, str]
"""What a key can mean: fields with its rank in each; a list, the place in it and the key of the item's field; or the
name it is kept under."""


class Attributes(msgspec.Struct, frozen=True, gc=False):
    """The attributes of a span, sorted out: values by field and rank, items by list and place, and leftovers."""

    fields: dict[str, dict[int, Any]]
    lists: dict[str, dict[int, dict[str, Any]]]
    leftovers: dict[str, Any]


def meaning_of(key: str) -> Meaning:
    """Say what a key can mean."""
    fields = FIELDS_OF.get(key, ())
    if key in LISTS:
        return fields, key, WHOLE, "", ""
    if match := LIST_KEY.fullmatch(key):
        rest = (match[3] or "").removeprefix(f"{LISTS[match[1]]}.")
        return fields, match[1], int(match[2]), rest, ""
    if fields or key.startswith(LEFT_OUT):
        return fields, "", WHOLE, "", ""
    name = next((key.removeprefix(start) for start in KEPT_UNDER if key.startswith(start)), key)
    return (), "", WHOLE, "", name.replace("\x00", "")[:100]


MEANINGS: dict[str, Meaning] = {}
"""What the keys mean that came before: the same few come with every span."""


def learned(key: str) -> Meaning:
    """Say what a key can mean, and remember it; memory stays bounded whatever keys a file has."""
    meaning = meaning_of(key)
    if len(key) < LONGEST_REMEMBERED_KEY:
        if len(MEANINGS) >= MOST_REMEMBERED_KEYS:
            MEANINGS.clear()
        MEANINGS[key] = meaning
    return meaning


def sorted_out(attributes: Mapping[str, Any]) -> Attributes:
    """Sort attributes out. Objects written as JSON text count as attributes too (`metadata.k`)."""
    fields: dict[str, dict[int, Any]] = {}
    lists: dict[str, dict[int, dict[str, Any]]] = {}
    leftovers: dict[str, Any] = {}
    known = MEANINGS.get
    for key, value in (attributes if MAPS.isdisjoint(attributes) else with_maps_opened(attributes)).items():
        if value is None and key in attributes:
            continue
        may_fill, list_name, place, rest, kept = known(key) or learned(key)
        for field, rank in may_fill:
            if field in fields:
                fields[field][rank] = value
            else:
                fields[field] = {rank: value}
        if list_name:
            if list_name not in lists:
                lists[list_name] = {place: {rest: value}}
            elif place in (places := lists[list_name]):
                places[place][rest] = value
            else:
                places[place] = {rest: value}
        elif kept and kept not in leftovers:
            leftovers[kept] = value
    return Attributes(fields, lists, leftovers)


def with_maps_opened(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Put the keys of each attribute that holds an object in its place; one that is also spelled out counts as such."""
    opened: dict[str, Any] = {}
    for key, value in attributes.items():
        if key in MAPS and isinstance(inner := json_or_text(value), dict):
            for name, inner_value in inner.items():
                if f"{key}.{name}" not in attributes:
                    opened[f"{key}.{name}"] = inner_value
        else:
            opened[key] = value
    return opened


def values(attributes: Attributes, field: str) -> Collection[Any]:
    """Give what may fill a field, the surest first."""
    found = attributes.fields.get(field)
    if found is None:
        return ()
    return found.values() if len(found) == 1 else [found[rank] for rank in sorted(found)]


def text(attributes: Attributes, field: str) -> str | None:
    """Give the first value for a field that is a text with something in it, or a number as text."""
    return first_text(values(attributes, field)) if field in attributes.fields else None


def name(attributes: Attributes, field: str) -> str | None:
    """Give a name or an id for a field, as a text of bounded length."""
    said = first_text(values(attributes, field))
    return said[: vendor_fields.LONGEST_ID] if said else None


def amount(attributes: Attributes, field: str) -> float | None:
    """Give the first value for a field that is a finite number, 0 or more."""
    for value in values(attributes, field):
        number = vendor_fields.amount(value)
        if number is not None and number >= 0:
            return number
    return None


def count(attributes: Attributes, field: str) -> int | None:
    """Give the first value for a field that counts something, also one written as text."""
    for value in values(attributes, field):
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_COUNT:
            return value
        number = vendor_fields.amount(value)
        if number is not None and number.is_integer() and 0 <= number < LARGEST_COUNT:
            return int(number)
    return None


def first_text(given: Iterable[Any]) -> str | None:
    """Give the first value that is a text with something in it, or a number as text."""
    for value in given:
        if isinstance(value, str):
            if value and not value.isspace():
                return value
        elif value is not None and (number := vendor_fields.shortened(value)):
            return number
    return None


def json_or_text(value: Any) -> Any:
    """Decode a text that is a JSON object or array; everything else stays as it is. It never raises."""
    if not isinstance(value, str) or not value.startswith(("{", "[", " ", "\n", "\r", "\t")):
        return value
    if value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        read = msgspec.json.decode(value)
        return without_nul(read) if "\\u0000" in value else read
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return value


def items_of(attributes: Attributes, list_name: str) -> list[Any] | None:
    """Give the items of a list: spelled out by its keys, structured, or as JSON text; None where there is no list.

    OpenInference wraps each item in a word of its own (`document.content`); the word is taken off.
    """
    places = attributes.lists.get(list_name)
    if places is None:
        return None
    wrapper = LISTS[list_name]
    spelled_out = sorted(places)
    if spelled_out[0] == WHOLE:
        if len(spelled_out) == 1:
            whole = json_or_text(places[WHOLE][""])
            return [unwrapped(item, wrapper) for item in whole[:MOST_ITEMS]] if isinstance(whole, list) else None
        del spelled_out[0]
    items = [places[place] for place in spelled_out[:MOST_ITEMS]]
    return [unwrapped(item[""], wrapper) if "" in item and len(item) == 1 else item for item in items]


def unwrapped(item: Any, wrapper: str) -> Any:
    """Take the wrapping word off an item, be it an object around it or the beginning of its keys."""
    if isinstance(item, str):
        item = json_or_text(item)
    if not isinstance(item, dict) or "role" in item or "content" in item:
        return item
    inner = item.get(wrapper)
    if isinstance(inner, dict):
        return inner
    dotted = f"{wrapper}."
    if any(key.startswith(dotted) for key in item):
        return {key.removeprefix(dotted): value for key, value in item.items()}
    return item
