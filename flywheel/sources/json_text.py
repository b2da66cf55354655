"""JSON text of strangers: how deep it nests, keys that repeat, characters that no store takes."""

import re
from itertools import accumulate
from typing import Any

BOM = b"\xef\xbb\xbf"


STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
OPENING = b"{["


def nests_deeper(text: bytes, levels: int) -> bool:
    """Tell whether brackets nest deeper than `levels`.

    Innermost pairs are taken away level by level, those in strings too: nearly every text is settled by that. Where
    something is left over, because a string holds half a pair or the text does nest deep, strings are left out first.
    """
    if text.count(b"{") + text.count(b"[") <= levels:
        return False
    if not without_pairs(text.translate(None, NOT_BRACKETS), levels):
        return False
    brackets = STRING.sub(b"", text).translate(None, NOT_BRACKETS)
    return max(accumulate(1 if bracket in OPENING else -1 for bracket in brackets), default=0) > levels


def without_pairs(brackets: bytes, levels: int) -> bytes:
    """Take away pairs of brackets that hold nothing, `levels` times over."""
    for _ in range(levels):
        # A pair becomes a mark first: taken away at once, it would let the pair around it close in the same round.
        fewer = brackets.replace(b"{}", b"-").replace(b"[]", b"-").translate(None, b"-")
        if len(fewer) == len(brackets):
            break
        brackets = fewer
    return brackets


def refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, or raise when a key stands in it twice: nobody could say which value is meant."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {repeated!r} stands twice in one object")
    return fields


def without_nul(value: Any) -> Any:
    """Drop NUL characters from every string: DuckDB and PostgreSQL cannot store them."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    if isinstance(value, dict):
        return {without_nul(key): without_nul(item) for key, item in value.items()}
    return value
