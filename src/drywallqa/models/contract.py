"""The interface of all model families, and their shared functions.

Symbols in shapes: B photos, P prompts, embedding width D, input size H×W, size h×w of the logits.
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
"""Number of strongest mask logits to average as presence, in models without presence parameters."""


@dataclass(frozen=True)
class TrainedLayers:
    """Selects the parts of a model that are trained.

    Attributes:
        frozen_stages: Number of initial stages to freeze, counting the stem. Only for convolutional encoders.
        vision_layers: Number of layers to train at the end of the vision tower. Only for transformer
            encoders. 0 freezes the tower. If the number exceeds the tower's layer count, the tower's
            embeddings are also trained.
        text_layers: Number of layers to train at the end of the text tower. 0 and large numbers have the same
            meaning as for `vision_layers`.
    """

    frozen_stages: int = 3
    vision_layers: int = 0
    text_layers: int = 0


class PromptedModel(nn.Module, ABC):
    """Base of all families: encode a photo once, then decode it for any number of prompts.

    Attributes:
        stride: Ratio of the input size to the size of the logits.
        embedding_width: D.
        own_text: Whether the model embeds prompts itself. Otherwise, the bundle's text model embeds them.
    """

    stride: int = 2
    embedding_width: int = 64
    own_text: ClassVar[bool] = False

    @abstractmethod
    def encode_image(self, images: Tensor) -> Features:
        """Encode normalised photos [B,3,H,W]; the first dimension of every returned tensor is B."""

    @abstractmethod
    def decode(self, features: Features, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Decode features and prompts [P,D] or [B,P,D] to mask logits [B,P,h,w] and presence logits [B,P]."""

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Embed prompts as [P,D].

        Raises:
            PromptError: There is no prompt.
            ModelError: The family has no text tower.
        """
        raise ModelError(
            f"{type(self).__name__} has no text tower; the bundle's text model embeds its prompts"
        )

    def forward(self, images: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Encode and decode in one call, as in a training step."""
        return self.decode(self.encode_image(images), embeddings)

    @abstractmethod
    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters trained at the encoder's (lower) learning rate."""

    def freeze(self, trained: TrainedLayers) -> None:
        """Freeze all parameters outside `trained`, and their batch statistics. Called before each epoch."""

    def load_pretrained(self, folders: Mapping[str, Path]) -> None:
        """Load published weights. `folders` maps the name of each origin to the folder of its weights.

        Raises:
            ModelError: Weights are missing, damaged, or do not fit.
        """

    def save_text(self, folder: Path) -> None:
        """Write the tokenizer into a folder if the model has a text tower."""

    def load_text(self, folder: Path) -> None:
        """Read the files written by `save_text`.

        Raises:
            ModelError: A file is missing or damaged.
        """

    @property
    def encoder_is_frozen(self) -> bool:
        """Whether a photo's features stay constant during training, so that they can be cached."""
        return False


def check_choice(what: str, given: str, known: Sequence[str]) -> None:
    """Reject an unknown value of an option.

    Raises:
        ModelError: The value is not among `known`.
    """
    if given not in known:
        raise ModelError(f"{what} '{given}' is not known; it is one of {', '.join(known)}")


def check_prompts(prompts: Sequence[str]) -> None:
    """Reject an empty list of prompts.

    Raises:
        PromptError: There is no prompt.
    """
    if not prompts:
        raise PromptError("no prompt was given; give at least one, such as 'segment crack'")


def check_size(family: str, images: Tensor, multiple: int, side: int | None = None) -> None:
    """Reject photos [B,3,H,W] whose size does not fit the encoder's grid, except in a traced graph.

    Args:
        family: Name of the family for the error message.
        images: The photos.
        multiple: Height and width must be positive multiples of this number of px.
        side: The only allowed side length in px, if the model accepts only one square size.

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
    """Return whether a graph is being exported. Sizes are then symbolic and cannot be compared."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def per_photo(embeddings: Tensor, photos: int) -> Tensor:
    """Expand prompts [P,D] or [B,P,D] to one set per photo, [B,P,D].

    Raises:
        PromptError: There is no prompt.
        ModelError: The number of prompt sets differs from the number of photos.
    """
    if embeddings.dim() == 2:
        embeddings = embeddings[None].expand(photos, -1, -1)
    if not is_tracing():
        if embeddings.shape[1] == 0:
            check_prompts(())
        if embeddings.shape[0] != photos:
            raise ModelError(
                f"the prompts are for {embeddings.shape[0]} photos, but {photos} photos were given"
            )
    return embeddings


def with_presence(logits: Tensor, photos: int) -> tuple[Tensor, Tensor]:
    """Reshape mask logits [B·P,h,w] to [B,P,h,w], and compute presence logits [B,P] from them.

    The presence logit is the mean of the strongest mask logits, which needs no extra parameters.
    Published decoders have no presence output, and an added head would change the published model. Averaging
    several pixels prevents a single stray pixel from determining the presence. The pixels may lie anywhere in
    the mask. A square neighbourhood would not fit thin objects, because most of its pixels would lie outside
    the object.
    """
    masks, strongest = logits.unflatten(0, (photos, -1)), logits.flatten(1).topk(PRESENCE_PIXELS, dim=1)
    return masks, strongest.values.mean(1).unflatten(0, (photos, -1))


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load weights whose names and shapes must match the module exactly.

    Raises:
        ModelError: Names are missing or unexpected, or a shape differs; the message lists the names.
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
