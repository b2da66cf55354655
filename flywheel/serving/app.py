"""The HTTP face of the pipeline: `POST /query` and `GET /health`. Every error is `{"error": …}`."""

import logging
from typing import Annotated, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.exceptions import HTTPException

from eval.errors import OperationalError
from flywheel.serving.corpus import Chunk
from flywheel.serving.guard import Guard
from flywheel.serving.pipeline import Answer, RagPipeline
from flywheel.serving.trace_log import Asked, TraceLog
from flywheel.trace import Trace

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Value = (
    Annotated[str, StringConstraints(max_length=2000)]
    | Annotated[bool, Field(strict=True)]
    | Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
    | Annotated[float, Field(allow_inf_nan=False)]
    | None
)

log = logging.getLogger(__name__)


class Body(BaseModel):
    """A part of a request or a reply: no other fields than its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GivenPassage(Body):
    """A passage that a test fixes instead of a search."""

    id: Name
    text: Annotated[str, StringConstraints(max_length=20_000)]


class Query(Body):
    """A question. `metadata` is copied into the trace; with `passages` nothing is searched."""

    question: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
    session_id: Name | None = None
    user_id: Name | None = None
    tenant_id: Name | None = None
    metadata: Annotated[dict[Name, Value], Field(max_length=50)] = {}
    passages: Annotated[list[GivenPassage], Field(max_length=50)] | None = None


class FoundPassage(Body):
    """A passage as the answerer saw it; `score` is its cosine with the question."""

    id: str
    text: str
    score: float
    source: str


class QueryAnswer(Body):
    """An answer, and the id under which its trace is in the landing folder."""

    trace_id: str
    answer: str
    passages: list[FoundPassage]
    model: str
    prompt_version: str
    latency_ms: float


class Health(Body):
    """`degraded` means that the service answers, and that some of its traces could not be written."""

    status: Literal["ok", "degraded"]
    passages: int
    model: str
    prompt_version: str
    traces_lost: int


class Service:
    """The pipeline with its trace log. A trace that cannot be written costs no user the answer; it is counted."""

    def __init__(self, pipeline: RagPipeline, trace_log: TraceLog) -> None:
        self.pipeline = pipeline
        self.trace_log = trace_log
        self.traces_lost = 0

    def answer(self, query: Query) -> QueryAnswer:
        """Answer and log one question."""
        given = None if query.passages is None else [Chunk(p.id, p.text, "", "") for p in query.passages]
        answer = self.pipeline.answer(query.question, given)
        trace = self.trace_log.answered(asked_in(query), answer)
        self.add(trace)
        return reply_of(trace, answer)

    def fail(self, query: Query, error: Exception) -> str:
        """Log a question that got no answer, and give the id of its trace."""
        trace = self.trace_log.failed(asked_in(query), f"{type(error).__name__}: {error}")
        self.add(trace)
        return trace.trace_id

    def add(self, trace: Trace) -> None:
        """Write a trace, or count it as lost."""
        try:
            self.trace_log.add(trace)
        except OperationalError as error:
            self.traces_lost += 1
            log.error("trace %s is lost: %s", trace.trace_id, error)

    def health(self) -> Health:
        """Say how the service is."""
        return Health(
            status="degraded" if self.traces_lost else "ok",
            passages=self.pipeline.index.size,
            model=self.pipeline.model,
            prompt_version=self.pipeline.prompt_version,
            traces_lost=self.traces_lost,
        )


def create_app(pipeline: RagPipeline, trace_log: TraceLog) -> FastAPI:
    """Make the service. It has no authentication and no pages, and refuses requests for other hosts."""
    service = Service(pipeline, trace_log)
    app = FastAPI(title="Flywheel pipeline", docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/query")
    def query(query: Query, request: Request) -> QueryAnswer:
        request.state.query = query
        return service.answer(query)

    @app.get("/health")
    def health() -> Health:
        return service.health()

    def failed(request: Request, error: Exception) -> JSONResponse:
        status = 503 if isinstance(error, OperationalError) else 500
        query = getattr(request.state, "query", None)
        if query is None:
            return error_reply(status, "the service failed")
        return error_reply(status, f"no answer could be given; see trace {service.fail(query, error)}")

    app.add_exception_handler(OperationalError, failed)
    app.add_exception_handler(Exception, failed)
    app.add_exception_handler(RequestValidationError, refused)
    app.add_exception_handler(HTTPException, refused)
    app.add_middleware(Guard)
    return app


def refused(_: Request, error: Exception) -> JSONResponse:
    """Say what is wrong with a request, without repeating what it held."""
    if isinstance(error, HTTPException):
        return error_reply(error.status_code, str(error.detail))
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    said = (f"{'.'.join(str(part)[:60] for part in problem['loc'])}: {problem['msg']}" for problem in problems[:5])
    return error_reply(422, "; ".join(said))


def error_reply(status: int, error: str) -> JSONResponse:
    """Make an error of the one shape that all have."""
    return JSONResponse({"error": error}, status_code=status)


def asked_in(query: Query) -> Asked:
    """Take out of a request what its trace keeps."""
    return Asked(query.question, query.session_id, query.user_id, query.tenant_id, query.metadata)


def reply_of(trace: Trace, answer: Answer) -> QueryAnswer:
    """Make the reply to an answered question."""
    return QueryAnswer(
        trace_id=trace.trace_id,
        answer=answer.response,
        passages=[
            FoundPassage(id=hit.passage.id, text=hit.passage.text, score=hit.score, source=hit.passage.source)
            for hit in answer.passages
        ],
        model=answer.model,
        prompt_version=answer.prompt_version,
        latency_ms=answer.latency_ms,
    )
