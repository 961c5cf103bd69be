"""Picture data that a JPEG file has lost, which the decoder fills with grey without a word."""

from __future__ import annotations

import io
import re
from contextlib import suppress
from math import ceil
from typing import NamedTuple

import numpy as np
from PIL import Image

# Markers of ITU-T T.81, table B.1.
_END, _SCAN, _RESTART_INTERVAL, _HUFFMAN = 0xD9, 0xDA, 0xDD, 0xC4
_BASELINE, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_HUFFMAN, 0xC8, 0xCC}
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a segment
_SCAN_ENDS = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")

_ZEROS = bytes(128)  # as storage that lost a block reads; no codes of a photo look so
_PADDING = b"\xff\x00" * 32  # stuffed 1-bits: the decoder looks ahead, and finds no picture in them
_FILL = 128  # the grey of a block without data
_REMEDY = "copy it again from the camera"


class _Scan(NamedTuple):
    components: int
    start: int
    stop: int


class _File:
    """What a JPEG file's markers say.

    Attributes:
        kind: The marker of its frame.
        size: Width and height in px.
        sampling: Each component's horizontal and vertical sampling factors, by its id.
        interval: After how many blocks (MCUs) the codes restart; 0 for never.
        first_code: What the shortest code of luminance's AC table means; 0 is "the block ends".
        depths: For each component, which bit of each of its 64 coefficients is known; 0 is the last.
        scans: Its passes over the picture.
        ended: Whether the end marker is there.
    """

    def __init__(self) -> None:
        self.kind, self.interval, self.first_code, self.ended = 0, 0, 0, False
        self.size = (0, 0)
        self.sampling: dict[int, tuple[int, int]] = {}
        self.depths: dict[int, list[int]] = {}
        self.scans: list[_Scan] = []


def lost_data(content: bytes, image: Image.Image) -> str | None:
    """Tell whether a JPEG file that could be decoded has lost some of its picture.

    Of a progressive file whole passes are missed, but not a part of one.

    Args:
        content: The whole file.
        image: What Pillow made of it, not turned.

    Returns:
        A sentence, with its remedy; None where nothing is known to be missing.
    """
    file = _read(content)
    if not file.scans or not file.size[0]:
        return None
    if not file.ended:
        return f"cut short: the file ends before its picture does; {_REMEDY}"
    if share := _missing_restarts(content, file):
        part = f"{share:.0%}" if share >= 0.01 else "under 1%"
        return f"damaged: {part} of its picture data is missing, with grey in its place; {_REMEDY}"
    baseline = file.kind in _BASELINE and len(file.scans) == 1
    if baseline and file.first_code and content.find(_ZEROS, *file.scans[0][1:]) >= 0:
        return f"damaged: a block of its picture data is all zeros, so a part of it is wrong; {_REMEDY}"
    if baseline and (row := _grey_from(image)) is not None and _runs_out(content, file):
        height = image.height
        where = f"from row {row} of {height} on" if row < height else "at its lower right corner"
        return f"damaged: its picture data ends too early, and grey stands {where}; {_REMEDY}"
    if file.kind == _PROGRESSIVE and any(any(depths) for depths in file.depths.values()):
        return f"cut short: its finer passes are missing, so it is coarser than it was taken; {_REMEDY}"
    return None


def _read(content: bytes) -> _File:
    file, at = _File(), 2
    while 0 <= (at := content.find(b"\xff", at)) < len(content) - 1:
        marker = content[at + 1]
        if marker == _END:
            file.ended = True
            break
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == 0 or marker in _ALONE:
            at += 2
            continue
        stop = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        _take(file, marker, content[at + 4 : stop])
        if marker == _SCAN:
            ends = _SCAN_ENDS.search(content, stop)
            after = ends.start() if ends else len(content)
            file.scans.append(_Scan(content[at + 4], stop, after))
            stop = after
        at = max(stop, at + 2)
    return file


def _take(file: _File, marker: int, body: bytes) -> None:
    """Take in one segment."""
    if marker in _FRAMES:
        file.kind = marker
        file.size = int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
        file.sampling = {
            body[at]: (body[at + 1] >> 4, body[at + 1] & 15) for at in range(6, len(body) - 2, 3)
        }
        file.depths = {name: [1] * 64 for name in file.sampling}
    elif marker == _RESTART_INTERVAL:
        file.interval = int.from_bytes(body[:2], "big")
    elif marker == _HUFFMAN:
        while len(body) > 17:
            if body[0] == 0x10:
                file.first_code = body[17]
            body = body[17 + sum(body[1:17]) :]
    elif marker == _SCAN and len(body) >= 4:
        first, last, bits = body[-3:]
        for name in body[1:-3:2]:
            file.depths.get(name, [0] * 64)[first : last + 1] = [bits & 15] * (last + 1 - first)


def _missing_restarts(content: bytes, file: _File) -> float:
    """Return the share of restart markers that are missing, of scans with all components."""
    scan = file.scans[0]
    if not file.interval or scan.components != len(file.sampling):
        return 0.0
    factors = list(file.sampling.values()) if len(file.sampling) > 1 else [(1, 1)]
    across, down = (8 * max(int(side) for side in sides) for sides in zip(*factors, strict=True))
    blocks = ceil(file.size[0] / across) * ceil(file.size[1] / down)
    due = ceil(blocks / file.interval) - 1
    there = len(_RESTART.findall(content, scan.start, scan.stop))
    return max(0.0, (due - there) / (due + 1))


def _grey_from(image: Image.Image) -> int | None:
    """Return the row from which on all is fill; the height where only the corner is, None where it is not."""
    if image.mode not in ("L", "RGB"):
        return None
    width, height = image.size
    corner = np.asarray(image.crop((max(0, width - 4), max(0, height - 4), width, height)))
    if not (corner == _FILL).all():
        return None
    other = np.flatnonzero((np.asarray(image).reshape(height, -1) != _FILL).any(axis=1))
    return int(other[-1]) + 1 if len(other) else 0


class _Open(io.BytesIO):
    """Bytes after which there may be more: a decoder that asks for it stops where it is."""

    def read(self, size: int | None = -1, /) -> bytes:
        if not (data := super().read(size)) and size:
            raise EOFError
        return data


def _runs_out(content: bytes, file: _File) -> bool:
    """Tell whether the codes end before the last row does, by decoding them without the end marker."""
    with Image.open(_Open(content[: file.scans[0].stop] + _PADDING), formats=("JPEG",)) as image:
        with suppress(EOFError):
            image.load()
        image.tile = []  # no second try: rows that were not reached are black
        last = np.asarray(image.crop((0, image.height - 1, *image.size)))
    return not (last[:, -4:] == _FILL).all()
