"""The interface that every runnable model implements. Its inputs and outputs are NumPy arrays.

Shapes: B photos, P prompts, D embedding width, H×W the window, h×w the grid of the logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Features = tuple[Float, ...]


class Backend(Protocol):
    """A runnable model, which encodes a photo once and then decodes it with any number of prompts."""

    def encode_image(self, images: Float) -> Features:
        """Encode normalised photos [B,3,H,W]. The first axis of every returned array has length B."""

    def encode_prompts(self, prompts: Sequence[str]) -> Float:
        """Embed P prompts as [P,D]."""

    def decode(self, features: Features, embeddings: Float) -> tuple[Float, Float]:
        """Decode features with prompts.

        Args:
            features: The result of `encode_image` for B photos.
            embeddings: [P,D] (every photo with every prompt) or [B,P,D] (each photo with its own prompts).

        Returns:
            Mask logits [B,P,h,w] and presence logits [B,P], not probabilities.
        """
