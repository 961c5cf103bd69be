"""The text tower of a family that has one, as an ONNX graph beside its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drywallqa.bundle.bundle import PROMPT_ENCODER, WEIGHTS
from drywallqa.errors import ModelError
from drywallqa.exporting.onnx_export import HALF_TOLERANCE, TOLERANCE, refer_to_weights, trace
from drywallqa.models.towers import ClipPrompted, pool_tokens
from drywallqa.text.prompt_tower import TOKENIZER, PromptTower

_TRIALS = (
    ("crack",),
    ("segment joint/tape", "a", "Where do the two boards meet, and is it taped? " * 9),
)
"""Prompts under which graph and torch are compared: two batch sizes, two lengths, one beyond the longest."""


class _Embed(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        tower, projection = self.model.text_parts()
        out: Tensor = projection(pool_tokens(tower, ids))
        return out


def export_prompts(model: ClipPrompted, folder: Path) -> float:
    """Write tokenizer and text tower of a model into a bundle's folder, in which its weights lie already.

    Returns:
        The largest difference from torch relative to the embeddings' range, after the weights were rounded.

    Raises:
        ModelError: The graph, or the tokenizer, differs from torch's.
    """
    model.save_text(folder)
    path = folder / PROMPT_ENCODER
    ids = (model.tokenize(["segment crack", "crack"]),)
    axes = {"ids": {0: "P", 1: "L"}, "embeddings": {0: "P"}}
    trace(_Embed(model.eval()), ids, path, ["ids"], ["embeddings"], axes)
    _compare(model, folder, TOLERANCE)
    refer_to_weights(path, folder / WEIGHTS)
    return _compare(model, folder, HALF_TOLERANCE)


def _compare(model: ClipPrompted, folder: Path, tolerance: float) -> float:
    """Hold the bundle's way from text to embedding, its own tokenizer included, against torch."""
    tower = PromptTower(folder / PROMPT_ENCODER, (folder / TOKENIZER).read_bytes())
    worst = 0.0
    for prompts in _TRIALS:
        with torch.no_grad():
            expected = model.encode_prompts(prompts).numpy()
        difference = np.abs(tower.embed(prompts) - expected).max()
        worst = max(worst, float(difference / max(1.0, np.abs(expected).max())))
    if not worst <= tolerance:
        raise ModelError(
            f"{folder / PROMPT_ENCODER}: differs from torch by {worst:.2g}; the export is not kept"
        )
    return worst
