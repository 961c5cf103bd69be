"""A family tried as it was published: weights, photos, prompts, masks; nothing is trained or chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drywallqa import masks, photos, prompts
from drywallqa.errors import ModelError, PhotoError
from drywallqa.models import registry
from drywallqa.models.contract import PromptedModel, check_prompts
from drywallqa.models.torch_backend import TorchBackend
from drywallqa.window import Window, sigmoid

THRESHOLD = 0.5
"""Of mask and presence: without validation there is nothing that could have chosen others."""


@dataclass(frozen=True)
class Answer:
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


class Trial:
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
        family = registry.find_for(name, options or {})
        if not family.open_vocabulary:
            able = [other.name for other in registry.FAMILIES.values() if other.open_vocabulary]
            raise ModelError(
                f"{name} means nothing before it was trained: drywallqa train --model {name}; "
                f"without training there are {' and '.join(able)}"
            )
        folders = registry.find_weights(name, weights)
        model: PromptedModel = registry.create(name, **(options or {}))
        model.load_pretrained(folders)
        self.model = model.eval()
        self.window: Window = family.window(size or family.default_side)

    def ask(self, files: Sequence[Path], asked: Sequence[str], out: Path) -> Iterator[Answer]:
        """Write a mask of every photo under every prompt; a bad photo costs its own answer alone.

        Raises:
            PromptError: There is no prompt, or one cannot be used.
            OutputError: A mask cannot be written.
        """
        check_prompts(asked)
        with torch.inference_mode():
            embeddings = self.model.encode_prompts([prompts.clean(prompt) for prompt in asked]).numpy()
        backend = TorchBackend(self.model, lambda _: embeddings)
        for file in files:
            try:
                image, placement = self.window.fit(photos.read(file))
            except PhotoError as error:
                yield Answer(file, error=error)
                continue
            logits, presence = backend.decode(backend.encode_image(image[None]), embeddings)
            beliefs = sigmoid(presence[0])
            for row, prompt in enumerate(asked):
                mask = sigmoid(placement.restore(logits[0, row])) > np.float32(THRESHOLD)
                if beliefs[row] < THRESHOLD:
                    mask = np.zeros_like(mask)
                target = out / masks.file_name(file.stem, prompt)
                masks.write(target, mask)
                yield Answer(file, prompt, target, float(beliefs[row]), float(mask.mean()))
