import pytest

from eval.cases import GoldenCase
from eval.metrics.groundedness import Detector, packaged_detector
from flywheel.firewall import Roles, role_of
from flywheel.recalibrate import FEWEST_LABELS, detector_for, recalibrate
from flywheel.warehouse import scores
from tests.flywheel.made_traces import WEEK, deliver, make_gold, make_trace, open_made, tables

ROLES = Roles(0.5, 0.1)
GOOD, BAD = "The trial runs 14 days.", "The trial runs 900 years on the moon."


@pytest.fixture
def db(tmp_path):
    with open_made(tmp_path) as connection:
        traces = [
            make_trace(
                f"t{n:02}",
                session_id=f"s{n:02}",
                user_input=f"Question {n}?",
                response=BAD if n % 2 else GOOD,
                passages=(GOOD,),
            )
            for n in range(70)
        ]
        deliver(connection, tmp_path, *traces)
        yield connection


def label(n, **fields):
    return make_gold(f"t{n:02}", "fail" if n % 2 else "pass", **({"spans": ((0, 10),)} if n % 2 else {}) | fields)


def is_kept(n):
    return role_of(f"s{n:02}", ROLES) != "train"


def test_labels_of_gate_and_dev_groups_never_train(db):
    found = recalibrate(db, WEEK, [label(n) for n in range(70)], ROLES)
    kept = {f"s{n:02}" for n in range(70) if is_kept(n)}
    learned = detector_for(db, "2026-W46").training_groups - packaged_detector().training_groups
    assert kept
    assert learned == {f"s{n:02}" for n in range(70)} - kept
    assert (found.labels, found.kept_for_gate) == (70 - len(kept), len(kept))
    assert found.instrument == detector_for(db, "2026-W46").instrument.id != packaged_detector().instrument.id


@pytest.mark.parametrize(("spare", "is_packaged"), [(-1, True), (0, False)])
def test_fewer_than_twenty_labels_keep_the_packaged_weights(db, spare, is_packaged):
    usable = [n for n in range(70) if not is_kept(n)][: FEWEST_LABELS + spare]
    found = recalibrate(db, WEEK, [label(n) for n in usable], ROLES)
    assert (detector_for(db, "2026-W46") == packaged_detector()) is is_packaged
    assert found.labels == len(usable) == 20 + spare


def test_labels_of_gate_groups_do_not_make_up_the_twenty(db):
    labels = [label(n) for n in range(70) if is_kept(n)] + [label(n) for n in range(70) if not is_kept(n)][:5]
    recalibrate(db, WEEK, labels, ROLES)
    assert detector_for(db, "2026-W46") == packaged_detector()


def test_what_is_learned_serves_from_the_next_week_on(db):
    found = recalibrate(db, WEEK, [label(n) for n in range(70)], ROLES)
    assert found.valid_from == "2026-W46"
    assert detector_for(db, WEEK) == packaged_detector()
    assert detector_for(db, "2026-W46").instrument.id == found.instrument == detector_for(db, "2027-W10").instrument.id


def test_a_week_has_the_newest_detector_of_the_weeks_before_it(db):
    for valid_from in ("2026-W53", "2026-W47", "2027-W02"):
        content = packaged_detector().to_json().replace('"trained_on": "', f'"trained_on": "{valid_from} ')
        scores.save_detector(db, valid_from, WEEK, f"i {valid_from}", 20, content)
    serving = {week: detector_for(db, week).trained_on[:8] for week in ("2026-W47", "2026-W52", "2027-W01", "2027-W02")}
    assert serving == {"2026-W47": "2026-W47", "2026-W52": "2026-W47", "2027-W01": "2026-W53", "2027-W02": "2027-W02"}
    assert detector_for(db, "2026-W46") == packaged_detector()


def test_the_week_after_the_last_of_a_year_is_the_first_of_the_next(db):
    assert recalibrate(db, "2026-W53", [], ROLES).valid_from == "2027-W01"


def test_open_verdicts_train_nothing(db):
    labels = [label(n) for n in range(70) if not is_kept(n)][:19] + [make_gold(f"t{n:02}", None) for n in range(60, 70)]
    assert recalibrate(db, WEEK, labels, ROLES).labels == 19


def test_recalibrating_twice_gives_the_same_detector(db):
    labels = [label(n) for n in range(70)]
    first, before = recalibrate(db, WEEK, labels, ROLES), tables(db)
    assert recalibrate(db, WEEK, labels[::-1], ROLES) == first
    assert tables(db) == before


def test_a_detector_survives_the_warehouse(db):
    recalibrate(db, WEEK, [label(n) for n in range(70)], ROLES)
    content = scores.detector_in_force(db, "2026-W46")
    assert Detector.from_json(content).to_json() == content


def test_a_label_on_a_text_that_was_delivered_anew_trains_nothing(db, tmp_path):
    usable = [n for n in range(70) if not is_kept(n)][:20]
    failed = next(n for n in usable if n % 2)
    deliver(
        db,
        tmp_path,
        make_trace(
            f"t{failed:02}",
            session_id=f"s{failed:02}",
            user_input=f"Question {failed}?",
            response="No.",
            passages=(GOOD,),
        ),
    )
    assert recalibrate(db, WEEK, [label(n) for n in usable], ROLES).labels == 19


def test_the_same_question_and_passages_in_a_gate_group_keep_a_label_from_training(db, tmp_path):
    train, gate = (next(n for n in range(70) if role_of(f"s{n:02}", ROLES) == role) for role in ("train", "gate"))
    deliver(
        db, tmp_path, make_trace("twin", session_id=f"s{gate:02}", user_input=f"question  {train}?", passages=(GOOD,))
    )
    labels = [label(n) for n in range(70) if not is_kept(n)]
    alone = recalibrate(db, WEEK, labels, ROLES).labels
    assert recalibrate(db, WEEK, [*labels, make_gold("twin", "pass")], ROLES).labels == alone - 1


def test_a_gate_case_keeps_its_group_from_training_whatever_the_shares_become(db):
    labels = [label(n) for n in range(70)]
    cases = [GoldenCase("c-1", "Anything else?", group="s00"), GoldenCase("c-2", "QUESTION  2?")]
    recalibrate(db, WEEK, labels, Roles(1, 0), cases)
    learned = detector_for(db, "2026-W46").training_groups
    assert learned & {"s00", "s02"} == set()
    assert "s04" in learned


def test_a_week_keeps_the_detector_that_its_draw_was_frozen_with(db):
    first = recalibrate(db, WEEK, [label(n) for n in range(50)], ROLES)
    db.execute("insert into draw values ('d', '2026-W46', 1, ?, '[]')", [first.instrument])
    second = recalibrate(db, WEEK, [label(n) for n in range(70)], ROLES)
    assert detector_for(db, "2026-W46").instrument.id == first.instrument != second.instrument
    assert detector_for(db, "2026-W47").instrument.id == second.instrument
