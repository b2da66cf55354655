"""Passages that are one JSON record: which of its fields a sentence tells otherwise than the record has them."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from eval.metrics.groundedness_words import NEGATIONS, STOP, Words, read_words, stem_of, word_set

LARGEST_RECORD = 200_000
MOST_FIELDS = 2_000
KEY_WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])|\d+")
VAGUE_KEY_STEMS = word_set("busines good accept accepts has have is allow attribut info detail data value name type")
UNKNOWN = re.compile(
    r"\b(?:mention|specif|unspecif|unclear|unknown|not listed|provid\w* (?:any )?(?:info|detail)"
    r"|information|unavailable|not disclosed"
    r"|not (?:given|stated|indicated|available|provided)|details?)",
    re.I,
)
TURN = re.compile(r"\b(?:but|however|though|although|while|whereas)\b|;", re.I)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY = "|".join(DAYS)
TIME_OF_DAY = r"\d{1,2}(?::\d{1,2})?(?:\s?[ap]\.?m\b\.?)?"
SCHEDULE = re.compile(
    rf"\b(?P<first>{DAY})s?\b(?:\s?(?:to|through|until|till|thru|[-–])\s?\b(?P<last>{DAY})s?\b)?"
    r"|\b(?P<daily>daily|every\s?day|seven days a week|7 days a week|all week)\b"
    r"|\b(?P<weekdays>weekdays?)\b|\b(?P<weekend>weekends?)\b"
    rf"|(?P<open>{TIME_OF_DAY})\s?(?:to|until|till|and|[-–])\s?(?P<close>{TIME_OF_DAY}|midnight)"
    r"|\b(?P<closed>closed)\b",
    re.I,
)
CLOCK = re.compile(r"(\d{1,2})(?::(\d{1,2}))?(?:\s?([ap])\.?m)?", re.I)
HOURS = re.compile(r"(\d{1,2}):(\d{1,2})\s?[-–]\s?(\d{1,2}):(\d{1,2})")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record whose value is true, false or null.

    A sentence speaks of it when it has `head` (all of those stems) and, unless empty, one stem of `near`.
    """

    path: str
    head: frozenset[str]
    near: frozenset[str]
    value: bool | None


@dataclass(frozen=True, slots=True)
class Record:
    """What the checks need of one JSON record: readable lines, its fields without text, its opening hours."""

    lines: tuple[str, ...]
    fields: tuple[Field, ...]
    hours: dict[str, tuple[int, int]]


def read_record(text: str) -> Record | None:
    """Read a passage that is one JSON object; None where it is anything else."""
    if text.lstrip()[:1] != "{" or len(text) > LARGEST_RECORD:
        return None
    try:
        loaded = json.loads(text)
        leaves = list(walk(loaded, ()))[:MOST_FIELDS]
    except (ValueError, RecursionError):
        return None
    lines = tuple(readable(path, value) for path, value in leaves)
    told = frozenset(stem for _, value in leaves if isinstance(value, str) for stem in read_words(value).content)
    return Record(lines, tuple(read_fields(leaves, told)), read_hours(leaves))


def walk(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield the leaves of a JSON value with their keys."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from walk(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner, path)
    else:
        yield path, value


def readable(path: tuple[str, ...], value: object) -> str:
    """Give a leaf as text: the value where it is long, key and value where it is short, the key where it is null."""
    if isinstance(value, str) and len(value) > 80:
        return value
    keys = " ".join(word for key in path[-2:] for word in KEY_WORD.findall(key[:80]))
    return keys if value is None or isinstance(value, bool) else f"{keys} {value}"


def key_stems(key: str) -> list[str]:
    """Give the stems of a key such as OutdoorSeating, and the joined word where it has short ones, such as wifi."""
    words = [word.lower() for word in KEY_WORD.findall(key[:80])]
    if len(words) > 1 and (any(len(word) <= 3 for word in words)):
        kept = [word for word in words if len(word) > 4 and word not in STOP]
        return [stem_of(kept[-1])] if kept and words[-1] == kept[-1] else [stem_of("".join(words[-2:]))]
    return [stem for word in words if (stem := stem_of(word)) not in STOP and stem not in VAGUE_KEY_STEMS]


def read_fields(leaves: list[tuple[tuple[str, ...], object]], told: frozenset[str]) -> Iterator[Field]:
    """Yield the fields that are true, false or null, and containers of which every part is false."""
    parts: dict[tuple[str, ...], list[bool | None]] = {}
    keys = {path for path, _ in leaves if path}
    siblings = Counter(path[:-1] for path in keys)
    shared = Counter(stem for key in {path[-1] for path in keys} for stem in set(key_stems(key)))
    for path, value in leaves:
        if not path or not (value is None or isinstance(value, bool) or value in ("no", "none", "yes")):
            continue
        truth = {"no": False, "none": False, "yes": True}.get(value) if isinstance(value, str) else bool(value)
        if value is None:
            truth = None
        head = frozenset(stem for stem in key_stems(path[-1]) if shared[stem] < 3)
        near = frozenset[str]()
        if len(path) > 1 and isinstance(value, bool):
            parts.setdefault(path[:-1], []).append(value)
            if len(path) > 2 and siblings[path[:-1]] > 1 and not head.isdisjoint(told):
                near = frozenset(key_stems(path[-2]))
        if head:
            yield Field(path[-1], head, near, truth)
    for path, values in parts.items():
        if len(values) > 1 and not any(values) and (head := frozenset(key_stems(path[-1]))):
            yield Field(path[-1], head, frozenset(), False)


def read_hours(leaves: list[tuple[tuple[str, ...], object]]) -> dict[str, tuple[int, int]]:
    """Give the opening hours by weekday, in minutes after midnight."""
    hours: dict[str, tuple[int, int]] = {}
    for path, value in leaves:
        if path and path[-1].lower() in DAYS and isinstance(value, str) and (match := HOURS.search(value)):
            start, start_minute, end, end_minute = map(int, match.groups())
            hours[path[-1].lower()] = (start * 60 + start_minute, end * 60 + end_minute)
    return hours


def conflicts(record: Record, sentence: str, words: Words) -> tuple[list[str], list[str], list[str]]:
    """Give what a sentence tells otherwise than the record: of null fields, of true or false ones, of opening hours."""
    null_told: list[str] = []
    turned: list[str] = []
    stems = set(words.all) | {one + other for one, other in pairwise(words.all)}
    is_unknown = bool(UNKNOWN.search(sentence))
    for field in record.fields:
        if not field.head <= stems or (field.near and field.near.isdisjoint(stems)):
            continue
        if field.value is None:
            if not is_unknown:
                null_told.append(f"'{field.path}' is null in the record")
        elif not is_unknown and field.value == is_negated_at(sentence, field.head):
            turned.append(f"'{field.path}' is {str(field.value).lower()} in the record")
    return null_told, turned, hour_conflicts(record.hours, sentence) if record.hours else []


def is_negated_at(sentence: str, head: frozenset[str]) -> bool:
    """Say whether the part of the sentence that speaks of these stems is negated, before or just after them."""
    for part in TURN.split(sentence):
        stems = read_words(part).all
        joined = [*stems, *(one + other for one, other in pairwise(stems))]
        if head.isdisjoint(joined):
            continue
        before = 0
        while (
            before < len(stems)
            and stems[before] not in head
            and stems[before] + "".join(stems[before + 1 : before + 2]) not in head
        ):
            before += 1
        after = stems[before + 1 : before + 4]
        return not NEGATIONS.isdisjoint(stems[:before]) or "not" in after or "unavail" in after
    return False


def hour_conflicts(hours: dict[str, tuple[int, int]], sentence: str) -> list[str]:
    """Give the days of which the sentence tells other hours than the record."""
    found: list[str] = []
    days: list[str] = []
    span: tuple[str, str] | None = None
    has_told = False
    for match in SCHEDULE.finditer(sentence):
        told = told_days(match)
        if told:
            if has_told and span is None:
                days, has_told = [], False
            days += told
            if span is not None:
                found += wrong_days(hours, days, span)
                days, span = [], None
        elif match["closed"]:
            found += [
                f"the record has {day.title()} open"
                for day in days
                if hours.get(day, (0, 0)) != (0, 0) and not has_told
            ]
            days = []
        elif match["open"] and (":" in match[0] or "m" in match[0].lower()):
            if days:
                found += wrong_days(hours, days, (match["open"], match["close"]))
                has_told = True
            else:
                span = (match["open"], match["close"])
    if days and not has_told and len(days) == 7 and len(hours) < 7:
        found.append("the record lacks hours for " + ", ".join(day.title() for day in DAYS if day not in hours))
    return found


def told_days(match: re.Match[str]) -> list[str]:
    """Give the weekdays that a part of a schedule names."""
    if match["daily"]:
        return list(DAYS)
    if match["weekdays"]:
        return list(DAYS[:5])
    if match["weekend"]:
        return list(DAYS[5:])
    if not match["first"]:
        return []
    first = DAYS.index(match["first"].lower())
    last = DAYS.index(match["last"].lower()) if match["last"] else first
    return [DAYS[(first + step) % 7] for step in range((last - first) % 7 + 1)]


def wrong_days(hours: dict[str, tuple[int, int]], days: list[str], span: tuple[str, str]) -> list[str]:
    """Give the days whose hours in the record are not this span, or that the record has no hours for."""
    opens, closes = minutes_of(span[0]), minutes_of(span[1])
    wrong = []
    for day in days:
        if day not in hours:
            wrong.append(f"the record has no hours for {day.title()}")
        elif (hours[day][0] % 720, hours[day][1] % 720) != (opens % 720, closes % 720):
            start, end = hours[day]
            wrong.append(f"the record has {start // 60}:{start % 60:02}-{end // 60}:{end % 60:02} for {day.title()}")
    return wrong


def minutes_of(clock: str) -> int:
    """Give a clock time in minutes after midnight, am where it does not say."""
    match = CLOCK.match(clock)
    if match is None:
        return 0
    hour = int(match[1]) % 12 if match[3] else int(match[1])
    return (hour + (12 if (match[3] or "").lower() == "p" else 0)) * 60 + int(match[2] or 0)
