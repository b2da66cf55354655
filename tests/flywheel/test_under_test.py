from dataclasses import replace

import pytest

from eval.cases import GoldenCase
from eval.metrics import METRICS, ragas
from eval.pipeline import open_pipeline
from eval.sample import Passage, Sample
from flywheel.governance.masking import mask_of
from flywheel.settings import Governance
from flywheel.under_test import chosen_metrics, is_sent_out, mask_metric, mask_pipeline, open_under_test
from tests.eval.metrics.test_ragas import endpoint
from tests.flywheel.made_weeks import make_workspace

EMAIL, CARD = "maria.keller@example.com", "4111 1111 1111 1111"
MASKED_EMAIL, MASKED_CARD = f"[email{'█' * 17}]", f"[credit_card{'█' * 6}]"
MASK = mask_of(Governance())
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*deprecated.*:DeprecationWarning:instructor"),
    pytest.mark.filterwarnings("ignore:unclosed file .*uuid.json:ResourceWarning"),
]
NAME = "tests.flywheel.test_under_test"
SAMPLE = Sample("s1", f"Who is {EMAIL}?", f"She pays with {CARD}.", (Passage("p1", f"Ask {EMAIL}."),))


def tell(question: str) -> dict:
    """A pipeline that tells personal data."""
    return {"answer": f"Ask {EMAIL}.", "passages": [{"id": EMAIL, "text": f"Pay with {CARD}."}]}


def fail(question: str) -> dict:
    """A pipeline that names somebody while it breaks."""
    raise ValueError(f"no account for {EMAIL}")


def asked(workspace, function):
    with open_under_test(workspace, f"{NAME}:{function}") as pipeline:
        return pipeline.ask(GoldenCase("c1", "Who?"), 0)


def test_what_a_pipeline_answers_is_masked(tmp_path):
    answer = asked(make_workspace(tmp_path), "tell")
    assert answer.response == f"Ask {MASKED_EMAIL}."
    assert answer.passages == (Passage(EMAIL, f"Pay with {MASKED_CARD}."),)


def test_why_a_pipeline_gave_no_answer_is_masked(tmp_path):
    answer = asked(make_workspace(tmp_path), "fail")
    assert (answer.status, answer.reason) == ("error", f"ValueError: no account for {MASKED_EMAIL}")


def test_answers_stay_as_they_are_where_masking_is_off(tmp_path):
    workspace = make_workspace(tmp_path, more='[governance]\nredact = "off"\n')
    assert asked(workspace, "tell").response == f"Ask {EMAIL}."


def test_a_masked_pipeline_is_known_as_the_pipeline_it_is():
    with open_pipeline(f"{NAME}:tell") as pipeline:
        masked = mask_pipeline(pipeline, MASK)
        assert replace(masked, ask=pipeline.ask) == pipeline


def test_every_judge_but_the_models_on_this_machine_sees_masked_samples_only():
    assert {name for name, metric in METRICS.items() if is_sent_out(metric)} == set(ragas.NAMES.values())


def test_a_judge_that_is_not_known_yet_counts_as_sent_out():
    assert is_sent_out(replace(METRICS["groundedness"], name="a judge of next year"))


@pytest.mark.parametrize(("redact", "is_seen"), [("outputs", False), ("store", False), ("off", True)])
def test_a_judge_sees_personal_data_only_where_masking_is_off(redact, is_seen):
    with endpoint() as (judge, seen):
        metric = replace(METRICS[ragas.FAITHFULNESS], score=lambda samples: ragas.score_ragas(samples, judge))
        (score,) = mask_metric(metric, mask_of(Governance(redact=redact))).score([SAMPLE])
    assert score.sample_id == "s1"
    assert seen
    assert [(text in str(seen)) for text in (EMAIL, CARD)] == [is_seen, is_seen]


def test_the_detector_on_this_machine_sees_the_texts_as_they_are(tmp_path):
    chosen = chosen_metrics(make_workspace(tmp_path), ["groundedness", ragas.FAITHFULNESS, "token_f1"])
    assert chosen["groundedness"].score is METRICS["groundedness"].score
    assert chosen["token_f1"] is METRICS["token_f1"]
    assert chosen[ragas.FAITHFULNESS].score is not METRICS[ragas.FAITHFULNESS].score
