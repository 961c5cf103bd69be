"""A smaller text-conditioned model, whose prompts cost next to nothing.

An EfficientNet-Lite encoder and a neck as in `compact`, one map of pixel embeddings that every prompt shares,
and a mask that is the product of pixel and prompt embeddings (as in Li et al., "LSeg", ICLR 2022,
https://arxiv.org/abs/2201.03546, with presence beside it). Five prompts take little longer than one.

Shapes: B photos, P prompts, D embedding width, C channels, input H×W (multiples of 32).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from drywallqa.models.contract import Features, per_photo
from drywallqa.models.efficientnet_lite import OverLite, Separable


class SwiftDecoder(nn.Module):
    """The prompt-dependent part: products with a prompt's embedding, and presence from what they show."""

    def __init__(self, width: int, embedding_width: int) -> None:
        super().__init__()
        last = nn.Linear(2 * width, width + 1)
        nn.init.constant_(last.bias[-1:], -2.0)  # a mask starts out rare; see `CompactModel`
        self.prompt = nn.Sequential(nn.Linear(embedding_width, 2 * width), nn.ReLU(), last)
        self.presence = nn.Sequential(nn.Linear(2 * width + 2, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, features: Features, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """See `SwiftModel.decode`."""
        pixels, photo = features
        code = self.prompt(per_photo(embeddings, pixels.shape[0]))
        direction, offset = code[:, :, :-1], code[:, :, -1:]
        flat = torch.matmul(direction, pixels.flatten(2)) + offset
        strongest = torch.stack([flat.amax(2), flat.mean(2)], dim=2)
        around = photo.flatten(1)[:, None].expand(-1, code.shape[1], -1)
        presence = self.presence(torch.cat([strongest, around, direction], dim=2)).squeeze(2)
        return flat.unflatten(2, (pixels.shape[2], pixels.shape[3])), presence


class SwiftModel(OverLite):
    """EfficientNet-Lite with pixel embeddings; see the module's text.

    Args:
        encoder: "lite0", "lite1" or "lite2".
        width: Channels of neck and pixel embeddings.
        embedding_width: D of the prompt embeddings.

    Example:
        >>> model = SwiftModel().eval()
        >>> features = model.encode_image(torch.zeros(2, 3, 64, 64))
        >>> logits, presence = model.decode(features, torch.zeros(3, 64))
        >>> tuple(logits.shape), tuple(presence.shape)
        ((2, 3, 16, 16), (2, 3))
    """

    stride = 4
    family = "swift"

    def __init__(self, encoder: str = "lite0", width: int = 64, embedding_width: int = 64) -> None:
        super().__init__(encoder, width, embedding_width)
        self.refine = nn.Sequential(Separable(width, width), Separable(width, width))
        self.pixels = nn.Conv2d(width, width, 1)
        self.decoder = SwiftDecoder(width, embedding_width)

    def encode_image(self, images: Tensor) -> Features:
        """Encode normalised photos [B,3,H,W] once: pixel embeddings [B,C,H/4,W/4], the photo's [B,C,1,1]."""
        _, fine, *_, coarse = super().encode_image(images)
        return self.pixels(self.refine(fine)), coarse.mean((2, 3), keepdim=True)
