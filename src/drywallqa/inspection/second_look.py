"""Look again at a place of a photo where another photo shows a line: does this photo show it as well?

A model can miss a crack that the photo shows. Such a crack is neither new nor repaired.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.line_search import find_lines
from drywallqa.imaging.morphology import dilate
from drywallqa.inspection.finding_overlap import LinePath, distances

_MARGIN = 40  # px around the line that the search needs as background


def visible_points(photo: NDArray[np.uint8], path: LinePath, tolerance: float) -> NDArray[np.bool_]:
    """Return at which points of a path a photo shows a line.

    Args:
        photo: RGB, uint8 [H,W,3].
        path: The path in px of this photo; points outside the photo are not visible.
        tolerance: Distance in px within which the line may lie.
    """
    height, width = photo.shape[:2]
    cells = np.round(path.points).astype(int)
    within = ((cells >= 0) & (cells < (width, height))).all(axis=1)
    visible = np.zeros(len(cells), np.bool_)
    if not within.any():
        return visible
    wide = path.widths[np.isfinite(path.widths)]
    radius = int(np.ceil(tolerance + (float(np.median(wide)) / 2 if len(wide) else 0)))
    low = np.maximum(cells[within].min(axis=0) - radius - _MARGIN, 0)
    high = cells[within].max(axis=0) + radius + _MARGIN + 1
    part = photo[low[1] : high[1], low[0] : high[0]]
    mask = np.zeros(part.shape[:2], np.bool_)
    mask[tuple((cells[within] - low).T[::-1])] = True
    lines = find_lines(np.ascontiguousarray(part), dilate(mask, radius)).lines
    seen = [line.points[line.seen] + low for line in lines]
    if seen:
        near, _ = distances(path.points[within], np.concatenate(seen))
        visible[within] = near <= radius
    return visible
