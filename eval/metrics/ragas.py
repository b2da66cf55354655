"""RAGAS metrics with an OpenAI-compatible judge. The only module that imports ragas.

Whatever the judge or the library does, every sample gets one score: with a value from 0 to 1, or with a
status and a reason. What is sent to the endpoint is the samples' texts as they are: redact them before,
and ask for the user's consent to the endpoint before.
"""

import asyncio
import hashlib
import os
import warnings
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from math import isnan
from time import perf_counter
from typing import Any, Literal

from eval.embedding import load_embedder
from eval.sample import Instrument, Sample, Score, Status

FAITHFULNESS = "ragas_faithfulness"
ANSWER_RELEVANCY = "ragas_answer_relevancy"
CODE_VERSION = "1"
MAX_TOKENS = 4096
"""The library's own 1024 cut off the verdicts of answers with about six statements and more."""

RagasMetric = Literal["faithfulness", "answer_relevancy"]
NAMES: dict[RagasMetric, str] = {"faithfulness": FAITHFULNESS, "answer_relevancy": ANSWER_RELEVANCY}
Ask = Callable[[Sample], Awaitable[float]]
"""Takes a sample, gives the metric's value; NaN where the judge found nothing to judge."""


@dataclass(frozen=True, slots=True)
class JudgeEndpoint:
    """A chat endpoint that speaks the OpenAI protocol: `base_url` ends in /v1.

    `api_key_variable` names the environment variable that holds the key; an endpoint without a key leaves it empty.
    """

    base_url: str
    model: str
    api_key_variable: str = ""
    timeout_seconds: float = 60.0
    concurrency: int = 4

    def api_key(self) -> str | None:
        """Read the key; None where the variable is named but not set."""
        return os.environ.get(self.api_key_variable) or None if self.api_key_variable else "none"


def score_ragas(
    samples: Sequence[Sample], judge: JudgeEndpoint | None, metric: RagasMetric = "faithfulness"
) -> list[Score]:
    """Score the samples with one RAGAS metric, in their order; without a judge or the library, none has a value."""
    name = NAMES[metric]
    instrument = instrument_id(name, judge)
    if judge is None:
        missing = "no judge is configured; name an OpenAI-compatible endpoint and a model"
    elif judge.api_key() is None:
        missing = f"the environment variable {judge.api_key_variable} is not set; put the judge's API key into it"
    else:
        missing = why_not_importable()
    if judge is None or missing:
        return [Score(sample.id, name, None, "not_available", missing, instrument) for sample in samples]
    # A thread of its own: asyncio.run fails where a loop already runs, as in notebooks.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, score_all(samples, judge, metric, instrument)).result()


def instrument_id(name: str, judge: JudgeEndpoint | None) -> str:
    """Identify the metric by the library's version, the endpoint and the model, whose weights nobody can hash."""
    try:
        library = version("ragas")
    except PackageNotFoundError:
        library = "missing"
    settings = f"{judge.base_url}|{judge.model}|{MAX_TOKENS}" if judge else ""
    settings_sha256 = hashlib.sha256(settings.encode()).hexdigest()
    return Instrument(name, f"{CODE_VERSION} ragas {library}", "", settings_sha256, "unknown: a judge's model").id


def why_not_importable() -> str:
    """Import ragas, its telemetry off; give what is wrong where that fails, else an empty text."""
    os.environ["RAGAS_DO_NOT_TRACK"] = "true"
    try:
        import ragas.metrics.collections  # noqa: F401
    except ImportError as error:
        return (
            f"ragas cannot be imported ({error}); it needs ragas==0.4.3 with langchain-community>=0.4,<0.4.2: "
            "newer releases of langchain-community break it"
        )
    return ""


async def score_all(
    samples: Sequence[Sample], judge: JudgeEndpoint, metric: RagasMetric, instrument: str
) -> list[Score]:
    """Score all samples, at most `judge.concurrency` at a time."""
    from openai import AsyncOpenAI

    places = asyncio.Semaphore(judge.concurrency)
    async with AsyncOpenAI(
        base_url=judge.base_url, api_key=judge.api_key(), timeout=judge.timeout_seconds, max_retries=1
    ) as client:
        ask = asker(metric, client, judge.model)

        async def one(sample: Sample) -> Score:
            async with places:
                return await score_one(sample, ask, judge, NAMES[metric], instrument)

        return await asyncio.gather(*(one(sample) for sample in samples))


def asker(metric: RagasMetric, client: Any, model: str) -> Ask:
    """Build the RAGAS metric and say how it is asked about a sample."""
    from ragas.llms import llm_factory
    from ragas.metrics.collections import AnswerRelevancy, Faithfulness

    llm = llm_factory(model, client=client, max_tokens=MAX_TOKENS, temperature=0.0)
    if metric == "faithfulness":
        faithfulness = Faithfulness(llm=llm)

        async def ask_faithfulness(sample: Sample) -> float:
            contexts = [passage.text for passage in sample.passages]
            found = await faithfulness.ascore(
                user_input=sample.user_input, response=sample.response, retrieved_contexts=contexts
            )
            return float(found.value)

        return ask_faithfulness

    relevancy = AnswerRelevancy(llm=llm, embeddings=our_embeddings())

    async def ask_relevancy(sample: Sample) -> float:
        found = await relevancy.ascore(user_input=sample.user_input, response=sample.response)
        return float(found.value)

    return ask_relevancy


def our_embeddings() -> Any:
    """Give our embedder in the shape that ragas takes."""
    from ragas.embeddings.base import BaseRagasEmbedding

    embed = load_embedder()

    class Embeddings(BaseRagasEmbedding):  # type: ignore[misc, unused-ignore]
        def embed_text(self, text: str, **_: Any) -> list[float]:
            vector: list[float] = embed([text])[0].tolist()
            return vector

        async def aembed_text(self, text: str, **_: Any) -> list[float]:
            return self.embed_text(text)

    return Embeddings()


async def score_one(sample: Sample, ask: Ask, judge: JudgeEndpoint, name: str, instrument: str) -> Score:
    """Ask the judge about one sample; whatever goes wrong with it becomes its status and reason."""
    from openai import OpenAIError

    def unscored(status: Status, reason: str) -> Score:
        return Score(sample.id, name, None, status, reason, instrument, perf_counter() - started)

    started = perf_counter()
    inapplicable = why_not_applicable(sample, name)
    if inapplicable:
        return unscored("not_applicable", inapplicable)
    try:
        async with asyncio.timeout(judge.timeout_seconds):
            value = await ask(sample)
    except TimeoutError:
        return unscored("timeout", f"the judge gave no answer within {judge.timeout_seconds:g} s")
    except (OpenAIError, ValueError, *instructor_errors()) as error:
        return unscored(*what_went_wrong(error))
    if isnan(value):
        return unscored("abstained", "the judge found no statement to judge")
    # Rounding can put a cosine of 1 above 1; opposite meanings can put one below 0.
    return Score(sample.id, name, min(max(value, 0.0), 1.0), "ok", "", instrument, perf_counter() - started)


@cache
def instructor_errors() -> tuple[type[Exception], ...]:
    """Give what instructor raises for answers it cannot read; three lines of releases keep it in three places."""
    found: list[type[Exception]] = []
    for module in ("instructor.core.exceptions", "instructor.exceptions", "instructor.retry"):
        with suppress(ModuleNotFoundError), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            errors = vars(import_module(module))
            found += [
                errors[name] for name in ("InstructorRetryException", "IncompleteOutputException") if name in errors
            ]
    return tuple(found)


def why_not_applicable(sample: Sample, name: str) -> str:
    """Say what the metric misses in a sample; empty where it misses nothing."""
    if not sample.user_input.strip():
        return "no question"
    if not sample.response.strip():
        return "empty answer"
    if name == FAITHFULNESS and not any(passage.text.strip() for passage in sample.passages):
        return "no passages"
    return ""


def what_went_wrong(error: BaseException) -> tuple[Status, str]:
    """Name the failure by the first cause that the endpoint is to blame for; otherwise its answer was unreadable."""
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, APITimeoutError):
            return "timeout", "the judge's endpoint gave no answer in time"
        if isinstance(cause, APIStatusError):
            return "error", f"the judge's endpoint answered with HTTP status {cause.status_code}"
        if isinstance(cause, APIConnectionError):
            return "error", "the judge's endpoint cannot be reached; check its base_url"
        cause = cause.__cause__ or cause.__context__
    return "parse_error", f"the judge's answer is not what was asked for ({type(error).__name__})"
