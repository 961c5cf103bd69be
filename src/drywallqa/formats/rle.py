"""Encode and decode the run-length encodings of masks in COCO, Label Studio (brush) and CVAT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

_LONGEST_NUMBER = 7
"""Characters of the longest number in COCO's compressed string. COCO decodes only 32 of their 35 bits."""

_CHANNELS = 4
_WORD_BITS = 8
_SIZE_BITS = (3, 4, 8, 16)
_HEADER_BITS = 53


def encode_runs(mask: Mask) -> list[int]:
    """Encode a mask [H,W] as COCO run lengths: column-major, alternating zeros and ones, zeros first."""
    height = mask.shape[0]
    # Compare neighbours in memory order and sort the few changes: faster than transposing the mask.
    rows, columns = np.divmod(np.flatnonzero(mask[1:] != mask[:-1]), mask.shape[1])
    below = columns * height + rows + 1
    beside = (np.flatnonzero(mask[0, 1:] != mask[-1, :-1]) + 1) * height
    return _run_lengths(np.sort(np.concatenate([below, beside])), mask)


def decode_runs(counts: str | Sequence[int], height: int, width: int) -> Mask:
    """Decode COCO run lengths to a mask [height,width]: column-major, alternating zeros and ones.

    Args:
        counts: A list of run lengths, or COCO's compressed string.
        height: Height in px.
        width: Width in px.

    Raises:
        ValueError: The run lengths are damaged or do not fill the mask exactly.
    """
    runs = decompress(counts) if isinstance(counts, str) else list(counts)
    return _repeat(runs, height * width, "photo").reshape(width, height).T


def compress(runs: Sequence[int]) -> str:
    """Encode run lengths as COCO's compressed string (pycocotools, `rleToString`).

    Each character contains five bits of a number, lowest bits first. Its sixth bit is set if the next
    character continues the number. From the fourth run length on, each number is the difference from the run
    length two positions earlier.
    """
    numbers = np.array(runs, np.int64)
    numbers[3:] -= np.array(runs[1:-2], np.int64)
    rest = numbers[:, None] >> (5 * np.arange(_LONGEST_NUMBER))
    # A character is the last one of its number if the bits above it repeat its highest bit.
    needed = (rest >> 4 != 0) & (rest >> 4 != -1)
    codes = (rest & 31) + 32 * needed + 48
    used = np.concatenate([np.ones((len(numbers), 1), np.bool_), needed[:, :-1]], axis=1)
    return str(codes[used].astype(np.uint8).tobytes(), "ascii")


def decompress(text: str) -> list[int]:
    """Decode COCO's compressed run lengths, as `compress` writes them (pycocotools, `rleFrString`).

    Raises:
        ValueError: The string has invalid characters, is truncated, or contains a number that is too large.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64) - 48
    wrong = np.flatnonzero((codes < 0) | (codes > 63))
    if wrong.size:
        raise ValueError(f"the character {text[wrong[0]]!r} is not valid in compressed run lengths")
    ends = np.flatnonzero(codes < 32)
    if len(codes) and codes[-1] >= 32:
        raise ValueError("the compressed run lengths (RLE) are truncated within a number")
    lengths = np.diff(ends, prepend=-1)
    if lengths.max(initial=0) > _LONGEST_NUMBER:
        raise ValueError("the compressed run lengths (RLE) contain a number that is larger than any photo")
    starts = ends - lengths + 1
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, lengths))
    numbers = np.add.reduceat((codes & 31) << shifts, starts) if len(starts) else np.zeros(0, np.int64)
    numbers -= np.where(codes[ends] & 16, np.int64(1) << (5 * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    runs: list[int] = numbers.tolist()
    return runs


def encode_brush(mask: Mask) -> list[int]:
    """Encode a mask [H,W] as the bytes of a Label Studio brush, which are bit-packed run lengths.

    The stream describes RGBA pixels, row-major and with interleaved channels. All four channels of a marked
    pixel are 255. The header has 53 bits: the number of values (32 bits), the bits per value minus 1 (5
    bits), and four field sizes minus 1 (4 bits each). Each run consists of a bit 1, the index of a field size
    (2 bits), the run length minus 1 in a field of this size, and the value (8 bits).
    """
    runs = np.array(_rows_first(mask), np.int64) * _CHANNELS
    values = np.where(np.arange(len(runs)) % 2, 255, 0)[runs > 0]
    runs = runs[runs > 0]
    longest = 1 << _SIZE_BITS[-1]
    parts = -(-runs // longest)
    lengths = np.full(int(parts.sum()), longest)
    lengths[np.cumsum(parts) - 1] = runs - (parts - 1) * longest
    kinds = np.searchsorted(1 << np.array(_SIZE_BITS), lengths)
    sizes = np.array(_SIZE_BITS)[kinds]
    words = (((4 | kinds) << sizes | lengths - 1) << _WORD_BITS) | np.repeat(values, parts)
    header = [mask.size * _CHANNELS, _WORD_BITS - 1, *(size - 1 for size in _SIZE_BITS)]
    return _pack_bits(
        np.concatenate([header, words]),
        np.concatenate([[32, 5, *[4] * len(_SIZE_BITS)], sizes + 3 + _WORD_BITS]),
    )


def _pack_bits(words: NDArray[np.int64], widths: NDArray[np.int64]) -> list[int]:
    """Concatenate words [N] of at most 32 bits with the given widths [N] in bits, highest bit first."""
    ends = np.cumsum(widths)
    cell, offset = np.divmod(ends - widths, 32)
    placed = words.astype(np.uint64) << (64 - offset - widths).astype(np.uint64)
    cells = np.zeros(int(ends[-1]) // 32 + 2, np.uint64)
    np.bitwise_or.at(cells, cell, placed >> np.uint64(32))
    np.bitwise_or.at(cells, cell + 1, placed & np.uint64(0xFFFFFFFF))
    return list(cells.astype(">u4").tobytes()[: -(-int(ends[-1]) // 8)])


def decode_brush(rle: Sequence[int], height: int, width: int) -> Mask:
    """Decode a Label Studio brush to a mask [height,width] of the pixels that are at least half opaque.

    If a stream has only the values 0 and 1, the pixels with value 1 are marked.

    Args:
        rle: The bytes of the stream, as `encode_brush` describes them.
        height: Height in px.
        width: Width in px.

    Raises:
        ValueError: The stream is damaged or does not fill the mask exactly.
    """
    if not isinstance(rle, list | tuple) or not all(type(byte) is int and 0 <= byte < 256 for byte in rle):
        raise ValueError("the brush (RLE) is not a list of bytes from 0 to 255")
    data = bytes(rle)
    if 8 * len(data) < _HEADER_BITS:
        raise ValueError("the brush (RLE) is truncated within its header")
    header = int.from_bytes(data[:7], "big") >> 3
    if header >> 16 & 31 != _WORD_BITS - 1:
        raise ValueError(f"the brush (RLE) has values of {(header >> 16 & 31) + 1} bits instead of 8")
    if header >> 21 != _CHANNELS * height * width:
        count = header >> 21
        raise ValueError(f"the brush (RLE) covers {count / _CHANNELS:g} px, the photo has {height * width}")
    sizes = [(header >> shift & 15) + 1 for shift in (12, 8, 4, 0)]
    alpha = _read_stream(data, sizes, header >> 21)[3::_CHANNELS].reshape(height, width)
    return np.asarray(alpha > (127 if alpha.max(initial=0) > 1 else 0))


def _read_stream(data: bytes, sizes: Sequence[int], count: int) -> NDArray[np.uint8]:
    """Read the `count` values that follow the header of a Label Studio stream."""
    values = np.zeros(count, np.uint8)
    padded = data + bytes(5)
    done, bit = 0, _HEADER_BITS
    while done < count:
        first, offset = divmod(bit, 8)
        window = int.from_bytes(padded[first : first + 5], "big") >> (13 - offset)
        window &= (1 << 27) - 1  # the longest run: a bit, an index, a size of 16 bits, and a value
        size = sizes[window >> 24 & 3]
        length = (window >> (24 - size) & (1 << size) - 1) + 1
        repeated = window >> 26
        start = bit + 3 + size
        bit = start + _WORD_BITS * (1 if repeated else length)
        if bit > 8 * len(data):
            raise ValueError("the brush (RLE) is truncated")
        if done + length > count:
            raise ValueError(f"the brush (RLE) has more than the {count} values that its header declares")
        if repeated:
            values[done : done + length] = window >> (16 - size) & 255
        else:
            values[done : done + length] = _unaligned_bytes(padded, start, length)
        done += length
    return values


def _unaligned_bytes(data: bytes, bit: int, count: int) -> NDArray[np.uint8]:
    """Read `count` bytes from the position `bit`, which can lie within a byte."""
    first, offset = divmod(bit, 8)
    chunk = np.frombuffer(data, np.uint8, count + 1, first).astype(np.uint16)
    return ((chunk[:-1] << 8 | chunk[1:]) >> (8 - offset) & 255).astype(np.uint8)


@dataclass(frozen=True)
class BoxRuns:
    """Row-major run lengths of a CVAT XML 1.1 mask within a box, alternating zeros and ones, zeros first.

    Attributes:
        rle: The run lengths, separated by commas.
        left: The box's first column in px.
        top: The box's first row in px.
        width: The box's width in px.
        height: The box's height in px.
    """

    rle: str
    left: int
    top: int
    width: int
    height: int


def encode_box_runs(mask: Mask) -> BoxRuns:
    """Encode a mask [H,W] as CVAT's run lengths within its bounding box.

    Raises:
        ValueError: The mask is empty, so it has no bounding box.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        raise ValueError("an empty mask has no bounding box, so CVAT cannot store it")
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    runs = _rows_first(mask[top:bottom, left:right])
    return BoxRuns(", ".join(map(str, runs)), left, top, right - left, bottom - top)


def decode_box_runs(runs: BoxRuns, height: int, width: int) -> Mask:
    """Decode CVAT's run lengths to a mask [height,width] of the whole photo.

    Raises:
        ValueError: The box extends beyond the photo, or the run lengths are damaged or do not fill the box
            exactly.
    """
    right, bottom = runs.left + runs.width, runs.top + runs.height
    if min(runs.left, runs.top, runs.width, runs.height) < 0 or right > width or bottom > height:
        box = f"{runs.width}×{runs.height} px at column {runs.left} and row {runs.top}"
        raise ValueError(f"the mask's box of {box} leaves the {width}×{height} px photo")
    try:
        lengths = [int(part) for part in runs.rle.split(",")]
    except ValueError as error:
        raise ValueError("a run length is not an integer") from error
    mask = np.zeros((height, width), np.bool_)
    inside = _repeat(lengths, runs.width * runs.height, "box").reshape(runs.height, runs.width)
    mask[runs.top : bottom, runs.left : right] = inside
    return mask


def _rows_first(mask: Mask) -> list[int]:
    """Return the run lengths of a mask [H,W], row-major, alternating zeros and ones, zeros first."""
    flat = mask.ravel()
    return _run_lengths(np.flatnonzero(flat[1:] != flat[:-1]) + 1, mask)


def _run_lengths(changes: NDArray[np.int64], mask: Mask) -> list[int]:
    """Return the run lengths between the changes. The first length is 0 if the first pixel is marked."""
    lead = [0, 0] if mask.flat[0] else [0]
    runs: list[int] = np.diff(np.concatenate([lead, changes, [mask.size]])).tolist()
    return runs


def _repeat(runs: Sequence[int], size: int, whole: str) -> Mask:
    """Expand alternating runs of zeros and ones to `size` pixels."""
    if any(isinstance(run, bool) or not isinstance(run, int) or run < 0 for run in runs):
        raise ValueError("a run length is negative or not an integer")
    if sum(runs) != size:
        raise ValueError(f"the run lengths cover {sum(runs)} px, the {whole} has {size}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs)
