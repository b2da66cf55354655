"""One delivery into the warehouse: its records in batches of bounded size, then settled, all in one transaction."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import duckdb
import msgspec
from xxhash import xxh3_128_hexdigest

from eval.errors import UserError
from flywheel.ingest.columns import Arrival, contexts_missing, trace_table
from flywheel.ingest.quarantine import Quarantine
from flywheel.ingest.redaction import Redactor
from flywheel.ingest.writer import Writer
from flywheel.sources import Format
from flywheel.sources.assemble import assemble
from flywheel.sources.delivery import Delivery
from flywheel.sources.records import ExportedScore, Found, Rejected, Span
from flywheel.trace import Trace
from flywheel.warehouse import arrivals, spans, traces
from flywheel.warehouse.arrivals import SCORE_KEY, SPAN_KEY, Settled
from flywheel.warehouse.deliveries import Count, TraceCount, rejected_table

BATCH_RECORDS = 4_000
BATCH_BYTES = 12 << 20
REASONS = 100
YOUNGEST = 0
"""The generation of objects that the collector has not seen yet."""

SPANS = msgspec.json.Encoder(order="deterministic")
SPAN = msgspec.json.Decoder(Span)


@dataclass(frozen=True, slots=True)
class Orders:
    """How a delivery is taken in: the unit of resampling, what is never stored, and whether a bad record stops it.

    `by_content` compares with what is stored field by field even where the bytes are the same, since settings may have
    changed. `only_fills` leaves alone what is there already: it came later than the records at hand.
    """

    group: str
    redactor: Redactor | None = None
    is_strict: bool = False
    by_content: bool = False
    only_fills: bool = False


@dataclass(slots=True)
class Batch:
    """Records on their way into the warehouse."""

    traces: list[Arrival] = field(default_factory=list)
    spans: list[tuple[int, Span]] = field(default_factory=list)
    scores: list[tuple[int, ExportedScore]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    records: int = 0


@dataclass(slots=True)
class Tally:
    """How many records were read so far, and where the last one stood."""

    last_line: int
    lines: int = 0
    rejected: int = 0
    blank: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def refused(self, reason: str) -> None:
        """Count a rejected record under its reason; of endlessly many reasons the first are told apart."""
        self.rejected += 1
        if reason in self.reasons or len(self.reasons) < REASONS:
            self.reasons[reason] += 1


@dataclass(frozen=True, slots=True)
class Taken:
    """What a delivery came to: its records, the traces they made, the last line that was read.

    `reasons` are why records were rejected, and how many for each, the commonest first.
    """

    count: Count
    traces: TraceCount
    last_line: int
    reasons: tuple[tuple[str, int], ...] = ()


def take_in(
    db: duckdb.DuckDBPyConnection,
    delivery: Delivery,
    form: Format,
    number: int,
    orders: Orders,
    quarantine: Quarantine,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> Taken:
    """Read a delivery into the warehouse, inside the caller's transaction."""
    spans.forget_touched(db)
    tally = Tally(last_line=delivery.first_line - 1)
    with Writer(db) as writer, garbage_collected_by_batch():
        read_in(writer, delivery, form, number, orders, quarantine, tally, on_bytes)
        writer.wait()
        known = spans.drop_known(db, number) if orders.only_fills else 0
        # Before any are read again: of each span the newest speaks.
        of_spans = arrivals.settle(db, "span", SPAN_KEY, number) + Settled(unchanged=known)
        waiting = put_pieces_together(db, writer, number, orders, delivery.first_line + tally.lines)
        writer.wait()
    has_spans = of_spans != Settled()
    of_scores = arrivals.settle(db, "exported_score", SCORE_KEY, number)
    known = traces.drop_known(db, number) if orders.only_fills and not has_spans else 0
    of_traces = traces.settle_traces(db, number, by_content=orders.by_content) + Settled(unchanged=known)
    traces.join_corpus(db)
    settled = of_scores + (of_spans if has_spans else of_traces)
    count = Count(tally.lines, settled.added, settled.updated, settled.unchanged, tally.rejected, tally.blank)
    return Taken(
        count,
        TraceCount(of_traces.added, of_traces.updated, waiting),
        tally.last_line,
        tuple(tally.reasons.most_common()),
    )


def read_in(
    writer: Writer,
    delivery: Delivery,
    form: Format,
    number: int,
    orders: Orders,
    quarantine: Quarantine,
    tally: Tally,
    on_bytes: Callable[[int], None],
) -> None:
    """Append a delivery's records, batch by batch, and count what was read."""
    batch, begun = Batch(), 0
    for place, record in enumerate(form.read(delivery), start=delivery.first_line):
        tally.lines += 1
        tally.last_line = record.line
        if isinstance(record, Found):
            record = storable(record, orders)
        if isinstance(record, Found):
            sort_in(batch, record, place)
        elif isinstance(record, Rejected):
            stored = refuse(delivery, record, orders, quarantine)
            tally.refused(stored.reason)
            batch.rejected.append(stored)
        else:
            tally.blank += 1
            continue
        batch.records += 1
        if batch.records >= BATCH_RECORDS or delivery.given - begun >= BATCH_BYTES:
            write_batch(writer, batch, number, orders, delivery.name)
            on_bytes(delivery.size)
            batch, begun = Batch(), delivery.given
            gc.collect(YOUNGEST)
    write_batch(writer, batch, number, orders, delivery.name)


@contextmanager
def garbage_collected_by_batch() -> Iterator[None]:
    """Have the collector go through what a batch left, and not through every record again and again meanwhile."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def storable(record: Found, orders: Orders) -> Found | Rejected:
    """Give a record as it may be stored; one that cannot be masked is rejected."""
    if orders.redactor is None:
        return record
    try:
        return Found(record.line, orders.redactor.record(record.what), record.content_hash)
    except (ValueError, msgspec.MsgspecError) as error:
        return Rejected(record.line, f"masked, it is no record any more: {error}", hash_of(record.what).encode(), False)


def refuse(delivery: Delivery, record: Rejected, orders: Orders, quarantine: Quarantine) -> Rejected:
    """Keep a record aside, and give it as it may be stored; stop at it where every record has to be good."""
    if orders.is_strict:
        raise UserError(
            f"{delivery.name}, line {record.line}: {record.reason}; nothing of the file was added (--strict)"
        )
    stored = record if orders.redactor is None else orders.redactor.rejected(record)
    quarantine.add(stored)
    return stored


def sort_in(batch: Batch, record: Found, place: int) -> None:
    """Put a record where its kind waits."""
    what = record.what
    if isinstance(what, Trace):
        content_hash = record.content_hash or hash_of(what)
        batch.traces.append(Arrival(place, what, content_hash, contexts_missing(what)))
    elif isinstance(what, Span):
        batch.spans.append((place, what))
    else:
        batch.scores.append((place, what))


def hash_of(record: Trace | Span | ExportedScore) -> str:
    """Hash what a record says, whatever the order of its keys."""
    return xxh3_128_hexdigest(SPANS.encode(record))


def write_batch(writer: Writer, batch: Batch, number: int, orders: Orders, name: str) -> None:
    """Lay a batch out as columns here, and have the writer append them."""
    tables = []
    if batch.spans:
        staged, assembled, touched = stage_spans(batch.spans)
        batch.traces.extend(assembled)
        tables.append(("span", spans.span_table(staged, number)))
        tables.append(("touched", spans.touched_table(touched)))
    if batch.scores:
        scores = [(place, hash_of(score), score) for place, score in batch.scores]
        tables.append(("exported_score", spans.score_table(scores, number)))
    if batch.rejected:
        tables.append(("rejected_record", rejected_table(number, name, batch.rejected)))
    arrived = trace_table(batch.traces, number, orders.group) if batch.traces else None

    def append(db: duckdb.DuckDBPyConnection) -> None:
        for table, rows in tables:
            arrivals.append(db, table, rows)
        if arrived is not None:
            traces.append_traces(db, arrived)

    writer.write(append)


def stage_spans(
    found: list[tuple[int, Span]],
) -> tuple[list[tuple[str, str, str, str, bytes, int]], list[Arrival], list[tuple[str, int, bool]]]:
    """Lay out a batch's spans, put together the traces they seem to make, and note how many spans each trace has."""
    staged = []
    by_trace: dict[str, dict[tuple[str, str], Span]] = {}
    last_place: dict[str, int] = {}
    for place, span in found:
        content = SPANS.encode(span)
        content_hash = xxh3_128_hexdigest(content)
        staged.append((span.trace_id, span.span_id, span.part, content_hash, content, place))
        by_trace.setdefault(span.trace_id, {})[span.span_id, span.part] = span
        last_place[span.trace_id] = place
    assembled, touched = [], []
    for trace_id, steps in by_trace.items():
        arrival = put_together(list(steps.values()), last_place[trace_id])
        touched.append((trace_id, len(steps), arrival is not None))
        if arrival is not None:
            assembled.append(arrival)
    return staged, assembled, touched


def put_together(steps: list[Span], line: int) -> Arrival | None:
    """Make a trace of its spans; None while it has no question or no time."""
    made = assemble(steps)
    return Arrival(line, made.trace, hash_of(made.trace), made.contexts_missing) if made.trace else None


def put_pieces_together(db: duckdb.DuckDBPyConnection, writer: Writer, number: int, orders: Orders, line: int) -> int:
    """Make those traces again whose spans came in several batches or files. Gives how many traces still wait."""
    waiting = 0
    if spans.traces_in_pieces(db, number):
        for some in spans.read_pieces(db):
            batch = Batch()
            for _, contents in some:
                line += 1
                arrival = put_together([SPAN.decode(content) for content in contents], line)
                if arrival is None:
                    waiting += 1
                else:
                    batch.traces.append(arrival)
            write_batch(writer, batch, number, orders, "")
            writer.wait()
    return waiting + spans.count_waiting(db)


def now() -> datetime:
    """The time, in UTC, as the warehouse stores it."""
    return datetime.now(UTC).replace(tzinfo=None)
