"""What models over EfficientNet-Lite share: the encoder, the neck that every prompt uses, how they start.

Shapes: B photos, C channels, input H×W (multiples of 32).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from drywallqa.models.contract import PromptedModel, Training
from drywallqa.models.efficientnet_lite import EfficientNetLite, load_imagenet

MULTIPLE = 32


class Separable(nn.Module):
    """Depthwise 3×3 then 1×1, batch norm, ReLU."""

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
    """Map [N,C,H,W] to [N,C,2H,2W]."""
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Neck(nn.Module):
    """The part of the decoder that does not depend on the prompt: a feature pyramid with global context."""

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, width, 1, bias=False), nn.BatchNorm2d(width)) for c in channels[1:]
        )
        self.context = nn.Linear(channels[-1], width)
        self.smooth = nn.ModuleList(Separable(width, width, 5) for _ in channels[1:])

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Turn encoder maps (strides 2…32) into the features that prompts share, same strides."""
        context = self.context(maps[-1].mean((2, 3)))[:, :, None, None]
        top = self.smooth[-1](functional.relu(self.lateral[-1](maps[-1]) + context))
        pyramid = [top]
        for level in range(len(self.lateral) - 2, -1, -1):
            top = self.smooth[level](functional.relu(self.lateral[level](maps[level + 1])) + upsampled(top))
            pyramid.insert(0, top)
        return (maps[0], *pyramid)


class OverLite(PromptedModel):
    """An EfficientNet-Lite encoder with a neck; the decoder is the subclass's own.

    Args:
        encoder: "lite0", "lite1" or "lite2".
        width: Channels of the neck.
        embedding_width: D of the prompt embeddings.
    """

    def __init__(self, encoder: str, width: int, embedding_width: int) -> None:
        super().__init__()
        self.variant, self.embedding_width = encoder, embedding_width
        self.encoder = EfficientNetLite(encoder)
        self.neck = Neck(self.encoder.channels, width)

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the EfficientNet's parameters."""
        yield from self.encoder.parameters()

    def freeze(self, training: Training) -> None:
        """Freeze stem and first stages of the encoder, and all its batch statistics."""
        self.encoder.freeze(training.frozen_stages)

    @property
    def encoder_is_frozen(self) -> bool:
        """Never: the neck, which features come from, is always trained."""
        return False

    def load_pretrained(self, folders: Mapping[str, Path]) -> None:
        """Fill the encoder from its ImageNet package; the rest starts at random."""
        load_imagenet(self.encoder, self.variant)
