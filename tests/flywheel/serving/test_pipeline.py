from dataclasses import replace
from pathlib import Path

import pytest

from eval.errors import UserError
from flywheel.serving.answer import ABSTENTION
from flywheel.serving.corpus import Chunk
from flywheel.serving.index import build_index, open_index
from flywheel.serving.pipeline import RagPipeline, check_embedder, open_pipeline
from flywheel.settings import Serving, Settings
from flywheel.workspace import Workspace

from .conftest import CHUNKS, hash_words


def test_an_answer_carries_its_passages_and_what_it_took(pipeline: RagPipeline):
    answer = pipeline.answer("When does the trial of the Plus plan end?")
    assert answer.response == CHUNKS[1].text
    assert answer.passages[0].passage.id == "trial"
    assert len(answer.passages) == pipeline.top_k
    assert answer.latency_ms > 0
    assert (answer.model, answer.prompt_version, answer.input_tokens) == ("extractive", "v1", None)


def test_top_k_can_be_varied(pipeline: RagPipeline):
    assert len(replace(pipeline, top_k=1).answer("When does the trial end?").passages) == 1


def test_given_passages_take_the_place_of_a_search(pipeline: RagPipeline):
    given = [Chunk("x", "The trial of the Plus plan ends after 99 days.", "", ""), Chunk("y", "Other.", "", "")]
    answer = pipeline.answer("When does the trial of the Plus plan end?", given)
    assert answer.response == given[0].text
    assert [hit.passage for hit in answer.passages] == given
    assert answer.passages[0].score > answer.passages[1].score


def test_no_given_passages_mean_no_answer(pipeline: RagPipeline):
    assert pipeline.answer("When does the trial end?", []).response == ABSTENTION


def test_a_workspace_opens_as_its_settings_say(tmp_path: Path, minilm):
    build_index(tmp_path / "index", CHUNKS, minilm)
    opened = open_pipeline(Workspace(tmp_path, Settings(serving=Serving(top_k=1))))
    answer = opened.answer("How long until I get my money back?")
    opened.index.close()
    assert answer.response == "A refund takes five working days."
    assert len(answer.passages) == 1


def test_an_index_of_another_embedder_is_refused(pipeline: RagPipeline, minilm):
    for other in (minilm, lambda texts: hash_words([f"{text} x y z x y z" for text in texts])):
        with pytest.raises(UserError, match="another embedder built this index"):
            check_embedder(pipeline.index, other)
    check_embedder(pipeline.index, hash_words)


def test_opening_an_index_of_another_embedder_lets_go_of_it(tmp_path: Path, index_folder: Path):
    with pytest.raises(UserError, match="another embedder built this index"):
        open_pipeline(Workspace(tmp_path, Settings()))
    open_index(index_folder).close()


@pytest.mark.parametrize(
    ("serving", "message"),
    [
        (Serving(endpoint="https://api.example.org/v1", model="m"), "allow_egress"),
        (Serving(endpoint="http://127.0.0.1:1/v1"), r"serving\.model"),
        (Serving(endpoint="http://127.0.0.1:1/v1", model="m", prompt_version="v0"), "no such prompt; known: v1"),
        (Serving(qdrant_url="https://qdrant.example.org"), r"serving\.qdrant_url"),
        (Serving(), "flywheel corpus ingest"),
    ],
)
def test_what_is_missing_is_said_before_anything_runs(tmp_path: Path, serving: Serving, message: str):
    with pytest.raises(UserError, match=message):
        open_pipeline(Workspace(tmp_path, Settings(serving=serving)))
