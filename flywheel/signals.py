"""Cheap signals of every trace: DuckDB streams them through expressions, words and numbers are compared in batches.

Nothing grows with the week but one narrow row a trace.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from flywheel.governance.findings import LONG_NUMBER
from flywheel.governance.injection import kind_patterns, normalise_sql
from flywheel.governance.national_ids import SHORT_ONES
from flywheel.governance.pii import RECOGNISERS, find_pii
from flywheel.overlap import overlaps
from flywheel.settings import Triage

BATCH = 2048
"""Traces that are at hand at once."""

WAITING = 2
"""Batches that wait for the second thread, at most."""

CHECKED = tuple(RECOGNISERS[kind] for kind in ("credit_card", "iban", "national_id"))
"""Personal data with a form or check digits of its own: hardly ever found where there is none."""

A_NUMBER = f"{LONG_NUMBER.pattern}|{SHORT_ONES.pattern}"
"""Without one of these none of them is looked for: what spares nearly all answers the close look."""

SIGNALS = (
    "is_error",
    "is_slow",
    "is_empty_retrieval",
    "is_abstention",
    "is_negative_feedback",
    "is_injection",
    "is_contexts_missing",
    "is_disliked_in_export",
)

BAD_IN_ITSELF = ("bad", "incorrect", "wrong", "thumbs_down", "down", "dislike", "disliked", "unhelpful", "👎")
BAD_OF_THE_ANSWER = ("false", "no", "negative", "fail", "failed", "n", "0")
ASKS_FOR_GOOD = (
    "(?:^|[^a-z])(?:thumbs?|ratings?|feedback|correct|correctness|helpful|helpfulness|useful|usefulness|likes?|liked"
    "|satisfied|satisfaction|csat|accurate|accuracy|acceptable|accepted|good|quality|votes?|upvotes?)(?:[^a-z]|$)"
)
ASKS_FOR_BAD = "(?:^|[^a-z])(?:not|no|non|un|in|down|bad|dis|negative|errors?|issues?|problems?)(?:[^a-z]|$)"


@dataclass(frozen=True, slots=True)
class SignalCount:
    """How many traces of a week carry each signal."""

    traces: int
    errors: int
    slow: int
    empty_retrieval: int
    abstentions: int
    negative_feedback: int
    injections: int = 0
    pii_leaks: int = 0
    contexts_missing: int = 0
    disliked_in_export: int = 0


def add_signals(db: duckdb.DuckDBPyConnection, week: str, settings: Triage) -> SignalCount:
    """Write the signals of a week's traces, in place of those it had.

    `overlap` is the share of the answer's distinct words of four characters or more that some passage holds,
    from 0 to 1; null where there is no such word or no passage, or where the export left passages out.
    `is_injection` is a first look at the question, not a verdict. `is_pii_leak` is an answer with a payment card
    number, an IBAN or a national identity number that the question does not hold. `is_disliked_in_export` is a
    person's exported score that says that the answer was bad (`disliked_sql`): nothing that makes a rate reads it.
    """
    db.execute("delete from signal where week = ?", [week])
    found = pa.concat_tables(signals_of(db, week, settings))
    db.register("found", found)
    try:
        db.execute(f"insert into signal ({', '.join(found.column_names)}) select * from found")
    finally:
        db.unregister("found")
    return count_signals(db, week)


def count_signals(db: duckdb.DuckDBPyConnection, week: str) -> SignalCount:
    """Count the signals of a week."""
    row = db.execute(
        """
        select count(*), count(*) filter (is_error), count(*) filter (is_slow), count(*) filter (is_empty_retrieval),
               count(*) filter (is_abstention), count(*) filter (is_negative_feedback), count(*) filter (is_injection),
               count(*) filter (is_pii_leak), count(*) filter (is_contexts_missing),
               count(*) filter (is_disliked_in_export)
        from signal where week = ?
        """,
        [week],
    ).fetchone()
    assert row is not None
    return SignalCount(*row)


def disliked_in_export(db: duckdb.DuckDBPyConnection, week: str) -> frozenset[str]:
    """Name the traces of a week that people disliked in the tool they came from: worth a look, never in a rate."""
    rows = db.execute("select trace_id from signal where week = ? and is_disliked_in_export", [week]).fetchall()
    return frozenset(trace_id for (trace_id,) in rows)


def signals_of(db: duckdb.DuckDBPyConnection, week: str, settings: Triage) -> Iterator[pa.Table]:
    """Yield rows of the table `signal`: a second thread compares words while DuckDB reads on."""
    yield pa.table({name: pa.array([], kind) for name, kind in COLUMNS.items()})
    reader = streamed(db, week, settings)
    waiting: deque[Future[pa.Table]] = deque()
    try:
        with ThreadPoolExecutor(1) as second:
            for batch in reader:
                waiting.append(second.submit(finished, batch))
                if len(waiting) > WAITING:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        reader.close()


COLUMNS = {
    "trace_id": pa.string(),
    "revision": pa.int32(),
    "week": pa.string(),
    **dict.fromkeys(SIGNALS, pa.bool_()),
    "is_pii_leak": pa.bool_(),
    "overlap": pa.float64(),
}


def streamed(db: duckdb.DuckDBPyConnection, week: str, settings: Triage) -> pa.RecordBatchReader:
    """Read a week's traces: the signals that an expression gives, and the texts that need a closer look."""
    from eval.metrics.abstention import ABSTENTION_PATTERN

    kinds = {f"kind_{kind}": pattern for kind, pattern in kind_patterns().items()}
    relation = db.sql(
        f"""
        with read as (
            select *, {plain_sql("user_input")} as plain,
                   [context.text for context in retrieved_contexts] as texts,
                   coalesce(regexp_matches(response, $a_number), false) as has_number
            from trace where week = $week)
        select trace_id, revision, week,
               status = 'error' as is_error,
               coalesce(latency_ms > $slow_ms, false) as is_slow,
               status = 'ok' and len(texts) = 0 and not contexts_missing as is_empty_retrieval,
               coalesce(regexp_matches(response, $abstention), false) as is_abstention,
               coalesce(rating <= $low_rating, false) as is_negative_feedback,
               {" or ".join(f"regexp_matches(plain, ${kind})" for kind in kinds)} as is_injection,
               contexts_missing as is_contexts_missing,
               trace_id in ({disliked_sql()}) as is_disliked_in_export,
               len(texts) > 0 and not contexts_missing as has_passages,
               coalesce(response, '') || chr(10) as answer,
               case when contexts_missing then '' else coalesce(array_to_string(texts, chr(10)), '') end || chr(10)
                   as passages,
               case when has_number then user_input end as question
        from read
        """,
        params={
            "week": week,
            "slow_ms": settings.slow_ms,
            "abstention": ABSTENTION_PATTERN,
            "low_rating": settings.low_rating,
            "a_number": A_NUMBER,
            "bad_in_itself": list(BAD_IN_ITSELF),
            "bad_of_the_answer": list(BAD_OF_THE_ANSWER),
            "asks_for_good": ASKS_FOR_GOOD,
            "asks_for_bad": ASKS_FOR_BAD,
            **kinds,
        },
    )
    reader: pa.RecordBatchReader = relation.to_arrow_reader(BATCH)
    return reader


def plain_sql(column: str) -> str:
    """Give the expression that normalises a question; what is ASCII with single spaces only needs small letters."""
    return f"case when regexp_matches({column}, '[^ -~]|  ') then {normalise_sql(column)} else lower({column}) end"


def disliked_sql() -> str:
    """Give the query for traces of which an exported score of a person says that the answer was bad.

    A label such as "incorrect" or "thumbs_down" says so by itself. "no", "false" or "fail", and without a label a
    value of 0 or less, only say so under a name that asks whether the answer was good ("correctness",
    "user_feedback"): under "hallucination" or "toxicity" they are praise. One such score is enough.
    """
    return """
        select trace_id
        from (select trace_id, "value", replace(replace(lower(trim("label")), '-', '_'), ' ', '_') as said,
                     lower(regexp_replace("name", '([a-z])([A-Z])', '\\1_\\2', 'g')) as asked
              from exported_score where source = 'human')
        where said in (select unnest($bad_in_itself))
           or (regexp_matches(asked, $asks_for_good) and not regexp_matches(asked, $asks_for_bad)
               and (said in (select unnest($bad_of_the_answer)) or (coalesce(said, '') = '' and "value" <= 0)))
        """


def finished(batch: pa.RecordBatch) -> pa.Table:
    """Add what no expression gives."""
    shares = overlaps(batch.column("answer"), batch.column("passages"))
    has_passages = np.asarray(batch.column("has_passages").to_numpy(zero_copy_only=False), bool)
    has_share = has_passages & ~np.isnan(shares)
    # Copied: a column as DuckDB gave it holds on to its whole batch, and so to every passage of the week.
    every = pa.array(np.arange(len(batch)))
    kept = {name: batch.column(name).take(every) for name in COLUMNS if name in batch.schema.names}
    leaks = pa.array(find_leaks(batch), pa.bool_())
    return pa.table({**kept, "is_pii_leak": leaks, "overlap": pa.array(shares, mask=~has_share)}).cast(
        pa.schema(list(COLUMNS.items()))
    )


def find_leaks(batch: pa.RecordBatch) -> list[bool]:
    """Say of each trace whether its answer holds personal data that its question does not."""
    questions = batch.column("question")
    leaks = [False] * len(questions)
    for place in np.flatnonzero(questions.is_valid().to_numpy(zero_copy_only=False)).tolist():
        leaks[place] = is_leak(batch.column("answer")[place].as_py(), questions[place].as_py())
    return leaks


def is_leak(answer: str, question: str) -> bool:
    """Say whether an answer holds personal data that its question does not, however either writes it."""
    told = squeezed(question)
    return any(squeezed(answer[found.start : found.end]) not in told for found in find_pii(answer, CHECKED))


def squeezed(text: str) -> str:
    """Keep the letters and digits of a text, in small letters."""
    return "".join(c for c in text if c.isalnum()).lower()
