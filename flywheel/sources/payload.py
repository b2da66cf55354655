"""Text out of what frameworks put into a span's input and output: messages, prompts, choices, documents."""

from collections.abc import Iterator
from typing import Any, Literal, TypeGuard

import msgspec

from flywheel.sources.json_text import without_nul
from flywheel.sources.passages import passages_in
from flywheel.sources.python_text import read_python
from flywheel.sources.records import Turn
from flywheel.trace import RetrievedContext

QUESTION_KEYS = (
    "question", "user_question", "query", "user_query", "user_input", "user_message", "new_message", "last_message",
    "messages", "input_messages", "contents", "input", "inputs", "prompt", "prompts", "chat_input", "text", "q",
    "message", "content", "parts", "args", "kwargs", "request", "body", "data", "value",
)  # fmt: skip
"""Where a question stands in an input, the surest name first."""

ANSWER_KEYS = (
    "answer", "final_answer", "response", "final_response", "output", "outputs", "final_output", "output_text",
    "result", "choices", "candidates", "generations", "completion", "completions", "messages", "output_messages",
    "message", "text", "content", "parts", "generated_text", "reply", "raw", "return_values", "body", "data", "value",
    "delta",
)  # fmt: skip
"""Where an answer stands in an output, the surest name first."""

HISTORY_KEYS = ("chat_history", "history", "conversation_history", "previous_messages", "message_history")
"""Lists that hold the earlier turns and not the question."""

MESSAGE_KEYS = ("messages", "input_messages", "contents", "input", "inputs", "prompt", "args", "kwargs", "request",
                "body", "data", "value")  # fmt: skip
"""Where a list of messages stands, the question last in it."""

ENVELOPES = frozenset({"input", "inputs", "output", "outputs", "args", "kwargs", "request", "body", "data", "value"})
"""Keys whose strings may themselves hold JSON; a string under any other key is text, whatever it looks like."""

NO_TEXT_KEYS = frozenset({"id", "type", "role", "model", "status", "error", "name", "url", "session_id", "user_id",
                          "thread_id", "trace_id", "timestamp", "object", "finish_reason", "system"})  # fmt: skip
"""Keys whose string is not what a person said, where a dict holds one string under a name we do not know."""

ROLES = {
    "user": "user", "human": "user", "humanmessage": "user", "humanmessagechunk": "user", "usermessage": "user",
    "assistant": "assistant", "ai": "assistant", "model": "assistant", "aimessage": "assistant", "bot": "assistant",
    "aimessagechunk": "assistant", "assistantmessage": "assistant", "chatbot": "assistant",
    "system": "system", "developer": "system", "systemmessage": "system",
    "tool": "tool", "function": "tool", "toolmessage": "tool", "functionmessage": "tool", "toolmessagechunk": "tool",
}  # fmt: skip

TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal"})
"""Types of content parts that are text of the message; reasoning, tool calls, tool results and images are not."""

DEPTH = 12
DECODED_TIMES = 4
LONGEST_JSON = 16 << 20
MOST_ITEMS = 10_000

Side = Literal["user", "assistant"]


def question_of(value: Any) -> str | None:
    """Read the question out of a span's input: the last user message, or the one text that it is; None without one."""
    return value if is_plain(value) else text_in(decoded(value), "user", 0)


def answer_of(value: Any) -> str | None:
    """Read the answer out of a span's output: the last assistant text, or the one text that it is; None without one."""
    return value if is_plain(value) else text_in(decoded(value), "assistant", 0)


def is_plain(value: Any) -> TypeGuard[str]:
    """Say whether a value is a text that begins like nearly every text: it is not blank, and cannot be JSON."""
    return isinstance(value, str) and value[:1].isalpha()


def history_of(value: Any) -> list[Turn]:
    """Read the turns before the last user message out of a span's input, oldest first; system messages are left out."""
    return turns_in(decoded(value), 0)


def documents_of(value: Any) -> list[RetrievedContext] | None:
    """Read passages out of a retriever's output; None where nothing in it looks like a document."""
    return passages_in(value, decoded, any_key=True)


def named_documents_of(value: Any) -> list[RetrievedContext] | None:
    """Read passages out of a chain's output, only from keys that can mean nothing else (`source_documents`)."""
    return passages_in(value, decoded, any_key=False)


def decoded(value: Any) -> Any:
    """Decode a string that holds a JSON object, array or string, several times where it was encoded several times.

    Objects and arrays in Python's own notation, which careless exporters write, are read too. Anything else is given
    back as it is.
    """
    for _ in range(DECODED_TIMES):
        if not isinstance(value, str) or len(value) > LONGEST_JSON:
            return value
        text = value.strip()
        if text[:1] not in ("{", "[", '"') or text[-1:] not in ("}", "]", '"'):
            return value
        try:
            inner = msgspec.json.decode(text)
            if "\\u0000" in text:
                inner = without_nul(inner)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return value if (read := read_python(text)) is None else read
        value = inner
    return value


def text_in(value: Any, side: Side, depth: int) -> str | None:
    """Read what one side says out of a decoded payload."""
    if depth > DEPTH:
        return None
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, list):
        return text_in_list(value[:MOST_ITEMS], side, depth)
    if not isinstance(value, dict):
        return None
    if role := role_of(value):
        return content_of(value) if role == side else None
    for key in QUESTION_KEYS if side == "user" else ANSWER_KEYS:
        inner = value.get(key)
        if inner and (text := text_under(key, inner, side, depth + 1)):
            return text
    return only_text(value) if depth == 0 else None


def text_under(key: str, inner: Any, side: Side, depth: int) -> str | None:
    """Read what one side says under a key: positional arguments speak one after the other, envelopes are opened."""
    if key == "args" and isinstance(inner, list) and not any(as_message(item) for item in inner[:MOST_ITEMS]):
        said = (text_in(decoded(item), side, depth + 1) for item in inner[:MOST_ITEMS])
        return next((text for text in said if text), None)
    if key not in ENVELOPES or not isinstance(inner, str):
        return text_in(inner, side, depth)
    held = decoded(inner)
    if text := text_in(held, side, depth):
        return text
    return inner if is_flat(held) and inner.strip() else None


def is_flat(value: Any) -> bool:
    """Say whether an object or list holds only plain values: then its JSON is itself what was said."""
    if not isinstance(value, dict | list) or not value:
        return False
    return not any(isinstance(inner, dict | list) for inner in (value.values() if isinstance(value, dict) else value))


def text_in_list(items: list[Any], side: Side, depth: int) -> str | None:
    """Read what one side says last in messages, in parts of one message, or in the one item that a list holds."""
    messages = [message for item in items if (message := as_message(item))]
    if messages:
        for message in reversed(messages):
            role = role_of(message)
            if role == side and (text := content_of(message)):
                return text
            if side == "assistant" and role == "user":
                return None
        return None
    if text := content_text(items, 0):
        return text if len(items) == 1 or any(isinstance(item, dict) for item in items) else None
    inner = (text_in(item, side, depth + 1) for item in (reversed(items) if side == "user" else items))
    return next((text for text in inner if text), None)


def only_text(value: dict[Any, Any]) -> str | None:
    """Give the only string of a flat object, whatever its key: the argument of a function that was traced."""
    if any(isinstance(inner, dict | list) and inner for inner in value.values()):
        return None
    texts = [text for key, text in value.items() if isinstance(text, str) and text.strip() and key not in NO_TEXT_KEYS]
    return texts[0] if len(texts) == 1 else None


def as_message(item: Any) -> dict[str, Any] | None:
    """Give a message as an object with a role: it may be one, a `["human", "text"]` pair, or a choice around one."""
    if isinstance(item, dict):
        return item if role_of(item) else None
    if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], str):
        role = ROLES.get(item[0].lower())
        return {"role": role, "content": item[1]} if role else None
    return None


def role_of(message: dict[Any, Any]) -> str | None:
    """Name who speaks in a message: `user`, `assistant`, `system` or `tool`; None where the object is no message."""
    names: list[Any] = [message.get("role"), message.get("type")]
    kwargs, names_of_class = message.get("kwargs"), message.get("id")
    if message.get("type") == "constructor" and isinstance(kwargs, dict):
        names.append(kwargs.get("type"))
        if isinstance(names_of_class, list) and names_of_class:
            names.append(names_of_class[-1])
    for name in names:
        if isinstance(name, str) and (role := ROLES.get(name.lower())):
            return role
    return None


def content_of(message: dict[Any, Any]) -> str | None:
    """Give the text of a message, None where it holds only tool calls or images."""
    for holder in (message, message.get("kwargs"), message.get("data")):
        if isinstance(holder, dict):
            for key in ("content", "parts", "text", "message", "refusal"):
                if text := content_text(holder.get(key), 0):
                    return text
    return None


def content_text(content: Any, depth: int) -> str | None:
    """Join the text parts of a content: a string, a part, or a list of parts."""
    if isinstance(content, str):
        return content if content.strip() else None
    if depth > DEPTH // 2:
        return None
    if isinstance(content, list):
        texts = [text for part in content[:MOST_ITEMS] if (text := content_text(part, depth + 1))]
        return "\n".join(texts) or None
    if isinstance(content, dict):
        kind = content.get("type")
        is_text = kind is None or (isinstance(kind, str) and kind in TEXT_PARTS)
        if not is_text or content.get("thought") is True:
            return None
        for key in ("text", "content", "parts", "value", "refusal"):
            if text := content_text(content.get(key), depth + 1):
                return text
    return None


def turns_in(value: Any, depth: int) -> list[Turn]:
    """Find the earlier turns in a decoded payload: of a list that is all history, or before the last user message."""
    if depth > DEPTH:
        return []
    if isinstance(value, list):
        items = value[:MOST_ITEMS]
        if any(as_message(item) for item in items):
            return before_the_question(list(turns_of(items)))
        return turns_in(items[0], depth + 1) if len(items) == 1 else []
    if not isinstance(value, dict):
        return []
    for key in HISTORY_KEYS:
        held = decoded(value.get(key))
        if isinstance(held, list) and held:
            turns = list(turns_of(held[:MOST_ITEMS]))
            asked = text_in(value, "user", depth)
            return turns[:-1] if turns and turns[-1] == Turn("user", asked or "") else turns
    for key in MESSAGE_KEYS:
        if (inner := value.get(key)) and (turns := turns_in(decoded(inner), depth + 1)):
            return turns
    return []


def turns_of(items: list[Any]) -> Iterator[Turn]:
    """Yield the turns of messages, or of `[question, answer]` pairs."""
    for item in items:
        if message := as_message(item):
            role, text = role_of(message), content_of(message)
            if role in ("user", "assistant") and text:
                yield Turn(role, text)
        elif isinstance(item, list) and len(item) == 2 and all(isinstance(said, str) for said in item):
            yield from (Turn(role, text) for role, text in zip(("user", "assistant"), item, strict=True) if text)


def before_the_question(turns: list[Turn]) -> list[Turn]:
    """Leave out the last user message and what follows it."""
    last = next((place for place in reversed(range(len(turns))) if turns[place].role == "user"), 0)
    return turns[:last]
