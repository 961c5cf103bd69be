"""The one way from a photo to a model's window and back.

A photo of H×W pixels is scaled so that its longer side fills the window, laid into the window's top left
corner, padded with the normalisation's mean (zeros after normalising) and turned into float32 [3,h,w].
Logits come back through `Placement.restore`, which crops the padding and scales to the photo's own size.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Placement:
    """Where a photo of `height`×`width` px came to lie: `scaled_*` px of a `window_*` px canvas."""

    height: int
    width: int
    scaled_height: int
    scaled_width: int
    window_height: int
    window_width: int

    def restore(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring logits [h,w] on any grid over the window to the photo's size [H,W] (bilinear)."""
        rows, columns = logits.shape
        box = (
            0.0,
            0.0,
            self.scaled_width * columns / self.window_width,
            self.scaled_height * rows / self.window_height,
        )
        image = Image.fromarray(np.ascontiguousarray(logits, dtype=np.float32))
        resized = image.resize((self.width, self.height), Image.Resampling.BILINEAR, box=box)
        return np.asarray(resized, dtype=np.float32)


@dataclass(frozen=True)
class Window:
    """A model's input: longer side in px, side multiple, square or not, and normalisation (0–1 scale)."""

    size: int
    multiple: int = 32
    square: bool = False
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        if self.size < self.multiple or self.size % self.multiple:
            raise ValueError(f"window size {self.size} is not a positive multiple of {self.multiple}")

    def place(self, height: int, width: int) -> Placement:
        """Say where a photo of height×width px comes to lie."""
        scale = self.size / max(height, width)
        scaled_height = min(self.size, max(1, round(height * scale)))
        scaled_width = min(self.size, max(1, round(width * scale)))
        window_height = self.size if self.square else self._up(scaled_height)
        window_width = self.size if self.square else self._up(scaled_width)
        return Placement(height, width, scaled_height, scaled_width, window_height, window_width)

    def _up(self, length: int) -> int:
        return math.ceil(length / self.multiple) * self.multiple

    def fit(self, photo: NDArray[np.uint8]) -> tuple[NDArray[np.float32], Placement]:
        """Turn a photo [H,W,3] uint8 into the model's input [3,h,w] float32 and its placement."""
        placement = self.place(*photo.shape[:2])
        scaled = resize_photo(photo, placement.scaled_height, placement.scaled_width)
        canvas = np.zeros((3, placement.window_height, placement.window_width), np.float32)
        canvas[:, : placement.scaled_height, : placement.scaled_width] = self.normalise(scaled)
        return canvas, placement

    def normalise(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Normalise a photo [H,W,3] uint8 to float32 [3,H,W]."""
        scale = np.float32(1) / (np.asarray(self.std, np.float32) * np.float32(255))
        shift = np.asarray(self.mean, np.float32) / np.asarray(self.std, np.float32)
        return (photo.transpose(2, 0, 1) * scale[:, None, None] - shift[:, None, None]).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Describe the window as plain data, for `bundle.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Window:
        """Read back what `to_json` wrote."""
        return cls(
            size=int(data["size"]),
            multiple=int(data["multiple"]),
            square=bool(data["square"]),
            mean=tuple(float(value) for value in data["mean"]),  # type: ignore[arg-type]
            std=tuple(float(value) for value in data["std"]),  # type: ignore[arg-type]
        )


def resize_photo(photo: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Scale a photo [H,W,3] to height×width px, antialiased (bilinear with support)."""
    if photo.shape[:2] == (height, width):
        return photo
    image = Image.fromarray(photo)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0))


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The one sigmoid: logits to probabilities in [0,1], stable for any finite logit."""
    return np.asarray(0.5 * (np.tanh(0.5 * logits) + 1.0), np.float32)
