"""The outer rings of a mask as short polygons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drywallqa.formats.tracing import trace_regions

Floats = NDArray[np.float64]

_DEVIATION = 0.75  # px by which a polygon may deviate from the middles of the pixels' edges
_MOST_RINGS = 200  # the largest rings of one finding that are kept


def outer_rings(mask: NDArray[np.bool_], corner: tuple[int, int] = (0, 0)) -> list[Floats]:
    """Return the outer rings of a mask [h,w] as polygons [N,2], largest first.

    Args:
        mask: The mask, which may be a part of a larger mask.
        corner: Column and row of the mask's first pixel in the photo.

    Returns:
        Polygons in px of the photo, with pixel centres at whole numbers. A polygon deviates from the edges of
        the pixels by at most one pixel.
    """
    rings = sorted((region.outer for region in trace_regions(mask)), key=lambda ring: -np.ptp(ring, 0).sum())
    middles = [_middles_of_edges(ring) + np.array(corner) - 0.5 for ring in rings[:_MOST_RINGS]]
    return [simplify_ring(ring, _DEVIATION) for ring in middles]


def _middles_of_edges(ring: NDArray[np.int64]) -> Floats:
    """Return the middles [N,2] of the edges of a ring's pixels, which lie on a line if the ring slants."""
    sides = np.roll(ring, -1, axis=0) - ring
    lengths = np.abs(sides).sum(1)
    places = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths) + 0.5
    return np.asarray(np.repeat(ring, lengths, 0) + places[:, None] * np.repeat(np.sign(sides), lengths, 0))


def simplify_ring(ring: Floats, deviation: float) -> Floats:
    """Remove points from a closed ring [N,2] that change it by at most `deviation` px.

    D. Douglas and T. Peucker, "Algorithms for the reduction of the number of points required to represent a
    digitized line or its caricature", Cartographica 10 (1973).
    """
    far = int(np.hypot(*(ring - ring[0]).T).argmax())
    closed = np.concatenate([ring, ring[:1]])
    keep = np.zeros(len(closed), np.bool_)
    keep[[0, far, -1]] = True
    todo = [(0, far), (far, len(ring))]
    while todo:
        first, last = todo.pop()
        if last - first < 2:
            continue
        chord, inner = closed[last] - closed[first], closed[first + 1 : last] - closed[first]
        length = float(np.hypot(*chord))
        share = np.clip(inner @ chord / max(length**2, 1e-12), 0, 1)
        distance = np.hypot(*(inner - share[:, None] * chord).T)
        if distance.max() > deviation:
            middle = first + 1 + int(distance.argmax())
            keep[middle] = True
            todo += [(first, middle), (middle, last)]
    return np.asarray(closed[keep][:-1]) if keep.sum() > 3 else ring
