"""What has to hold of any file and any reader: nothing raised, nothing lost, nothing given that cannot be stored.

Nothing lost means: of lines every number from 1 on comes up; of an array every place; of CSV every line but the header
and those that a quoted cell runs over; of Parquet every row; of protobuf at least one record. Only a file without
a byte, or a Parquet file without a row, may give nothing.
"""

import gzip
import io
import math
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import zstandard
from pyarrow import parquet

from eval.errors import UserError
from flywheel.ingest.columns import Arrival, contexts_missing, trace_table
from flywheel.ingest.intake import hash_of, stage_spans
from flywheel.sources import READERS, Format, langfuse, mapped, otlp_protobuf, phoenix, recognise
from flywheel.sources.delivery import GZIP, PARQUET, ZSTD, Delivery
from flywheel.sources.langfuse_tables import is_table
from flywheel.sources.mapping import parse_mapping
from flywheel.sources.records import Blank, ExportedScore, Found, Record, Rejected, Span
from flywheel.sources.rows import is_csv
from flywheel.trace import Trace
from flywheel.warehouse.spans import score_table, span_table

SECONDS = 5.0
"""The longest that a reader may take over a file below a megabyte, of CPU time."""

MEGABYTES = 512
"""The most memory that one file below a megabyte may add to the process."""

MOST_RETRIED = 6
"""Rejected records of one file, each of another reason, that are read again."""

NAMED = """
[fields]
trace_id = "id"
timestamp = "ts"
"""
LOOSE = """
[fields]
"""
MAPPING = """user_input = ["q", "user_input", "input.value", "inputs"]
response = ["a", "response"]
latency_ms = "ms"
input_tokens = "tokens"
status = "s"
error = "e"
session_id = ["session_id", "metadata.thread"]
[contexts]
list = ["docs", "retrieved_contexts"]
text = ["text", "body"]
id = "id"
score = "score"
[feedback]
rating = "stars"
comment = "comment"
[metadata]
m = ["m", "metadata"]
"""


class HungError(BaseException):
    """A reader that does not come to an end; no `except Exception` catches it."""


@dataclass(slots=True)
class Tally:
    """What one reader made of the files it was given, and what was wrong with that: kind of failure to its detail."""

    inputs: int = 0
    found: int = 0
    rejected: int = 0
    blank: int = 0
    refused: int = 0
    slowest: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)


@cache
def readers() -> dict[str, Format]:
    """Every reader, and the reader of anybody's records with a mapping that names ids and one that does not."""
    forms = dict(READERS)
    for name, beginning in (("mapped", NAMED), ("mapped without ids", LOOSE)):
        mapping = parse_mapping(beginning + MAPPING, "mapping.toml")
        forms[name] = Format(name, mapped.UNIT, lambda _: None, lambda delivery, m=mapping: mapped.read(delivery, m))  # type: ignore[misc]
    return forms


def place_of(error: BaseException) -> str:
    """Name an exception by its type and the innermost place in our code that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/flywheel/" in frame.filename and "/tests/" not in frame.filename]
    where = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else "the checks"
    return f"{type(error).__name__} in {where}"


def stop(*_: Any) -> None:
    """End what takes too long."""
    raise HungError


def bounded(work: Callable[[], Any]) -> Any:
    """Do something within twice the time it may take."""
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, 2 * SECONDS)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def check_file(path: Path, tallies: dict[str, Tally]) -> list[str]:
    """Read one file with every reader, and check all that has to hold; gives the new kinds of failures."""
    before = {name: set(tally.failures) for name, tally in tallies.items()}
    tally = tallies["recognise"]
    with watched(tally):
        recognised(path, tally)
    for name, form in readers().items():
        with watched(tallies[name]):
            check_reader(name, form, path, tallies[name])
    return [f"{name}: {kind}: {detail}" for name, tally in tallies.items()
            for kind, detail in tally.failures.items() if kind not in before[name]]  # fmt: skip


class watched:  # noqa: N801
    """Note the time, the memory and the exceptions of what is done inside."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def __enter__(self) -> None:
        self.tally.inputs += 1
        self.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.started = time.process_time()

    def __exit__(self, kind: Any, error: BaseException | None, frames: Any) -> bool:
        seconds = time.process_time() - self.started
        megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.memory) / 1024
        failures = self.tally.failures
        self.tally.slowest = max(self.tally.slowest, seconds)
        if seconds > SECONDS:
            failures.setdefault("slow", f"{seconds:.1f} s")
        if megabytes > MEGABYTES:
            failures.setdefault("memory", f"{megabytes:.0f} MB more")
        if isinstance(error, Exception | HungError):
            failures.setdefault(place_of(error), "".join(traceback.format_exception(error)[-4:])[-700:])
            return True
        return False


def recognised(path: Path, tally: Tally) -> None:
    """Recognise a file, which may say in words that it is damaged."""
    try:
        form = bounded(lambda: recognise(Delivery(path)))
    except UserError:
        tally.refused += 1
        return
    tally.found += form is not None


def check_reader(name: str, form: Format, path: Path, tally: Tally) -> None:
    """Read a file with one reader."""
    delivery = Delivery(path)
    try:
        records = bounded(lambda: list(form.read(delivery)))
    except UserError:
        tally.refused += 1
        return
    count(records, tally)
    if wrong := lost(name, delivery, path, records):
        tally.failures.setdefault("lost", wrong)
    for kind, detail in unstorable(records):
        tally.failures.setdefault(kind, detail)
    kept = {(record.reason[:40], record.raw[:1]): record
            for record in records if isinstance(record, Rejected) and record.whole}  # fmt: skip
    again = path.with_name("again.json")
    for record in [*kept.values()][:MOST_RETRIED]:
        again.write_bytes(record.raw)
        try:
            given = bounded(lambda: list(form.read(Delivery(again))))
        except UserError as error:
            tally.failures.setdefault("a retry stops", f"{record.reason}: {record.raw[:120]!r}: {error}")
            continue
        if not given:
            tally.failures.setdefault("a retry gives nothing", f"{record.reason}: {record.raw[:120]!r}")


def count(records: list[Record], tally: Tally) -> None:
    """Count records by kind."""
    for record in records:
        tally.found += isinstance(record, Found)
        tally.rejected += isinstance(record, Rejected)
        tally.blank += isinstance(record, Blank)


def lost(name: str, delivery: Delivery, path: Path, records: list[Record]) -> str:
    """Say which line or place of a file nothing tells of, '' where there is none."""
    given = [record.line for record in records]
    data = contents(path)
    if name == otlp_protobuf.NAME:
        return "" if given else f"nothing of {len(data)} bytes"
    head = delivery.head
    reads_tables = name in (phoenix.NAME, *(n for n in readers() if n.startswith(mapped.NAME))) or (
        name == langfuse.NAME and is_table(head)
    )
    if reads_tables and head.start.startswith(PARQUET):
        needed = set(range(1, parquet.read_metadata(path).num_rows + 1))
    elif reads_tables and is_csv(head):
        return lost_in_csv(data, records)
    elif head.is_document:
        text = data.removeprefix(b"\xef\xbb\xbf").strip()
        needed = {1}
        if text.startswith(b"["):
            needed = set(range(1, len(msgspec.json.decode(text, type=list[msgspec.Raw])) + 1))
    else:
        needed = set(range(1, data.count(b"\n") + (not data.endswith(b"\n") and bool(data)) + 1))
    missing = sorted(needed - set(given))
    return f"{missing[:5]} of {len(needed)}: {data[:120]!r}" if missing else ""


def lost_in_csv(data: bytes, records: list[Record]) -> str:
    """Say which line of a table in text nothing tells of, unless a quoted cell runs over it or it is the header."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    blank = {record.line for record in records if isinstance(record, Blank)}
    given = {record.line for record in records}
    header = next((number for number in range(1, len(lines) + 1) if number not in blank), 0)
    start = 1
    for number in range(1, len(lines) + 1):
        if number in given or number == header:
            start = number
        elif b'"' not in b"".join(lines[start - 1 : number]):
            return f"line {number} of {len(lines)}: {data[:120]!r}"
    return ""


def contents(path: Path) -> bytes:
    """Read a file, unpacked."""
    data = path.read_bytes()
    if data.startswith(GZIP):
        return gzip.decompress(data)
    if data.startswith(ZSTD):
        unpacked: bytes = zstandard.open(io.BytesIO(data), "rb", closefd=False).read()
        return unpacked
    return data


def unstorable(records: list[Record]) -> Iterator[tuple[str, str]]:
    """Say of what was found what cannot be stored as it is."""
    found = [(place, record) for place, record in enumerate(records, start=1) if isinstance(record, Found)]
    for _, record in found:
        yield from wrong_in(record.what)
    for refused in records:
        if isinstance(refused, Rejected) and (wrong := wrong_value("reason", refused.reason)):
            yield f"{wrong} in a reason", repr(refused.reason)[:200]
    spans = [(place, record.what) for place, record in found if isinstance(record.what, Span)]
    scores = [(place, hash_of(record.what), record.what) for place, record in found
              if isinstance(record.what, ExportedScore)]  # fmt: skip
    arrivals = [Arrival(place, record.what, hash_of(record.what), contexts_missing(record.what))
                for place, record in found if isinstance(record.what, Trace)]  # fmt: skip
    if spans:
        staged, assembled, _ = stage_spans(spans)
        span_table(staged, 1)
        for arrival in assembled:
            yield from wrong_in(arrival.trace)
        arrivals += assembled
    if scores:
        score_table(scores, 1)
    if arrivals:
        trace_table(arrivals, 1, "metadata.source_id")


def wrong_in(what: Trace | Span | ExportedScore) -> Iterator[tuple[str, str]]:
    """Say what is wrong with one record."""
    kind = type(what)
    encoded = msgspec.json.encode(what)
    if msgspec.json.decode(encoded, type=kind) != what:
        yield f"{kind.__name__} does not come back equal", repr(what)[:500]
    for name in ("trace_id", "span_id", "score_id"):
        held = getattr(what, name, None)
        if name == "span_id" and isinstance(what, ExportedScore) and held is None:
            continue
        if hasattr(what, name) and not held:
            yield f"{name} is empty", repr(what)[:500]
        if isinstance(held, str) and len(held) > 512:
            yield f"{name} is long", repr(what)[:500]
    for place, value in leaves(what):
        if wrong := wrong_value(place, value):
            yield f"{wrong} in {kind.__name__} {place}", repr(value)[:200]


def leaves(what: Any) -> Iterator[tuple[str, Any]]:
    """Yield every plain value of a record, and the field it stands in."""
    for name in what.__struct_fields__:
        waiting = [getattr(what, name)]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                waiting += [*value, *value.values()]
            elif isinstance(value, list):
                waiting += value
            elif isinstance(value, msgspec.Struct):
                waiting += [getattr(value, field) for field in value.__struct_fields__]
            else:
                yield name, value


def wrong_value(place: str, value: Any) -> str:
    """Say why a plain value cannot be stored; numbers in metadata stay JSON, and may be of any size."""
    if isinstance(value, str):
        if "\x00" in value:
            return "NUL"
        return "a lone surrogate" if any("\ud800" <= sign <= "\udfff" for sign in value) else ""
    if isinstance(value, datetime):
        return "" if value.tzinfo else "no time zone"
    if isinstance(value, float) and not math.isfinite(value):
        return "not finite"
    if isinstance(value, int) and place != "metadata" and not -(2**63) <= value < 2**63:
        return "beyond int64"
    return ""
