"""`mapping.toml`: where the fields of a trace lie in records of somebody else's making."""

import re
import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from eval.errors import UserError
from flywheel.sources.payload import decoded

Step = str | int
"""A key of an object, or a place in a list: 0 is the first, -1 the last."""

Steps = tuple[Step, ...]

BARE_KEY = re.compile(r"[^\s.\[\]\"']+(?: +[^\s.\[\]\"']+)*")
PLACE = re.compile(r"\[(-?[0-9]{1,9})\]")
MOST_STEPS = 32


def read_path(text: str) -> Steps:
    """Take a path apart: `payload.q`, `docs[0].body`, `attributes."input.value"`; a broken one is a `ValueError`."""
    steps: list[Step] = []
    at = 0
    while at < len(text) or not steps:
        if match := PLACE.match(text, at):
            steps.append(int(match[1]))
            at = match.end()
        else:
            if steps:
                if text[at] != ".":
                    raise ValueError(f"path {text!r}: {hint_at(text, at)}")
                at += 1
            key, at = read_key(text, at)
            steps.append(key)
        if len(steps) > MOST_STEPS:
            raise ValueError(f"path {text[:80]!r}: more than {MOST_STEPS} steps")
    return tuple(steps)


def read_key(text: str, at: int) -> tuple[str, int]:
    """Read one key of a path, bare or in quotes; gives the key and where it ends."""
    quote = text[at : at + 1]
    if quote not in ('"', "'") or not quote:
        match = BARE_KEY.match(text, at)
        if not match:
            raise ValueError(f"path {text!r}: {hint_at(text, at)}")
        return match[0], match.end()
    key: list[str] = []
    place = at + 1
    while place < len(text) and text[place] != quote:
        if text[place] == "\\":
            place += 1
        key.append(text[place : place + 1])
        place += 1
    if place >= len(text):
        raise ValueError(f"path {text!r}: the quote at character {at + 1} is not closed")
    return "".join(key), place + 1


def hint_at(text: str, at: int) -> str:
    """Say what is wrong with a path at one of its characters."""
    if text.startswith("[]", at):
        return "`[]` stands for every element; name one, like [0] or [-1], or give the list under [contexts]"
    return f"no key begins at character {at + 1}; write keys with dots, brackets or spaces around them in quotes"


def write_path(steps: Iterable[Step]) -> str:
    """Write a path as `read_path` takes it apart."""
    written = ""
    for step in steps:
        if isinstance(step, int):
            written += f"[{step}]"
            continue
        key = step if BARE_KEY.fullmatch(step) else '"' + step.replace("\\", "\\\\").replace('"', '\\"') + '"'
        written += f".{key}" if written else key
    return written


def read_paths(given: Any) -> Any:
    """Take one path or a list of them apart."""
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not listed or not all(isinstance(path, str) for path in listed):
        raise ValueError('write a path like "payload.q", or a list of paths: the first that is there is taken')
    return tuple(read_path(path) for path in listed)


Paths = Annotated[tuple[Steps, ...], BeforeValidator(read_paths)]


class Table(BaseModel):
    """A table of `mapping.toml`: fixed once read, and it knows every key it may hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Fields(Table):
    """Paths of the fields of a trace. Without `trace_id` a hash of the record names it.

    Without `timestamp` the time of the file is that of each of its records.
    """

    user_input: Paths
    response: Paths | None = None
    trace_id: Paths | None = None
    timestamp: Paths | None = None
    session_id: Paths | None = None
    user_id: Paths | None = None
    tenant_id: Paths | None = None
    environment: Paths | None = None
    model: Paths | None = None
    prompt_version: Paths | None = None
    latency_ms: Paths | None = None
    input_tokens: Paths | None = None
    output_tokens: Paths | None = None
    cost_usd: Paths | None = None
    status: Paths | None = None
    error: Paths | None = None


class Contexts(Table):
    """Where the passages lie: `texts` is a list of strings, `list` one of objects, whose keys the others name.

    Without `text` the objects are read as the usual libraries write their documents.
    """

    texts: Paths | None = None
    items: Paths | None = Field(default=None, alias="list")
    text: Paths | None = None
    id: Paths | None = None
    score: Paths | None = None
    source: Paths | None = None

    @model_validator(mode="after")
    def one_list(self) -> "Contexts":
        """There is one list, of strings or of objects."""
        if (self.texts is None) == (self.items is None):
            raise ValueError('give `texts` (a list of strings) or `list` (a list of objects, with `text = "…"`)')
        if self.text is None and (self.texts or self.id or self.score or self.source):
            if self.texts is None:
                raise ValueError("`id`, `score` and `source` need `text` beside them")
            if self.id or self.score or self.source:
                raise ValueError("`texts` is a list of strings; objects with `id`, `score`, `source` are a `list`")
        elif self.texts and self.text:
            raise ValueError("`text` belongs to `list`; for a list of strings `texts` is enough")
        return self


class Feedback(Table):
    """Paths of what the user said of the answer: 1 to 5 stars, or words."""

    rating: Paths | None = None
    comment: Paths | None = None


class Values(Table):
    """How values are written where that cannot be seen from them.

    `timestamp_format` is one of `strptime`. A `status` among `status_error` is an error, every other one is ok.
    """

    timestamp_format: str | None = None
    timestamp_unit: Literal["s", "ms", "us", "ns"] | None = None
    latency_unit: Literal["s", "ms"] = "ms"
    status_error: tuple[str, ...] | None = None

    @field_validator("status_error", mode="before")
    @classmethod
    def as_texts(cls, given: Any) -> Any:
        """Statuses may be written as numbers."""
        return [str(value).lower() for value in given] if isinstance(given, list) else given


class Defaults(Table):
    """Values of records that have none of their own."""

    tenant_id: str | None = None
    environment: str | None = None
    model: str | None = None
    prompt_version: str | None = None


class Mapping(Table):
    """A whole `mapping.toml`. `metadata` names what else to keep of a record, under names of one's own.

    `records` is the path of the list that holds the records, where a document wraps them.
    """

    fields: Fields
    records: Paths | None = None
    contexts: Contexts | None = None
    feedback: Feedback = Feedback()
    metadata: dict[str, Paths] = {}
    values: Values = Values()
    defaults: Defaults = Defaults()

    @cached_property
    def columns(self) -> frozenset[str] | None:
        """The first keys of all paths; None where the whole record is needed, to name it by its hash."""
        if self.fields.trace_id is None or self.records is not None:
            return None
        paths = [paths for _, paths in self.fields if paths] + [paths for _, paths in self.feedback if paths]
        paths += self.metadata.values()
        if self.contexts:
            paths += [found for found in (self.contexts.texts, self.contexts.items) if found]
        return frozenset(steps[0] for group in paths for steps in group if isinstance(steps[0], str))


def read_mapping(path: Path) -> Mapping:
    """Read a mapping; one that is wrong is a `UserError` that names the place."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text in UTF-8 ({error}); save it as UTF-8") from error
    return parse_mapping(text, str(path))


def parse_mapping(text: str, name: str) -> Mapping:
    """Read a mapping from its text."""
    try:
        return Mapping.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{name} is no valid TOML: {error}; mend that line") from error
    except ValidationError as error:
        raise UserError(f"{name}: {'; '.join(explain(problem) for problem in error.errors())}") from error


def explain(problem: Any) -> str:
    """Say what is wrong with one key, and what may stand there."""
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = known_keys(problem["loc"])
        close = get_close_matches(str(problem["loc"][-1]), known, n=1)
        told = f"did you mean {close[0]!r}?" if close else f"known there: {', '.join(known)}"
        return f"there is no key {place!r}; {told}"
    if problem["type"] == "missing":
        return f'{place} is missing; write it like [fields] user_input = "question"'
    return f"{place}: {problem['msg'].removeprefix('Value error, ')}"


def known_keys(place: tuple[int | str, ...]) -> list[str]:
    """List the keys that may stand where an unknown one stood."""
    tables: dict[str, type[Table]] = {
        "fields": Fields, "contexts": Contexts, "feedback": Feedback, "values": Values, "defaults": Defaults
    }  # fmt: skip
    table = tables.get(str(place[0]), Mapping) if len(place) > 1 else Mapping
    return sorted(field.alias or name for name, field in table.model_fields.items())


def look_up(record: Any, steps: Steps) -> Any:
    """Follow a path, into JSON texts too; None where it ends in nothing."""
    value = record
    for step in steps:
        if isinstance(value, str):
            value = decoded(value)
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
        if value is None:
            return None
    return value


def first_of(record: Any, paths: tuple[Steps, ...] | None) -> Any:
    """Give what the first path leads to that leads to anything."""
    for steps in paths or ():
        value = record.get(steps[0]) if len(steps) == 1 and isinstance(record, dict) else look_up(record, steps)
        if value is not None:
            return value
    return None


def named(paths: tuple[Steps, ...]) -> str:
    """Name the places that were looked at."""
    return " or ".join(f"`{write_path(steps)}`" for steps in paths)
