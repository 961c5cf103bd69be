"""Convert a photo to a model's input, and scale the model's logits back to the photo's size.

A photo of H×W pixels is scaled so that its longer side fills the window, and it is placed in the top left
corner. The rest of the window is padded with the mean colour, which normalisation turns into zero. The input
is float32 [3,h,w]. `Placement.restore` crops the padding from logits and scales them to the photo's size.
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
    """The placement of a photo in a window: original size, scaled size and window size in px."""

    height: int
    width: int
    scaled_height: int
    scaled_width: int
    window_height: int
    window_width: int

    def restore(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Crop the padding from logits [h,w] of the window, and scale them to the photo's size (bilinear)."""
        rows, columns = logits.shape
        down, across = self.scaled_height / self.window_height, self.scaled_width / self.window_width
        return resample(logits, (0.0, 0.0, columns * across, rows * down), self.height, self.width)


def touched_span(cells: NDArray[np.intp], step: float, length: int) -> slice:
    """Return the range of pixels, along one side of the photo, that the given grid cells can affect.

    Args:
        cells: The indices of the cells, in ascending order; at least one.
        step: Cells per px.
        length: The length of the side in px.
    """
    margin = 1 + max(1.0, step)
    first, last = (cells[0] + 0.5 - margin) / step, (cells[-1] + 0.5 + margin) / step
    return slice(max(0, math.floor(first)), min(length, math.ceil(last)))


@dataclass(frozen=True)
class Letterbox:
    """The format of a model's input.

    Attributes:
        size: Longer side in px.
        multiple: Number of px by which both sides are divisible.
        square: Whether the input is always square.
        mean: Mean for the normalisation of values in 0–1.
        std: Standard deviation for the normalisation.
    """

    size: int
    multiple: int = 32
    square: bool = False
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        if self.size < self.multiple or self.size % self.multiple:
            raise ValueError(f"window size {self.size} is not a positive multiple of {self.multiple}")

    @property
    def padding(self) -> tuple[int, int, int]:
        """The padding colour, 0–255. It is the mean, which normalisation turns into about 0."""
        red, green, blue = (min(255, max(0, round(255 * value))) for value in self.mean)
        return red, green, blue

    def place(self, height: int, width: int) -> Placement:
        """Return the placement of a photo of height×width px."""
        scale = self.size / max(height, width)
        scaled = [min(self.size, max(1, round(side * scale))) for side in (height, width)]
        window = [math.ceil(side / self.multiple) * self.multiple for side in scaled]
        if self.square:
            window = [self.size, self.size]
        return Placement(height, width, *scaled, *window)

    def fit(self, photo: NDArray[np.uint8]) -> tuple[NDArray[np.float32], Placement]:
        """Convert a photo [H,W,3] uint8 to a model's input [3,h,w] float32; also return its placement."""
        placement = self.place(*photo.shape[:2])
        scaled = resize_photo(photo, placement.scaled_height, placement.scaled_width)
        canvas = np.zeros((3, placement.window_height, placement.window_width), np.float32)
        self.normalise(scaled, canvas[:, : placement.scaled_height, : placement.scaled_width])
        return canvas, placement

    def normalise(
        self, photo: NDArray[np.uint8], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Normalise a photo [H,W,3] uint8 to float32 [3,H,W]. The result is written to `out` if given."""
        scale = np.float32(1) / (np.asarray(self.std, np.float32) * np.float32(255))
        shift = np.asarray(self.mean, np.float32) / np.asarray(self.std, np.float32)
        pixels = np.empty((3, *photo.shape[:2]), np.float32) if out is None else out
        for channel, plane in enumerate(pixels):  # in place, one channel after the other
            np.multiply(photo[:, :, channel], scale[channel], out=plane)
            plane -= shift[channel]
        return pixels

    def to_json(self) -> dict[str, Any]:
        """Return the letterbox as plain data for `bundle.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Letterbox:
        """Create a letterbox from the data that `to_json` returned."""
        return cls(
            size=int(data["size"]),
            multiple=int(data["multiple"]),
            square=bool(data["square"]),
            mean=tuple(float(value) for value in data["mean"]),  # type: ignore[arg-type]
            std=tuple(float(value) for value in data["std"]),  # type: ignore[arg-type]
        )


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn logits into probabilities in [0,1]. The function is numerically stable for any finite logit."""
    return np.asarray(0.5 * (np.tanh(0.5 * logits) + 1.0), np.float32)


def logit(probability: float) -> float:
    """Clip a probability to 1e-6 … 1 - 1e-6, and return its logit."""
    inside = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(inside / (1 - inside)))


def resample(
    grid: NDArray[np.float32], box: tuple[float, float, float, float], height: int, width: int
) -> NDArray[np.float32]:
    """Resample a box of a grid [h,w] to height×width values (bilinear, antialiased if the result is smaller).

    Args:
        grid: The values. Values just outside the box also contribute, so that neighbouring boxes join
            without a seam.
        box: Left, top, right and bottom in cells of the grid; may be fractional.
        height: Rows of the result.
        width: Columns of the result.
    """
    rows, columns = grid.shape
    left, top, right, bottom = box
    image = Image.fromarray(np.ascontiguousarray(grid, dtype=np.float32))
    inside = (left, top, min(right, float(columns)), min(bottom, float(rows)))  # rounding may exceed the edge
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=inside), np.float32)


def resize_map(picture: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Resize a map of values [H,W] to `size` (height, width); bilinear, antialiased if it becomes smaller."""
    if picture.shape == size:
        return picture
    return resample(picture, (0.0, 0.0, picture.shape[1], picture.shape[0]), size[0], size[1])


_REDUCING_GAP = 3  # like Pillow's `reducing_gap`: first average blocks, down to this multiple of the target
_STRIP = 4_000_000  # px of a photo to copy at a time


def resize_photo(photo: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Scale a photo [H,W,3] to height×width px, antialiased (bilinear).

    A large photo is copied strip by strip to bound memory use.
    """
    if photo.shape[:2] == (height, width):
        return photo
    rows, columns = photo.shape[:2]
    down, across = (int(a / b / _REDUCING_GAP) or 1 for a, b in ((rows, height), (columns, width)))
    if rows * columns <= _STRIP or down * across == 1:
        image = Image.fromarray(photo)
        return np.asarray(
            image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=float(_REDUCING_GAP))
        )
    step = max(1, _STRIP // columns // down) * down
    strips = (Image.fromarray(photo[top : top + step]).reduce((across, down)) for top in range(0, rows, step))
    reduced = Image.fromarray(np.concatenate([np.asarray(strip) for strip in strips]))
    box = (0.0, 0.0, columns / across, rows / down)
    return np.asarray(reduced.resize((width, height), Image.Resampling.BILINEAR, box=box))
