"""CLIP + U-Net: CLIP's text embedding conditions a U-Net with skip connections.

U-Net: Ronneberger et al. (MICCAI 2015), https://arxiv.org/abs/1505.04597, with an EfficientNet-Lite encoder.
The fusion method is configurable: FiLM (Perez et al., AAAI 2018, https://arxiv.org/abs/1709.07871),
cross-attention scaled by √d (Vaswani et al., NeurIPS 2017, https://arxiv.org/abs/1706.03762), or both. With
`pyramid`, logits come from the sum of all decoder scales (feature pyramid, Lin et al., CVPR 2017,
https://arxiv.org/abs/1612.03144).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from drywallqa.models.contract import (
    Features,
    TrainedLayers,
    check_choice,
    check_size,
    per_photo,
    with_presence,
)
from drywallqa.models.efficientnet_lite import EfficientNetLite
from drywallqa.models.towers import ClipPrompted, text_settings

FUSIONS = ("film", "cross-attention", "both")
SLOTS = 8
"""Number of tokens made from a prompt's embedding; cross-attention needs several tokens."""


class Film(nn.Module):
    """Scale and shift channels by values that are computed from the prompt."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.film = nn.Linear(embedding, 2 * channels)

    def forward(self, x: Tensor, prompts: Tensor) -> Tensor:
        """Map [N,C,h,w] to the same shape, conditioned on prompts [N,D]."""
        scale, shift = self.film(prompts)[:, :, None, None].chunk(2, dim=1)
        return x * (1 + scale) + shift


class CrossAttention(nn.Module):
    """Each pixel attends to the prompt's tokens: softmax(QKᵀ/√d)V, added to the input."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels, 1)
        self.tokens = nn.Linear(embedding, 2 * SLOTS * channels)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, prompts: Tensor) -> Tensor:
        """Map [N,C,h,w] to the same shape, conditioned on prompts [N,D]."""
        query = self.query(x).flatten(2)
        keys, values = self.tokens(prompts).unflatten(1, (2, SLOTS, -1)).unbind(1)
        attention = torch.softmax(keys @ query / math.sqrt(keys.shape[2]), dim=1)
        found = (values.transpose(1, 2) @ attention).unflatten(2, x.shape[2:])
        return x + self.out(found)


class Block(nn.Module):
    """One scale of the U-Net: concatenate the skip connection, convolve twice, fuse the prompt."""

    def __init__(self, above: int, skip: int, channels: int, embedding: int, fusion: str) -> None:
        super().__init__()
        self.join = nn.Sequential(
            nn.Conv2d(above + skip, channels, 3, padding=1), nn.GroupNorm(4, channels), nn.ReLU()
        )
        self.refine = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(4, channels))
        self.film = Film(channels, embedding) if fusion != "cross-attention" else None
        self.attend = CrossAttention(channels, embedding) if fusion != "film" else None

    def forward(self, above: Tensor, skip: Tensor, prompts: Tensor) -> Tensor:
        """Map `above` [N,C,h,w], the photo's skip [B,S,2h,2w] and prompts [N,D] to [N,C',2h,2w]."""
        above = functional.interpolate(above, scale_factor=2.0, mode="bilinear", align_corners=False)
        each = skip[:, None].expand(-1, above.shape[0] // skip.shape[0], -1, -1, -1).flatten(0, 1)
        x = self.refine(self.join(torch.cat([above, each], dim=1)))
        x = self.film(x, prompts) if self.film is not None else x
        x = self.attend(x, prompts) if self.attend is not None else x
        return functional.relu(x)


class ClipUnetModel(ClipPrompted):
    """U-Net conditioned on CLIP's text embedding; input sides are multiples of 32.

    Args:
        size: Size of the text tower: "base" or "tiny".
        encoder: "lite0", "lite1" or "lite2".
        fusion: "film", "cross-attention" or "both".
        pyramid: Whether logits come from all decoder scales instead of only the last.
        width: Number of channels at the decoder's finest scale. Coarser scales have up to four times as many.

    Example:
        >>> model = ClipUnetModel("tiny", width=8).eval()
        >>> features = model.encode_image(torch.zeros(2, 3, 64, 64))
        >>> logits, presence = model.decode(features, model.encode_prompts(["segment crack"]))
        >>> tuple(logits.shape), tuple(presence.shape)
        ((2, 1, 32, 32), (2, 1))
    """

    stride = 2
    tower_path = "text"

    def __init__(
        self,
        size: str = "base",
        encoder: str = "lite0",
        fusion: str = "both",
        pyramid: bool = False,
        width: int = 32,
    ) -> None:
        super().__init__()
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection

        check_choice("fusion", fusion, FUSIONS)
        config = CLIPTextConfig(**text_settings(size))
        self.text = CLIPTextModelWithProjection(config)
        self.embedding_width = int(config.projection_dim)
        self.encoder = EfficientNetLite(encoder)
        skips, above = self.encoder.channels[-2::-1], self.encoder.channels[-1]
        widths = (4 * width, 4 * width, 2 * width, width)
        self.blocks = nn.ModuleList()
        for skip, channels in zip(skips, widths, strict=True):
            self.blocks.append(Block(above, skip, channels, self.embedding_width, fusion))
            above = channels
        self.pyramid = nn.ModuleList(
            nn.Conv2d(channels, 1, 1) for channels in (widths[:-1] if pyramid else ())
        )
        self.mask = nn.Conv2d(width, 1, 3, padding=1)
        nn.init.constant_(self.mask.bias, -2.0)  # type: ignore[arg-type]

    def encode_image(self, images: Tensor) -> Features:
        """Encode [B,3,H,W] into five feature maps at strides 2…32."""
        check_size("clip-unet", images, 32)
        return self.encoder(images)

    def decode(self, features: Features, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Decode logits [B,P,H/2,W/2] and presence [B,P] for prompts [P,D] or [B,P,D]."""
        photos = features[0].shape[0]
        embeddings = per_photo(embeddings, photos)
        # CLIP's embeddings have norms around ten; the fusions expect unit norm scaled by the width
        prompts = functional.normalize(embeddings.flatten(0, 1), dim=1) * math.sqrt(self.embedding_width) / 4
        x = features[-1][:, None].expand(-1, embeddings.shape[1], -1, -1, -1).flatten(0, 1)
        scales = []
        for block, skip in zip(self.blocks, features[-2::-1], strict=True):
            x = block(x, skip, prompts)
            scales.append(x)
        logits = self.mask(x)
        for head, scale in zip(self.pyramid, scales, strict=False):
            logits = logits + functional.interpolate(
                head(scale), size=logits.shape[2:], mode="bilinear", align_corners=False
            )
        return with_presence(logits.squeeze(1), photos)

    def photo_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters of the convolutional encoder."""
        yield from self.encoder.parameters()

    def freeze(self, trained: TrainedLayers) -> None:
        """Freeze the text tower, and the encoder's stem, first stages and batch statistics."""
        super().freeze(trained)
        self.encoder.freeze(trained.frozen_stages)

    def load_pretrained(self, folders: Mapping[str, Path]) -> None:
        """Load the text tower from CLIP's weights and the encoder from its ImageNet package."""
        self.load_clip_text(folders["clip"])
        self.encoder.load_imagenet()
