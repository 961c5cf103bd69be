"""Refine the masks of a model: the available steps and their order.

Soft steps (`guided`, `crf`) change the probability before the threshold is applied. Hard steps (`morphology`,
`join`) change the mask afterwards. A step runs only if the caller or the bundle's settings
request it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.backend import Float
from drywallqa.errors import ConfigError
from drywallqa.imaging.letterbox import resize_map, sigmoid
from drywallqa.imaging.morphology import Mask, close_mask, without_holes, without_small

SOFT = ("guided", "crf")
HARD = ("morphology", "join")
STEPS = (*SOFT, *HARD)
NONE = "none"
AUTO = "auto"

_CLOSE_PX = 4.0  # in px at 640; gaps narrower than twice this value are closed
# Smaller components and holes are removed, in px² at 640. The metrics count false alarms from 410 px².
_LEAST_AREA = 400.0

_GUIDED_GRID = 320  # longer side of the grid on which the guided filter is fitted
_GUIDED_RADIUS = 16  # half the side of its windows, in px at 640
_GUIDED_FLATNESS = 0.05**2  # windows with a lower variance of grey levels (0–1) are flat and averaged

_CRF_GRID = 224  # longer side of the random field's grid
_CRF_REACH = 24.0  # standard deviation in px at 640 of the kernel between pixels of similar grey
_CRF_GREY = 0.06  # standard deviation of the same kernel in grey levels (0–1)
_CRF_APPEARANCE = 3.0  # weight of pixels of similar grey, in logits
_CRF_SMOOTHNESS = 2.0  # weight of the nearest pixels of any grey, in logits
_CRF_STEPS = 3  # steps of the mean field

_LARGEST_LOGIT = 8.0  # logits are clipped to this value, because probabilities 0 and 1 have infinite logits

Photo = NDArray[np.uint8]


@dataclass(frozen=True)
class Refinement:
    """Refinement steps that run after the model.

    Attributes:
        soft: Steps that change the probability, in order.
        hard: Steps that change the mask, in order, after all soft steps.
    """

    soft: tuple[str, ...] = ()
    hard: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Refinement:
        """Parse "none", or names of steps joined by "+", such as "guided+join".

        Raises:
            ConfigError: A name is unknown or occurs twice.
        """
        names = [name.strip().lower() for name in text.split("+")]
        if names == [NONE]:
            return cls()
        if set(names) - set(STEPS) or len(set(names)) < len(names):
            raise ConfigError(
                f"unknown refinement '{text}'; pass {NONE}, or one or more of {', '.join(STEPS)} joined by +"
            )
        return cls(tuple(n for n in names if n in SOFT), tuple(n for n in names if n in HARD))

    def __str__(self) -> str:
        return "+".join((*self.soft, *self.hard)) or NONE

    def __bool__(self) -> bool:
        return bool(self.soft or self.hard)

    def soften(self, photo: Photo, probability: Float, unit: float) -> Float:
        """Run the soft steps.

        Args:
            photo: RGB uint8 [H,W,3].
            probability: float32 [H,W] in 0–1.
            unit: Factor for all distances, which are given for a photo with a longer side of 640 px.

        Returns:
            float32 [H,W] in 0–1; the same array if there are no soft steps.
        """
        for name in self.soft:
            step = guided_filter if name == "guided" else crf
            probability = step(photo, probability, unit)
        return probability

    def harden(self, probability: Float, mask: Mask, unit: float) -> Mask:
        """Run the hard steps on a mask [H,W] with its probability [H,W]; see `soften` for `unit`."""
        for name in self.hard if mask.any() else ():
            if name == "morphology":
                mask = morphology(mask, unit)
            else:
                from drywallqa.inference.gap_bridging import join_gaps

                mask = join_gaps(mask, probability, unit)
        return mask


NOTHING = Refinement()


def morphology(mask: Mask, unit: float) -> Mask:
    """Close narrow gaps, fill small holes and remove small components of a mask [H,W].

    See `Refinement.soften` for `unit`.
    """
    closed, area = close_mask(mask, max(1, round(_CLOSE_PX * unit))), _LEAST_AREA * unit**2
    return without_small(without_holes(closed, area), area)


def parse_refinements(texts: Iterable[str]) -> list[Refinement]:
    """Parse several refinements and remove duplicates.

    Raises:
        ConfigError: One of the texts is not a refinement.
    """
    return list(dict.fromkeys(Refinement.parse(text) for text in texts))


def guided_filter(photo: Photo, probability: Float, unit: float) -> Float:
    """Align a probability [H,W] with the edges in its photo [H,W,3] by a guided filter.

    In every window, the probability is fitted as a linear function of the grey levels. Overlapping fits are
    averaged. The filter follows He, Sun and Tang, "Guided Image Filtering", ECCV 2010, equations 5, 6 and 8.
    Large photos use a coarser grid, as in He and Sun, "Fast Guided Filter", arXiv:1505.00996 (2015).
    """
    grey = luminance(photo)
    size = _grid_size(probability, _GUIDED_GRID)
    guide, target = (
        resize_map(grey, size).astype(np.float64),
        resize_map(probability, size).astype(np.float64),
    )
    # The window size is given in px at 640 (`unit`) and is converted to px of the grid.
    shrink = max(size) / max(probability.shape)
    radius = max(1, round(_GUIDED_RADIUS * unit * shrink))
    mean_guide, mean_target = box_mean(guide, radius), box_mean(target, radius)
    variance = box_mean(guide * guide, radius) - mean_guide**2
    covariance = box_mean(guide * target, radius) - mean_guide * mean_target
    slope = covariance / (np.maximum(variance, 0.0) + _GUIDED_FLATNESS)
    height = mean_target - slope * mean_guide
    slopes, heights = (
        resize_map(box_mean(part, radius).astype(np.float32), probability.shape) for part in (slope, height)
    )
    return np.asarray(np.clip(slopes * grey + heights, 0.0, 1.0), np.float32)


def crf(photo: Photo, probability: Float, unit: float) -> Float:
    """Refine a probability [H,W] by a fully connected random field over its photo [H,W,3].

    The field has two labels, a Potts penalty and two Gaussian kernels between all pairs of pixels: a kernel
    of position and grey, and a kernel of position only. The inference follows Krähenbühl and Koltun,
    "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", NeurIPS 2011, algorithm 1. In
    contrast to the paper, the weights of each pixel's neighbours sum to 1. The kernel of position and grey is
    computed on a bilateral grid of a reduced photo (Chen, Paris and Durand, "Real-time Edge-Aware Image
    Processing with the Bilateral Grid", SIGGRAPH 2007). The change of the logits is then resized to the
    photo's size.
    """
    size = _grid_size(probability, _CRF_GRID)
    guide, belief = resize_map(luminance(photo), size), resize_map(probability, size)
    reach = max(1.0, _CRF_REACH * unit * max(size) / max(probability.shape))
    grid = BilateralGrid(guide, reach, _CRF_GREY)
    unary = clipped_logits(belief)
    current = unary
    for _ in range(_CRF_STEPS):
        share = sigmoid(current)
        alike, near = grid.filter(share), box_mean(share.astype(np.float64), 1)
        pull = _CRF_APPEARANCE * (2 * alike - 1) + _CRF_SMOOTHNESS * (2 * near - 1)
        current = unary + pull.astype(np.float32)
    added = resize_map(current - unary, probability.shape)
    return sigmoid(clipped_logits(probability) + added)


def luminance(photo: Photo) -> Float:
    """Return the grey levels 0–1 [H,W] of a photo [H,W,3]."""
    return np.asarray(Image.fromarray(photo).convert("L"), np.float32) / np.float32(255)


def clipped_logits(probability: Float) -> Float:
    """Return the logits of probabilities, clipped to ±8."""
    edge = float(sigmoid(np.asarray(-_LARGEST_LOGIT, np.float32)))
    clipped = np.clip(probability, edge, 1 - edge)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float32)


def box_mean(picture: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Return the mean [H,W] over each pixel's square window of 2·radius + 1 px, cropped at the edges."""
    for axis in (0, 1):
        length = picture.shape[axis]
        places = np.arange(length)
        low, high = np.maximum(places - radius, 0), np.minimum(places + radius + 1, length)
        start = np.zeros_like(np.take(picture, [0], axis))
        sums = np.concatenate([start, np.cumsum(picture, axis=axis)], axis=axis)
        counts = (high - low).reshape((-1, 1) if axis == 0 else (1, -1))
        picture = (np.take(sums, high, axis) - np.take(sums, low, axis)) / counts
    return picture


class BilateralGrid:
    """A Gaussian kernel of position and grey between all pixels of an image, computed on a coarse grid.

    Args:
        guide: Grey levels 0–1 [h,w].
        reach: Standard deviation of the kernel in px.
        grey: Standard deviation of the kernel in grey levels.
    """

    def __init__(self, guide: Float, reach: float, grey: float) -> None:
        row, column = np.mgrid[: guide.shape[0], : guide.shape[1]]
        places = [row / reach, column / reach, guide / grey]
        # Each side has one extra cell, so that blurring does not reach the edge.
        flat = [np.asarray(place, np.float64).ravel() + 1 for place in places]
        self.shape = tuple(int(place.max()) + 3 for place in flat)
        self._pixels = guide.shape
        cells = [place.astype(np.int64) for place in flat]
        shares = [(place - cell).astype(np.float32) for place, cell in zip(flat, cells, strict=True)]
        indices, weights = [], []
        for corner in np.ndindex(2, 2, 2):
            shifted = tuple(cell + step for cell, step in zip(cells, corner, strict=True))
            indices.append(np.ravel_multi_index(shifted, self.shape))
            parts = [share if step else 1 - share for share, step in zip(shares, corner, strict=True)]
            weights.append(parts[0] * parts[1] * parts[2])
        self._indices, self._weights = np.stack(indices), np.stack(weights)
        self._whole = np.maximum(self._spread(np.ones(flat[0].shape, np.float32)), 1e-9)

    def filter(self, values: Float) -> NDArray[np.float64]:
        """Return, for each pixel, the average of all values [h,w] weighted by the kernel."""
        return (self._spread(values.ravel()) / self._whole).reshape(self._pixels)

    def _spread(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Splat values into the grid, blur the grid and slice it at the original pixels."""
        splat = np.bincount(
            self._indices.ravel(), (self._weights * values).ravel(), minlength=int(np.prod(self.shape))
        )
        grid = splat.astype(np.float64).reshape(self.shape)
        # Blur along each axis with the weights 1 4 6 4 1, a Gaussian with a standard deviation of one cell.
        for axis, count in enumerate(self.shape):
            edges = [(2, 2) if place == axis else (0, 0) for place in range(3)]
            padded = np.moveaxis(np.pad(grid, edges), axis, 0)
            parts = [weight * padded[shift : shift + count] for shift, weight in enumerate((1, 4, 6, 4, 1))]
            grid = np.moveaxis(np.asarray(sum(parts), np.float64), 0, axis)
        return np.asarray((grid.ravel()[self._indices] * self._weights).sum(axis=0), np.float64)


def _grid_size(picture: Float, longest: int) -> tuple[int, int]:
    shrink = min(1.0, longest / max(picture.shape))
    height, width = (max(1, round(side * shrink)) for side in picture.shape)
    return height, width
