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
            features = self.model.encode_image(self._there(images))
        return tuple(np.asarray(f.float().cpu().numpy()) for f in features)

    def encode_prompts(self, prompts: Sequence[str]) -> Float:
        """See `backend.Backend`."""
        return self.embed(prompts)

    def decode(self, features: Features, embeddings: Float) -> tuple[Float, Float]:
        """See `backend.Backend`."""
        self.model.eval()
        with torch.inference_mode():
            logits, presence = self.model.decode(
                tuple(self._there(f) for f in features), self._there(embeddings)
            )
        return logits.float().cpu().numpy(), presence.float().cpu().numpy()

    def _there(self, values: Float) -> torch.Tensor:
        """Bring numbers to where the model is, which may be an accelerator while it is trained."""
        weights = next(iter(self.model.parameters()), None)
        given = torch.from_numpy(values)
        return given if weights is None else given.to(weights.device)
