from hashlib import sha256

import pytest

from flywheel.enqueue import MOST_TURNS, build_tasks, history, read_payloads
from flywheel.governance.masking import as_it_is
from flywheel.labels.draws import add_draw, draw_tasks
from flywheel.labels.records import TaskPassage, Turn, task_id
from flywheel.labels.store import open_labels
from flywheel.plan import draw_week
from flywheel.warehouse import draws, scores
from tests.flywheel.made_traces import WEEK, deliver, make_trace, open_made, score_all


@pytest.fixture
def queued(tmp_path):
    """A frozen draw of four of ten traces with one exemplar, and its tasks."""
    with open_made(tmp_path) as db:
        made = [
            make_trace(
                f"t{n}", response=f"Ünswer {n}.", tenant_id="acme", prompt_version="v2", passages=("One.", "Two.")
            )
            for n in range(10)
        ]
        deliver(db, tmp_path, *made)
        score_all(db, {f"t{n}": n / 10 for n in range(10)})
        scores.replace_sentences(
            db,
            WEEK,
            [
                (f"t{n}", 1, WEEK, place, 2 * place, 2 * place + 2, 0.5, "p1", "r")
                for n in range(10)
                for place in (1, 0)
            ],
        )
        planned = draw_week(WEEK, draws.candidates(db, WEEK), 4, 2, 1)
        spare = next(d.candidate.trace_id for d in planned.population if d.position is None)
        draws.freeze_draw(db, WEEK, planned, "groundedness@made", [(spare, 1, "exemplar")])
        record, tasks = build_tasks(db, draws.find_draw(db, WEEK))
        yield planned, record, tasks, spare


def test_random_tasks_come_in_the_order_of_the_draw_then_the_exemplars(queued):
    planned, record, tasks, spare = queued
    assert [task.trace_id for task in tasks] == [one.candidate.trace_id for one in planned.tasks] + [spare]
    assert [task.position for task in tasks] == list(range(5))
    assert [task.purpose for task in tasks] == ["random"] * 4 + ["purposive"]
    assert {task.task_id for task in tasks} == {task_id(planned.draw_id, task.trace_id) for task in tasks}
    assert (record.draw_id, record.seed, record.population_size) == (planned.draw_id, planned.seed, 10)


def test_a_random_task_knows_its_chance_and_says_it_an_exemplar_has_none(queued):
    planned, _, tasks, _ = queued
    for task, drawn in zip(tasks, planned.tasks, strict=False):
        assert (task.stratum, task.inclusion_probability) == (drawn.stratum, drawn.inclusion_probability)
        assert task.reason.startswith("random draw: 1 of 2 out of the 5 traces with a predicted risk of 0.")
    assert (tasks[-1].stratum, tasks[-1].inclusion_probability, tasks[-1].reason) == (None, None, "exemplar")


def test_a_task_carries_what_the_annotator_must_see(queued):
    payload = queued[2][0].payload
    number = queued[2][0].trace_id[1:]
    assert (payload.user_input, payload.response) == ("How long is the trial?", f"Ünswer {number}.")
    assert payload.passages == (TaskPassage("p1", "One."), TaskPassage("p2", "Two."))
    assert [(s.start, s.end) for s in payload.sentences] == [(0, 2), (2, 4)]
    assert (payload.tenant_id, payload.prompt_version) == ("acme", "v2")


def test_tasks_queued_twice_are_there_once(queued, tmp_path):
    _, record, tasks, _ = queued
    store = open_labels(f"sqlite:///{tmp_path / 'labels.db'}")
    assert [add_draw(store, record, tasks), add_draw(store, record, tasks)] == [5, 0]
    assert draw_tasks(store, WEEK) == tasks


def test_earlier_turns_are_paired_by_who_speaks():
    first = '{"speaker": "user", "text": "a"}, {"speaker": "agent", "text": "b"}'
    assert history(f'{{"history": [{first}, {{"role": "user", "content": "c"}}]}}') == (Turn("a", "b"), Turn("c"))


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        "{}",
        '{"history": null}',
        '{"history": "text"}',
        '{"history": {"a": 1}}',
        '{"history": [1, null, "x", {}, {"text": 7}, {"text": ""}]}',
    ],
)
def test_a_history_of_another_shape_is_no_history(metadata):
    assert history(metadata) == ()


def test_an_answer_before_any_question_is_still_shown():
    assert history('{"history": [{"role": "assistant", "content": "Hello."}]}') == (Turn("Hello."),)


def test_only_the_last_turns_of_a_long_conversation_are_kept():
    told = ", ".join(f'{{"role": "user", "content": "{n}"}}' for n in range(50))
    turns = history(f'{{"history": [{told}]}}')
    assert [turn.user_input for turn in turns] == [str(n) for n in range(50 - MOST_TURNS, 50)]


EMAIL, CARD, PHONE = "maria.keller@example.com", "4111 1111 1111 1111", "+1 202-555-0143"


@pytest.fixture
def with_data(tmp_path):
    """A trace with personal data in everything that a task shows, and one sentence that is doubted."""
    answer = f"Call {PHONE}. Pay with {CARD}. It runs 900 years."
    turn = {"role": "user", "content": f"I am {EMAIL}."}
    with open_made(tmp_path) as db:
        made = make_trace(
            "t1", user_input=f"Who is {EMAIL}?", response=answer, tenant_id=f"of {EMAIL}", model=f"tuned for {EMAIL}",
            retrieved_contexts=[{"id": "p1", "text": f"Ask {EMAIL}.", "source": f"mail of {EMAIL}"}],
            metadata={"history": [turn, {"role": "assistant", "content": f"Call {PHONE}."}]},
        )  # fmt: skip
        deliver(db, tmp_path, made)
        score_all(db, {"t1": 0.1})
        start = answer.index("It runs")
        why = "'4111' and '900 years' are in no passage"
        scores.replace_sentences(db, WEEK, [("t1", 1, WEEK, 0, start, len(answer), 0.9, "p1", why)])
        yield db, answer


def test_personal_data_is_masked_in_everything_that_a_task_shows(with_data):
    payload = read_payloads(with_data[0], ["t1"])["t1"]
    assert not [text for text in (EMAIL, CARD, PHONE, "4111", "keller") if text in str(payload)]
    assert str(payload).count("[email") == 6
    assert payload.sentences[0].reason == "'████' and '900 years' are in no passage"


def test_offsets_into_a_masked_answer_are_those_of_the_answer(with_data):
    db, answer = with_data
    payload = read_payloads(db, ["t1"])["t1"]
    (sentence,) = payload.sentences
    assert len(payload.response) == len(answer)
    assert payload.response[sentence.start : sentence.end] == answer[sentence.start : sentence.end]
    assert payload.response[sentence.start : sentence.end] == "It runs 900 years."


def test_the_hash_of_a_task_is_that_of_the_texts_it_shows(with_data):
    for mask in ({}, {"mask": as_it_is}):
        payload = read_payloads(with_data[0], ["t1"], **mask)["t1"]
        shown = f"{payload.user_input}\x1f{payload.response}"
        assert payload.text_sha256 == sha256(shown.encode()).hexdigest()


def test_a_task_shows_everything_where_masking_is_off(with_data):
    payload = read_payloads(with_data[0], ["t1"], as_it_is)["t1"]
    assert (payload.user_input, payload.response) == (f"Who is {EMAIL}?", with_data[1])
    assert payload.sentences[0].reason == "'4111' and '900 years' are in no passage"


def test_the_reason_of_a_task_is_masked(tmp_path):
    with open_made(tmp_path) as db:
        deliver(db, tmp_path, *(make_trace(f"t{n}") for n in range(3)))
        score_all(db, {f"t{n}": n / 3 for n in range(3)})
        planned = draw_week(WEEK, draws.candidates(db, WEEK), 1, 1, 1)
        spare = next(d.candidate.trace_id for d in planned.population if d.position is None)
        draws.freeze_draw(db, WEEK, planned, "groundedness@made", [(spare, 1, f"exemplar of {EMAIL}")])
        _, tasks = build_tasks(db, draws.find_draw(db, WEEK))
    assert tasks[-1].reason == f"exemplar of [email{'█' * 17}]"
