"""Reading photos: any common format becomes RGB uint8 as a viewer shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


def read(source: str | Path) -> NDArray[np.uint8]:
    """Read a photo as RGB uint8 [H,W,3]."""
    with Image.open(source) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
