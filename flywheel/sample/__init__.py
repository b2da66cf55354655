"""The embedded sample: the knowledge base of a fictional company, Larkfield Instruments, and questions about it.

Every text was written for this project, and every name in it is invented.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal

import msgspec

Topic = Literal["hr", "it", "support"]
Kind = Literal["plain", "terse", "typo", "chatty", "multi", "unanswerable"]


@dataclass(frozen=True, slots=True)
class Document:
    """One page of the knowledge base. `id` is its file name without `.md`; `text` leaves the title line out."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a user might ask. `reference`, `documents` and `evidence` are empty where nothing answers it.

    `evidence` holds sentences copied from the `documents`, in the same words; `kind` is how it is asked.
    """

    id: str
    question: str
    answerable: bool
    reference: str | None
    documents: tuple[str, ...]
    evidence: tuple[str, ...]
    topic: Topic
    kind: Kind


def read_documents() -> list[Document]:
    """Give every document, sorted by id."""
    return sorted(documents_in(files(__name__) / "knowledge_base"), key=lambda document: document.id)


def documents_in(folder: Traversable) -> Iterator[Document]:
    """Yield the Markdown files of a folder, each a `# Title` line and the text below it."""
    for file in folder.iterdir():
        if file.name.endswith(".md"):
            title, _, text = file.read_text(encoding="utf-8").partition("\n")
            yield Document(file.name.removesuffix(".md"), title.removeprefix("# ").strip(), text.strip())


def read_questions() -> list[Question]:
    """Give every question, in file order, which mixes topics and kinds."""
    decoder = msgspec.json.Decoder(Question)
    return decoder.decode_lines((files(__name__) / "questions.jsonl").read_bytes())
