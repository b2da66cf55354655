"""Objects and lists in Python's notation, as exporters write that call `str()`: read as data, token by token."""

import re
from typing import Any

import msgspec

from flywheel.sources.json_text import nests_deeper

TOKEN = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    r"""|(?P<word>None|True|False)"""
    r"""|(?P<rest>[\[\]{},:\s]+|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)""",
    re.DOTALL,
)
ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
SIGNS = {"n": "\n", "t": "\t", "r": "\r", "\n": "", "0": "", "a": "", "b": "\b", "f": "\f", "v": "\v"}
WORDS = {"None": b"null", "True": b"true", "False": b"false"}
BEGINNINGS = ("{'", '{"', "[{'", '[{"', "['", '["')
LONGEST = 256 << 10
NESTING = 12


def read_python(text: str) -> dict[str, Any] | list[Any] | None:
    """Read `{'role': 'assistant', 'content': None}`; None where it is no plain object or list of that kind."""
    if not text.startswith(BEGINNINGS) or len(text) > LONGEST:
        return None
    written = bytearray()
    place = 0
    while place < len(text):
        token = TOKEN.match(text, place)
        if not token:
            return None
        place = token.end()
        try:
            written += as_json(token)
        except (ValueError, OverflowError):
            return None
    if nests_deeper(bytes(written), NESTING):
        return None
    try:
        value = msgspec.json.decode(written)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def as_json(token: re.Match[str]) -> bytes:
    """Write one token as JSON; half a surrogate pair, or a code point that does not exist, is a `ValueError`."""
    if text := token["text"]:
        return msgspec.json.encode(ESCAPE.sub(unescaped, text[1:-1]))
    return WORDS[token["word"]] if token["word"] else token["rest"].encode()


def unescaped(escape: re.Match[str]) -> str:
    """Give the character that an escape stands for."""
    code = escape[1] or escape[2] or escape[3]
    if code:
        return chr(int(code, 16)).replace("\x00", "")
    sign: str = escape[4]
    return SIGNS.get(sign, sign)
