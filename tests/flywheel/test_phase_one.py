import duckdb
import pytest

from eval.errors import OperationalError
from flywheel.labels.draws import draw_tasks
from flywheel.labels.store import open_labels
from flywheel.phase_one import STEPS
from flywheel.sources.records import ExportedScore
from flywheel.warehouse import arrivals, spans
from tests.flywheel.made_weeks import NEXT_WEEK, WEEK, add_traces, first_phase, is_bad, make_line, make_workspace
from tests.flywheel.test_killed_run import warehouse_rows

FEW = range(30)
LATE = (30, 32, 34, 35)
"""Twelve failures: under fifteen, where UMAP begins and seconds with it."""


@pytest.fixture
def workspace(tmp_path):
    made = make_workspace(tmp_path, labels=15)
    add_traces(tmp_path, numbers=FEW)
    return made


def kinds(events):
    return {event.step: event.kind for event in events if event.step != "ingest"}


def said(events, step):
    return next(event for event in events if event.step == step)


def rows(workspace, query):
    with duckdb.connect(str(workspace.warehouse), read_only=True) as db:
        return db.execute(query).fetchall()


def test_phase_one_goes_from_files_to_tasks_and_a_report(workspace):
    events = first_phase(workspace)
    assert [event.step for event in events] == ["ingest", *(step.name for step in STEPS)]
    assert said(events, "ingest").text == "30 traces in 2026-W45 (2-8 Nov); 30 new records in 1 files, 0 rejected"
    assert said(events, "plan").text.startswith("15 of 29 traces drawn in ")
    assert said(events, "report").text == f"reports/{WEEK}/report.html"
    tasks = draw_tasks(open_labels(workspace.labels_url), WEEK)
    assert [task.purpose for task in tasks].count("random") == 15
    assert (workspace.report(WEEK) / "report.html").exists()


def test_invented_answers_are_flagged(workspace):
    first_phase(workspace)
    flagged = {
        name for (name,) in rows(workspace, "select trace_id from triage where failure_type = 'unsupported_claim'")
    }
    assert flagged == {make_line(WEEK, number)["trace_id"] for number in FEW if is_bad(number)}


def test_a_second_run_keeps_every_step_and_changes_no_row(workspace):
    first_phase(workspace)
    before = warehouse_rows(workspace.root)
    events = first_phase(workspace)
    assert set(kinds(events).values()) == {"kept"}
    assert warehouse_rows(workspace.root) == before
    assert said(events, "ingest").text.endswith("0 new records in 0 files, 0 rejected")


@pytest.mark.parametrize(
    ("more", "first"),
    [
        ("[triage]\nslow_ms = 910\n", "signals"),
        ('[scoring]\nmetrics = ["groundedness", "exact_match"]\n', "score"),
        ("[modes]\nmin_size = 4\n", "modes"),
        ("", None),
    ],
)
def test_a_changed_setting_runs_the_step_that_reads_it_and_all_after_it(workspace, more, first):
    first_phase(workspace)
    found = kinds(first_phase(make_workspace(workspace.root, labels=15, more=more)))
    names = [step.name for step in STEPS]
    kept = names[: names.index(first)] if first else names
    assert [name for name in names if found[name] == "kept"] == kept


def test_a_frozen_draw_stands_and_says_how_many_traces_came_too_late(workspace):
    first_phase(workspace)
    before = draw_tasks(open_labels(workspace.labels_url), WEEK)
    add_traces(workspace.root, numbers=LATE, name="late")
    events = first_phase(workspace)
    assert set(kinds(events).values()) == {"done"}
    assert said(events, "plan").text.endswith("stands; 4 traces came too late for it")
    assert said(events, "plan").figures["late"] == 4
    assert draw_tasks(open_labels(workspace.labels_url), WEEK) == before


def test_a_draw_that_nobody_was_shown_is_drawn_again_with_what_came_late(workspace):
    first_phase(workspace, until="plan")
    add_traces(workspace.root, numbers=LATE, name="late")
    assert said(first_phase(workspace), "plan").text.startswith("15 of 33 traces drawn")


def test_a_trace_that_was_delivered_again_keeps_the_task_that_people_saw(workspace):
    first_phase(workspace)
    before = draw_tasks(open_labels(workspace.labels_url), WEEK)
    drawn = [int(task.trace_id[-3:]) for task in before]
    path = add_traces(workspace.root, numbers=drawn, name="again")
    path.write_text(path.read_text().replace('"model": "made-1"', '"model": "made-2"'))
    first_phase(workspace)
    assert draw_tasks(open_labels(workspace.labels_url), WEEK) == before
    assert rows(workspace, "select count(*) from trace where revision = 2") == [(len(drawn),)]


def test_a_mode_keeps_its_name_from_one_week_to_the_next(workspace):
    first_phase(workspace)
    add_traces(workspace.root, NEXT_WEEK, FEW, name="next")
    first_phase(workspace, NEXT_WEEK)
    known = {name for (name,) in rows(workspace, f"select mode_id from mode_week where week = '{WEEK}'")}
    ongoing = rows(workspace, f"select mode_id from mode_week where week = '{NEXT_WEEK}' and state = 'ongoing'")
    assert ongoing
    assert {name for (name,) in ongoing} <= known


def test_an_exemplar_is_no_trace_of_the_random_draw(workspace):
    first_phase(workspace)
    tasks = draw_tasks(open_labels(workspace.labels_url), WEEK)
    random = {task.trace_id for task in tasks if task.purpose == "random"}
    exemplars = [task for task in tasks if task.purpose == "purposive"]
    assert exemplars
    assert len(exemplars) <= 3
    assert not random & {task.trace_id for task in exemplars}
    assert all(task.inclusion_probability is None and "outside every rate" in task.reason for task in exemplars)


def test_the_draw_buys_the_interval_that_it_says(workspace):
    plan = said(first_phase(workspace), "plan")
    assert 0 < plan.figures["planned_half_width"] < 0.5
    assert f"expected interval ±{plan.figures['planned_half_width'] * 100:.1f} points" in plan.text


def test_more_labels_than_traces_is_all_of_them_and_no_interval_at_all(tmp_path):
    add_traces(tmp_path, numbers=range(8))
    plan = said(first_phase(make_workspace(tmp_path, labels=50)), "plan")
    assert plan.text.startswith("8 of 8 traces drawn in ")


def test_a_week_without_traces_says_which_weeks_there_are(workspace):
    first_phase(workspace)
    with pytest.raises(OperationalError, match=r"2027-W01 holds no traces; the warehouse holds 2026-W45 to 2026-W45"):
        first_phase(workspace, "2027-W01")


def test_an_empty_landing_folder_says_where_to_put_traces(tmp_path):
    with pytest.raises(OperationalError, match=r"2026-W45 holds no traces; put trace files into .*traces"):
        first_phase(make_workspace(tmp_path))


def test_a_week_of_nothing_but_errors_has_nothing_to_label(tmp_path):
    workspace = make_workspace(tmp_path)
    add_traces(tmp_path, numbers=(20, 41, 62, 83))
    with pytest.raises(OperationalError, match="holds no trace that answered, so there is nothing to label"):
        first_phase(workspace)
    assert rows(workspace, "select name from step order by completed_at")[-1] == ("modes",)


def test_a_week_without_any_failure_has_no_modes(tmp_path):
    workspace = make_workspace(tmp_path, labels=5)
    add_traces(tmp_path, numbers=[n for n in range(20) if not is_bad(n)])
    events = first_phase(workspace)
    assert said(events, "modes").text == "none; 0 of 0 flagged traces stand alone"
    assert said(events, "enqueue").text == "5 random tasks and 0 exemplars wait"


def test_a_rejected_line_is_counted_and_the_rest_goes_on(workspace):
    path = workspace.root / "traces" / "traces.jsonl"
    path.write_text(path.read_text() + "no json\n")
    assert said(first_phase(workspace), "ingest").text.endswith("31 new records in 1 files, 1 rejected")


def give_scores(workspace, *trace_ids):
    """Scores of people that arrive alone, after the traces."""
    told = [
        (n, f"h{n}", ExportedScore(score_id=f"s{n}", trace_id=name, name="verdict", source="human", label="incorrect"))
        for n, name in enumerate(trace_ids)
    ]
    with duckdb.connect(str(workspace.warehouse)) as db:
        arrivals.append(db, "exported_score", spans.score_table(told, 9))


def test_scores_that_arrive_later_and_alone_run_the_signals_again_and_change_no_rate(workspace):
    first = first_phase(workspace)
    good = next(make_line(WEEK, number)["trace_id"] for number in FEW if not is_bad(number))
    give_scores(workspace, good)
    events = first_phase(workspace)
    assert set(kinds(events).values()) == {"done"}
    assert said(events, "signals").figures["disliked_in_export"] == 1
    assert said(events, "signals").text.endswith("1 disliked in the tool that they came from")
    assert said(events, "triage").figures == said(first, "triage").figures
    assert set(kinds(first_phase(workspace)).values()) == {"kept"}


def test_an_exemplar_is_one_that_people_disliked_where_there_is_one(tmp_path):
    workspace = make_workspace(tmp_path, labels=4)
    add_traces(tmp_path, numbers=FEW)
    first_phase(workspace, until="plan")
    drawn = {name for (name,) in rows(workspace, "select trace_id from draw_population where position is not null")}
    held = [
        [name for name in told if name not in drawn] for (told,) in rows(workspace, "select exemplars from mode_week")
    ]
    fresh = max(held, key=len)
    give_scores(workspace, fresh[-1])
    first_phase(workspace, until="plan")
    chosen = {name for (name,) in rows(workspace, "select trace_id from purposive_task")}
    assert len(fresh) > 1
    assert chosen & set(fresh) == {fresh[-1]}
