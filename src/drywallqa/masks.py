"""Mask files: how they are named, written and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def read(path: str | Path) -> NDArray[np.bool_]:
    """Read a mask file as boolean [H,W]."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L")) > 127
