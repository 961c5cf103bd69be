"""Segments photos with a published model that needs no training. All thresholds are 0.5."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from drywallqa.errors import ModelError, PhotoError
from drywallqa.imaging import mask_files
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.wrapped_model import WrappedModel
from drywallqa.models import registry
from drywallqa.models.contract import PromptedModel
from drywallqa.models.torch_backend import TorchBackend


def open_published(
    name: str, weights: Path | None = None, options: Mapping[str, Any] | None = None, size: int | None = None
) -> Segmenter:
    """Open a published model.

    Args:
        name: Name of a model family that needs no training.
        weights: Folder with the weights. If None, use the model hub cache.
        options: Options of the model family.
        size: Input side in px. If None, use the family's default.

    Raises:
        ModelError: The family is unknown or needs training, or its weights are missing or do not fit.
    """
    family = registry.find_family(name, options)
    if not family.open_vocabulary:
        able = [other.name for other in registry.FAMILIES.values() if other.open_vocabulary]
        raise ModelError(
            f"{name} must be trained before use: drywallqa train --model {name}; "
            f"families that need no training: {' and '.join(able)}"
        )
    folders = registry.find_weights(name, weights)
    model: PromptedModel = registry.create_model(name, **(options or {}))
    model.load_pretrained(folders)
    backend, letterbox = TorchBackend(model.eval()), family.letterbox(size or family.default_side)
    return Segmenter(WrappedModel(name, letterbox, {}, backend, vocabulary="open"))


def segment_published(
    segmenter: Segmenter, photos: Sequence[Path], prompts: Sequence[str], out: Path
) -> Iterator[tuple[Path, Prediction] | PhotoError]:
    """Segment every photo with every prompt, and write the masks to a folder.

    Yields:
        The path of each mask with its prediction, or an error for each photo that cannot be read.

    Raises:
        PromptError: A prompt cannot be used.
        OutputError: A mask cannot be written.
    """
    queries = segmenter.ask_for((prompt, None) for prompt in prompts)
    for photo in photos:
        try:
            for prediction in segmenter.answer(photo, queries, keep_probability=False):
                file = out / mask_files.file_name(prediction.image_id, prediction.prompt)
                mask_files.write_mask_file(file, prediction.mask)
                yield file, prediction
        except PhotoError as error:
            yield error
