"""The compact text-conditioned model that ships with the package.

An EfficientNet-Lite encoder, a neck that every prompt shares, and a light decoder conditioned on the prompt's
embedding at four scales by FiLM (Perez et al., AAAI 2018, https://arxiv.org/abs/1709.07871). The decoder
refines top-down to half of the input's resolution and predicts presence from what it sees.

Shapes: B photos, P prompts, D embedding width, C channels, input H×W (multiples of 32).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from drywallqa.models.contract import Features, per_photo
from drywallqa.models.efficientnet_lite import OverLite, Separable, upsampled


def _split(x: Tensor, photos: int) -> Tensor:
    """Turn [B·P,…] into [B,P,…]."""
    return x.reshape(photos, -1, *x.shape[1:])


class Conditioned(nn.Module):
    """One scale of the decoder: shared features scaled and shifted by the prompt, joined from above."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.film = nn.Linear(embedding, 2 * width)
        self.refine = Separable(width, width)

    def forward(self, shared: Tensor, code: Tensor, above: Tensor | None) -> Tensor:
        """Map shared [B,C,h,w] and prompt codes [B,P,E] (and the coarser scale) to [B·P,C,h,w]."""
        scale, shift = self.film(code)[:, :, :, None, None].chunk(2, dim=2)
        x = functional.relu(shared[:, None] * (1 + scale) + shift).flatten(0, 1)
        if above is not None:
            x = x + upsampled(above)
        out: Tensor = self.refine(x)
        return out


class CompactDecoder(nn.Module):
    """The prompt-dependent part: features and embeddings to mask logits and presence."""

    def __init__(self, stem_channels: int, width: int, embedding_width: int) -> None:
        super().__init__()
        self.prompt = nn.Sequential(
            nn.Linear(embedding_width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
        )
        self.scales = nn.ModuleList(Conditioned(width, width) for _ in range(4))
        self.reduce = nn.Conv2d(width, stem_channels, 1)
        self.detail = Separable(stem_channels, stem_channels)
        self.mask = nn.Conv2d(stem_channels, 1, 3, padding=1)
        self.presence = nn.Sequential(nn.Linear(4 * width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, features: Features, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """See `CompactModel.decode`."""
        photos = features[0].shape[0]
        code = self.prompt(per_photo(embeddings, photos))
        stem, *pyramid = features
        scales: list[Tensor] = []
        for level in range(3, -1, -1):
            scales.append(self.scales[level](pyramid[level], code, scales[-1] if scales else None))
        above = _split(upsampled(self.reduce(scales[-1])), photos)
        logits = self.mask(self.detail(functional.relu(stem[:, None] + above).flatten(0, 1)))
        around = torch.cat([scales[1].amax((2, 3)), scales[1].mean((2, 3)), scales[2].amax((2, 3))], dim=1)
        pooled = torch.cat([_split(around, photos), code], dim=2)
        return _split(logits, photos).squeeze(2), self.presence(pooled).squeeze(2)


class CompactModel(OverLite):
    """EfficientNet-Lite with a FiLM decoder; see the module's text.

    Args:
        encoder: "lite0", "lite1" or "lite2".
        width: Channels of the decoder.
        embedding_width: D of the prompt embeddings.

    Example:
        >>> model = CompactModel().eval()
        >>> features = model.encode_image(torch.zeros(2, 3, 64, 64))
        >>> logits, presence = model.decode(features, torch.zeros(3, 64))
        >>> tuple(logits.shape), tuple(presence.shape)
        ((2, 3, 32, 32), (2, 3))
    """

    stride = 2
    family = "compact"

    def __init__(self, encoder: str = "lite0", width: int = 64, embedding_width: int = 64) -> None:
        super().__init__(encoder, width, embedding_width)
        self.decoder = decoder = CompactDecoder(self.encoder.channels[0], width, embedding_width)
        # a mask starts out rare: sigmoid(-2) is near the share of foreground in labelled photos
        nn.init.constant_(decoder.mask.bias, -2.0)  # type: ignore[arg-type]
