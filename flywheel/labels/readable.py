"""A passage that is a JSON record, laid out for people: a line a field, no brackets and quotes."""

import json
import re
from collections.abc import Iterator

LONGEST_RECORD = 200_000
WORD_BORDER = re.compile(r"(?<=[a-z])(?=[A-Z])|_")
SAID = {True: "yes", False: "no", None: "not known"}


def readable(text: str) -> str:
    """Lay a JSON object out as lines of `key: value`, deeper fields indented; any other text stays as it is."""
    if not text.lstrip().startswith("{") or len(text) > LONGEST_RECORD:
        return text
    try:
        loaded = json.loads(text)
        return "\n".join(lines(loaded, 0)) or text
    except (ValueError, RecursionError):
        return text


def lines(value: object, depth: int) -> Iterator[str]:
    """Yield the lines of an object or a list, indented by two spaces a level."""
    indent = "  " * depth
    pairs = value.items() if isinstance(value, dict) else ((None, item) for item in value)  # type: ignore[attr-defined]
    for key, item in pairs:
        name = "–" if key is None else f"{key_words(str(key))}:"
        if isinstance(item, dict | list):
            yield f"{indent}{name}" if item else f"{indent}{name} none"
            yield from lines(item, depth + 1)
        else:
            yield f"{indent}{name} {SAID[item] if item is None or isinstance(item, bool) else item}"


def key_words(key: str) -> str:
    """Write `BusinessParking` as `Business parking`."""
    words = WORD_BORDER.sub(" ", key).split()
    return " ".join([*words[:1], *(word if word.isupper() else word.lower() for word in words[1:])]) or key
