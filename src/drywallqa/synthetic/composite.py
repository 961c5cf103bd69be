"""Paste cracks from real photos onto photos of boards, so that one photo shows both a crack and a seam.

Most cracks are extracted from their photos as *relief*. The relief contains one factor per pixel, which
states how much darker (or, at chipped edges, brighter) the crack is than the wall around it. The relief does
not contain the grain of the wall. The board is multiplied by the relief, so its colour, light and seam are
preserved. The other cracks are pasted directly, with a soft edge. The use of two methods keeps a model from
learning the traces of one method instead of the crack.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from drywallqa.synthetic.canvas import REFERENCE_SIDE, Box, Float, Generator, Mask, Photo, Size, blurred

_COARSE = 4  # px; grid spacing for the estimate of the wall's brightness
_LEAST_RELIEF = 0.3  # a pasted crack is darker than the board by at least this share
_DARKEST_WALL = 12.0  # grey levels; darker areas are padding
_BLOCK = 8  # px; block size for the detection of padding
_EVEN = 0.5  # squared grey levels; a variance below the noise of any camera
_WALL_AROUND = 0.06  # margin around the crack that is cut out with it, as a share of the photo's side


@dataclass(frozen=True)
class Pasting:
    """Limits for moving and blending a crack when it is pasted onto a board.

    Attributes:
        scale: Smallest and largest scale factor. At 1, the photo with the crack is just large enough to cover
            the board.
        shift: Largest shift along each axis, as a share of the board's side.
        flip: Whether the crack may be mirrored.
        turn: Whether the crack may be rotated by multiples of 90 degrees.
        relief_share: Share of cracks that are pasted as relief. The other cracks are pasted with a soft edge.
    """

    scale: tuple[float, float] = (0.7, 1.4)
    shift: float = 0.2
    flip: bool = True
    turn: bool = True
    relief_share: float = 0.85


STILL = Pasting(scale=(1.0, 1.0), shift=0.0, relief_share=1.0)
"""Keeps the scale and position of a crack, which allows comparing a composite with the original photo."""


@dataclass(frozen=True)
class Composite:
    """A board with a crack on it.

    Attributes:
        photo: uint8 [H,W,3].
        crack: Ground-truth mask of the pasted crack, bool [H,W].
        taping: Ground-truth mask of the taping area, bool [H,W].
        crack_index: Index of the sample that contains the crack.
        board_index: Index of the sample that contains the board.
    """

    photo: Photo
    crack: Mask
    taping: Mask
    crack_index: int
    board_index: int


def paste_crack(
    board: Photo,
    crack_photo: Photo,
    crack_mask: Mask,
    generator: Generator,
    pasting: Pasting | None = None,
) -> tuple[Photo, Mask]:
    """Paste a crack from one photo onto a photo of a board. The seam of the board stays visible.

    Args:
        board: Photo of the board, uint8 [H,W,3].
        crack_photo: Photo of the crack, uint8 [h,w,3]. It may have any size.
        crack_mask: Labelled area of the crack, bool [h,w].
        generator: Random generator for all choices.
        pasting: Limits for moving and blending. If None, the default limits for training are used.

    Returns:
        The composite, uint8 [H,W,3], and the mask of the crack in the composite, bool [H,W]. If no part of
        the crack lies on the board, the composite equals the board and the mask is empty.
    """
    pasting = pasting or Pasting()
    side = max(board.shape[:2])
    mask = np.zeros(board.shape[:2], np.bool_)
    as_relief = generator.random() < pasting.relief_share
    result = board.copy()
    moved = _move(crack_photo, crack_mask, board.shape[:2], generator, pasting)
    if moved is None:
        return result, mask
    photo, outline, box = moved
    mask[box] = outline & _is_board(board)[box]
    if not mask.any():
        return result, mask
    part = board[box].astype(np.float32)
    if as_relief:
        pasted = part * _relief(photo, outline, mask[box], side)[:, :, None]
    else:
        pasted = _soft_paste(part, photo, mask[box], side)
    result[box] = np.clip(pasted + 0.5, 0, 255).astype(np.uint8)
    return result, mask


def composites(
    cracks: Sequence[tuple[Photo, Mask]],
    boards: Sequence[tuple[Photo, Mask]],
    count: int = 200,
    seed: int = 0,
) -> Iterator[Composite]:
    """Build composites. The same samples and seed always give the same composites.

    Args:
        cracks: Samples with a photo and the mask of a crack. The sequence may load a sample when the sample
            is indexed.
        boards: Samples with a photo and the mask of the taping area. The sequence may load a sample when the
            sample is indexed.
        count: Number of composites. Every sample is used once before a sample is used again.
        seed: Seed for the pairing and for all other random choices.

    Yields:
        `count` composites with a non-empty crack mask. Cracks may be rotated or mirrored, but are not shifted
        or rescaled.

    Raises:
        ValueError: There are no samples, or no crack lies on a board after pasting.
    """
    if not len(cracks) or not len(boards):
        raise ValueError("composites need at least one crack and one board")
    generator = np.random.default_rng(seed)
    made, misses = 0, 0
    crack_order, board_order = _cycle(len(cracks), generator), _cycle(len(boards), generator)
    while made < count:
        crack_index, board_index = next(crack_order), next(board_order)
        board, taping = boards[board_index]
        photo, crack = paste_crack(board, *cracks[crack_index], generator, STILL)
        if crack.any():
            made += 1
            yield Composite(photo, crack, taping.copy(), crack_index, board_index)
        else:
            misses += 1
            if misses > 10 * count + 100:
                raise ValueError("no crack lies on a board after pasting")


def _cycle(length: int, generator: Generator) -> Iterator[int]:
    while True:
        yield from generator.permutation(length).tolist()


def _move(
    photo: Photo, mask: Mask, size: Size, generator: Generator, pasting: Pasting
) -> tuple[Photo, Mask, Box] | None:
    """Rotate, mirror, scale and shift a crack.

    Returns:
        The picture of the crack with a margin, the mask of the crack, and the box that the picture and the
        mask cover on a board of `size` (height, width). None if the crack lies outside the board.
    """
    turns = int(generator.integers(4)) if pasting.turn else 0
    mirror = pasting.flip and generator.random() < 0.5
    factor = float(np.exp(generator.uniform(*np.log(pasting.scale))))
    shift = generator.uniform(-pasting.shift, pasting.shift, 2)
    photo, mask = np.rot90(photo, turns), np.rot90(mask, turns)
    if mirror:
        photo, mask = photo[:, ::-1], mask[:, ::-1]
    frame = Image.fromarray(mask.astype(np.uint8)).getbbox()
    if frame is None:
        return None
    # Both axes have the same factor, so that the crack keeps its shape if the aspect ratios differ.
    factor *= max(size[0] / mask.shape[0], size[1] / mask.shape[1])
    margin = round(_WALL_AROUND * max(mask.shape))
    start = np.maximum(np.array(frame[1::-1]) - margin, 0)
    stop = np.minimum(np.array(frame[:1:-1]) + margin, mask.shape)
    source = (slice(start[0], stop[0]), slice(start[1], stop[1]))
    offset = [
        round((first - length / 2) * factor + (0.5 + move) * goal)
        for first, length, move, goal in zip(start.tolist(), mask.shape, shift, size, strict=True)
    ]
    rows, columns = (max(1, round(length * factor)) for length in (stop - start).tolist())
    top, left = (max(0, first) for first in offset)
    bottom, right = min(size[0], offset[0] + rows), min(size[1], offset[1] + columns)
    if bottom <= top or right <= left:
        return None
    inner = (slice(top - offset[0], bottom - offset[0]), slice(left - offset[1], right - offset[1]))
    scaled = _resize(photo[source], rows, columns, Image.Resampling.BILINEAR)
    outline = _resize(mask[source].astype(np.uint8) * 255, rows, columns, Image.Resampling.NEAREST)
    return scaled[inner], outline[inner] > 127, (slice(top, bottom), slice(left, right))


def _resize(values: Photo, rows: int, columns: int, method: Image.Resampling) -> Photo:
    if values.shape[:2] == (rows, columns):
        return values
    return np.asarray(Image.fromarray(np.ascontiguousarray(values)).resize((columns, rows), method))


def _is_board(board: Photo) -> Mask:
    """Compute a mask of the board that excludes the padding of an augmented photo but includes thin seams.

    Padding is black, or a uniform grey that is much darker than the board.
    """
    height, width = board.shape[:2]
    grey = np.asarray(Image.fromarray(board).convert("L"), np.float32)
    size = (max(1, width // _BLOCK), max(1, height // _BLOCK))
    mean, square = (
        np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX), np.float32)
        for values in (grey, grey * grey)
    )
    even = square - mean * mean < _EVEN
    padding = (mean < _DARKEST_WALL) | (even & (mean < 0.6 * np.median(mean)))
    full = Image.fromarray(padding.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(full) < 128


def _surroundings(grey: Float, outside: Float, side: int) -> Float:
    """Estimate the brightness [h,w] of the wall under the crack from the wall around it.

    The method is normalised convolution (Knutsson and Westin, 1993): blur(signal × weight) / blur(weight).
    The blur radius grows with the distance from the visible wall. The brightness of a wall changes slowly, so
    a coarse grid is sufficient.
    """
    rows, columns = grey.shape
    size = (max(1, columns // _COARSE), max(1, rows // _COARSE))
    signal, cover = (
        np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX), np.float32)
        for values in (grey * outside, outside)
    )
    filled = np.full_like(signal, float(signal.sum() / max(float(cover.sum()), 1e-3)))
    for share in (0.12, 0.05, 0.02):
        weight = blurred(cover, share * side / _COARSE)
        trust = np.clip(weight * 8.0, 0, 1)
        filled += trust * (blurred(signal, share * side / _COARSE) / np.maximum(weight, 0.02) - filled)
    return np.asarray(Image.fromarray(filled).resize((columns, rows), Image.Resampling.BILINEAR), np.float32)


def _relief(photo: Photo, outline: Mask, mask: Mask, side: int) -> Float:
    """Compute factors [h,w] by which a crack darkens or brightens the wall; 1 outside the crack.

    `outline` covers the whole crack. `mask` covers only the part of the crack that lies on the board.
    """
    grey = np.asarray(Image.fromarray(photo).convert("L"), np.float32) / np.float32(255)
    # Black pixels outside the outline are padding and do not show the wall.
    outside = ((~outline) & (grey > 0.02)).astype(np.float32)
    deviation = grey / np.maximum(_surroundings(grey, outside, side), 0.06) - 1.0
    dark, bright = np.maximum(-deviation, 0.0), np.maximum(deviation, 0.0)
    # The percentile ignores other objects on the wall. The upper limit preserves faint cracks.
    ring = np.abs(deviation[outside > 0])
    grain = float(np.percentile(ring[::7], 68)) if ring.size else 0.05
    grain = min(grain, 0.3 * float(np.percentile(dark[mask], 97)))
    # Small deviations belong to the grain of the wall, so a soft threshold removes them.
    dark *= np.clip((dark - grain) / (2.0 * grain + 0.02), 0, 1)
    bright *= 0.6 * np.clip((bright - 2.0 * grain) / (2.0 * grain + 0.02), 0, 1)
    core = float(np.percentile(dark[mask], 95))
    if core > 0:
        dark *= max(1.0, min(3.0, _LEAST_RELIEF / core))
    return np.asarray(1.0 + _feather(mask, side) * (np.minimum(bright, 0.35) - np.minimum(dark, 0.93)))


def _feather(mask: Mask, side: int) -> Float:
    """Compute weights that are 1 inside the mask and fall smoothly to 0 at its edges."""
    radius = max(0.6, 3.0 * side / REFERENCE_SIDE)
    border = max(1, round(2 * radius))
    soft = blurred(np.pad(mask.astype(np.float32), border), radius)[border:-border, border:-border]
    return np.asarray(np.clip(soft * 2.0, 0, 1))


def _soft_paste(board: Float, photo: Photo, mask: Mask, side: int) -> Float:
    """Blend the crack onto the board with a soft edge, and match the colours to the board."""
    pixels = photo.astype(np.float32)
    bright = np.percentile(pixels[mask], 75, axis=0)
    target = (board * mask[:, :, None]).sum((0, 1)) / mask.sum()
    matched = pixels * np.clip(target / np.maximum(bright, 8.0), 0.3, 3.0)
    return np.asarray(board + _feather(mask, side)[:, :, None] * (matched - board))
