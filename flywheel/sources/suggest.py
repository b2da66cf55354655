"""A mapping suggested for a file that no reader knows: by the names of its fields and the kind of their values."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from flywheel.sources.delivery import Delivery
from flywheel.sources.field_names import (
    ASKED,
    HELD_AS_TEXT,
    LISTS,
    NAMES,
    NO_TEXTS,
    NUMBERS,
    PASSAGE_KEYS,
    QUESTIONS,
    SPOKEN,
    TOLD,
)
from flywheel.sources.mapped import moment_of, number
from flywheel.sources.mapping import Steps, Values, write_path
from flywheel.sources.payload import answer_of, decoded, question_of
from flywheel.sources.records import Blank, Rejected
from flywheel.sources.rows import rows_of
from flywheel.sources.vendor_fields import CAMEL

RECORDS = 200
DEPTH = 6
ITEMS = 3
MOST_PATHS = 500
MOST_SHOWN = 40
LONGEST_KEY = 100
EACH = -(2**31)
"""The step that stands for every element of a list; written `[]`."""

SURE_NAMES = 3
MOST_PLACES = 3
MOST_STATUSES = 12
YEAR = 2000


@dataclass(slots=True)
class Seen:
    """What the records hold at one path."""

    steps: Steps
    records: set[int] = field(default_factory=set)
    texts: int = 0
    numbers: int = 0
    moments: int = 0
    truths: int = 0
    lists: int = 0
    objects: int = 0
    asked: int = 0
    told: int = 0
    characters: int = 0
    values: set[int] = field(default_factory=set)
    lowest: float = float("inf")
    highest: float = float("-inf")
    has_fractions: bool = False

    @property
    def plain(self) -> int:
        """How often there was a single value."""
        return self.texts + self.numbers + self.truths

    @property
    def key(self) -> str:
        """The last key, in snake case."""
        return snake(self.steps[-1])


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A mapping to check and to save; `missing` names the required fields it found no place for."""

    text: str
    fields_found: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """What the first records of a file hold, and where the fields of a trace lie in them.

    `wrapper` is the path of the list that holds the records, in a document that wraps them.
    """

    seen: list[Seen]
    records: int
    places: dict[str, list[Seen]]
    wrapper: Steps = ()


def suggest_mapping(delivery: Delivery) -> Suggestion:
    """Look at the first records of a file and suggest where the fields of a trace lie in them."""
    survey = look(delivery)
    seen, records, places = survey.seen, survey.records, survey.places
    called = printable(delivery.name)
    lines = [
        f"# Suggested by flywheel from {records} record{'s' * (records != 1)} of {called}. Check it, save it, then:",
        f"# flywheel ingest {called} --mapping mapping.toml",
    ]
    if survey.wrapper:
        lines += [f"records = {toml_text(write_path(survey.wrapper))}  # the list that holds the records", ""]
    lines.append("[fields]")
    for name in NAMES:
        if name in places:
            lines.append(f"{name} = {toml_paths(places[name])}  # {why(name, places[name], records)}")
    if "user_input" not in places:
        lines.append('# user_input = "..."  # required, and no field looks like a question: write its path here')
        lines.append(f"# fields found: {', '.join(shown_paths(seen)[:MOST_SHOWN])}")
    if "response" not in places:
        lines.append('# response = "..."  # no field looks like an answer')
    if "timestamp" not in places:
        lines.append('# timestamp = "..."  # no field holds moments in time: the time of the file is taken')
    if "trace_id" not in places:
        lines.append('# trace_id = "..."  # no field differs in every record: a hash names each record')
    lines += contexts_lines(seen, records)
    if "latency_ms" in places and in_seconds(places["latency_ms"][0]):
        lines += ["", "[values]", 'latency_unit = "s"  # the values look like seconds']
    missing = () if "user_input" in places else ("user_input",)
    return Suggestion("\n".join(lines) + "\n", shown_paths(seen), missing)


def explain_unknown(name: str, delivery: Delivery) -> str:
    """Say why a file in no known format gives no traces, what it holds, and what to try."""
    survey = look(delivery)
    seen, places = survey.seen, survey.places
    called = printable(name)
    if not survey.records:
        return f"{called} holds no record that can be read as JSON, CSV or Parquet; check that it is the right file"
    if {("context.trace_id",), ("span_kind",)} <= {one.steps for one in seen}:
        return f"{called} looks like Phoenix's spans; name the format: flywheel ingest {called} --format phoenix"
    if "user_input" in places:
        found = write_path(places["user_input"][0].steps)
        said = f"{called} is in no format that flywheel knows, though {found} looks like the question"
    else:
        said = f"{called} has no field that looks like a question (looked for: {', '.join(QUESTIONS[:8])}, ...)"
    paths = shown_paths(seen)
    more = f", and {len(paths) - MOST_SHOWN} more" if len(paths) > MOST_SHOWN else ""
    listed = ", ".join(paths[:MOST_SHOWN]) + more
    return f"{said}\n  fields found: {listed}\n  try: flywheel ingest {called} --suggest-mapping"


def look(delivery: Delivery) -> Survey:
    """Look at the first records of a file, which is read with a reader of its own.

    A document that is one object without a question may wrap a list of records: then these are looked at.
    """
    fresh = Delivery(delivery.path, delivery.limits, name=delivery.name)
    found = (row for row in islice(rows_of(fresh), RECORDS * 5) if not isinstance(row, Rejected | Blank))
    first = [record for _, record in islice(found, RECORDS)]
    survey = survey_of(first)
    if len(first) == 1 and "user_input" not in survey.places:
        lists = [
            (len(held), key) for key, held in first[0].items() if isinstance(held, list) and len(key) <= LONGEST_KEY
        ]
        for _, key in sorted(lists, reverse=True):
            inner = survey_of([item for item in first[0][key][:RECORDS] if isinstance(item, dict)], (key,))
            if "user_input" in inner.places:
                return inner
    return survey


def survey_of(records: list[Any], wrapper: Steps = ()) -> Survey:
    """Gather what records hold at each path."""
    seen: dict[Steps, Seen] = {}
    for place, record in enumerate(records, start=1):
        for steps, value in walk(record):
            if steps not in seen:
                if len(seen) >= MOST_PATHS:
                    continue
                seen[steps] = Seen(steps)
            note(seen[steps], value, place)
    found = list(seen.values())
    return Survey(found, len(records), fields_in(found, len(records)), wrapper)


def walk(record: Any) -> Iterator[tuple[Steps, Any]]:
    """Yield each path of a record with its value, into JSON texts too, as deep as anybody would name it."""
    waiting: list[tuple[Steps, Any]] = [((), record)]
    for steps, value in waiting:
        held = decoded(value) if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") else value
        if steps:
            yield steps, held
        if len(steps) >= DEPTH or len(waiting) > 4 * MOST_PATHS:
            continue
        if isinstance(held, dict):
            keys = [key for key in held if isinstance(key, str) and 0 < len(key) <= LONGEST_KEY]
            waiting += [((*steps, key), held[key]) for key in keys[:MOST_PATHS]]
        elif isinstance(held, list):
            waiting += [((*steps, EACH), item) for item in held[:ITEMS]]


def note(seen: Seen, value: Any, record: int) -> None:
    """Count a value."""
    if value is None or value == "":
        return
    seen.records.add(record)
    if isinstance(value, dict | list):
        seen.objects += isinstance(value, dict)
        seen.lists += isinstance(value, list)
        if seen.key in SPOKEN:
            seen.asked += question_of(value) is not None
            seen.told += answer_of(value) is not None
        return
    seen.values.add(hash(value))
    moment = moment_of(value, Values())
    seen.moments += moment is not None and moment.year >= YEAR
    read = number(value)
    if isinstance(value, bool):
        seen.truths += 1
    elif read is not None:
        seen.numbers += 1
        seen.lowest, seen.highest = min(seen.lowest, read), max(seen.highest, read)
        seen.has_fractions = seen.has_fractions or (isinstance(read, float) and not read.is_integer())
    else:
        seen.texts += 1
        seen.characters += len(value) if isinstance(value, str) else 0


def fields_in(seen: list[Seen], records: int) -> dict[str, list[Seen]]:
    """Find the places of each field of a trace, the surest first; no place serves two of them."""
    places: dict[str, list[Seen]] = {}
    taken: set[Steps] = set()
    for name, synonyms in NAMES.items():
        parents = {one.steps[:-1] for chosen in places.values() for one in chosen}
        ranked = sorted(
            (rank, number, one)
            for number, one in enumerate(seen)
            if one.steps not in taken
            and EACH not in one.steps
            and (rank := rank_of(name, synonyms, one, parents)) is not None
            and fits(name, one, records)
        )
        chosen: list[Seen] = []
        covered: set[int] = set()
        for rank, _, one in ranked:
            is_sure = not chosen or one.key == chosen[0].key or rank[0] < SURE_NAMES
            if len(chosen) < MOST_PLACES and is_sure and one.records - covered:
                chosen.append(one)
                covered |= one.records
        if chosen:
            places[name] = chosen
            taken.update(one.steps for one in chosen)
    return places


def rank_of(name: str, synonyms: tuple[str, ...], one: Seen, parents: set[Steps]) -> tuple[int, int, float] | None:
    """Rank a place by how sure its name is and how shallow it lies; None where the name does not fit.

    Of two alike the longer text is the answer, and any other field lies beside those that were found before.
    """
    keys = [snake(step) for step in one.steps]
    if not isinstance(one.steps[-1], str):
        return None
    dotted = ".".join(keys[-2:])
    known = [synonyms.index(key) for key in (keys[-1], dotted) if key in synonyms]
    above = TOLD if name == "user_input" else ASKED if name == "response" else frozenset[str]()
    if not known or not above.isdisjoint(keys[:-1]):
        return None
    length = one.characters / one.texts if one.texts else 0.0
    return min(known), len(keys), -length if name == "response" else float(one.steps[:-1] not in parents)


def fits(name: str, one: Seen, records: int) -> bool:
    """Tell whether the values at a place can be those of a field."""
    there = one.plain + one.lists + one.objects
    if not there:
        return False
    if name == "user_input":
        return one.texts + one.asked > 0 and one.plain + one.asked >= 0.8 * there
    if name == "response":
        return one.texts + one.told > 0 and one.plain + one.told >= 0.8 * there
    if one.plain < there:
        return False
    if name == "trace_id":
        return len(one.records) == len(one.values) == records and not one.truths and not one.has_fractions
    if name == "timestamp":
        return one.moments == one.plain
    if name in NUMBERS:
        return one.numbers == one.plain and one.lowest >= 0
    if name == "status":
        return len(one.values) <= MOST_STATUSES and not one.truths
    return one.texts > 0 if name in ("error", "model", "environment") else not one.truths


def why(name: str, places: list[Seen], records: int) -> str:
    """Say why a place was taken, without a word of what it holds."""
    one = places[0]
    covered = len(set[int]().union(*(place.records for place in places)))
    if name in ("user_input", "response") and one.objects + one.lists > one.texts:
        said = "the text in its messages or object is taken"
    elif name == "trace_id":
        said = "it differs in every record that was looked at"
    elif name == "timestamp":
        said = "its values are moments in time"
    elif name in NUMBERS:
        said = "its values are numbers"
    else:
        said = "its name says so"
    return f"{said}; in {covered} of {records} records"


def in_seconds(one: Seen) -> bool:
    """Tell whether durations are seconds: their name says so, or they are small and broken."""
    if one.key.endswith(("_s", "_seconds")):
        return True
    return not one.key.endswith("_ms") and one.highest < 100 and one.has_fractions


def contexts_lines(seen: list[Seen], records: int) -> list[str]:
    """Write the table of the passages."""
    by_steps = {one.steps: one for one in seen}
    ranked = sorted(
        (LISTS.index(one.key), len(one.steps), number, one)
        for number, one in enumerate(seen)
        if isinstance(one.steps[-1], str) and EACH not in one.steps and one.key in LISTS
    )
    for _, _, _, one in ranked:
        told = f"in {len(one.records)} of {records} records"
        item = by_steps.get((*one.steps, EACH))
        is_text = one.key in HELD_AS_TEXT and one.texts > 0
        if (item and item.texts and one.key not in NO_TEXTS) or is_text:
            return ["", "[contexts]", f"texts = {toml_paths([one])}  # a list of texts, {told}"]
        if item and item.objects and (keys := passage_keys(one, seen)):
            lines = ["", "[contexts]", f"list = {toml_paths([one])}  # a list of objects, {told}"]
            return lines + [f"{name} = {toml_paths([key])}" for name, key in keys.items()]
    return ["", "# [contexts]  # no list looks like passages; name one with list and text, or with texts"]


def passage_keys(one: Seen, seen: list[Seen]) -> dict[str, Seen]:
    """Find text, id, score and source in the objects of a list; nothing where there is no text."""
    start = (*one.steps, EACH)
    inner = {
        write_path(snake(step) for step in other.steps[len(start) :]): other
        for other in seen
        if other.steps[: len(start)] == start
        and len(other.steps) > len(start)
        and EACH not in other.steps[len(start) :]
    }
    found: dict[str, Seen] = {}
    for name, known in PASSAGE_KEYS.items():
        for path in known:
            other = inner.get(path)
            if other and fits_passage(name, other) and all(other is not taken for taken in found.values()):
                found[name] = other
                break
        if "text" not in found:
            return {}
    return {name: Seen(other.steps[len(start) :]) for name, other in found.items()}


def fits_passage(name: str, one: Seen) -> bool:
    """Tell whether the values at a place can be those of a passage."""
    if not one.plain or one.objects or one.lists or one.truths:
        return False
    return one.numbers == one.plain if name == "score" else one.texts > 0 or name == "id"


def snake(step: str | int) -> str:
    """Write a key in snake case."""
    if isinstance(step, int):
        return f"[{step}]"
    return CAMEL.sub("_", step.strip()).lower().replace("-", "_").replace(" ", "_")


def shown_paths(seen: list[Seen]) -> tuple[str, ...]:
    """Name every place that holds a value, as a person reads it: `docs[].body`."""
    return tuple(printable(write_path(one.steps).replace(f"[{EACH}]", "[]")) for one in seen if one.plain)


def printable(text: str) -> str:
    """Take out of a name what a terminal or a comment must not get."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:200])


def toml_paths(places: list[Seen]) -> str:
    """Write one path as a TOML string, several as an array."""
    written = [toml_text(write_path(one.steps)) for one in places]
    return written[0] if len(written) == 1 else f"[{', '.join(written)}]"


def toml_text(text: str) -> str:
    """Write a TOML string: in single quotes where it holds double ones and nothing else is in the way."""
    if '"' in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    signs = (f"\\{sign}" if sign in '"\\' else sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in text)
    return f'"{"".join(signs)}"'
