"""Dark ridges: how clearly a photo shows a dark line at each pixel, and at which scale."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.morphology import Mask

Float = NDArray[np.float32]

# Side in px of the blocks in which ridges are computed. Products of matrices of this size run on one thread.
BLOCK = 32
_HALO = 16  # px around each block; at least 4 standard deviations of the largest kernel
_FINEST = 0.8  # px, standard deviation of the narrowest kernel
_STEP = 1.5  # ratio of neighbouring scales
_LARGEST_KERNEL = 3.5  # px; wider kernels run on a reduced photo
_EDGE = 0.8  # weight of the gradient, which removes the shoulders of steps and shadows
_BAR = 1.65  # response of a bar that fits the kernel is its depth divided by this value
_FLAT = 2.0  # grey levels that are added to the noise, so that noise of a flat wall is not amplified
_NARROW = 0.25  # exponent that prefers narrow scales
_CHUNK = 512  # blocks that are computed at a time, to save memory


class Ridges(NamedTuple):
    """Dark ridges of a photo of H×W pixels.

    Attributes:
        strength: float32 [H,W]: depth of the ridge divided by the noise of the wall around it; 0 where
            nothing was computed.
        scale: float32 [H,W]: standard deviation in px of the kernel that responds most, about half the
            line's width.
    """

    strength: Float
    scale: Float


def scales_up_to(largest: float) -> list[float]:
    """Return the scales in px, from the finest scale up to `largest`."""
    scales = [_FINEST]
    while scales[-1] * _STEP < largest:
        scales.append(scales[-1] * _STEP)
    return [*scales, max(largest, _FINEST * _STEP)]


def find_ridges(grey: Float, outline: Mask, largest: Float) -> Ridges:
    """Find dark ridges near the outlines of a photo.

    The strength at scale σ is σ²·(λ₁ − max(λ₂, 0)) − 0.8·σ·|∇|, where λ₁ ≥ λ₂ are the eigenvalues of the
    Hessian matrix (after T. Lindeberg, "Edge detection and ridge detection with automatic scale selection",
    IJCV 30, 1998). It is divided by the noise of the same measure outside the outlines.

    Args:
        grey: Grey levels 0–255, float32 [H,W].
        outline: All outlines [H,W]; the noise is measured outside them.
        largest: The largest scale in px for each block of 32 × 32 px, float32 [⌈H/32⌉,⌈W/32⌉]; 0 skips the
            block.
    """
    levels = {1: grey}
    grid = largest.shape
    strength = np.zeros((*grid, BLOCK, BLOCK), np.float32)
    best_scale = np.full((*grid, BLOCK, BLOCK), _FINEST, np.float32)
    wanted_scale = np.where(largest > 0, np.maximum(largest, _FINEST), 0)
    for scale in scales_up_to(float(largest.max(initial=0))):
        factor = 1
        while scale / factor > _LARGEST_KERNEL:
            factor *= 2
            if factor not in levels:
                levels[factor] = _halve(levels[factor // 2])
        blocks = np.argwhere(_reduce_blocks(wanted_scale, factor) >= scale)
        if len(blocks):
            found = _one_scale(levels[factor], outline[::factor, ::factor], blocks, scale / factor)
            found /= scale**_NARROW
            _keep_best(found, blocks, factor, strength, best_scale, scale)
    return Ridges(_joined(strength, grey.shape), _joined(best_scale, grey.shape))


def _keep_best(
    found: Float, blocks: NDArray[np.int64], factor: int, strength: Float, best_scale: Float, scale: float
) -> None:
    """Put the strength of one scale [n,32,32] where it is the largest so far."""
    for part in np.array_split(np.arange(len(blocks)), -(-len(blocks) * factor**2 // _CHUNK)):
        parts = _enlarge(found[part], factor).reshape(-1, factor, BLOCK, factor, BLOCK).swapaxes(2, 3)
        rows = blocks[part, 0, None, None] * factor + np.arange(factor)[:, None]
        columns = blocks[part, 1, None, None] * factor + np.arange(factor)
        rows, columns = np.broadcast_arrays(rows, columns)
        inside = (rows < strength.shape[0]) & (columns < strength.shape[1])
        places, values = (rows[inside], columns[inside]), parts[inside]
        old = strength[places]
        best_scale[places] = np.where(values > old, np.float32(scale), best_scale[places])
        strength[places] = np.maximum(values, old)


def _joined(blocks: Float, shape: tuple[int, ...]) -> Float:
    """Join blocks [h,w,32,32] to an image [H,W]."""
    rows, columns = blocks.shape[:2]
    image = blocks.swapaxes(1, 2).reshape(rows * BLOCK, columns * BLOCK)
    return image[: shape[0], : shape[1]]


def _halve(grey: Float) -> Float:
    height, width = grey.shape
    even = np.pad(grey, ((0, height % 2), (0, width % 2)), mode="edge")
    return np.asarray((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4, np.float32)


def _reduce_blocks(values: Float, factor: int) -> Float:
    """Return the largest value of each factor × factor cells, [⌈h/f⌉,⌈w/f⌉]."""
    height, width = values.shape
    padded = np.pad(values, ((0, -height % factor), (0, -width % factor)))
    parts = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor)
    return np.asarray(parts.max((1, 3)), np.float32)


def _one_scale(grey: Float, outline: Mask, blocks: NDArray[np.int64], sigma: float) -> Float:
    """Return the strength at one scale, divided by the noise outside the outlines, in n blocks [n,32,32]."""
    rows, columns = (-(-side // BLOCK) for side in grey.shape)
    pad = ((_HALO, rows * BLOCK + _HALO - grey.shape[0]), (_HALO, columns * BLOCK + _HALO - grey.shape[1]))
    padded = np.pad(grey, pad, mode="edge")
    side = BLOCK + 2 * _HALO
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))[::BLOCK, ::BLOCK]
    parts = np.array_split(blocks, -(-len(blocks) // _CHUNK))
    strength = np.concatenate([_responses(windows[part[:, 0], part[:, 1]], sigma) for part in parts])
    noise = _noise(strength, blocks, (rows, columns), outline)
    return np.asarray(strength / (noise + _FLAT)[:, None, None], np.float32)


def _responses(windows: Float, sigma: float) -> Float:
    """Return the strength of dark ridges in grey levels, [n,32,32], for windows [n,64,64]."""
    smooth, first, second = _kernels(sigma)
    along, slope, bend = (windows @ kernel.T for kernel in (smooth, first, second))
    xx, yy, xy = smooth @ bend, second @ along, first @ slope
    root = np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    mean = (xx + yy) / 2
    curved = mean + root - np.maximum(mean - root, 0)
    tilted = np.hypot(smooth @ slope, first @ along)
    return np.asarray(np.maximum(0, sigma**2 * curved - _EDGE * sigma * tilted) * _BAR, np.float32)


@functools.lru_cache(maxsize=32)
def _kernels(sigma: float) -> tuple[Float, Float, Float]:
    """Return matrices [32,64] that smooth a window and take its first and second derivative."""
    distance = np.arange(BLOCK + 2 * _HALO) - np.arange(BLOCK)[:, None] - _HALO
    smooth = np.exp(-0.5 * (distance / sigma) ** 2) * (np.abs(distance) <= 4 * sigma + 1)
    smooth /= smooth.sum(1, keepdims=True)

    def shifted(by: int) -> NDArray[np.float64]:
        return np.roll(smooth, by, axis=1)

    first, second = (shifted(1) - shifted(-1)) / 2, shifted(1) + shifted(-1) - 2 * smooth
    return tuple(kernel.astype(np.float32) for kernel in (smooth, first, second))  # type: ignore[return-value]


def _enlarge(parts: Float, factor: int) -> Float:
    """Enlarge images [n,32,32] by linear interpolation, [n,32·f,32·f]."""
    if factor == 1:
        return parts
    places = np.clip((np.arange(BLOCK * factor) + 0.5) / factor - 0.5, 0, BLOCK - 1)
    low = np.minimum(places.astype(np.int64), BLOCK - 2)
    share = (places - low).astype(np.float32)
    parts = parts[:, low] * (1 - share)[:, None] + parts[:, low + 1] * share[:, None]
    return parts[:, :, low] * (1 - share) + parts[:, :, low + 1] * share


def _noise(strength: Float, blocks: NDArray[np.int64], grid: tuple[int, ...], outline: Mask) -> Float:
    """Return the typical strength outside the outlines around each block, [n]."""
    height, width = (side * BLOCK for side in grid)
    away = np.pad(~outline, ((0, height - outline.shape[0]), (0, width - outline.shape[1])))
    parts = away.reshape(grid[0], BLOCK, grid[1], BLOCK)[blocks[:, 0], :, blocks[:, 1]]
    parts &= strength > 0
    sums, counts = np.zeros(grid), np.zeros(grid)
    # The squared mean of the roots is hardly affected by the few pixels of another line.
    sums[blocks[:, 0], blocks[:, 1]] = (np.sqrt(strength) * parts).sum((1, 2))
    counts[blocks[:, 0], blocks[:, 1]] = parts.sum((1, 2))
    overall = sums.sum() / max(counts.sum(), 1)
    near = [_around(values)[blocks[:, 0], blocks[:, 1]] for values in (sums, counts)]
    few = BLOCK**2 / 2  # number of pixels as heavy as the whole photo's mean
    return np.asarray(((near[0] + few * overall) / (near[1] + few)) ** 2 * 1.48, np.float32)


def _around(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum over 5 × 5 cells around each cell [h,w]."""
    padded = np.pad(values, 2)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, (5, 5)).sum((2, 3)))
