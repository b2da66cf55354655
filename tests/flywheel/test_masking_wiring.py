import duckdb
import pytest

from eval.cases import GoldenCase
from eval.sample import Passage, Sample
from flywheel.enqueue import read_payloads
from flywheel.firewall import Roles, gate_side, role_of, training_side
from flywheel.golden import grow
from flywheel.governance.masking import as_it_is, mask_by_default
from flywheel.recalibrate import recalibrate
from flywheel.settings import Triage
from flywheel.triage import triage_week
from flywheel.warehouse import modes, scores
from tests.flywheel.made_traces import WEEK, deliver, make_gold, make_trace, open_made, score_all
from tests.flywheel.masked_weeks import ANSWERED, ASKED, FRAGMENTS, SAID, TYPED, found, outside, play

EMAIL = "maria.keller@example.com"
ROLES = Roles(0.5, 0.1)
WRONG = "The trial runs 900 years on the moon."


@pytest.mark.filterwarnings("ignore")
def test_where_masking_is_off_everything_is_told_as_it_is(tmp_path):
    held = outside(play(tmp_path, "off"))
    told = {name: found(FRAGMENTS, said) for name, said in held.items()}
    assert told["labels"] >= {*ASKED, *SAID}
    assert told["reports"] >= {*ASKED, *SAID}
    assert told["artefacts"] >= {*ASKED, *SAID}
    assert told["golden"] >= {*ASKED, *TYPED}
    assert told["runs"] >= {*ASKED, *ANSWERED}


@pytest.mark.filterwarnings("ignore")
def test_what_may_not_be_stored_is_not_stored_when_people_type_it(tmp_path):
    workspace = play(tmp_path, "store")
    with duckdb.connect(str(workspace.warehouse), read_only=True) as db:
        names = [name for (name,) in db.execute("select table_name from duckdb_tables()").fetchall()]
        rows = {name: str(db.execute(f'select * from "{name}"').fetchall()).encode() for name in names}
    assert {name for name, said in rows.items() if found(FRAGMENTS, said)} == set()
    assert found(FRAGMENTS, workspace.warehouse.read_bytes()) == set()


def sample_of(name, group):
    return Sample(name, f"Who is {EMAIL}?", "She.", (Passage("p1", f"Ask {EMAIL}."),), group=group)


def group_of(role):
    return next(f"of {EMAIL} {n}" for n in range(100) if role_of(f"of {EMAIL} {n}", ROLES) == role)


def test_a_masked_case_of_the_gate_keeps_its_unmasked_trace_from_training(tmp_path):
    sample = sample_of("t1", group_of("gate"))
    (case,) = grow(tmp_path, WEEK, [make_gold("t1")], {"t1": sample}, {}, {}, ROLES).added
    assert case.role == "gate"
    side = gate_side([case], [], ROLES)
    assert side.holds(sample_of("t2", "another"))
    assert side.holds(Sample("t3", "Something else?", "", (), group=sample.group))
    assert not side.holds(Sample("t3", "Something else?", "", (), group="another"))


def test_a_case_written_before_masking_keeps_its_trace_from_training():
    sample = sample_of("t1", "g")
    case = GoldenCase("c", sample.user_input, sample.passages, group="h")
    assert gate_side([case], [], ROLES).holds(sample)
    assert gate_side([case], [], ROLES, as_it_is).holds(sample)


def test_what_has_trained_loses_its_place_in_the_gate_masked_or_not(tmp_path):
    trained = training_side(frozenset({"g"}), {"t0": sample_of("t0", "g")}, mask_by_default)
    sample = sample_of("t1", group_of("gate"))
    (case,) = grow(tmp_path, WEEK, [make_gold("t1")], {"t1": sample}, {}, {}, ROLES, trained).added
    assert case.role == "train"


def test_spans_marked_in_masked_answers_train_on_the_same_places(tmp_path):
    opening = f"Call +1 202-555-0143 or write to {EMAIL}. "
    with open_made(tmp_path) as db:
        made = [
            make_trace(f"t{n:02}", session_id=f"s{n:02}", user_input=f"Question {n}?", response=opening + end)
            for n in range(70)
            for end in (WRONG if n % 2 else "The trial runs 14 days.",)
        ]
        deliver(db, tmp_path, *made)
        payloads = read_payloads(db, [f"t{n:02}" for n in range(70)])
        samples = scores.read_samples_by_id(db, list(payloads))
        learned = []
        for texts in (
            {name: payload.response for name, payload in payloads.items()},
            {name: sample.response for name, sample in samples.items()},
        ):
            labels = []
            for name, text in texts.items():
                start = text.find(WRONG)
                spans = ((start, start + len(WRONG)),) if start >= 0 else ()
                labels.append(make_gold(name, "fail" if spans else "pass", spans=spans))
                assert all(samples[name].response[a:b] == WRONG for a, b in spans)
            learned.append(recalibrate(db, WEEK, labels, ROLES))
    assert EMAIL not in payloads["t01"].response
    assert learned[0].has_learned
    assert learned[0] == learned[1]


def test_phrases_and_titles_are_made_of_masked_texts(tmp_path):
    with open_made(tmp_path) as db:
        asked = f"{'Where is it? ' * 46} I am {EMAIL}, {'who ' * 100}"
        deliver(db, tmp_path, make_trace("t1", user_input=asked, response=f"Write to {EMAIL}. It is so."))
        score_all(db, {"t1": 0.1})
        scores.replace_sentences(db, WEEK, [("t1", 1, WEEK, 0, 15, 34, 0.9, "p1", "r")])
        triage_week(db, WEEK, Triage(), 0.5)
        (masked,) = modes.read_failures(db, WEEK)
        (plain,) = modes.read_failures(db, WEEK, as_it_is)
    assert masked.worst_sentence == "█" * 17 + "]."
    assert plain.worst_sentence == "keller@example.com."
    assert "keller" not in masked.user_input
    assert len(masked.user_input) == len(plain.user_input) == 600
