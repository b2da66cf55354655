"""HHEM-2.1-Open (Vectara, Apache-2.0): how far the passages support an answer, from 0 to 1; English only.

The weights are read into the stock T5 encoder of `transformers`; no code from the model's repository runs
and nothing is downloaded. They score (premise, hypothesis) pairs: here each sentence of the answer against
windows of the passages. A sentence counts by the window that supports it best, an answer by its worst
sentence. The usual boundary of 0.5 misses many unsupported answers; calibrate it on labels.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any

from eval.embedding import length_batches, readable, sha256_of
from eval.errors import OperationalError
from eval.sample import Instrument, Sample, Score
from eval.sentences import split_sentences

NAME = "hhem"
CODE_VERSION = "1"
WEIGHTS_SHA256 = "634de18a38cf1e991c1acd0f7a9e0d30f7ea187fba42bb4798f862d3edd31e72"
PROMPT = (
    "<pad> Determine if the hypothesis is true given the premise?\n\nPremise: {premise}\n\nHypothesis: {hypothesis}"
)
CONSISTENT = 1
"""The class of the first token that says: supported."""
WINDOW_TOKENS = 400
OVERLAP_TOKENS = 50
MARKER = re.compile(r"<(/?(?:pad|s|unk|extra_id_\d+))>")
TOKENS_PER_BATCH = 4096

CONFIG: Mapping[str, Any] = MappingProxyType(
    {
        "vocab_size": 32128,
        "d_model": 768,
        "d_kv": 64,
        "d_ff": 2048,
        "num_layers": 12,
        "num_heads": 12,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
        "feed_forward_proj": "gated-gelu",
        "dropout_rate": 0.0,
        "tie_word_embeddings": False,
        "num_labels": 2,
    }
)
"""flan-t5-base as HHEM uses it: the encoder with a classifier on each token."""

SELF_TEST = (
    ("The bridge was opened in 1932 and is 503 metres long.", "The bridge was opened in 1932.", True),
    ("The bridge was opened in 1932 and is 503 metres long.", "The bridge was painted red by students.", False),
)
"""Pairs of our own with the side of 0.5 that they must fall on."""

HOW_TO_GET = (
    "HHEM is not loaded; put model.safetensors of vectara/hallucination_evaluation_model and tokenizer.json of "
    "google/flan-t5-base into one folder and load it with load_hhem(folder)"
)


@dataclass(frozen=True, slots=True)
class HhemModel:
    """A loaded checkpoint: its classifier, its tokenizer and the id of the instrument they make."""

    classifier: Any
    tokenizer: Any
    instrument: str

    def support(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Give each (premise, hypothesis) pair its probability of being supported; equal pairs are scored once."""
        import torch

        distinct = list(dict.fromkeys(pairs))
        prompts = [PROMPT.format(premise=plain(one), hypothesis=plain(two)) for one, two in distinct]
        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch(prompts)]
        found: dict[tuple[str, str], float] = {}
        with torch.inference_mode():
            for batch in length_batches([len(ids) for ids in tokens], TOKENS_PER_BATCH):
                rows = [torch.tensor(tokens[place]) for place in batch]
                ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
                lengths = torch.tensor([len(row) for row in rows])
                mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
                logits = self.classifier(input_ids=ids, attention_mask=mask).logits[:, 0, :]
                chances = torch.softmax(logits, dim=-1)[:, CONSISTENT].tolist()
                found.update(zip((distinct[place] for place in batch), chances, strict=True))
        return [found[pair] for pair in pairs]

    def windows(self, text: str) -> list[str]:
        """Cut a text into overlapping windows of about 400 tokens."""
        text = plain(text)
        offsets = self.tokenizer.encode(text, add_special_tokens=False).offsets
        starts = range(0, max(len(offsets) - OVERLAP_TOKENS, 1), WINDOW_TOKENS - OVERLAP_TOKENS)
        spans = [offsets[start : start + WINDOW_TOKENS] for start in starts]
        return [text[span[0][0] : span[-1][1]] for span in spans if span]


def load_hhem(
    folder: Path, config: Mapping[str, Any] = CONFIG, expected_sha256: str | None = WEIGHTS_SHA256
) -> HhemModel:
    """Load `model.safetensors` and `tokenizer.json` of a folder; nothing is downloaded or executed.

    Raises OperationalError where a file is missing, where the weights are not those of `expected_sha256` (None
    takes any), or where the published weights fail a self-test, as they would with a wrong tokenizer.
    """
    weights, vocabulary = folder / "model.safetensors", folder / "tokenizer.json"
    for path in (weights, vocabulary):
        if not path.is_file():
            raise OperationalError(f"no file {path}; {HOW_TO_GET}")
    found = sha256_of(weights)
    if expected_sha256 is not None and found != expected_sha256:
        raise OperationalError(
            f"{weights} has sha256 {found}, expected {expected_sha256}; fetch the file of HHEM-2.1-Open again"
        )
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from transformers import T5Config, T5ForTokenClassification

    classifier = T5ForTokenClassification(T5Config(**config))
    state = {name.removeprefix("t5."): tensor for name, tensor in load_file(weights).items()}
    # The checkpoint leaves out this tied copy; left unset it would be random and the scores silently wrong.
    state["transformer.encoder.embed_tokens.weight"] = state["transformer.shared.weight"]
    classifier.load_state_dict(state, strict=True)
    tokenizer = Tokenizer.from_file(str(vocabulary))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    settings = f"{PROMPT}|{WINDOW_TOKENS}|{OVERLAP_TOKENS}|{sha256_of(vocabulary)}"
    settings_sha256 = hashlib.sha256(settings.encode()).hexdigest()
    instrument = Instrument(NAME, CODE_VERSION, found, settings_sha256, "HHEM-2.1-Open as published").id
    model = HhemModel(classifier.eval(), tokenizer, instrument)
    if found == WEIGHTS_SHA256:
        self_test(model)
    return model


def self_test(model: HhemModel) -> None:
    """Raise OperationalError where the model puts a pair of SELF_TEST on the wrong side of 0.5."""
    chances = model.support([(premise, hypothesis) for premise, hypothesis, _ in SELF_TEST])
    for (_, hypothesis, expected), chance in zip(SELF_TEST, chances, strict=True):
        if (chance >= 0.5) != expected:
            side = "above" if expected else "below"
            raise OperationalError(
                f"HHEM fails its self-test: {hypothesis!r} scores {chance:.3f}, expected {side} 0.5; "
                "check that tokenizer.json is the one of google/flan-t5-base"
            )


def score_hhem(samples: Sequence[Sample], model: HhemModel | None) -> list[Score]:
    """Score each answer by its least supported sentence, whose place `reason` gives; without a model, none."""
    if model is None:
        instrument = Instrument(NAME, CODE_VERSION, WEIGHTS_SHA256, "", "HHEM-2.1-Open as published").id
        return [Score(sample.id, NAME, None, "not_available", HOW_TO_GET, instrument) for sample in samples]
    return [score_sample(sample, model) for sample in samples]


def score_sample(sample: Sample, model: HhemModel) -> Score:
    """Score one answer."""
    started = perf_counter()
    sentences = split_sentences(sample.response)
    windows = model.windows("\n\n".join(passage.text for passage in sample.passages if passage.text.strip()))
    if not sentences or not windows:
        reason = "empty answer" if not sentences else "no passages"
        return Score(sample.id, NAME, None, "not_applicable", reason, model.instrument)
    chances = iter(model.support([(window, sentence.text) for sentence in sentences for window in windows]))
    supported = [max(next(chances) for _ in windows) for _ in sentences]
    worst = min(range(len(sentences)), key=supported.__getitem__)
    place = f"least supported: characters {sentences[worst].start} to {sentences[worst].end}"
    return Score(sample.id, NAME, supported[worst], "ok", place, model.instrument, perf_counter() - started)


def plain(text: str) -> str:
    """Break up what the tokenizer would take for its own markers, and what it would refuse."""
    return MARKER.sub(r"< \1>", readable(text))
