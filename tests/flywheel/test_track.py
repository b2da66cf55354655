from dataclasses import replace

import pytest

from eval.errors import UserError
from flywheel.track import PARTS, numbers, texts, track_week, week_run
from flywheel.warehouse.steps import finish_step
from flywheel.week import Job, open_job
from tests.flywheel.made_weeks import NEXT_WEEK, WEEK, make_workspace

pytestmark = pytest.mark.filterwarnings("ignore")

FIGURES = {
    (1, "plan"): {"draw_id": "d-1"},
    (1, "triage"): {"flagged": 12, "flagged_share": 0.4, "by_type": [["slow", 2]]},
    (2, "collect"): {"labelled": 15},
    (2, "estimate"): {"value": 0.4, "low": 0.3, "high": 0.5, "instrument": "groundedness@1", "note": ""},
    (2, "grow"): {"version": "g-1", "added": 3},
    (2, "gate"): {"verdict": "PASS"},
}


@pytest.fixture
def laid_out(tmp_path):
    workspace = make_workspace(tmp_path, is_tracked=True)

    def told(figures=FIGURES, week=WEEK, do=week_run):
        with open_job(workspace, week) as job:
            for (phase, name), said in figures.items():
                finish_step(job.db, week, phase, name, "x", {"text": "", "figures": said}, 0.0)
            return do(Job(workspace, week, job.db, job.labels, "inputs"))

    return told


def test_the_weeks_run_carries_the_rate_with_its_interval(laid_out):
    run = laid_out()
    rate = run.metrics["failure_rate"]
    assert (rate.value, rate.low, rate.high) == (0.4, 0.3, 0.5)
    assert run.metrics["flagged_share"].value == 0.4
    assert run.metrics["labelled"].value == 15
    told = {"draw": "d-1", "instrument": "groundedness@1", "golden_version": "g-1", "verdict": "PASS"}
    assert dict(run.params) == told


def test_each_part_that_has_figures_is_a_child(laid_out):
    run = laid_out()
    assert [child.name for child in run.children] == [
        f"{WEEK} {name}" for _, name in PARTS if any(name == n for _, n in FIGURES)
    ]
    triage = run.children[0]
    assert {name: figure.value for name, figure in triage.metrics.items()} == {"flagged": 12, "flagged_share": 0.4}
    assert triage.tags == {"week": WEEK, "part": "triage"}


def test_the_same_figures_are_the_same_run_and_others_are_not(laid_out):
    first = laid_out()
    assert laid_out().fingerprint == first.fingerprint
    changed = laid_out({(2, "collect"): {"labelled": 16}})
    assert changed.fingerprint != first.fingerprint
    before, after = ({child.name: child.fingerprint for child in run.children} for run in (first, changed))
    assert [name for name in before if before[name] != after[name]] == [f"{WEEK} collect"]


def test_weeks_follow_each_other_on_the_axis(laid_out):
    assert laid_out(week=NEXT_WEEK).step == laid_out().step + 1


def test_a_week_is_logged_once_however_often(laid_out, tmp_path):
    first = laid_out(do=track_week)
    assert laid_out(do=track_week) == first
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("flywheel").experiment_id
    runs = client.search_runs([experiment])
    assert len(runs) == 1 + 5
    assert first.text == f"run {first.figures['run_id'][:8]} in flywheel (sqlite:///mlflow.db)"


def test_a_week_is_logged_beyond_this_machine_only_where_allow_egress_says_so(tmp_path):
    workspace = make_workspace(tmp_path, is_tracked=True)
    away = workspace.settings.tracking.model_copy(update={"uri": "https://mlflow.invalid/api"})
    settings = workspace.settings.model_copy(update={"tracking": away})
    with (
        open_job(replace(workspace, settings=settings), WEEK) as job,
        pytest.raises(UserError, match=r"tracking\.uri is https://mlflow\.invalid, and nothing is sent there"),
    ):
        track_week(job)


def test_tracking_can_be_off(tmp_path):
    with open_job(make_workspace(tmp_path), WEEK) as job:
        assert track_week(job).text == "off by [tracking] enabled"
    assert not (tmp_path / "mlflow.db").exists()


def test_only_plain_numbers_and_texts_are_told():
    figures = {"a": 1, "b": 0.5, "c": None, "d": "word", "e": "", "f": [1], "g": {"h": 1}}
    assert numbers(figures) == {"a": 1.0, "b": 0.5}
    assert texts(figures) == {"d": "word"}


def test_texts_are_masked_before_they_are_logged(laid_out):
    run = laid_out({(2, "gate"): {"verdict": "PASS", "headline": "ask maria.keller@example.com"}})
    (gate,) = run.children
    assert gate.params["headline"] == f"ask [email{'█' * 17}]"


def test_what_is_masked_otherwise_is_another_run(tmp_path):
    prints = []
    for redact in ("outputs", "off"):
        more = f'[governance]\nredact = "{redact}"\n'
        workspace = make_workspace(tmp_path / redact, more=more, is_tracked=True)
        with open_job(workspace, WEEK) as job:
            finish_step(job.db, WEEK, 2, "gate", "x", {"text": "", "figures": {"verdict": "PASS"}}, 0.0)
            prints.append(week_run(Job(workspace, WEEK, job.db, job.labels, "inputs")).fingerprint)
    assert len(set(prints)) == 2
