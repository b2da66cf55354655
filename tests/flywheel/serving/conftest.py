"""A small knowledge base, and an embedder that needs no model: words hashed into a unit vector."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from flywheel.serving.answer import Reply, extractive_answer
from flywheel.serving.corpus import Chunk
from flywheel.serving.index import build_index, open_index
from flywheel.serving.pipeline import RagPipeline

CHUNKS = [
    Chunk("refunds", "A refund takes five working days. It goes to the card you paid with.", "Refunds", "refunds.md"),
    Chunk("trial", "The trial of the Plus plan ends after 14 days.", "Trial", "trial.md"),
    Chunk("opening", "The shop opens at nine on weekdays.", "Opening hours", "opening.txt"),
]


def hash_words(texts: Sequence[str]) -> np.ndarray:
    """Embed by words: texts that share words are close."""
    rows = np.full((len(texts), 64), 1e-6, np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in text.lower().replace(".", " ").replace("?", " ").replace(":", " ").split():
            row[sha256(word.encode()).digest()[0] % 64] += 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def index_folder(tmp_path: Path) -> Path:
    """The folder of a built index."""
    build_index(tmp_path / "index", CHUNKS, hash_words)
    return tmp_path / "index"


@pytest.fixture
def pipeline(index_folder: Path):
    """An extractive pipeline over the small knowledge base."""
    index = open_index(index_folder)
    yield RagPipeline(
        index, hash_words, lambda q, hits: Reply(extractive_answer(q, hits, hash_words, 0.35)), 2, "extractive", "v1"
    )
    index.close()


@pytest.fixture(scope="session")
def minilm():
    """The real embedder."""
    from eval.embedding import load_embedder

    return load_embedder()
