"""The knowledge base: a folder of Markdown and text files, read as passages."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eval.errors import UserError
from eval.sentences import split_sentences

SUFFIXES = frozenset({".md", ".markdown", ".txt"})
MAX_FILE_BYTES = 5 * 1024 * 1024
MAX_WORDS = 200
"""The embedder reads about 256 tokens; what comes after them would be invisible to retrieval."""
MAX_CHARACTERS = 2000
"""The same limit for text that writes no spaces between its words."""
FEW_WORDS = re.compile(rf"\s*(?:\S+\s+){{0,{MAX_WORDS - 1}}}\S*")
BLANK_LINE = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document. `id` is `faq/trial`, or `faq/trial#2` for the second passage of a longer document.

    `title` is the first heading, otherwise the name of the file; `source` is the path below the folder.
    """

    id: str
    text: str
    title: str
    source: str


def read_corpus(folder: Path) -> list[Chunk]:
    """Read every Markdown and text file at or below a folder, by path; hidden files are left out.

    Raises UserError for a file that is too large, is not UTF-8, shares its id with another or is a link that
    leads outside, and for a folder that holds no text.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; name the folder that holds your Markdown or text files")
    chunks: list[Chunk] = []
    owners: dict[str, str] = {}
    for path in document_paths(folder):
        source = path.relative_to(folder).as_posix()
        document_id = path.relative_to(folder).with_suffix("").as_posix()
        if document_id in owners:
            raise UserError(f"{owners[document_id]} and {source} would share the id {document_id!r}; rename one")
        owners[document_id] = source
        text = read_document(path)
        title = title_of(text) or path.stem
        for number, passage in enumerate(passages_of(text), start=1):
            passage_id = document_id if number == 1 else f"{document_id}#{number}"
            chunks.append(Chunk(passage_id, passage, title, source))
    if not chunks:
        raise UserError(f"{folder} holds no text in {', '.join(sorted(SUFFIXES))} files; put your documents there")
    return chunks


def document_paths(folder: Path) -> list[Path]:
    """List the documents, by path. A link to a place inside the folder is skipped: the place itself is read."""
    root = folder.resolve()
    found = []
    for parent, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        wanted = [name for name in files if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")]
        for path in (Path(parent) / name for name in (*folders, *wanted)):
            if path.is_symlink():
                if not path.resolve().is_relative_to(root):
                    raise UserError(f"{path} is a link to a place outside {folder}; replace it by a copy, or remove it")
            elif path.is_file():
                found.append(path)
    return sorted(found)


def read_document(path: Path) -> str:
    """Read one file as UTF-8, with line ends made equal."""
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise UserError(f"{path} has {size:,} bytes, more than the {MAX_FILE_BYTES:,} a document may have; split it")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error


def title_of(text: str) -> str:
    """Give the first Markdown heading, or nothing."""
    headings = (line.lstrip("#").strip() for line in text.splitlines() if line.startswith("#"))
    return next(filter(None, headings), "")


def passages_of(text: str) -> Iterator[str]:
    """Give a short document whole, a longer one in pieces that break between paragraphs where they can."""
    whole = text.strip()
    if not whole:
        return
    if fits(whole):
        yield whole
        return
    passage = ""
    for piece, joint in pieces_of(whole):
        longer = f"{passage}{joint}{piece}" if passage else piece
        if passage and not fits(longer):
            yield passage
            longer = piece
        passage = longer
    yield passage


def pieces_of(text: str) -> Iterator[tuple[str, str]]:
    """Give pieces that each fit, with what joins them to the piece before: paragraphs, sentences, or bare slices."""
    for paragraph in filter(None, (part.strip() for part in BLANK_LINE.split(text))):
        if fits(paragraph):
            yield paragraph, "\n\n"
            continue
        joint = "\n\n"
        for sentence in split_sentences(paragraph):
            for piece in slices_of(sentence.text):
                yield piece, joint
                joint = " "


def slices_of(sentence: str) -> Iterator[str]:
    """Cut a sentence that is too long for a passage at a space, or anywhere in text without spaces."""
    start = 0
    while start < len(sentence):
        window = sentence[start : start + MAX_CHARACTERS]
        match = FEW_WORDS.match(window)
        length = match.end() if match else len(window)
        if start + length < len(sentence) and not sentence[start + length].isspace():
            length = max(window.rfind(" "), 0) or length
        piece = sentence[start : start + length].strip()
        if piece:
            yield piece
        start += length


def fits(text: str) -> bool:
    """Say whether a text is short enough for one passage."""
    return len(text) <= MAX_CHARACTERS and len(text.split()) <= MAX_WORDS
