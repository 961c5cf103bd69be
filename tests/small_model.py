"""The contract in a few lines of torch, for tests that break or train a model in a moment."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH, EMBEDDING = 12, 6


class Small(nn.Module):
    """The contract in a few lines: an encoder, a projection of each side, their product, a decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, WIDTH, 3, 2, 1)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.decoder = nn.Conv2d(WIDTH, 1, 3, 1, 1)
        self.presence = nn.Linear(WIDTH, 1)
        self.make()

    def make(self) -> None:
        self.image = nn.Linear(WIDTH, WIDTH)
        self.text = nn.Linear(EMBEDDING, WIDTH)

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        return self.encoder.parameters()

    def project(self, features: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        return self.image(features), self.text(embeddings)

    def forward(self, images: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        features = functional.relu(self.norm(self.encoder(images))).permute(0, 2, 3, 1)
        image, text = self.project(features, embeddings)
        joined = (image[:, None] * text[:, :, None, None]).permute(0, 1, 4, 2, 3)
        logits = self.decoder(joined.flatten(0, 1)).unflatten(0, joined.shape[:2]).squeeze(2)
        return self.finish(logits), self.presence(joined.mean((3, 4))).squeeze(2)

    def finish(self, logits: Tensor) -> Tensor:
        return logits


def loss(logits: Tensor, presence: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    mask = functional.binary_cross_entropy_with_logits(logits, truth)
    return mask + functional.binary_cross_entropy_with_logits(presence, truth.amax((2, 3)).clamp(0, 1))


class Doubled(Small):
    """A sigmoid before the loss's own."""

    def finish(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(logits)


class Deaf(Small):
    """The prompt goes in, and nothing of it comes out."""

    def project(self, features: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        return super().project(features, torch.ones_like(embeddings) + 0 * embeddings)
