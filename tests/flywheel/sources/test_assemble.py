from datetime import UTC, datetime, timedelta
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.sources.assemble import assemble
from flywheel.sources.records import Span, SpanKind, Turn
from flywheel.trace import RetrievedContext, Trace

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
PLANS = RetrievedContext("plans.md", "A Plus plan has a trial of 14 days.", 0.9)
CANCEL = RetrievedContext("cancel.md", "Cancel from the settings page.", 0.4)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def span(span_id, kind="other", start=0, end=None, **fields):
    ended = None if end is None else at(end)
    return Span(
        trace_id="t1",
        span_id=span_id,
        kind=kind,
        started_at=None if start is None else at(start),
        ended_at=ended,
        **fields,
    )


CHAIN = span("a", "chain", 0, 9, name="rag", question="How long is the trial?", answer="14 days.")
RETRIEVER = span("b", "retriever", 1, 2, parent_id="a", question="trial length", documents=[PLANS, CANCEL])
USED = {"model": "m1", "input_tokens": 90, "output_tokens": 7}
LLM = span("c", "llm", 3, 8, parent_id="a", question="Prompt: …", answer="It is 14 days.", **USED)


def trace_of(*spans):
    made = assemble(spans)
    assert made.trace is not None, made.reason
    return made.trace


def test_a_chain_with_a_retriever_and_an_llm_makes_a_whole_trace():
    made = assemble([LLM, RETRIEVER, CHAIN])
    assert made.trace == Trace(
        trace_id="t1",
        timestamp=NOON,
        user_input="How long is the trial?",
        retrieved_contexts=[PLANS, CANCEL],
        response="14 days.",
        model="m1",
        latency_ms=9000.0,
        input_tokens=90,
        output_tokens=7,
        metadata={"name": "rag"},
    )
    assert not made.contexts_missing


def test_no_spans_make_no_trace():
    assert assemble([]).reason == "no span holds a question"


def test_spans_without_a_question_make_no_trace_yet():
    made = assemble([span("a", "chain", answer="14 days.")])
    assert (made.trace, made.reason) == (None, "no span holds a question")


def test_spans_without_a_start_make_no_trace_yet():
    made = assemble([span("a", "chain", None, question="Why?")])
    assert (made.trace, made.reason) == (None, "no span has a start time")


def test_a_blank_question_is_none():
    assert trace_of(span("a", "chain", question=" \n"), span("b", "llm", 1, question="Why?")).user_input == "Why?"


def test_a_span_of_kind_root_comes_before_spans_without_a_parent():
    root = span("z", "root", 5, question="Asked?", session_id="s-root")
    made = trace_of(span("a", "chain", 0, question="Rewritten?", session_id="s-chain"), root)
    assert (made.user_input, made.session_id, made.timestamp) == ("Asked?", "s-root", at(5))


def test_a_span_whose_parent_is_not_there_is_a_root():
    assert trace_of(span("a", "chain", parent_id="elsewhere", question="Asked?", end=2)).latency_ms == 2000.0


def test_the_topmost_chain_asks_where_the_root_says_nothing():
    root = span("r", "root")
    top = span("t", "chain", 2, parent_id="r", question="Top?", answer="top")
    deep = span("d", "agent", 1, parent_id="t", question="Deep?", answer="deep")
    made = trace_of(deep, top, root)
    assert (made.user_input, made.response) == ("Top?", "top")


def test_the_query_is_the_question_where_no_chain_has_one():
    retriever = span("b", "retriever", 1, question="trial length", documents=[PLANS])
    made = trace_of(span("r", "root"), retriever, span("c", "llm", 2, question="Prompt: …", answer="14."))
    assert (made.user_input, made.response) == ("trial length", "14.")


def test_of_llm_calls_the_first_asks_and_the_last_to_end_answers():
    first = span("x", "llm", 0, 9, question="one", answer="late")
    second = span("y", "llm", 1, 5, question="two", answer="early")
    made = trace_of(span("r", "root"), second, first)
    assert (made.user_input, made.response) == ("one", "late")


def test_of_calls_side_by_side_without_a_root_the_last_answers_not_the_first():
    rewrite = span("a", "llm", 0, 1, question="How long?", answer="trial length")
    answer = span("c", "llm", 3, 4, question="Prompt: …", answer="14 days.")
    made = trace_of(rewrite, span("b", "retriever", 2, documents=[PLANS]), answer)
    assert (made.user_input, made.response, made.latency_ms) == ("How long?", "14 days.", 4000.0)


def test_an_answer_of_nothing_is_empty_and_not_missing():
    assert trace_of(span("a", "chain", question="Why?", answer="")).response == ""
    assert trace_of(span("a", "chain", question="Why?")).response is None


def test_a_judge_neither_answers_nor_costs_nor_takes_time():
    judge = span("e", "evaluator", 60, 90, parent_id="r", question="Is it grounded?", answer="yes")
    call = span("f", "llm", 61, 89, parent_id="e", answer="grounded: yes", input_tokens=900, model="judge")
    made = trace_of(span("r", "root"), RETRIEVER, LLM, judge, call)
    assert (made.response, made.model, made.input_tokens, made.latency_ms) == ("It is 14 days.", "m1", 90, 8000.0)


def test_the_call_of_a_guardrail_costs_but_does_not_answer():
    guard = span("g", "guardrail", 10, 12, parent_id="a")
    call = span("h", "llm", 10, 12, parent_id="g", answer="safe", input_tokens=5)
    made = trace_of(span("a", "chain", question="Why?"), LLM, guard, call)
    assert (made.response, made.input_tokens) == ("It is 14 days.", 95)


def test_a_guardrail_around_everything_hides_nothing():
    assert trace_of(span("g", "guardrail"), msgspec.structs.replace(CHAIN, parent_id="g")).response == "14 days."


def test_the_last_reranker_gives_the_passages():
    early = span("s", "reranker", 2, parent_id="a", documents=[PLANS])
    late = span("r", "reranker", 3, parent_id="a", documents=[CANCEL])
    assert trace_of(CHAIN, RETRIEVER, late, early).retrieved_contexts == [CANCEL]


def test_a_reranker_that_names_only_ids_takes_the_texts_of_the_retriever():
    reranker = span("r", "reranker", 2, parent_id="a", documents=[RetrievedContext("cancel.md", "", 0.99)])
    made = assemble([CHAIN, RETRIEVER, reranker])
    assert made.trace.retrieved_contexts == [RetrievedContext("cancel.md", CANCEL.text, 0.99)]
    assert not made.contexts_missing


def test_a_reranker_that_keeps_nothing_leaves_an_empty_retrieval():
    made = assemble([CHAIN, RETRIEVER, span("r", "reranker", 2, parent_id="a", documents=[])])
    assert (made.trace.retrieved_contexts, made.contexts_missing) == ([], False)


def test_passages_of_several_retrievers_come_once_each_in_order_of_time():
    same_text = RetrievedContext("other.md", PLANS.text)
    again = RetrievedContext("plans.md", PLANS.text, 0.1)
    later = span("z", "retriever", 4, parent_id="a", documents=[again, same_text])
    assert trace_of(later, CHAIN, RETRIEVER).retrieved_contexts == [PLANS, CANCEL, same_text]


def test_passages_of_a_tool_serve_where_no_retriever_found_any():
    tool = span("t", "tool", 1, parent_id="a", documents=[CANCEL])
    assert trace_of(CHAIN, tool).retrieved_contexts == [CANCEL]
    assert trace_of(CHAIN, tool, span("b", "retriever", documents=[])).retrieved_contexts == [CANCEL]


def test_passages_of_a_retriever_win_over_those_of_a_tool():
    tool = span("t", "tool", 0, parent_id="a", documents=[CANCEL])
    assert trace_of(CHAIN, tool, span("b", "retriever", documents=[PLANS])).retrieved_contexts == [PLANS]


@pytest.mark.parametrize(
    ("spans", "is_missing"),
    [
        ([CHAIN], True),
        ([CHAIN, span("b", "retriever", documents=[])], False),
        ([CHAIN, span("b", "retriever", documents=[PLANS])], False),
        ([CHAIN, span("b", "retriever", documents=[PLANS, RetrievedContext("x", "")])], True),
        ([span("a", "chain", question="Why?")], False),
    ],
)
def test_contexts_are_missing_where_an_answer_has_none_told_or_texts_left_out(spans, is_missing):
    assert assemble(spans).contexts_missing is is_missing


def test_the_turns_before_the_question_go_into_the_metadata():
    chat = span("a", "chain", question="And then?", history=[Turn("user", "Hi"), Turn("assistant", "Hello")])
    told = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert trace_of(chat).metadata == {"history": told}


def test_metadata_of_the_root_is_kept_and_never_changed():
    kept = {"team": "billing"}
    root = span("r", "root", name="rag", question="Why?", metadata=kept, history=[Turn("user", "Hi")])
    assert trace_of(root).metadata == {"name": "rag", "team": "billing", "history": [{"role": "user", "content": "Hi"}]}
    assert kept == {"team": "billing"}


def test_tokens_and_cost_are_those_of_the_calls_never_also_the_totals_above():
    chain = msgspec.structs.replace(CHAIN, input_tokens=100, output_tokens=10, cost_usd=0.5)
    calls = [span(f"c{i}", "llm", i, parent_id="a", input_tokens=40, output_tokens=4, cost_usd=0.25) for i in range(2)]
    made = trace_of(chain, *calls)
    assert (made.input_tokens, made.output_tokens, made.cost_usd) == (80, 8, 0.5)


def test_totals_of_the_root_stand_in_where_no_call_tells_its_own():
    chain = msgspec.structs.replace(CHAIN, input_tokens=100, cost_usd=0.5)
    made = trace_of(chain, LLM)
    assert (made.input_tokens, made.output_tokens, made.cost_usd) == (90, 7, 0.5)


def test_a_call_that_wraps_another_is_counted_once():
    outer = span("o", "llm", 1, 9, parent_id="a", input_tokens=90, answer="14.")
    between = span("n", "chain", 2, parent_id="o")
    assert trace_of(CHAIN, outer, between, msgspec.structs.replace(LLM, parent_id="n")).input_tokens == 90


def test_an_amount_no_store_takes_is_dropped():
    made = trace_of(msgspec.structs.replace(LLM, input_tokens=-1, output_tokens=2**63, cost_usd=float("nan")))
    assert (made.input_tokens, made.output_tokens, made.cost_usd) == (None, None, None)


def test_each_name_comes_from_the_outermost_span_that_has_it():
    inner = msgspec.structs.replace(LLM, session_id="inner", user_id="u1", environment="prod", prompt_version="v3")
    made = trace_of(msgspec.structs.replace(CHAIN, session_id="outer"), inner)
    assert (made.session_id, made.user_id, made.environment, made.prompt_version) == ("outer", "u1", "prod", "v3")


def test_an_error_the_agent_got_over_is_none_of_the_trace():
    tool = span("t", "tool", parent_id="a", is_error=True, error="timeout")
    made = trace_of(CHAIN, tool)
    assert (made.status, made.error) == ("ok", None)


def test_an_error_that_left_no_answer_is_one_of_the_trace():
    made = trace_of(
        span("a", "chain", question="Why?"), span("t", "tool", parent_id="a", is_error=True, error="timeout")
    )
    assert (made.status, made.error) == ("error", "timeout")


def test_an_error_of_the_root_is_one_of_the_trace_even_with_an_answer():
    made = trace_of(msgspec.structs.replace(CHAIN, is_error=True, error="cut off"))
    assert (made.status, made.error, made.response) == ("error", "cut off", "14 days.")


def test_a_root_that_never_ended_is_measured_by_the_whole_extent():
    assert trace_of(msgspec.structs.replace(CHAIN, ended_at=None), RETRIEVER, LLM).latency_ms == 8000.0


def test_times_without_a_zone_are_utc():
    naive = datetime(2026, 11, 3, 12)
    made = trace_of(Span(trace_id="t1", span_id="n", kind="chain", started_at=naive, question="Why?"), LLM)
    assert made.timestamp == NOON


def test_a_later_part_lies_over_an_earlier_one_and_leaves_what_it_does_not_give():
    post = Span(trace_id="t1", span_id="a", part="1-post", kind="chain", started_at=NOON, question="Why?", answer="…")
    patch = Span(trace_id="t1", span_id="a", part="2-patch", ended_at=at(3), answer="So.", metadata={"k": 1})
    made = trace_of(patch, post)
    assert (made.user_input, made.response, made.latency_ms, made.metadata) == ("Why?", "So.", 3000.0, {"k": 1})


def test_parents_that_go_round_in_a_circle_make_a_trace_all_the_same():
    one = msgspec.structs.replace(CHAIN, parent_id="c")
    made = trace_of(one, LLM, span("e", "evaluator", 1, parent_id="e"))
    assert (made.user_input, made.input_tokens) == ("How long is the trial?", 90)


def test_a_chain_of_many_thousand_spans_is_walked_without_recursion():
    spans = [span(str(i), "chain", parent_id=str(i - 1), end=i) for i in range(1, 20_000)]
    spans.append(span("guard", "evaluator", parent_id="19999"))
    assert trace_of(*spans, span("0", "chain", question="Why?")).user_input == "Why?"


IDS = st.sampled_from(["a", "b", "c", "d", "e"])
TEXTS = st.none() | st.sampled_from(["", "one", "two"])
DOCUMENTS = st.none() | st.lists(st.builds(RetrievedContext, IDS, st.sampled_from(["", "x", "y"])), max_size=3)
SPANS = st.builds(
    Span,
    trace_id=st.just("t1"),
    span_id=IDS,
    part=st.sampled_from(["", "1", "2"]),
    parent_id=st.none() | IDS,
    kind=st.sampled_from(get_args(SpanKind)),
    started_at=st.none() | st.integers(0, 3).map(at),
    ended_at=st.none() | st.integers(0, 3).map(at),
    is_error=st.booleans(),
    error=TEXTS,
    question=TEXTS,
    answer=TEXTS,
    history=st.just([]) | st.just([Turn("user", "Hi")]),
    documents=DOCUMENTS,
    model=TEXTS,
    input_tokens=st.none() | st.integers(0, 3),
    cost_usd=st.none() | st.sampled_from([0.1, 0.2, 0.7]),
    session_id=TEXTS,
    metadata=st.dictionaries(st.sampled_from(["k", "l"]), st.integers(0, 2)),
)


@given(st.lists(SPANS, max_size=7).flatmap(lambda spans: st.tuples(st.just(spans), st.permutations(spans))))
def test_any_order_of_the_spans_makes_the_same_trace(orders):
    assert assemble(orders[0]) == assemble(orders[1])


@given(st.lists(SPANS, max_size=7))
def test_whatever_is_made_is_a_valid_trace_or_says_why_not(spans):
    made = assemble(spans)
    if made.trace is None:
        assert made.reason
        assert not made.contexts_missing
    else:
        assert msgspec.convert(msgspec.to_builtins(made.trace), Trace) == made.trace
