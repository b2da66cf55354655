import subprocess
import sys
from pathlib import Path

import pytest

from eval.errors import UserError
from eval.metrics import METRICS, score_metric, with_models
from eval.metrics.ragas import JudgeEndpoint
from eval.sample import Passage, Sample

SAMPLE = Sample(
    "s",
    "When was the mill built?",
    "The mill was built in 1734.",
    (Passage("p", "The mill was built in 1734."),),
    "In 1734.",
    ("p",),
    True,
)
BARE = Sample("bare", "", "", ())


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_scores_each_sample_once_in_order_and_names_its_instrument(name):
    scores = score_metric(name, [SAMPLE, BARE])
    assert [score.sample_id for score in scores] == ["s", "bare"]
    assert {score.metric for score in scores} == {name}
    assert all(score.instrument.startswith(f"{name}@") for score in scores)


@pytest.mark.parametrize("name", METRICS)
def test_a_value_is_missing_exactly_where_the_status_is_not_ok(name):
    for score in score_metric(name, [SAMPLE, BARE]):
        assert (score.value is None) == (score.status != "ok")
        assert score.value is not None or score.reason


@pytest.mark.parametrize("name", METRICS)
def test_no_samples_give_no_scores(name):
    assert score_metric(name, []) == []


def test_what_needs_no_model_from_elsewhere_scores_out_of_the_box():
    without = {name for name in METRICS if score_metric(name, [SAMPLE])[0].status != "ok"}
    assert without == {"hhem", "ragas_faithfulness", "ragas_answer_relevancy"}


def test_an_unknown_metric_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match=r"no metric 'f1'; choose one of abstention_correct, .*token_f1"):
        score_metric("f1", [SAMPLE])


def test_a_judge_reaches_the_metrics_that_need_one(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    metrics = with_models(judge=JudgeEndpoint("http://127.0.0.1:9/v1", "m", "NO_SUCH_KEY"))
    assert list(metrics) == list(METRICS)
    for name in ("ragas_faithfulness", "ragas_answer_relevancy"):
        assert "NO_SUCH_KEY" in score_metric(name, [SAMPLE], metrics)[0].reason


def test_the_table_loads_no_heavy_library():
    heavy = ("torch", "transformers", "ragas", "sklearn", "tokenizers")
    code = f"import sys, eval.metrics; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3]).returncode == 0
