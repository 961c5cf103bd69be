"""Reduce pictures of a document, so that documents with many photos stay small enough to send."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from drywallqa.errors import DataError, reason_of
from drywallqa.visualization.overlay import image_bytes

_STEP = 0.85  # factor of the sides per attempt
_MORE_PIXELS = 1.15
_QUALITY = 75


def budget_share(paths: Iterable[Path], budget: int) -> float:
    """Return the share of their bytes that pictures may keep; at most 1.

    Raises:
        DataError: A picture is missing.
    """
    try:
        total = sum(path.stat().st_size for path in paths)
    except OSError as error:
        raise DataError(f"{error.filename}: this picture cannot be read; inspect the photos again") from error
    return min(1.0, budget / max(total, 1))


def read_picture(path: Path, share: float) -> bytes:
    """Read a JPEG picture, and reduce it to a share of its bytes.

    Raises:
        DataError: The picture cannot be read.
    """
    try:
        content = path.read_bytes()
        return content if share >= 1 else _reduce(content, int(len(content) * share))
    except OSError as error:
        raise DataError(
            f"{path}: this picture cannot be read ({reason_of(error)}); inspect the photos again"
        ) from error


def _reduce(content: bytes, most: int) -> bytes:
    picture: Image.Image = Image.open(io.BytesIO(content))
    # The lower quality saves bytes too, so the first attempt keeps slightly more pixels than bytes.
    factor = min(1.0, math.sqrt(most / len(content)) * _MORE_PIXELS)
    while len(content) > most and min(picture.size) * factor > 1:
        size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
        content = image_bytes(picture.resize(size, Image.Resampling.BICUBIC), "JPEG", quality=_QUALITY)
        factor *= _STEP
    return content
