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
from PIL import Image

from drywallqa.synthetic.canvas import Mask, Photo
from drywallqa.synthetic.relief import relief, soft_paste

Box = tuple[slice, slice]

_DARKEST_WALL = 12.0  # grey levels; a board darker than this over an area is padding, not board
_BLOCK = 8  # px; blocks in which padding is looked for
_EVEN = 0.5  # squared grey levels; less variance than any camera's noise
_WALL_AROUND = 0.06  # share of a crack photo's side that is kept around the crack, to know its wall


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
    side = max(board.shape[:2])
    mask = np.zeros(board.shape[:2], np.bool_)
    as_relief = generator.random() < pasting.relief_share
    crack = _move(crack_photo, crack_mask, board.shape[:2], generator, pasting)
    if crack is None:
        return board.copy(), mask
    photo, outline, box = crack
    mask[box] = outline & _is_board(board)[box]
    if not mask.any():
        return board.copy(), mask
    part = board[box].astype(np.float32)
    if as_relief:
        pasted = part * relief(photo, outline, mask[box], side)[:, :, None]
    else:
        pasted = soft_paste(part, photo, mask[box], side)
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
) -> tuple[Photo, Mask, Box] | None:
    """Turn, mirror, scale and shift a crack.

    Returns:
        The crack with some wall around it, its outline, and where on a board of `size` (height, width) they
        come to lie; None where the crack has left the board.
    """
    turns = int(generator.integers(4)) if pasting.turn else 0
    mirror = pasting.flip and generator.random() < 0.5
    factor = float(np.exp(generator.uniform(*np.log(pasting.scale))))
    shift = generator.uniform(-pasting.shift, pasting.shift, 2)
    photo, mask = np.rot90(photo, turns), np.rot90(mask, turns)
    if mirror:
        photo, mask = photo[:, ::-1], mask[:, ::-1]
    # One factor for both directions, so that a crack keeps its shape on a board of another aspect.
    factor *= max(size[0] / mask.shape[0], size[1] / mask.shape[1])
    source = _bounds(mask, margin=round(_WALL_AROUND * max(mask.shape)))
    if source is None:
        return None
    offset = [
        round((cut.start - length / 2) * factor + (0.5 + move) * goal)
        for cut, length, move, goal in zip(source, mask.shape, shift, size, strict=True)
    ]
    rows, columns = (max(1, round((cut.stop - cut.start) * factor)) for cut in source)
    top, left = (max(0, start) for start in offset)
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
    """Where there is board rather than padding of an augmented copy; thin dark seams count as board.

    Padding is black, or an even grey (black that was brightened) much darker than the board.
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


def _bounds(mask: Mask, margin: int) -> Box | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return None
    return (
        slice(max(0, int(rows[0]) - margin), min(mask.shape[0], int(rows[-1]) + 1 + margin)),
        slice(max(0, int(columns[0]) - margin), min(mask.shape[1], int(columns[-1]) + 1 + margin)),
    )
