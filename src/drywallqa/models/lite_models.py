"""The model families based on EfficientNet-Lite (compact and swift), and the neck that they share.

Shapes: B photos, P prompts, D embedding width, C channels, input H×W (multiples of 32).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from drywallqa.models.contract import Features, PromptedModel, TrainedLayers, check_size, per_photo
from drywallqa.models.efficientnet_lite import EfficientNetLite


class Separable(nn.Module):
    """Depthwise 3×3 convolution, 1×1 convolution, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 3) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            channels_in, channels_in, kernel, padding=kernel // 2, groups=channels_in, bias=False
        )
        self.pointwise = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,C,H,W] to [N,C',H,W]."""
        return functional.relu(self.norm(self.pointwise(self.depthwise(x))))


def upsampled(x: Tensor) -> Tensor:
    """Upsample [N,C,H,W] to [N,C,2H,2W]."""
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Neck(nn.Module):
    """Prompt-independent part of the decoder: a feature pyramid with global context."""

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, width, 1, bias=False), nn.BatchNorm2d(width)) for c in channels[1:]
        )
        self.context = nn.Linear(channels[-1], width)
        self.smooth = nn.ModuleList(Separable(width, width, 5) for _ in channels[1:])

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Convert encoder maps (strides 2…32) into features shared by all prompts, at the same strides."""
        context = self.context(maps[-1].mean((2, 3)))[:, :, None, None]
        top = self.smooth[-1](functional.relu(self.lateral[-1](maps[-1]) + context))
        pyramid = [top]
        for level in range(len(self.lateral) - 2, -1, -1):
            top = self.smooth[level](functional.relu(self.lateral[level](maps[level + 1])) + upsampled(top))
            pyramid.insert(0, top)
        return (maps[0], *pyramid)


class OverLite(PromptedModel):
    """An EfficientNet-Lite encoder with a neck. Subclasses add the decoder.

    The neck is trained in every run, so the features of a photo cannot be cached.

    Args:
        encoder: "lite0", "lite1" or "lite2".
        width: Channels of the neck.
        embedding_width: Width D of the prompt embeddings.
    """

    family: ClassVar[str]
    decoder: nn.Module

    def __init__(self, encoder: str, width: int, embedding_width: int) -> None:
        super().__init__()
        self.embedding_width = embedding_width
        self.encoder = EfficientNetLite(encoder)
        self.neck = Neck(self.encoder.channels, width)

    def encode_image(self, images: Tensor) -> Features:
        """Encode normalised photos [B,3,H,W] into five maps at strides 2…32.

        Raises:
            ModelError: A side is not a multiple of 32.
        """
        check_size(self.family, images, 32)
        return self.neck(self.encoder(images))

    def decode(self, features: Features, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Decode with prompts [P,D] or [B,P,D] into logits [B,P,H/stride,W/stride] and presence [B,P]."""
        return self.decoder(features, embeddings)

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters of the EfficientNet encoder."""
        yield from self.encoder.parameters()

    def freeze(self, trained: TrainedLayers) -> None:
        """Freeze the encoder's stem and first stages, and all its batch statistics."""
        self.encoder.freeze(trained.frozen_stages)

    def load_pretrained(self, folders: Mapping[str, Path]) -> None:
        """Load the encoder from its ImageNet package. All other weights stay random."""
        self.encoder.load_imagenet()


def _split(x: Tensor, photos: int) -> Tensor:
    """Reshape [B·P,…] to [B,P,…]."""
    return x.reshape(photos, -1, *x.shape[1:])


class Conditioned(nn.Module):
    """One scale of the decoder, which modulates shared features by the prompt and adds the coarser scale."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.film = nn.Linear(embedding, 2 * width)
        self.refine = Separable(width, width)

    def forward(self, shared: Tensor, code: Tensor, above: Tensor | None) -> Tensor:
        """Map features [B,C,h,w], prompt codes [B,P,E] and the coarser scale, if any, to [B·P,C,h,w]."""
        scale, shift = self.film(code)[:, :, :, None, None].chunk(2, dim=2)
        x = functional.relu(shared[:, None] * (1 + scale) + shift).flatten(0, 1)
        if above is not None:
            x = x + upsampled(above)
        return self.refine(x)


class CompactDecoder(nn.Module):
    """Prompt-dependent part of the decoder: maps features and embeddings to mask logits and presence."""

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
    """EfficientNet-Lite with a light decoder. The default bundled model belongs to this family.

    The decoder is conditioned on the prompt's embedding at four scales with FiLM (Perez et al., AAAI 2018,
    https://arxiv.org/abs/1709.07871). It refines masks from coarse to fine, up to half the input resolution,
    and predicts presence from its coarser scales.

    Args:
        encoder: "lite0", "lite1" or "lite2".
        width: Channels of the decoder.
        embedding_width: Width D of the prompt embeddings.

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
        # start with few foreground pixels: sigmoid(-2) is near the foreground share of labelled photos
        nn.init.constant_(decoder.mask.bias, -2.0)  # type: ignore[arg-type]


class SwiftDecoder(nn.Module):
    """Prompt-dependent part of the decoder: multiplies pixel and prompt embeddings, and predicts presence."""

    def __init__(self, width: int, embedding_width: int) -> None:
        super().__init__()
        last = nn.Linear(2 * width, width + 1)
        nn.init.constant_(last.bias[-1:], -2.0)  # start with few foreground pixels; see `CompactModel`
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
    """EfficientNet-Lite with pixel embeddings. Five prompts take only slightly longer than one prompt.

    All prompts share one map of pixel embeddings. A mask is the product of pixel and prompt embeddings, as in
    Li et al., "LSeg" (ICLR 2022), https://arxiv.org/abs/2201.03546. The model also predicts presence.

    Args:
        encoder: "lite0", "lite1" or "lite2".
        width: Channels of the neck and the pixel embeddings.
        embedding_width: Width D of the prompt embeddings.

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
        """Encode photos [B,3,H,W] into pixel embeddings [B,C,H/4,W/4] and a photo embedding [B,C,1,1]."""
        _, fine, *_, coarse = super().encode_image(images)
        return self.pixels(self.refine(fine)), coarse.mean((2, 3), keepdim=True)
