"""The numpy-typed protocol that every runnable model satisfies.

Shapes: B photos, P prompts, D embedding width, H×W the window, h×w the logits' own grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Features = tuple[Float, ...]


class Backend(Protocol):
    """A model that runs: encode a photo once, decode it under as many prompts as wanted."""

    def encode_image(self, images: Float) -> Features:
        """Encode normalised photos [B,3,H,W] once; the arrays returned all start with B."""

    def encode_prompts(self, prompts: Sequence[str]) -> Float:
        """Embed P prompts as [P,D]."""

    def decode(self, features: Features, embeddings: Float) -> tuple[Float, Float]:
        """Decode features under prompts.

        Args:
            features: What `encode_image` returned for B photos.
            embeddings: [P,D] (every photo under every prompt) or [B,P,D] (each photo under its own).

        Returns:
            Mask logits [B,P,h,w] and presence logits [B,P]. Never probabilities.
        """
