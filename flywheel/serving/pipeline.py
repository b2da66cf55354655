"""The pipeline: question -> passages -> answer, with what it took."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from eval.embedding import Embedder
from eval.errors import UserError
from flywheel.serving.answer import Answerer, Reply, extractive_answer, remember
from flywheel.serving.corpus import Chunk
from flywheel.serving.egress import require_egress
from flywheel.serving.index import Hit, Index, any_vector, embedded_text, open_index, search
from flywheel.settings import Serving

if TYPE_CHECKING:
    from flywheel.workspace import Workspace

EXTRACTIVE = "extractive"
"""What `model` says where sentences are taken from the passages."""
SAME_EMBEDDER_COSINE = 0.999


@dataclass(frozen=True, slots=True)
class Answer:
    """An answered question. Tokens are None where no model counted any."""

    response: str
    passages: tuple[Hit, ...]
    latency_ms: float
    model: str
    prompt_version: str
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class RagPipeline:
    """An index, an embedder and an answerer. A variant is `dataclasses.replace(pipeline, top_k=1)`."""

    index: Index
    embed: Embedder
    answerer: Answerer
    top_k: int
    model: str
    prompt_version: str

    def answer(self, question: str, passages: Sequence[Chunk] | None = None) -> Answer:
        """Answer a question, from the given passages if there are any, otherwise from those that a search finds.

        Raises OperationalError where the model or the Qdrant server does not answer.
        """
        started = time.perf_counter()
        hits = self.find(question) if passages is None else self.rate(question, passages)
        reply = self.answerer(question, hits)
        latency_ms = (time.perf_counter() - started) * 1000
        return Answer(
            reply.text, hits, latency_ms, self.model, self.prompt_version, reply.input_tokens, reply.output_tokens
        )

    def find(self, question: str) -> tuple[Hit, ...]:
        """Find the `top_k` passages for a question."""
        return tuple(search(self.index, self.embed([question])[0], self.top_k))

    def rate(self, question: str, passages: Sequence[Chunk]) -> tuple[Hit, ...]:
        """Give the passages that a test fixes their cosine with the question, in the order they came in."""
        vectors = self.embed([question, *(embedded_text(passage) for passage in passages)])
        scores = vectors[1:] @ vectors[0]
        return tuple(Hit(passage, float(score)) for passage, score in zip(passages, scores, strict=True))


def open_pipeline(workspace: "Workspace", top_k: int | None = None) -> RagPipeline:
    """Open the pipeline that a workspace's settings describe; `top_k` goes over theirs."""
    from eval.embedding import load_embedder

    serving, allow_egress = workspace.settings.serving, workspace.settings.allow_egress
    if serving.qdrant_url is not None:
        require_egress(serving.qdrant_url, "serving.qdrant_url", allow_egress)
    embed = remember(load_embedder())
    answerer = make_answerer(serving, embed, allow_egress)
    index = open_index(workspace.root / serving.index, serving.collection, serving.qdrant_url)
    with ExitStack() as on_error:
        on_error.callback(index.close)
        check_embedder(index, embed)
        on_error.pop_all()
    model = EXTRACTIVE if serving.endpoint is None else str(serving.model)
    return RagPipeline(index, embed, answerer, top_k or serving.top_k, model, serving.prompt_version)


def make_answerer(serving: Serving, embed: Embedder, allow_egress: Sequence[str]) -> Answerer:
    """Make the answerer of the settings: the model at `endpoint`, or sentences of the passages."""
    if serving.endpoint is None:
        return lambda question, hits: Reply(extractive_answer(question, hits, embed, serving.abstain_below))
    if serving.model is None:
        raise UserError("serving.endpoint is set and serving.model is not; name the model that it shall use")
    from flywheel.serving.chat import chat_answerer

    return chat_answerer(
        serving.endpoint,
        serving.model,
        serving.prompt_version,
        key_variable=serving.api_key_variable,
        timeout_seconds=serving.timeout_seconds,
        allow_egress=allow_egress,
    )


def check_embedder(index: Index, embed: Embedder) -> None:
    """Raise UserError where another embedder built the index: its passages would be found by chance."""
    passage, stored = any_vector(index)
    vector = embed([embedded_text(passage)])[0]
    if stored.shape != vector.shape or float(np.dot(stored, vector)) < SAME_EMBEDDER_COSINE:
        raise UserError("another embedder built this index; run: flywheel corpus ingest")
