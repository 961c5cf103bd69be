"""Cracks of real photos put onto photos of boards, so that one photo shows a crack and a seam.

A crack is taken off its photo as *relief*: how much darker (or, at chipped edges, brighter) each pixel is
than the wall around it, with the wall's own grain removed. The board multiplied by that relief keeps its
colour, its light and its seam. A share of the cracks is pasted plainly instead, with a soft edge, so that
a model cannot learn the one way of pasting by heart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Photo = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Float = NDArray[np.float32]

_REFERENCE_SIDE = 640  # px; the radii below are meant for photos of this longer side
_DARKEST_WALL = 12.0  # grey levels; a board darker than this over an area is padding, not board
_LEAST_RELIEF = 0.3  # a pasted crack is at least this much darker than its board at its core


@dataclass(frozen=True)
class Pasting:
    """How a crack may be moved and blended before it lies on a board.

    Attributes:
        scale: Smallest and largest factor of size, relative to filling the board.
        shift: Largest move in either direction, as a share of the board's side.
        flip: Whether the crack may be mirrored.
        turn: Whether the crack may be turned by quarter turns.
        relief_share: Share of cracks put on as relief; the others are pasted with a soft edge.
    """

    scale: tuple[float, float] = (0.7, 1.4)
    shift: float = 0.2
    flip: bool = True
    turn: bool = True
    relief_share: float = 0.85


STILL = Pasting(scale=(1.0, 1.0), shift=0.0, relief_share=1.0)
"""Keeps a crack's own scale and place: what a benchmark needs to compare with the photo it came from."""


@dataclass(frozen=True)
class Composite:
    """A board with a crack on it.

    Attributes:
        photo: uint8 [H,W,3].
        crack: The pasted crack's truth, bool [H,W].
        taping: The board's own truth, bool [H,W].
        crack_index: Which of the crack samples was used.
        board_index: Which of the board samples was used.
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
    generator: np.random.Generator,
    pasting: Pasting | None = None,
) -> tuple[Photo, Mask]:
    """Put the crack of one photo onto a board whose seam stays visible.

    Args:
        board: uint8 [H,W,3].
        crack_photo: uint8 [h,w,3], of any size.
        crack_mask: bool [h,w], the outline drawn around the crack, as wide as it was labelled.
        generator: Source of every random choice.
        pasting: Freedom of movement and blending; by default that of training.

    Returns:
        The composite, uint8 [H,W,3], and the crack's mask on it, bool [H,W]. Where nothing of the crack
        comes to lie on the board, the board itself and an empty mask.
    """
    pasting = pasting or Pasting()
    height, width = board.shape[:2]
    photo, mask = _move(crack_photo, crack_mask, (height, width), generator, pasting)
    mask &= _is_board(board)
    as_relief = generator.random() < pasting.relief_share
    box = _bounds(mask, margin=round(0.06 * max(height, width)))
    if box is None:
        return board.copy(), mask
    part = board[box].astype(np.float32)
    if as_relief:
        pasted = part * _relief(photo[box], mask[box], max(height, width))[:, :, None]
    else:
        pasted = _soft_paste(part, photo[box], mask[box], max(height, width))
    result = board.copy()
    result[box] = np.clip(pasted + 0.5, 0, 255).astype(np.uint8)
    return result, mask


def composites(
    cracks: Sequence[tuple[Photo, Mask]],
    boards: Sequence[tuple[Photo, Mask]],
    count: int = 200,
    seed: int = 0,
    pasting: Pasting = STILL,
) -> Iterator[Composite]:
    """Build the same composites on every call with the same samples and seed.

    Args:
        cracks: (photo, crack mask) samples; may load them when indexed.
        boards: (photo, taping mask) samples; may load them when indexed.
        count: How many composites to build. Samples are used evenly before any is used again.
        seed: Fixes pairs and every random choice.
        pasting: Freedom of movement and blending; by default the crack keeps its scale and place.

    Yields:
        `count` composites whose crack is not empty.

    Raises:
        ValueError: If there are no samples, or no crack can be put on any board.
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
                raise ValueError("none of the cracks comes to lie on any of the boards")
            continue
        made += 1
        yield Composite(photo, crack, taping.copy(), crack_index, board_index)


def _cycle(length: int, generator: np.random.Generator) -> Iterator[int]:
    while True:
        yield from (int(index) for index in generator.permutation(length))


def _move(
    photo: Photo,
    mask: Mask,
    size: tuple[int, int],
    generator: np.random.Generator,
    pasting: Pasting,
) -> tuple[Photo, Mask]:
    """Turn, mirror, scale and shift a crack, and cut it to `size` (height, width)."""
    turns = int(generator.integers(4)) if pasting.turn else 0
    mirror = pasting.flip and generator.random() < 0.5
    factor = float(np.exp(generator.uniform(*np.log(pasting.scale))))
    shift_y, shift_x = generator.uniform(-pasting.shift, pasting.shift, 2)
    photo, mask = np.rot90(photo, turns), np.rot90(mask, turns)
    if mirror:
        photo, mask = photo[:, ::-1], mask[:, ::-1]
    height, width = size
    rows, columns = mask.shape
    # One factor for both directions, so that a crack keeps its shape on a board of another aspect.
    step = min(rows / height, columns / width) / factor
    left = columns / 2 - step * width * (0.5 + shift_x)
    top = rows / 2 - step * height * (0.5 + shift_y)
    matrix = (step, 0.0, left, 0.0, step, top)
    moved = Image.fromarray(np.ascontiguousarray(photo)).transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    outline = Image.fromarray(np.ascontiguousarray(mask).astype(np.uint8) * 255).transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST
    )
    return np.asarray(moved), np.asarray(outline) > 127


def _is_board(board: Photo) -> Mask:
    """Where there is board rather than black padding; thin dark seams count as board."""
    height, width = board.shape[:2]
    image = Image.fromarray(board).convert("L")
    coarse = image.resize((max(1, width // 8), max(1, height // 8)), Image.Resampling.BOX)
    return np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR)) > _DARKEST_WALL


def _bounds(mask: Mask, margin: int) -> tuple[slice, slice] | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return None
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + 1 + margin),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + 1 + margin),
    )


def _blur(values: Float, radius: float) -> Float:
    """Three box blurs, which come close to a Gaussian of that radius; reflects at no edge, keeps size."""
    image = Image.fromarray(np.clip(values * 255.0, 0, 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32) / np.float32(255)


def _surroundings(grey: Float, outside: Float, side: int) -> Float:
    """The wall's brightness [h,w] where the crack runs, carried in from outside its outline.

    Normalised convolution (Knutsson and Westin, 1993): blur(signal × weight) / blur(weight), from a wide
    radius where the outline is wide to a narrow one where the wall is near.
    """
    filled = np.full_like(grey, float((grey * outside).sum() / max(float(outside.sum()), 1.0)))
    for radius in (0.12 * side, 0.05 * side, 0.02 * side):
        weight = _blur(outside, radius)
        trust = np.clip(weight * 8.0, 0, 1)
        filled += trust * (_blur(grey * outside, radius) / np.maximum(weight, 0.02) - filled)
    return filled


def _relief(photo: Photo, mask: Mask, side: int) -> Float:
    """Factor [h,w] by which a crack darkens or brightens the wall; 1 away from it."""
    grey = np.asarray(Image.fromarray(photo).convert("L"), np.float32) / np.float32(255)
    # Pixels that the photo does not cover are black and no wall.
    outside = ((~mask) & (grey > 0.02)).astype(np.float32)
    wall = np.maximum(_surroundings(grey, outside, side), 0.06)
    deviation = grey / wall - 1.0
    near = (outside > 0) & (np.abs(deviation) < 0.5)
    grain = float(deviation[near].std()) if near.any() else 0.05
    dark, bright = np.maximum(-deviation, 0.0), np.maximum(deviation, 0.0)
    # Soft threshold at the wall's grain: what is no darker than grain is not crack.
    dark *= np.clip((dark - grain) / (2.0 * grain + 0.02), 0, 1)
    bright *= 0.6 * np.clip((bright - 2.0 * grain) / (2.0 * grain + 0.02), 0, 1)
    core = float(np.percentile(dark[mask], 95)) if mask.any() else 0.0
    if core > 0:
        dark *= max(1.0, min(3.0, _LEAST_RELIEF / core))
    feather = _feather(mask, side)
    return (1.0 + feather * (np.minimum(bright, 0.35) - np.minimum(dark, 0.93))).astype(np.float32)


def _feather(mask: Mask, side: int) -> Float:
    """1 inside the outline, falling softly to 0 within about 1 % of the side around it."""
    radius = max(0.6, 3.0 * side / _REFERENCE_SIDE)
    soft = _blur(mask.astype(np.float32), radius)
    return np.maximum(np.clip(soft * 2.0, 0, 1), mask.astype(np.float32) * np.clip(soft * 2.0, 0, 1))


def _soft_paste(board: Float, photo: Photo, mask: Mask, side: int) -> Float:
    """The crack's own pixels over the board, its colours moved to the board's, under a soft outline."""
    pixels = photo.astype(np.float32)
    inside = mask[:, :, None]
    count = max(1, int(mask.sum()))
    bright = np.percentile(pixels[mask], 75, axis=0)
    target = (board * inside).sum((0, 1)) / count
    matched = pixels * np.clip(target / np.maximum(bright, 8.0), 0.3, 3.0)
    alpha = _feather(mask, side)[:, :, None]
    return board + alpha * (matched - board)
