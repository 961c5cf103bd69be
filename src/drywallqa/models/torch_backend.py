"""A torch model behind the numpy-typed backend protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from drywallqa.backend import Features, Float


class TorchBackend:
    """Runs a model of any family that follows the contract.

    Args:
        model: Has `encode_image` and `decode`; put into evaluation mode for each call.
        embed: Prompts to embeddings [P,D]; the family's text side.
    """

    def __init__(self, model: Any, embed: Callable[[Sequence[str]], Float]) -> None:
        self.model = model
        self.embed = embed

    def encode_image(self, images: Float) -> Features:
        """See `backend.Backend`."""
        self.model.eval()
        with torch.inference_mode():
            features = self.model.encode_image(torch.from_numpy(images))
        return tuple(np.asarray(f.float().numpy()) for f in features)

    def encode_prompts(self, prompts: Sequence[str]) -> Float:
        """See `backend.Backend`."""
        return self.embed(prompts)

    def decode(self, features: Features, embeddings: Float) -> tuple[Float, Float]:
        """See `backend.Backend`."""
        self.model.eval()
        with torch.inference_mode():
            logits, presence = self.model.decode(
                tuple(torch.from_numpy(f) for f in features), torch.from_numpy(embeddings)
            )
        return logits.float().numpy(), presence.float().numpy()
