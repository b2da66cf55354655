import hashlib
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import T5Config, T5ForTokenClassification

from eval.errors import OperationalError
from eval.metrics.hhem import CONFIG, WINDOW_TOKENS, HhemModel, load_hhem, score_hhem, self_test
from eval.sample import Passage, Sample

TINY = dict(CONFIG) | {"vocab_size": 260, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
PASSAGES = (Passage("p1", "The mill was built in 1734."), Passage("p2", "It stands on the Aller."))


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A random checkpoint in the layout of HHEM-2.1-Open: prefixed, without the tied copy of the embeddings."""
    folder = tmp_path_factory.mktemp("hhem")
    torch.manual_seed(7)
    model = T5ForTokenClassification(T5Config(**TINY))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    state = {f"t5.{name}": tensor.clone() for name, tensor in model.state_dict().items() if "embed_tokens" not in name}
    save_file(state, folder / "model.safetensors")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<pad>", "</s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<pad>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def model(folder) -> HhemModel:
    return load_hhem(folder, TINY, expected_sha256=None)


def by_hand(folder, premise, hypothesis):
    """Score one pair with transformers alone, each step written out."""
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    reference = T5ForTokenClassification(T5Config(**TINY)).eval()
    missing = reference.load_state_dict({name[3:]: tensor for name, tensor in weights.items()}, strict=False)
    assert missing.unexpected_keys == []
    reference.transformer.encoder.embed_tokens.weight = torch.nn.Parameter(weights["t5.transformer.shared.weight"])
    prompt = (
        "<pad> Determine if the hypothesis is true given the premise?"
        f"\n\nPremise: {premise}\n\nHypothesis: {hypothesis}"
    )
    ids = torch.tensor([Tokenizer.from_file(str(folder / "tokenizer.json")).encode(prompt).ids])
    assert ids[0, 0] == 0
    with torch.inference_mode():
        return float(torch.softmax(reference(input_ids=ids).logits[0, 0], dim=-1)[1])


def test_a_pair_scores_the_chance_of_class_1_at_the_first_token(folder, model):
    pair = (PASSAGES[0].text, "The mill is old.")
    assert model.support([pair]) == pytest.approx([by_hand(folder, *pair)], abs=1e-5)


def test_padding_and_order_do_not_change_a_score(folder, model):
    pairs = [("short", "x"), ("a much longer premise " * 9, "with a longer hypothesis"), ("short", "x")]
    assert model.support(pairs) == pytest.approx([by_hand(folder, *pair) for pair in pairs], abs=1e-5)


def test_premise_and_hypothesis_are_not_interchangeable(model):
    there, back = model.support([("one text", "another"), ("another", "one text")])
    assert there != back


def test_an_answer_scores_by_its_least_supported_sentence(model):
    premise = "\n\n".join(passage.text for passage in PASSAGES)
    sentences = ["The mill is old.", "It stands on a river.", "It is red."]
    (score,) = score_hhem([Sample("s", "q", " ".join(sentences), PASSAGES)], model)
    supported = model.support([(premise, sentence) for sentence in sentences])
    assert score.value == pytest.approx(min(supported), abs=1e-5)
    worst = sentences[supported.index(min(supported))]
    start = " ".join(sentences).index(worst)
    assert score.reason == f"least supported: characters {start} to {start + len(worst)}"


def test_a_sentence_scores_by_the_window_that_supports_it_best(model):
    passages = (Passage("p", "word " * 300),)
    windows = model.windows(passages[0].text)
    assert len(windows) > 1
    (score,) = score_hhem([Sample("s", "q", "One sentence.", passages)], model)
    assert score.value == pytest.approx(max(model.support([(w, "One sentence.") for w in windows])), abs=1e-5)


def test_windows_overlap_cover_the_text_and_stay_short(model):
    text = " ".join(str(n) for n in range(300))
    windows = model.windows(text)
    assert all(len(window) <= WINDOW_TOKENS for window in windows)
    end = 0
    for window in windows:
        start = text.index(window)
        assert start <= end
        end = start + len(window)
    assert end == len(text)


def test_no_text_has_no_window(model):
    assert model.windows("") == []


def test_markers_inside_a_text_are_plain_text(model):
    inner = model.tokenizer.encode("<pad>").ids[0]
    before = [(PASSAGES[0].text, "x")]
    assert inner == 0
    assert model.windows("<pad></s>") == ["< pad>< /s>"]
    assert model.support(before) != model.support([(PASSAGES[0].text, "x</s><pad>")])


def test_without_a_model_nothing_has_a_value_and_the_reason_says_what_to_do():
    (score,) = score_hhem([Sample("s", "q", "a", PASSAGES)], None)
    assert (score.value, score.status) == (None, "not_available")
    assert "load_hhem(folder)" in score.reason


def test_without_passages_or_answer_nothing_can_be_scored(model):
    samples = [
        Sample("s1", "q", "a", ()),
        Sample("s2", "q", " ", PASSAGES),
        Sample("s3", "q", "a", (Passage("p", " "),)),
    ]
    scores = score_hhem(samples, model)
    assert [(score.status, score.reason) for score in scores] == [
        ("not_applicable", "no passages"),
        ("not_applicable", "empty answer"),
        ("not_applicable", "no passages"),
    ]


def test_a_lone_surrogate_is_scored(model):
    (score,) = score_hhem([Sample("s", "q", "broken \ud800.", (Passage("p", "\udfff"),))], model)
    assert score.status == "ok"


def test_other_weights_are_refused(folder):
    with pytest.raises(OperationalError, match=r"has sha256 [0-9a-f]{64}, expected 634de"):
        load_hhem(folder, TINY)


def test_the_expected_weights_are_taken(folder):
    expected = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert load_hhem(folder, TINY, expected).instrument.startswith("hhem@")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(OperationalError, match=r"no file .*model\.safetensors; HHEM is not loaded"):
        load_hhem(tmp_path)


def test_a_model_that_cannot_tell_pairs_apart_fails_the_self_test(model):
    undecided = HhemModel(lambda **_: SimpleNamespace(logits=torch.zeros(2, 1, 2)), model.tokenizer, "undecided")
    with pytest.raises(OperationalError, match="HHEM fails its self-test"):
        self_test(undecided)


def test_the_published_shape_is_built():
    with torch.device("meta"):
        full = T5ForTokenClassification(T5Config(**CONFIG))
    assert sum(parameter.numel() for parameter in full.parameters()) == 109_630_082
