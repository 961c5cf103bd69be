"""Paste cracks from real photos onto photos of boards, so that one photo shows both a crack and a seam.

A crack is extracted from its photo as *relief*: how much darker (or, at chipped edges, brighter) each pixel
is than the wall around it, with the wall's grain removed. Multiplying the board by that relief keeps the
board's colour, light and seam. Some cracks are pasted directly instead, with a soft edge, so that a model
cannot learn to recognise a single way of pasting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from drywallqa.synthetic.canvas import REFERENCE_SIDE, Box, Float, Generator, Mask, Photo, Size, blurred

_COARSE = 4  # px; spacing of the grid on which the wall's brightness is estimated
_LEAST_RELIEF = 0.3  # the core of a pasted crack is at least this much darker than the board
_DARKEST_WALL = 12.0  # grey levels; areas darker than this are padding, not board
_BLOCK = 8  # px; padding is detected in blocks of this size
_EVEN = 0.5  # squared grey levels; a variance lower than any camera's noise
_WALL_AROUND = 0.06  # margin of wall kept around the crack, as a share of its photo's side


@dataclass(frozen=True)
class Pasting:
    """How a crack may be moved and blended when it is pasted onto a board.

    Attributes:
        scale: Smallest and largest scale factor, relative to filling the board.
        shift: Largest move in either direction, as a share of the board's side.
        flip: Whether the crack may be mirrored.
        turn: Whether the crack may be rotated by quarter turns.
        relief_share: Share of cracks applied as relief; the others are pasted with a soft edge.
    """

    scale: tuple[float, float] = (0.7, 1.4)
    shift: float = 0.2
    flip: bool = True
    turn: bool = True
    relief_share: float = 0.85


STILL = Pasting(scale=(1.0, 1.0), shift=0.0, relief_share=1.0)
"""Keeps a crack's scale and position, so that a benchmark can compare composite and original photo."""


@dataclass(frozen=True)
class Composite:
    """A board with a crack on it.

    Attributes:
        photo: uint8 [H,W,3].
        crack: True mask of the pasted crack, bool [H,W].
        taping: True taping-area mask of the board, bool [H,W].
        crack_index: Index of the crack sample.
        board_index: Index of the board sample.
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
    """Paste the crack of one photo onto a board and keep the board's seam visible.

    Args:
        board: uint8 [H,W,3].
        crack_photo: uint8 [h,w,3], of any size.
        crack_mask: bool [h,w], the labelled outline around the crack.
        generator: Random generator for all choices.
        pasting: Limits for moving and blending; by default, the limits used in training.

    Returns:
        The composite, uint8 [H,W,3], and the crack's mask on it, bool [H,W]. If no part of the crack lies
        on the board, returns the unchanged board and an empty mask.
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
    pasting: Pasting = STILL,
) -> Iterator[Composite]:
    """Build composites; the same samples and seed always give the same composites.

    Args:
        cracks: (photo, crack mask) samples, which may be loaded on indexing.
        boards: (photo, taping mask) samples, which may be loaded on indexing.
        count: Number of composites. Every sample is used once before any is reused.
        seed: Seed for the pairing and all other random choices.
        pasting: Limits for moving and blending; by default the crack keeps its scale and position.

    Yields:
        `count` composites with a non-empty crack mask.

    Raises:
        ValueError: If there are no samples, or no crack can be pasted onto any board.
    """
    if not len(cracks) or not len(boards):
        raise ValueError("composites need at least one crack and one board")
    generator = np.random.default_rng(seed)
    made, misses = 0, 0
    crack_order, board_order = _cycle(len(cracks), generator), _cycle(len(boards), generator)
    while made < count:
        crack_index, board_index = next(crack_order), next(board_order)
        board, taping = boards[board_index]
        photo, crack = paste_crack(board, *cracks[crack_index], generator, pasting)
        if not crack.any():
            misses += 1
            if misses > 10 * count + 100:
                raise ValueError("no crack lies on a board after pasting")
            continue
        made += 1
        yield Composite(photo, crack, taping.copy(), crack_index, board_index)


def _cycle(length: int, generator: Generator) -> Iterator[int]:
    while True:
        yield from generator.permutation(length).tolist()


def _move(
    photo: Photo, mask: Mask, size: Size, generator: Generator, pasting: Pasting
) -> tuple[Photo, Mask, Box] | None:
    """Rotate, mirror, scale and shift a crack.

    Returns:
        The crack with some wall around it, its outline, and their box on a board of `size` (height, width).
        None if the crack lies outside the board.
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
    # One factor for both directions, so that a crack keeps its shape on a board of another aspect ratio.
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
    """Mark the board, as opposed to the padding of an augmented copy; thin dark seams count as board.

    Padding is black, or a uniform grey (brightened black) that is much darker than the board.
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
    """Estimate the wall's brightness [h,w] under the crack from the wall outside the outline.

    Uses normalised convolution (Knutsson and Westin, 1993): blur(signal × weight) / blur(weight). The radius
    is wide far from visible wall and narrow close to it. A wall's brightness changes slowly, so a coarse
    grid suffices.
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
    """Compute the factor [h,w] by which a crack darkens or brightens the wall; 1 away from the crack.

    `outline` covers the whole crack, `mask` the part of it on the board.
    """
    grey = np.asarray(Image.fromarray(photo).convert("L"), np.float32) / np.float32(255)
    # Black pixels outside the outline are padding, not wall.
    outside = ((~outline) & (grey > 0.02)).astype(np.float32)
    deviation = grey / np.maximum(_surroundings(grey, outside, side), 0.06) - 1.0
    dark, bright = np.maximum(-deviation, 0.0), np.maximum(deviation, 0.0)
    # The percentile ignores other objects on the wall; the limit preserves faint cracks.
    ring = np.abs(deviation[outside > 0])
    grain = float(np.percentile(ring[::7], 68)) if ring.size else 0.05
    grain = min(grain, 0.3 * float(np.percentile(dark[mask], 97)))
    # Soft threshold: pixels within the wall's grain are not part of the crack.
    dark *= np.clip((dark - grain) / (2.0 * grain + 0.02), 0, 1)
    bright *= 0.6 * np.clip((bright - 2.0 * grain) / (2.0 * grain + 0.02), 0, 1)
    core = float(np.percentile(dark[mask], 95))
    if core > 0:
        dark *= max(1.0, min(3.0, _LEAST_RELIEF / core))
    return np.asarray(1.0 + _feather(mask, side) * (np.minimum(bright, 0.35) - np.minimum(dark, 0.93)))


def _feather(mask: Mask, side: int) -> Float:
    """Compute weights: 1 inside the outline, falling smoothly to 0 at its edge and at cut-off ends."""
    radius = max(0.6, 3.0 * side / REFERENCE_SIDE)
    border = max(1, round(2 * radius))
    soft = blurred(np.pad(mask.astype(np.float32), border), radius)[border:-border, border:-border]
    return np.asarray(np.clip(soft * 2.0, 0, 1))


def _soft_paste(board: Float, photo: Photo, mask: Mask, side: int) -> Float:
    """Blend the crack's pixels onto the board with a soft outline, shifting their colours to the board's."""
    pixels = photo.astype(np.float32)
    bright = np.percentile(pixels[mask], 75, axis=0)
    target = (board * mask[:, :, None]).sum((0, 1)) / mask.sum()
    matched = pixels * np.clip(target / np.maximum(bright, 8.0), 0.3, 3.0)
    return np.asarray(board + _feather(mask, side)[:, :, None] * (matched - board))
