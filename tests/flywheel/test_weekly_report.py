from dataclasses import replace
from datetime import timedelta

import pytest

from eval.cases import read_dataset
from eval.errors import UserError
from flywheel.labels.draws import draw_tasks
from flywheel.labels.queue import submit_label
from flywheel.labels.store import open_labels
from flywheel.phase_two import run_phase_two
from flywheel.recalibrate import detector_for
from flywheel.report.markdown import render_markdown
from flywheel.warehouse import scores
from flywheel.week import open_job
from flywheel.weekly_report import gather, rewrite_report
from tests.flywheel.made_weeks import (
    GOOD_PIPELINE,
    NEXT_WEEK,
    WEEK,
    add_traces,
    bless_pipeline,
    first_phase,
    is_bad,
    judge,
    label_week,
    make_workspace,
    number_of,
    seed_golden,
    silent,
)

FEW = range(30)
LABELS = 15


@pytest.fixture
def workspace(tmp_path):
    made = make_workspace(tmp_path, GOOD_PIPELINE, labels=LABELS)
    add_traces(tmp_path, numbers=FEW)
    first_phase(made)
    return made


@pytest.fixture
def labelled(workspace):
    """The same week after phase 2, compared with a blessed baseline."""
    seed_golden(workspace, 40)
    bless_pipeline(workspace)
    label_week(workspace)
    run_phase_two(workspace, WEEK, silent)
    return workspace


def facts_of(workspace, phase, week=WEEK):
    with open_job(workspace, week) as job:
        return gather(job, phase)


def test_the_first_report_tells_traffic_flags_and_the_draw(workspace):
    facts = facts_of(workspace, 1)
    assert (facts.traffic.traces, facts.traffic.ok, facts.traffic.error) == (30, 29, 1)
    assert sum(count for _, count, _ in facts.traffic.by_day) == 30
    bad = sum(is_bad(number) for number in FEW)
    assert facts.triage.flagged == sum(count for _, count in facts.triage.by_severity) == bad + 1
    assert sum(stratum.allocated for stratum in facts.draw.strata) == LABELS
    assert all(stratum.labelled == 0 for stratum in facts.draw.strata)
    assert (facts.rate, facts.labels, facts.golden, facts.gate, facts.recalibration) == (None,) * 5
    assert facts.next_steps[0] == "label the queue: flywheel annotate app"


def test_every_failure_is_in_a_mode_or_alone_on_the_map(workspace):
    facts = facts_of(workspace, 1)
    assert sum(mode.size for mode in facts.modes) == sum(point.mode_id is not None for point in facts.map_points)
    assert all(mode.exemplars for mode in facts.modes if mode.size)


def test_the_second_report_tells_rate_labels_growth_and_gate(labelled):
    facts = facts_of(labelled, 2)
    failed = sum(is_bad(number_of(task)) for task in draw_tasks(open_labels(labelled.labels_url), WEEK))
    assert (facts.rate.n, facts.rate.population) == (LABELS, 29)
    assert (facts.labels.drawn, facts.labels.labelled, facts.labels.open) == (LABELS, LABELS, 0)
    assert facts.labels.median_seconds == 50
    assert sum(stratum.labelled for stratum in facts.draw.strata) == LABELS
    assert len(facts.golden.added) == failed
    assert facts.golden.cases == len(read_dataset(labelled.golden_dataset).cases) == failed + 40
    assert facts.gate.verdict in ("PASS", "WARN", "INCONCLUSIVE")
    assert facts.gate.report_path == "gate/report.html"
    assert (labelled.report(WEEK) / facts.gate.report_path).exists()
    assert facts.recalibration.valid_from == NEXT_WEEK


def test_the_facts_of_both_phases_render(labelled):
    for phase in (1, 2):
        page = render_markdown(facts_of(labelled, phase))
        assert WEEK in page
        assert "None" not in page
        assert "nan" not in page.lower().split()


def test_the_detector_is_compared_with_people_by_hand(labelled):
    facts = facts_of(labelled, 2)
    threshold = facts.instrument.threshold
    with open_job(labelled, WEEK) as job:
        drawn = job.db.execute(
            "select trace_id, prediction, inclusion_probability from draw_population where position is not null"
        ).fetchall()
    hits = {True: [0.0, 0.0], False: [0.0, 0.0]}
    for trace_id, prediction, probability in drawn:
        fails = is_bad(int(trace_id[-3:]))
        hits[fails][0] += (prediction >= threshold) == fails and 1 / probability
        hits[fails][1] += 1 / probability
    assert facts.instrument.tpr.value == pytest.approx(hits[True][0] / hits[True][1])
    assert facts.instrument.tnr.value == pytest.approx(hits[False][0] / hits[False][1])
    assert facts.instrument.tpr.n + facts.instrument.tnr.n == LABELS


def test_sources_that_trained_the_detector_do_not_judge_it(labelled):
    with open_job(labelled, WEEK) as job:
        groups = job.db.execute("select group_id from draw_population where position is not null").fetchall()
        taught = replace(detector_for(job.db, WEEK), training_groups=frozenset({groups[0][0]}))
        scores.save_detector(job.db, WEEK, "2026-W44", "taught", 1, taught.to_json())
        job.db.execute("update draw set instrument = 'taught'")
        seen = sum(group == groups[0][0] for (group,) in groups)
    told = facts_of(labelled, 2).instrument
    assert told.tpr.n + told.tnr.n == LABELS - seen


def test_labels_that_came_after_the_horizon_change_nothing_in_the_report(labelled):
    before = facts_of(labelled, 2)
    store = open_labels(labelled.labels_url)
    for task in draw_tasks(store, WEEK):
        slow = judge(task).submitted_at - timedelta(hours=3)
        submit_label(store, replace(judge(task), annotator="bob", started_at=slow))
    assert replace(facts_of(labelled, 2), written_at=before.written_at) == before


def test_the_rate_of_a_week_is_shown_in_its_history_once_people_labelled_it(labelled):
    assert [week.rate for week in facts_of(labelled, 1).history] == [None]
    ((_, rate),) = [(week.week, week.rate) for week in facts_of(labelled, 2).history]
    assert rate.n == LABELS


def test_the_next_week_shows_the_week_before(labelled):
    add_traces(labelled.root, NEXT_WEEK, FEW, name="next")
    first_phase(labelled, NEXT_WEEK)
    history = facts_of(labelled, 1, NEXT_WEEK).history
    assert [(week.week, week.rate is not None) for week in history] == [(WEEK, True), (NEXT_WEEK, False)]


def test_a_half_labelled_week_says_how_many_wait(workspace):
    label_week(workspace, chosen=lambda place, _: place < 5)
    run_phase_two(workspace, WEEK, silent)
    steps = facts_of(workspace, 2).next_steps
    assert steps[0] == "10 drawn traces have no verdict yet, label them: flywheel annotate app"


def test_without_a_baseline_the_report_says_how_to_bless_the_run(workspace):
    label_week(workspace)
    run_phase_two(workspace, WEEK, silent)
    facts = facts_of(workspace, 2)
    assert facts.gate.verdict is None
    assert facts.gate.report_path is None
    assert any(f"flywheel baseline bless runs/{WEEK}-" in step for step in facts.next_steps)


def test_a_report_is_written_again_in_the_state_of_its_week(workspace):
    page = workspace.report(WEEK) / "report.md"
    first = page.read_text()
    assert rewrite_report(workspace, WEEK) == workspace.report(WEEK) / "report.html"
    assert len(page.read_text()) == len(first)
    label_week(workspace)
    run_phase_two(workspace, WEEK, silent)
    page.unlink()
    rewrite_report(workspace, WEEK)
    assert page.read_text() != first


def test_a_week_that_was_not_run_has_no_report(workspace):
    with pytest.raises(UserError, match="2026-W46 has no report yet; run phase 1 first: flywheel run --week 2026-W46"):
        rewrite_report(workspace, NEXT_WEEK)
