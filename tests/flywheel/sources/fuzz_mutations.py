"""Damage done to files: to JSON by its tree, to tables by their cells and column types, to any file by its bytes."""

import copy
import gzip
import json
import random
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import zstandard

from tests.flywheel.sources.fuzz_seeds import Seed, as_csv, as_parquet

DEEPEST = 2_000
RAW = "@@RAW "
TWICE = "@@TWICE "
"""What marks a string as JSON written by hand, and a key as one that shall stand twice."""

RAW_TEXT = re.compile(rb'"@@RAW ([0-9a-f]+)"')
TWICE_TEXT = re.compile(rb'"@@TWICE ')

Path = tuple[Any, ...]


def raw(text: str) -> str:
    """Mark JSON that no writer would write."""
    return RAW + text.encode("utf-8", "surrogatepass").hex()


def deep(rng: random.Random) -> str:
    """JSON that nests deep, closed or not, as JSON or as a text that holds it."""
    depth = rng.choice((12, 13, 60, 64, 65, 200, 999, DEEPEST))
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}"), ('[{"content":', "}]"), ('{"value":[', "]}")))
    middle = rng.choice(('"x"', "1", '"\\u0000"'))
    text = opening * depth + middle + closing * (depth if rng.random() < 0.9 else depth - 1)
    return text if rng.random() < 0.5 else raw(text)


NUMBERS = (0, -1, 1, 0.1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63) - 1, 1e308, -1e308, 5e-324, 1e18,
           1.5e12, 253402300799, 253402300799999, 253402300799999999999, 253402300800, -62135596800)  # fmt: skip
BY_HAND = ("NaN", "Infinity", "-Infinity", "1e999", "-0", "1e-999", "9" * 400, "9" * 5000, "-" + "9" * 25, "01", ".5",
           '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"a\\u0000b"', '"\\ud83d\\ude00"', '"\\x"', "nul", "",
           '{"a":1,"a":2}', '[1,]', "'a'", '"a\tb"')  # fmt: skip
TEXTS = ("", " ", "\n", "\x00", "a\x00", "\u2028", "\u2029x", "\ufeff", "\u202eabc\u202c", "\ud800", "\udfff\ud800",
         "\U0010ffff", "e\u0301" * 40, "\x1b[31m", "\x85", "x" * 513, "x" * 1025, "y" * 70_000, "0" * 32, "NaN", "nan",
         "inf", "-1", "1e999", "9" * 400, "٣", "²", "true", "null", "None", "{}", "[]", '""', "[", "{'", '["a',
         "{'a': 1",
         "{'role': 'user', 'content': '\\ud800'}", "{'a': '\\x00'}", "['\\U0011ffff']", '{"a": "\\u0000"}',
         '{"content": "\\ud800"}', '[{"role": "user", "content": "a\\u0000b"}]', '"\\"\\\\\\"x\\\\\\"\\""',
         '{"question": "\\u0000"}', "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00",
         "2026-11-03T10:00:00", "2026-11-03T24:00:00Z", "2026-11-03", "20261103T100000Z", "2026-W45-2",
         "1969-12-31T23:59:59Z", "2026-11-03T10:00:00.123456789123Z", "AAAAAAAAAAE=", "AAAAAAAAAAAAAAAAAAAAAA==",
         "=cmd|' /C calc'!A0", "../../etc/passwd", "<script>alert(1)</script>", "retriever", "LLM", "ERROR",
         "\\N", "," * 50, '"' * 51)  # fmt: skip
VALUES: tuple[Any, ...] = (None, True, False, {}, [], [[]], [None], [{}], {"": ""}, {"a": None}, ["a", "b"],
          [["user", "hi"]],
          {"role": "user"}, {"content": None}, [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
          [{"id": None, "text": ""}], [{"document": {"id": 1}}], {"value": {"value": {"value": "x"}}}, {"data": []},
          {"spans": []}, [["a", 1]], [[1, 2], "x"], {"a" * 600: 1}, {"\x00": "\x00"}, {"\ud800": 1})  # fmt: skip


def oddity(rng: random.Random) -> Any:
    """A value that nobody expects."""
    pool: tuple[Callable[[], Any], ...] = (
        lambda: rng.choice(NUMBERS),
        lambda: rng.choice(TEXTS),
        lambda: rng.choice(VALUES),
        lambda: raw(rng.choice(BY_HAND)),
        lambda: deep(rng),
        lambda: [rng.choice(VALUES) for _ in range(rng.choice((2, 45)))],
        lambda: json.dumps(rng.choice(VALUES)),
        lambda: json.dumps(json.dumps({"question": rng.choice(TEXTS)})),
        lambda: "".join(rng.choice(TEXTS)[:8] for _ in range(5)),
    )
    return copy.deepcopy(rng.choice(pool)())


def paths_in(value: Any) -> list[Path]:
    """List every place in a tree, the top included."""
    paths: list[Path] = [()]
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, here = waiting.pop()
        inner = here.items() if isinstance(here, dict) else enumerate(here) if isinstance(here, list) else ()
        for key, held in inner:
            paths.append((*path, key))
            waiting.append(((*path, key), held))
    return paths


def at(value: Any, path: Path) -> Any:
    """Give what stands at a place."""
    for key in path:
        value = value[key]
    return value


def changed(value: Any, rng: random.Random) -> Any:
    """Change one place in a tree; a text that holds JSON may be changed inside."""
    path = rng.choice(paths_in(value))
    if not path:
        return oddity(rng) if rng.random() < 0.3 else value
    holder, key = at(value, path[:-1]), path[-1]
    held = holder[key]
    if isinstance(held, str) and held[:1] in ("{", "[") and rng.random() < 0.7:
        try:
            inner = changed(json.loads(held), rng)
            text = written(inner, rng)
            holder[key] = text.decode("utf-8", "surrogateescape") if rng.random() < 0.9 else json.dumps(text.decode())
        except (ValueError, RecursionError):
            holder[key] = oddity(rng)
        return value
    action = rng.random()
    if action < 0.5:
        holder[key] = oddity(rng)
    elif action < 0.6:
        del holder[key]
    elif action < 0.7 and isinstance(holder, dict):
        holder[TWICE + str(key)] = rng.choice((held, oddity(rng)))
    elif action < 0.75 and isinstance(holder, dict):
        holder[rng.choice((str(key).swapcase(), key + "\x00", key + ".0", "9" * 30, key + ".99999999999999999999"))] = (
            held
        )
    elif action < 0.85:
        holder[key] = {str(k): v for k, v in enumerate(held)} if isinstance(held, list) else [held]
    elif action < 0.92:
        holder[key] = json.dumps(held)
    else:
        other = rng.choice(paths_in(value))
        holder[key] = copy.deepcopy(at(value, other))  # a piece from elsewhere
    return value


def written(value: Any, rng: random.Random) -> bytes:
    """Write JSON, with what was marked as written by hand put in as it is."""
    is_ascii = rng.random() < 0.7
    text = json.dumps(value, ensure_ascii=is_ascii, indent=2 if rng.random() < 0.1 else None, default=str)
    data = TWICE_TEXT.sub(b'"', text.encode("utf-8", "surrogatepass"))
    return RAW_TEXT.sub(lambda match: bytes.fromhex(match[1].decode()), data)


def json_file(seed: Seed, rng: random.Random) -> bytes:
    """Write a seed's values after some changes, as lines, as an array or as a document."""
    values = [copy.deepcopy(value) for value in seed.values]
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4, 8))):
        place = rng.randrange(len(values))
        values[place] = changed(values[place], rng)
    texts = [written(value, rng) for value in values]
    layout = rng.random()
    if layout < 0.15:
        return b"[" + b",".join(texts) + b"]"
    if layout < 0.3:
        texts.insert(
            rng.randrange(len(texts) + 1), rng.choice((b"", b" ", b"{}", b"[]", b"null", b"\xff", b"\x00", b"{"))
        )
    if layout < 0.5:
        texts = [text.replace(b"\n", b"") for text in texts] * 2
    return b"\n".join(texts) + (b"\n" if rng.random() < 0.6 else b"")


def csv_file(seed: Seed, rng: random.Random) -> bytes:
    """Write a table in text after some changes to its cells and its text."""
    rows = [dict(row) for row in seed.rows]
    for _ in range(rng.choice((0, 1, 2, 6))):
        row = rng.choice(rows)
        value = oddity(rng)
        row[rng.choice([*row])] = value if not isinstance(value, str) else value.replace(RAW, "")
    data = as_csv(rows, rng.choice(",,;\t"))
    for _ in range(rng.choice((0, 0, 1, 3))):
        place = rng.randrange(len(data))
        data = (
            data[:place]
            + rng.choice((b'"', b",", b"\n", b"\r", b"\r\n", b"\x00", b"\xff", b'""', b"\n,,\n"))
            + data[place:]
        )
    return data


def nested(levels: int) -> pa.Array:
    """A column of lists in lists."""
    kind, value = pa.int64(), 1
    held: Any = value
    for _ in range(levels):
        kind, held = pa.list_(kind), [held]
    return pa.array([held], kind)


COLUMNS: tuple[Callable[[], pa.Array], ...] = (
    lambda: pa.nulls(1),
    lambda: pa.array([2**64 - 1], pa.uint64()),
    lambda: pa.array([-(2**63)], pa.int64()),
    lambda: pa.array([float("nan")]),
    lambda: pa.array([float("-inf")]),
    lambda: pa.array([Decimal("1E+20")], pa.decimal128(38, 2)),
    lambda: pa.array([2**62], pa.timestamp("us")),
    lambda: pa.array([-(2**62)], pa.timestamp("s", "UTC")),
    lambda: pa.array([1], pa.timestamp("ns", "Europe/Berlin")),
    lambda: pa.array([datetime(9999, 12, 31, 23, tzinfo=UTC)], pa.timestamp("ms", "America/New_York")),
    lambda: pa.array([253402300799000], pa.timestamp("ms", "Asia/Tokyo")),
    lambda: pa.array([-62135596800000], pa.timestamp("ms", "America/New_York")),
    lambda: pa.array([date(2026, 11, 3)]),
    lambda: pa.array([2**30], pa.date32()),
    lambda: pa.array([time(12)]),
    lambda: pa.array([timedelta(days=10**6)]),
    lambda: pa.array([b"\xff\x00"]),
    lambda: pa.array([b"\xff"], pa.binary()).view(pa.string()),
    lambda: pa.array(["a\x00b"]),
    lambda: pa.array(["x" * 600], pa.large_string()),
    lambda: pa.array([[[1], None, []]]),
    lambda: pa.array([{"a": {"b": None}, "": "\x00"}]),
    lambda: pa.array([[("k", "v"), ("k", None)]], pa.map_(pa.string(), pa.string())),
    lambda: pa.array([[(1, "v")]], pa.map_(pa.int64(), pa.string())),
    lambda: pa.array(["a"]).dictionary_encode(),
    lambda: pa.array([True]),
    lambda: nested(30),
    lambda: nested(66),
    lambda: pa.array([[{"document.content": "x", "document.score": float("nan")}]]),
)


def parquet_file(seed: Seed, rng: random.Random) -> bytes:
    """Write a Parquet file some of whose columns have odd types."""
    names = list(seed.rows[0])
    columns: dict[str, Any] = {name: [row.get(name) for row in seed.rows] for name in names}
    for _ in range(rng.choice((0, 1, 2, 5, 12))):
        odd = rng.choice(COLUMNS)()
        columns[rng.choice(names)] = pa.concat_arrays(
            [odd if rng.random() < 0.8 else pa.nulls(1, odd.type) for _ in seed.rows]
        )
    try:
        return as_parquet(columns)
    except pa.ArrowException:  # a type that Parquet has no room for
        return as_parquet({name: [row.get(name) for row in seed.rows] for name in names})


def packed(data: bytes, rng: random.Random) -> bytes:
    """Pack a file, and cut or follow the archive with something now and then."""
    archive = gzip.compress(data, 1, mtime=0) if rng.random() < 0.5 else zstandard.ZstdCompressor().compress(data)
    harm = rng.random()
    if harm < 0.25:
        return archive[: rng.randrange(len(archive))]
    if harm < 0.4:
        return archive + rng.choice((b"\x00" * 9, archive, b"junk", archive[:9]))
    return archive


def damaged(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Damage a file by its bytes."""
    action = rng.random()
    place = rng.randrange(len(data) + 1)
    if action < 0.2:
        return data[:place]
    if action < 0.4:
        harmed = bytearray(data)
        for _ in range(rng.choice((1, 2, 10, 100))):
            if harmed:
                harmed[rng.randrange(len(harmed))] ^= 1 << rng.randrange(8)
        return bytes(harmed)
    if action < 0.55:
        return data[:place] + other[rng.randrange(len(other) + 1) :]
    if action < 0.65:
        return data.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\n", b"\n\x00\n")))
    if action < 0.8:
        noise = (b"\xff\xfe", b"\xed\xa0\x80", b"\x00", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\x1f\x8b",
                 b"PAR1", b"\xe2\x80\xa8", b"\n\x1f\x8b\x08", b"\x28\xb5\x2f\xfd")  # fmt: skip
        return data[:place] + rng.choice(noise) + data[place:]
    if action < 0.85:
        return (
            rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\n\n", b" ", b"\x1f\x8b", b"PAR1", b"\x00\x00\x00\x00")) + data
        )
    return packed(data, rng)


def plain_file(seed: Seed, rng: random.Random) -> bytes:
    """Write a seed, changed in the way of its kind."""
    if seed.values:
        return json_file(seed, rng)
    if seed.rows:
        return csv_file(seed, rng) if seed.name.endswith(".csv") else parquet_file(seed, rng)
    return seed.data


def mutated(seed: Seed, rng: random.Random, other: Seed) -> bytes:
    """Write a seed's file after changes to what it says, to its bytes, or both."""
    data = plain_file(seed, rng)
    if not (seed.values or seed.rows) or rng.random() < 0.35:
        data = damaged(data, rng, plain_file(other, rng))
    return data
