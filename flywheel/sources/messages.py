"""Messages that span attributes and events carry: who said what, in the order in which it was said."""

from collections.abc import Iterable
from typing import Any

from flywheel.sources.attributes import Attributes, items_of, json_or_text
from flywheel.sources.payload import ROLES, content_text
from flywheel.sources.raw_span import Event
from flywheel.sources.records import Turn

MESSAGE_EVENTS = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
CHOICE_EVENT = "gen_ai.choice"
PACKED_KEYS = ("gen_ai.event.content", "body", "message")
"""Where an event may hold its message as an object or as JSON text, that once more in a `message`."""

SPEAKERS = ("user", "assistant")


def turns_in(attributes: Attributes, names: Iterable[str], role: str) -> list[Turn] | None:
    """Give the turns of the first list that holds any message; one that does not say who speaks speaks as `role`.

    None where there is no message at all. System and tool messages are left out, as are turns without a text.
    """
    for name in names:
        if name in attributes.lists:
            is_any = False
            turns = []
            for item in items_of(attributes, name) or ():
                if isinstance(item, dict):
                    is_any = True
                    if turn := turn_of(item, role):
                        turns.append(turn)
            if is_any:
                return turns
    return None


def turn_of(item: dict[str, Any], role: str) -> Turn | None:
    """Read one message; a text that is '' is a turn too, for an answer can be empty."""
    said = item.get("role")
    speaker = ROLES.get(said.lower()) if isinstance(said, str) and said else role
    if speaker not in SPEAKERS:
        return None
    content = item.get("content", item.get("parts"))
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        # One part of text is what nearly every message is.
        content = content[0].get("content") if content[0].get("type") == "text" else None
    if isinstance(content, str):
        if content.startswith("[") and is_parts(parts := json_or_text(content)):
            content = content_text(parts, 0)
    else:
        content = content_text(parts_of(item), 0)
    return None if content is None else Turn(speaker, content)


def parts_of(item: dict[str, Any]) -> list[Any]:
    """Give the parts that a message's content consists of, in whichever of the usual forms it has them."""
    spelled_out: dict[int, dict[str, Any]] = {}
    for key, value in item.items():
        if key.startswith("contents."):
            _, place, *rest = key.split(".", 3)
            if len(rest) == 2 and place.isdecimal() and len(place) < 10:
                spelled_out.setdefault(int(place), {})[rest[1]] = value
    if spelled_out:
        return [spelled_out[place] for place in sorted(spelled_out)]
    for key in ("content", "contents", "parts", "text"):
        content = item.get(key)
        if content:
            parts = content if isinstance(content, list) else [content]
            return [part.get("message_content", part) if isinstance(part, dict) else part for part in parts]
    return []


def is_parts(value: Any) -> bool:
    """Say whether a decoded text was a list of content parts, not just what looks like JSON."""
    return isinstance(value, list) and bool(value) and all(isinstance(part, dict) and "type" in part for part in value)


def turns_of_events(events: Iterable[Event]) -> tuple[list[Turn], list[Turn]]:
    """Give what was asked and what was answered in the events of the older conventions, one message each."""
    asked: list[Turn] = []
    answered: list[Turn] = []
    for event in events:
        if event.name in MESSAGE_EVENTS:
            turns, role = asked, MESSAGE_EVENTS[event.name]
        elif event.name == CHOICE_EVENT:
            turns, role = answered, "assistant"
        else:
            continue
        if turn := turn_of(unpacked(event), role):
            turns.append(turn)
    return asked, answered


def unpacked(event: Event) -> dict[str, Any]:
    """Give the message of an event."""
    item: dict[str, Any] = dict(event.attributes)
    for key in PACKED_KEYS:
        inner = json_or_text(item.get(key))
        if isinstance(inner, dict):
            item = inner
        elif isinstance(inner, str) and "content" not in item:
            item = {**item, "content": inner}
    return item


def question_in(turns: list[Turn]) -> tuple[str | None, list[Turn]]:
    """Give what the user said last, and the turns before it."""
    for place in range(len(turns) - 1, -1, -1):
        turn = turns[place]
        if turn.role == "user" and turn.content and not turn.content.isspace():
            return turn.content, [t for t in turns[:place] if t.content and not t.content.isspace()] if place else []
    return None, []


def answer_in(turns: list[Turn]) -> str | None:
    """Give what the assistant said last; '' where it said nothing in words."""
    is_told = False
    for turn in reversed(turns):
        if turn.role == "assistant":
            if turn.content and not turn.content.isspace():
                return turn.content
            is_told = True
    return "" if is_told else None
