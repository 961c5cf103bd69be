"""A family tried as it was published: nothing is trained, and all thresholds are 0.5."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from drywallqa.backend import Float
from drywallqa.errors import ModelError, PhotoError
from drywallqa.imaging import mask_files
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.wrapped_model import WrappedModel
from drywallqa.models import registry
from drywallqa.models.contract import PromptedModel, check_prompts
from drywallqa.models.torch_backend import TorchBackend


@dataclass(frozen=True)
class PublishedAnswer:
    """One photo under one prompt, or what kept it from being read.

    Attributes:
        photo: The photo's file.
        prompt: As it was given; empty where the photo failed.
        file: The mask's file.
        presence: The model's belief that it is there, 0–1.
        share: Share of the photo that is marked.
        error: Why the photo failed.
    """

    photo: Path
    prompt: str = ""
    file: Path | None = None
    presence: float = 0.0
    share: float = 0.0
    error: PhotoError | None = None


class PublishedModel:
    """A published model, ready to be asked.

    Args:
        name: A family that needs no training.
        weights: Folder of its weights; the model hub's cache where None.
        options: The family's own options.
        size: Input side in px; the family's own where None.

    Raises:
        ModelError: The family is not known or means nothing untrained, or weights are missing or do not fit.
    """

    def __init__(
        self,
        name: str,
        weights: Path | None = None,
        options: Mapping[str, Any] | None = None,
        size: int | None = None,
    ) -> None:
        family = registry.find_family(name, options)
        if not family.open_vocabulary:
            able = [other.name for other in registry.FAMILIES.values() if other.open_vocabulary]
            raise ModelError(
                f"{name} means nothing before it was trained: drywallqa train --model {name}; "
                f"without training there are {' and '.join(able)}"
            )
        folders = registry.find_weights(name, weights)
        model: PromptedModel = registry.create_model(name, **(options or {}))
        model.load_pretrained(folders)
        backend = TorchBackend(model.eval(), lambda asked: _embed(model, asked))
        window = family.letterbox(size or family.default_side)
        self.segmenter = Segmenter(WrappedModel(name, window, {}, backend, vocabulary="open"))

    def ask(self, files: Sequence[Path], asked: Sequence[str], out: Path) -> Iterator[PublishedAnswer]:
        """Write a mask of every photo under every prompt; a bad photo costs its own answer alone.

        Raises:
            PromptError: There is no prompt, or one cannot be used.
            OutputError: A mask cannot be written.
        """
        check_prompts(asked)
        questions = self.segmenter.ask_for((prompt, None) for prompt in asked)
        for file in files:
            try:
                answers = self.segmenter.answer(file, questions, keep_probability=False)
            except PhotoError as error:
                yield PublishedAnswer(file, error=error)
                continue
            for answer in answers:
                target = out / mask_files.file_name(answer.image_id, answer.prompt)
                mask_files.write_mask_file(target, answer.mask)
                yield PublishedAnswer(file, answer.prompt, target, answer.presence, answer.area)


def _embed(model: PromptedModel, asked: Sequence[str]) -> Float:
    with torch.inference_mode():
        embedded: Float = model.encode_prompts(list(asked)).numpy()
    return embedded
