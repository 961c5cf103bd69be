"""The text side of a bundle: the run's own or another one, and a text tower as a graph where there is one."""

from __future__ import annotations

from pathlib import Path

import torch

from drywallqa.bundle.bundle import PROMPT_ENCODER, WEIGHTS, Bundle, save_head
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import ConfigError, ModelError
from drywallqa.exporting.onnx_export import (
    HALF_TOLERANCE,
    TOLERANCE,
    ModelPart,
    refer_to_weights,
    relative_difference,
    trace,
)
from drywallqa.models.towers import ClipPrompted, pool_tokens
from drywallqa.text.prompt_tower import TOKENIZER, PromptTower
from drywallqa.text.text_side import SPACE, TextSide

_TRIALS = (
    ("crack",),
    ("segment joint/tape", "a", "Where do the two boards meet, and is it taped? " * 9),
)
"""Prompts under which graph and torch are compared: two batch sizes, two lengths, one beyond the longest."""


def load_text_side(own: Path, other: Path | None, dataset: Dataset) -> TextSide:
    """Load the text side of a run or bundle, or another one in its place.

    The other gets the concepts of the own, and learns their meaning from the shipped phrases and the data
    set's. If the own one is also given as the other, it learns phrases that came later.

    Args:
        own: The folder of the own text side.
        other: The folder of another, or None.
        dataset: The data set, whose phrasings of the own text side's concepts count.

    Raises:
        ConfigError: The other was trained in another text space, which the decoder cannot read.
        BundleError: One is missing or damaged.
    """
    text = TextSide.load(own)
    if other is None:
        return text
    spaces = [
        (folder / SPACE).read_bytes() if (folder / SPACE).is_file() else None for folder in (own, other)
    ]
    if spaces[0] != spaces[1]:
        raise ConfigError(
            f"--text {other}: trained in another text space than {own}, so that the decoder would misread "
            f"every prompt; train it with 'drywallqa train-text --space {own / SPACE}'"
        )
    phrasings = {name: dataset.concepts.get(name, ()) for name in text.concepts}
    return TextSide.load(other).with_concepts(phrasings)


def replace_text(bundle: Bundle, text: TextSide) -> Bundle:
    """Put a text side that `load_text_side` returned into a bundle's folder."""
    text.save(bundle.folder)
    return save_head(bundle)


def export_prompts(model: ClipPrompted, folder: Path) -> float:
    """Write tokenizer and text tower of a model into a bundle's folder, in which its weights lie already.

    Returns:
        The largest difference from torch relative to the embeddings' range, after the weights were rounded.

    Raises:
        ModelError: The graph, or the tokenizer, differs from torch's.
    """

    def embed(ids: torch.Tensor) -> torch.Tensor:
        tower, projection = model.text_parts()
        embeddings: torch.Tensor = projection(pool_tokens(tower, ids))
        return embeddings

    model.save_text(folder)
    path = folder / PROMPT_ENCODER
    ids = (model.tokenize(["segment crack", "crack"]),)
    axes = {"ids": {0: "P", 1: "L"}, "embeddings": {0: "P"}}
    trace(ModelPart(model.eval(), embed), ids, path, ["ids"], ["embeddings"], axes)
    _compare(model, folder, TOLERANCE)
    refer_to_weights(path, folder / WEIGHTS)
    return _compare(model, folder, HALF_TOLERANCE)


def _compare(model: ClipPrompted, folder: Path, tolerance: float) -> float:
    """Compare the bundle's embeddings of prompts, by its own tokenizer, with torch's."""
    tower = PromptTower(folder / PROMPT_ENCODER, (folder / TOKENIZER).read_bytes())
    with torch.no_grad():
        worst = max(
            relative_difference(tower.embed(prompts), model.encode_prompts(prompts).numpy())
            for prompts in _TRIALS
        )
    if not worst <= tolerance:
        raise ModelError(
            f"{folder / PROMPT_ENCODER}: differs from torch by {worst:.2g}; the export is not kept"
        )
    return worst
