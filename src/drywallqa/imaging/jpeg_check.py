"""Detect missing image data in a JPEG file. Pillow fills missing areas with grey and reports no error."""

from __future__ import annotations

import io
import re
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from PIL import Image

# Markers of ITU-T T.81, table B.1.
_END, _SCAN, _RESTART_INTERVAL, _HUFFMAN = 0xD9, 0xDA, 0xDD, 0xC4
_BASELINE, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_HUFFMAN, 0xC8, 0xCC}
_SEGMENT = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd8])")
_SCAN_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")

_ZEROS = bytes(128)  # a lost storage block reads as zeros; the entropy-coded data of a photo never does
_PADDING = b"\xff\x00" * 32  # stuffed 1-bits for the decoder to read ahead into; they encode no image data
_FILL = 128  # the grey of a block without data
_REMEDY = "copy it again from the camera"


@dataclass
class _Markers:
    """The information from the markers of a JPEG file.

    Attributes:
        frame: The frame marker (SOF).
        size: Width and height in px.
        sampling: The horizontal and vertical sampling factors of each component, by component id.
        interval: The restart interval in blocks (MCUs); 0 if there are no restart markers.
        first_code: The symbol of the shortest code in the luminance AC table; 0 is "end of block".
        depths: For each of the 64 coefficients of each component, the lowest bit that the scans contain. 0
            means that the coefficient is complete.
        scans: For each scan, the number of components, and the start and stop of its data in the file.
        ended: Whether the file has an end marker.
    """

    frame: int = 0
    size: tuple[int, int] = (0, 0)
    sampling: dict[int, tuple[int, int]] = field(default_factory=dict)
    interval: int = 0
    first_code: int = 0
    depths: dict[int, list[int]] = field(default_factory=dict)
    scans: list[tuple[int, int, int]] = field(default_factory=list)
    ended: bool = False


def lost_data(content: bytes, image: Image.Image) -> str | None:
    """Check whether a decodable JPEG file lacks some of its image data.

    In a progressive file, the check detects a missing scan, but it does not detect an incomplete scan.

    Args:
        content: The whole file.
        image: The image that Pillow decoded, before its EXIF orientation is applied.

    Returns:
        A sentence that names the problem and a remedy, or None if the check found no problem.
    """
    markers = _read_markers(content)
    if not markers.scans or not markers.size[0]:
        return None
    if not markers.ended:
        return f"cut short: the file ends before its image data is complete; {_REMEDY}"
    if share := _missing_restarts(content, markers):
        part = f"{share:.0%}" if share >= 0.01 else "under 1%"
        return f"damaged: {part} of its image data is missing and shown as grey; {_REMEDY}"
    if markers.frame in _BASELINE and len(markers.scans) == 1:
        if markers.first_code and content.find(_ZEROS, *markers.scans[0][1:]) >= 0:
            return f"damaged: a block of its image data is all zeros, so part of it is wrong; {_REMEDY}"
        row, height = _first_grey_row(image), image.height
        if row is not None and _runs_out(content, markers):
            where = f"from row {row} of {height} on" if row < height else "at its lower right corner"
            return f"damaged: its image data ends too early, so the photo is grey {where}; {_REMEDY}"
    if markers.frame == _PROGRESSIVE and any(any(depths) for depths in markers.depths.values()):
        return f"cut short: its later scans are missing, so the photo lacks fine detail; {_REMEDY}"
    return None


def _read_markers(content: bytes) -> _Markers:
    found, at = _Markers(), 2
    while segment := _SEGMENT.search(content, at):
        marker, start = segment[1][0], segment.end()
        if marker == _END:
            found.ended = True
            break
        at = max(start, start + int.from_bytes(content[start : start + 2], "big"))
        body = content[start + 2 : at]
        if marker in _FRAMES:
            found.frame = marker
            found.size = int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
            components = range(6, len(body) - 2, 3)
            found.sampling = {body[place]: divmod(body[place + 1], 16) for place in components}
            found.depths = {name: [1] * 64 for name in found.sampling}
        elif marker == _RESTART_INTERVAL:
            found.interval = int.from_bytes(body[:2], "big")
        elif marker == _HUFFMAN:
            while len(body) > 17:
                if body[0] == 0x10:
                    found.first_code = body[17]
                body = body[17 + sum(body[1:17]) :]
        elif marker == _SCAN:
            if len(body) >= 4:
                first, last, bits = body[-3:]
                for name in body[1:-3:2]:
                    found.depths.get(name, [0] * 64)[first : last + 1] = [bits & 15] * (last + 1 - first)
            end = _SCAN_END.search(content, at)
            stop = end.start() if end else len(content)
            found.scans.append((content[start + 2], at, stop))
            at = stop
    return found


def _missing_restarts(content: bytes, markers: _Markers) -> float:
    """Return the share of restart markers that the first scan lacks; 0 if the share is unknown."""
    components, start, stop = markers.scans[0]
    if not markers.interval or components != len(markers.sampling):
        return 0.0
    factors = list(markers.sampling.values()) if components > 1 else [(1, 1)]
    across, down = (8 * max(map(int, sides)) for sides in zip(*factors, strict=True))
    blocks = ceil(markers.size[0] / across) * ceil(markers.size[1] / down)
    due = ceil(blocks / markers.interval) - 1
    return max(0.0, (due - len(_RESTART.findall(content, start, stop))) / (due + 1))


def _first_grey_row(image: Image.Image) -> int | None:
    """Return the first row of the grey area at the end of an image.

    Returns:
        The image height if only the lower right corner is grey; None if that corner is not grey.
    """
    if image.mode not in ("L", "RGB"):
        return None
    width, height = image.size
    corner = np.asarray(image.crop((max(0, width - 4), max(0, height - 4), width, height)))
    if not (corner == _FILL).all():
        return None
    other = np.flatnonzero((np.asarray(image).reshape(height, -1) != _FILL).any(axis=1))
    return int(other[-1]) + 1 if len(other) else 0


class _EndlessBytes(io.BytesIO):
    """A byte stream that raises EOFError at its end, so that a decoder stops immediately."""

    def read(self, size: int | None = -1, /) -> bytes:
        if not (data := super().read(size)) and size:
            raise EOFError
        return data


def _runs_out(content: bytes, markers: _Markers) -> bool:
    """Decode the image without its end marker, and check whether its data ends before the last row."""
    stream = _EndlessBytes(content[: markers.scans[0][2]] + _PADDING)
    with Image.open(stream, formats=("JPEG",)) as image:
        with suppress(EOFError):
            image.load()
        image.tile = []  # prevents a second decoding; missing rows are black
        last = np.asarray(image.crop((0, image.height - 1, *image.size)))
    return not (last[:, -4:] == _FILL).all()
