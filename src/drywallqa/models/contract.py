"""The interface of every model family, and functions that the families share.

Shapes: B photos, P prompts, D embedding width, input H×W, h×w the logits' own grid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from drywallqa.errors import ModelError, PromptError

Features = tuple[Tensor, ...]
PRESENCE_PIXELS = 16
"""How many of a mask's strongest logits make presence where a model has no parameters for it."""


@dataclass(frozen=True)
class TrainedLayers:
    """Which parts of a model are trained.

    Attributes:
        frozen_stages: Convolutional encoders: stem and first stages that keep their weights.
        vision_layers: Transformer encoders: last layers of the vision tower that are trained; 0 freezes the
            tower, more than it has trains its embeddings too.
        text_layers: The same for the text tower.
    """

    frozen_stages: int = 3
    vision_layers: int = 0
    text_layers: int = 0


class PromptedModel(nn.Module, ABC):
    """Base of every family: encode a photo once, decode it under as many prompts as wanted.

    Attributes:
        stride: Pixels of the input per pixel of the logits.
        embedding_width: D.
        own_text: Whether `encode_prompts` works; else the bundle's text side makes the embeddings.
    """

    stride: int = 2
    embedding_width: int = 64
    own_text: ClassVar[bool] = False

    @abstractmethod
    def encode_image(self, images: Tensor) -> Features:
        """Encode normalised photos [B,3,H,W] once; every tensor returned starts with B."""

    @abstractmethod
    def decode(self, features: Features, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Decode under prompts [P,D] or [B,P,D]: mask logits [B,P,h,w] and presence logits [B,P]."""

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Embed prompts as [P,D].

        Raises:
            PromptError: There is no prompt.
            ModelError: The family has no text tower of its own.
        """
        raise ModelError(
            f"{type(self).__name__} has no text tower; the bundle's text side embeds its prompts"
        )

    def forward(self, images: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Encode and decode in one go, as a training step does."""
        return self.decode(self.encode_image(images), embeddings)

    @abstractmethod
    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that are trained at the encoder's (lower) rate."""

    def freeze(self, trained: TrainedLayers) -> None:
        """Freeze all other parameters and their batch statistics; called again before each epoch."""

    def load_pretrained(self, folders: Mapping[str, Path]) -> None:
        """Fill the model with published weights from these folders, by the name of their origin.

        Raises:
            ModelError: Weights are missing, damaged, or do not fit.
        """

    def save_text(self, folder: Path) -> None:
        """Write the tokenizer into a folder where the model has a text tower."""

    def load_text(self, folder: Path) -> None:
        """Read what `save_text` wrote.

        Raises:
            ModelError: It is missing or damaged.
        """

    @property
    @abstractmethod
    def encoder_is_frozen(self) -> bool:
        """Whether features of a photo never change during training, so that they can be kept."""


def check_prompts(prompts: Sequence[str]) -> None:
    """Refuse an empty list before any work is done.

    Raises:
        PromptError: There is no prompt.
    """
    if not prompts:
        raise PromptError("no prompt was given; give at least one, such as 'segment crack'")


def check_size(family: str, images: Tensor, multiple: int, side: int | None = None) -> None:
    """Refuse photos [B,3,H,W] that do not fall on the encoder's grid, except in a traced graph.

    Args:
        family: Its name, for the message.
        images: The photos.
        multiple: Height and width must be positive multiples of this many px.
        side: The one square side in px that the model takes, where it takes but one.

    Raises:
        ModelError: Height or width does not fit.
    """
    if is_tracing():
        return
    height, width = images.shape[2:]
    fits = (
        {height, width} == {side}
        if side
        else height and width and not (height % multiple or width % multiple)
    )
    if not fits:
        takes = f"{side}×{side} px only" if side else f"sides in multiples of {multiple} px"
        raise ModelError(f"{family} takes {takes}, not {width}×{height}; letterbox the photo first")


def is_tracing() -> bool:
    """Whether a graph is being exported, in which sizes are symbols that cannot be compared."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def per_photo(embeddings: Tensor, photos: int) -> Tensor:
    """Give every photo its own prompts: [P,D] or [B,P,D] to [B,P,D].

    Raises:
        PromptError: There is no prompt.
        ModelError: The prompts are for another number of photos.
    """
    if embeddings.dim() == 2:
        embeddings = embeddings[None].expand(photos, -1, -1)
    if not is_tracing():
        if embeddings.shape[1] == 0:
            check_prompts(())
        if embeddings.shape[0] != photos:
            raise ModelError(f"prompts of {embeddings.shape[0]} photos were given for {photos} photos")
    return embeddings


def presence_of(logits: Tensor) -> Tensor:
    """Presence without parameters of its own: the mean of the mask's strongest logits.

    Published decoders have no presence output, and a head beside them would change what they are. Several
    pixels are averaged so that a stray one does not decide, wherever they lie: over a square of neighbours, a
    thin truth would be present only if its mask grew or its logits became extreme.

    Args:
        logits: [N,h,w].

    Returns:
        [N].
    """
    return logits.flatten(1).topk(PRESENCE_PIXELS, dim=1).values.mean(1)


def with_presence(logits: Tensor, photos: int) -> tuple[Tensor, Tensor]:
    """Return masks' logits [B·P,h,w] as [B,P,h,w], and the presence [B,P] that they mean."""
    return logits.unflatten(0, (photos, -1)), presence_of(logits).unflatten(0, (photos, -1))


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load weights whose names and shapes must be the module's own.

    Raises:
        ModelError: Names are missing or unexpected, or a shape differs; they are named.
    """
    own: dict[str, Any] = module.state_dict()
    found = {
        "missing": sorted(own.keys() - state.keys()),
        "unexpected": sorted(state.keys() - own.keys()),
        "of another shape": [
            f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}"
            for name in sorted(own.keys() & state.keys())
            if own[name].shape != state[name].shape
        ],
    }
    problems = [
        f"{kind}: {', '.join(names[:6])}{f' and {len(names) - 6} more' if len(names) > 6 else ''}"
        for kind, names in found.items()
        if names
    ]
    if problems:
        raise ModelError(f"{origin} does not fit {type(module).__name__}; {'; '.join(problems)}")
    module.load_state_dict(dict(state))
