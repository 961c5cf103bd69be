"""Refining a mask by its shape alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.connected_components import without_holes, without_small
from drywallqa.imaging.morphology import close_mask

CLOSE_PX = 4.0
"""Gaps narrower than twice this, in px at 640, close."""

LEAST_PIECE = 400.0
"""Pieces and holes smaller than this, in px² at 640, go (a mask's false alarm starts at 410)."""

Mask = NDArray[np.bool_]


def morphology(mask: Mask, unit: float) -> Mask:
    """Close narrow gaps, fill small holes and drop small pieces of a mask [H,W]; see `soften` for `unit`."""
    closed = close_mask(mask, max(1, round(CLOSE_PX * unit)))
    area = LEAST_PIECE * unit**2
    return without_small(without_holes(closed, area), area)
