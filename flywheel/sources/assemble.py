"""A trace out of its spans: which span holds the question, which the answer, what was retrieved, what it cost."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from flywheel.sources.records import Span
from flywheel.trace import RetrievedContext, Trace

Amount = TypeVar("Amount", int, float)

INPUT_TOKENS: Callable[[Span], int | None] = attrgetter("input_tokens")
OUTPUT_TOKENS: Callable[[Span], int | None] = attrgetter("output_tokens")
COST: Callable[[Span], float | None] = attrgetter("cost_usd")
NEVER = datetime.max.replace(tzinfo=UTC)
LARGEST = 2**63 - 1
CARRIERS = frozenset({"root", "chain", "agent", "other"})
"""Kinds that, at the top of a trace, stand for the whole of it; an LLM call there is one step among others."""

NAMES = ("session_id", "user_id", "tenant_id", "environment", "prompt_version")
ASIDE = frozenset({"evaluator", "guardrail"})
"""Kinds that judge an answer: what lies beneath them was never shown to the user."""

EVALUATOR = frozenset({"evaluator"})
UNSET: dict[str, Any] = {
    field.name: field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
    for field in msgspec.structs.fields(Span)
}


@dataclass(frozen=True, slots=True)
class Assembled:
    """The trace that some spans make, or why they make none yet.

    `contexts_missing` says that the answer may have had passages that the spans do not tell, or whose text they left
    out: such a trace cannot be judged by its passages. A retriever that found nothing is no such case.
    """

    trace: Trace | None
    reason: str
    contexts_missing: bool


class Tree(msgspec.Struct, frozen=True):
    """The spans of a trace in order of time, without those that judge it, and where they begin.

    `kinds` and `by_id` know all spans, `roots` has at least one. `has_head` says that the first root stands for the
    whole trace.
    """

    spans: list[Span]
    kinds: set[str]
    by_id: dict[str, Span]
    roots: list[Span]
    has_head: bool


def assemble(spans: Sequence[Span]) -> Assembled:
    """Make a trace of all known spans of one trace; their order does not matter."""
    if not spans:
        return Assembled(None, "no span holds a question", False)
    everything = sorted(layered(spans), key=by_start)
    tree = tree_of(everything)
    question = next((span.question for span in askers(tree) if says(span.question)), None)
    if question is None:
        return Assembled(None, "no span holds a question", False)
    started = tree.roots[0].started_at or tree.spans[0].started_at
    if started is None:
        return Assembled(None, "no span has a start time", False)
    llms = [span for span in tree.spans if span.kind == "llm"]
    if len(llms) > 1:
        llms.sort(key=by_end)
    answer = answer_of(tree, llms)
    contexts = contexts_of(tree.spans)
    tokens_in, tokens_out, cost = spending(tree, everything)
    is_error, error = failure(tree, answer)
    root = tree.roots[0]
    given: dict[str, Any] = {
        "trace_id": root.trace_id,
        "timestamp": started,
        "user_input": question,
        "retrieved_contexts": contexts,
        "response": answer,
        "model": next((s.model for s in reversed(llms) if s.model is not None), root.model) if llms else root.model,
        "latency_ms": latency(tree),
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "cost_usd": cost,
        "metadata": metadata_of(tree),
    }
    if is_error:
        given["status"], given["error"] = "error", error
    for name, value in zip(NAMES, named(tree), strict=True):
        if value is not None:
            given[name] = value
    is_missing = bool(answer) and (contexts is None or "" in [passage.text for passage in contexts])
    return Assembled(Trace(**given), "", is_missing)


def layered(spans: Sequence[Span]) -> list[Span]:
    """Lay the parts of each span over each other, so that each id comes once, with times that have a zone."""
    by_id = {span.span_id: span for span in spans}
    if len(by_id) < len(spans):
        parts: dict[str, list[Span]] = {}
        for span in spans:
            parts.setdefault(span.span_id, []).append(span)
        by_id = {span_id: laid_over(same) if len(same) > 1 else same[0] for span_id, same in parts.items()}
    return [
        span if span.started_at and span.started_at.tzinfo and span.ended_at and span.ended_at.tzinfo else zoned(span)
        for span in by_id.values()
    ]


def laid_over(parts: list[Span]) -> Span:
    """Lay parts over each other in the order of their names; what a later one leaves unset stays."""
    parts.sort(key=lambda part: (part.part, repr(part)))
    fields: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    for part in parts:
        metadata |= part.metadata
        for name, unset in UNSET.items():
            value = getattr(part, name)
            if value != unset:
                fields[name] = value
    return Span(**(fields | {"metadata": metadata}))


def zoned(span: Span) -> Span:
    """Read times without a zone as UTC."""
    started, ended = span.started_at, span.ended_at
    if (started is None or started.tzinfo) and (ended is None or ended.tzinfo):
        return span
    return msgspec.structs.replace(
        span,
        started_at=started if started is None or started.tzinfo else started.replace(tzinfo=UTC),
        ended_at=ended if ended is None or ended.tzinfo else ended.replace(tzinfo=UTC),
    )


def by_start(span: Span) -> tuple[datetime, str]:
    """Order spans by their start, those without one last."""
    return (span.started_at or NEVER, span.span_id)


def by_end(span: Span) -> tuple[datetime, datetime, str]:
    """Order spans by their end; where one has none its start has to do."""
    return (span.ended_at or span.started_at or NEVER, span.started_at or NEVER, span.span_id)


def tree_of(everything: list[Span]) -> Tree:
    """Find where spans in order of time begin, once those that judge the trace are put aside."""
    by_id = {span.span_id: span for span in everything}
    spans = everything
    kinds: set[str] = {span.kind for span in everything}
    if not kinds.isdisjoint(ASIDE):
        beneath = beneath_any(everything, by_id, ASIDE)
        # A guardrail may also wrap the whole pipeline: then there would be nothing left to read.
        spans = [span for span in everything if span.span_id not in beneath] or everything
    roots = [span for span in spans if span.kind == "root"] if "root" in kinds else []
    roots += [
        span
        for span in spans
        if span.kind != "root"
        and (span.parent_id is None or span.parent_id not in by_id or span.parent_id == span.span_id)
    ]
    roots = roots or spans[:1]  # parents that go round in a circle
    return Tree(spans, kinds, by_id, roots, len(roots) == 1 or roots[0].kind == "root")


def beneath_any(spans: list[Span], by_id: dict[str, Span], kinds: frozenset[str]) -> set[str]:
    """Name the spans of some kinds and all that lie beneath them."""
    inside: dict[str, bool] = {}
    for span in spans:
        path = []
        at: Span | None = span
        while at is not None and at.span_id not in inside:
            inside[at.span_id] = at.kind in kinds
            path.append(at.span_id)
            if at.kind in kinds:
                break
            at = by_id.get(at.parent_id) if at.parent_id is not None else None
        if at is not None and inside[at.span_id]:
            inside.update(dict.fromkeys(path, True))
    return {span_id for span_id, is_inside in inside.items() if is_inside}


def says(text: str | None) -> bool:
    """Tell whether there is anything in a text."""
    return text is not None and text != "" and not text.isspace()


def leading(tree: Tree) -> list[Span]:
    """List the roots that stand for the whole trace."""
    return tree.roots if len(tree.roots) == 1 else [span for span in tree.roots if span.kind in CARRIERS]


def askers(tree: Tree) -> Iterator[Span]:
    """Yield spans in the order in which their question is the user's."""
    yield from leading(tree)
    yield from topmost(tree)
    for kind in ("retriever", "reranker", "llm", "other"):
        yield from (span for span in tree.spans if span.kind == kind)


def topmost(tree: Tree) -> list[Span]:
    """List the chain and agent spans, those nearest to a root first."""
    chains = [span for span in tree.spans if span.kind in ("chain", "agent")]
    if len(chains) > 1:
        depths = depths_of(tree)
        chains.sort(key=lambda span: depths.get(span.span_id, len(tree.by_id)))
    return chains


def depths_of(tree: Tree) -> dict[str, int]:
    """Say how many steps below a root each span lies that a root leads to."""
    children: dict[str | None, list[str]] = {}
    for span in tree.spans:
        children.setdefault(span.parent_id, []).append(span.span_id)
    depths = {span.span_id: 0 for span in tree.roots}
    reached = list(depths)
    for span_id in reached:
        for child in children.get(span_id, ()):
            if child not in depths:
                depths[child] = depths[span_id] + 1
                reached.append(child)
    return depths


def named(tree: Tree) -> tuple[str | None, ...]:
    """Find session, user, tenant, environment and prompt version, each as the outermost span has it that has one."""
    session = user = tenant = environment = prompt = None
    for spans in (tree.roots, tree.spans):
        for span in spans:
            if session is None:
                session = span.session_id
            if user is None:
                user = span.user_id
            if tenant is None:
                tenant = span.tenant_id
            if environment is None:
                environment = span.environment
            if prompt is None:
                prompt = span.prompt_version
    return session, user, tenant, environment, prompt


def answer_of(tree: Tree, llms: list[Span]) -> str | None:
    """Find what the user was answered: '' where a span says that it was nothing, None where none says."""
    is_told = False
    for spans in (leading, topmost, lambda _: reversed(llms), others):
        for span in spans(tree):
            if says(span.answer):
                return span.answer
            is_told = is_told or span.answer is not None
    return "" if is_told else None


def others(tree: Tree) -> list[Span]:
    """List the spans of no known kind, the last one first."""
    return [span for span in reversed(tree.spans) if span.kind == "other"]


def contexts_of(spans: list[Span]) -> list[RetrievedContext] | None:
    """Find the passages the answer had; None where no span tells of passages at all."""
    telling = [span for span in spans if span.documents is not None]
    if not telling:
        return None
    rerankers = [span for span in telling if span.kind == "reranker"]
    if rerankers:
        chosen = rerankers[-1:]
    else:
        chosen = [span for span in telling if span.kind == "retriever" and span.documents] or telling
    passages = [passage for span in chosen for passage in span.documents or ()]
    if "" in [passage.text for passage in passages]:
        passages = with_texts(passages, telling)
    once = {(passage.id, passage.text): passage for passage in passages}
    if len(once) < len(passages):
        once = {}
        for passage in passages:
            once.setdefault((passage.id, passage.text), passage)
    return list(once.values())


def with_texts(passages: list[RetrievedContext], telling: list[Span]) -> list[RetrievedContext]:
    """Give passages without text the text that another span has of the same id, as behind a reranker."""
    texts = {passage.id: passage.text for span in telling for passage in span.documents or () if passage.text}
    return [
        passage if passage.text else msgspec.structs.replace(passage, text=texts.get(passage.id, ""))
        for passage in passages
    ]


def spending(tree: Tree, everything: list[Span]) -> tuple[int | None, int | None, float | None]:
    """Add up tokens and cost of the LLM calls; the root's own totals stand in where no call has any.

    A guardrail's call was paid for as well; an evaluator's does not belong to the answer.
    """
    llms = [span for span in everything if span.kind == "llm"]
    if "evaluator" in tree.kinds:
        judging = beneath_any(everything, tree.by_id, EVALUATOR)
        llms = [span for span in llms if span.span_id not in judging]
    root = tree.roots[0]
    if len(llms) == 1:
        tokens_in, tokens_out, cost = llms[0].input_tokens, llms[0].output_tokens, llms[0].cost_usd
    else:
        tokens_in = total(llms, tree.by_id, INPUT_TOKENS)
        tokens_out = total(llms, tree.by_id, OUTPUT_TOKENS)
        cost = total(llms, tree.by_id, COST)
    return (
        countable(root.input_tokens if tokens_in is None else tokens_in),
        countable(root.output_tokens if tokens_out is None else tokens_out),
        countable(root.cost_usd if cost is None else cost),
    )


def total(llms: list[Span], by_id: dict[str, Span], amount: Callable[[Span], Amount | None]) -> Amount | None:
    """Add up an amount over LLM calls; one that wraps another repeats its amount, and is left out."""
    amounts = [value for span in llms if (value := amount(span)) is not None]
    if len(amounts) > 1:
        counted = [span for span in llms if amount(span) is not None]
        wrapping = wrappers(counted, by_id)
        amounts = [value for span in counted if span.span_id not in wrapping and (value := amount(span)) is not None]
    return sum(amounts[1:], start=amounts[0]) if amounts else None


def wrappers(spans: list[Span], by_id: dict[str, Span]) -> set[str]:
    """Name what lies above any of some spans, however many steps above."""
    above: set[str] = set()
    for span in spans:
        parent = span.parent_id
        while parent is not None and parent not in above and parent != span.span_id and parent in by_id:
            above.add(parent)
            parent = by_id[parent].parent_id
    return above


def countable(amount: Amount | None) -> Amount | None:
    """Drop an amount that no store takes: below zero, endless, or no number."""
    return amount if amount is not None and 0 <= amount <= LARGEST else None


def latency(tree: Tree) -> float | None:
    """Measure the root, or where it says nothing of its end, from the first start to the last end, in milliseconds."""
    root = tree.roots[0]
    if tree.has_head and root.started_at and root.ended_at and root.ended_at >= root.started_at:
        return (root.ended_at - root.started_at).total_seconds() * 1000
    started = tree.spans[0].started_at
    ended = max((span.ended_at for span in tree.spans if span.ended_at is not None), default=None)
    if started is None or ended is None or ended < started:
        return None
    return (ended - started).total_seconds() * 1000


def failure(tree: Tree, answer: str | None) -> tuple[bool, str | None]:
    """Tell whether the trace failed, and of what: an error that the pipeline got over is none of the trace."""
    root = tree.roots[0]
    failed = [span for span in tree.spans if span.is_error]
    if not failed or not ((tree.has_head and root.is_error) or not answer):
        return False, None
    said = root.error if root.is_error else None
    return True, said or next((span.error for span in failed if span.error), None)


def metadata_of(tree: Tree) -> dict[str, Any]:
    """Gather the root's metadata, its name, and the turns before the question."""
    root = tree.roots[0]
    metadata: dict[str, Any] = {"name": root.name, **root.metadata} if root.name else dict(root.metadata)
    if [span for span in tree.spans if span.history]:
        history = next((span.history for span in askers(tree) if span.history), [])
        if history:
            metadata["history"] = [{"role": turn.role, "content": turn.content} for turn in history]
    return metadata
