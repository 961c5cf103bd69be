"""Cut an observation into pieces, by its connected parts or at points of its centre line."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from drywallqa.formats.outlines import draw_ring
from drywallqa.formats.tracing import trace_regions
from drywallqa.imaging.morphology import group_links
from drywallqa.inspection.ledger import Observation, Point

Floats = NDArray[np.float64]
Rings = tuple[tuple[Point, ...], ...]

_REACH = 20.0  # px; a person reads a point off a picture
_TOUCH = 4.0  # px between the end of a line and another line that it meets
_BLOCK = 4096  # pixels whose distances are computed at once


def cut_observation(observation: Observation, points: Sequence[Sequence[float]]) -> list[Rings]:
    """Cut the outline of an observation into pieces.

    Args:
        observation: The observation.
        points: Points (x, y) in px at which the centre line is cut. Without points, each connected part of
            the outline is a piece.

    Returns:
        The rings of each piece in px; at least two pieces.

    Raises:
        ValueError: The observation stays in one piece, or a point is far away from its centre line. The
            message is the rest of a sentence about the finding.
    """
    if not points:
        if len(observation.polygon) < 2:
            raise ValueError("is connected, so it needs points at which to cut it")
        return [(ring,) for ring in observation.polygon]
    vertices, numbers = _vertices_of_pieces(observation, np.array(points, np.float64))
    if len(np.unique(numbers)) < 2:
        raise ValueError("stays in one piece if it is cut there; choose a point between its ends")
    left, top, right, bottom = observation.box
    mask = np.zeros((bottom - top + 2, right - left + 2), np.bool_)
    corner = np.array([left - 1, top - 1], np.float64)
    for ring in observation.polygon:
        inside = np.array(ring) - corner + 0.5  # `draw_ring` counts from the corner of the first pixel
        draw_ring(mask, inside.clip(0, mask.shape[::-1]))
    rows, columns = np.nonzero(mask)
    piece = _nearest_number(np.stack([columns, rows], 1) + corner, vertices, numbers)
    pieces = []
    for number in np.unique(piece):
        part = np.zeros_like(mask)
        part[rows[piece == number], columns[piece == number]] = True
        pieces.append(tuple(_to_points(region.outer + corner - 0.5) for region in trace_regions(part)))
    return pieces


def _vertices_of_pieces(observation: Observation, points: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Cut the centre lines at the vertices nearest to points [K,2].

    Returns:
        The vertices [N,2] that were not cut away, and the number of the piece of each vertex [N].
    """
    lines = [np.array(line.points, np.float64) for line in observation.centre_lines]
    if not lines:
        raise ValueError("has no centre line, so it cannot be cut at a point")
    vertices = np.concatenate(lines)
    widest = max(max(line.width_px, default=0.0) for line in observation.centre_lines)
    cut = np.zeros(len(vertices), np.bool_)
    for point in points:
        distances = np.hypot(*(vertices - point).T)
        if distances.min() > max(_REACH, widest):
            x, y = point
            raise ValueError(
                f"is {distances.min():.0f} px away from the point {x:g},{y:g}; choose a point on it"
            )
        nearest = vertices[distances.argmin()]
        cut |= np.hypot(*(vertices - nearest).T) <= 1
    links = _links_between(lines, vertices, max(_TOUCH, widest))
    numbers = group_links(len(vertices), links[~cut[links].any(1)])
    return vertices[~cut], numbers[~cut]


def _links_between(lines: Sequence[Floats], vertices: Floats, touch: float) -> NDArray[np.int64]:
    """Link the neighbours of each line, and the ends of each line to other lines that they touch [L,2]."""
    links: list[tuple[int, int]] = []
    starts = np.cumsum([0, *map(len, lines)]).tolist()
    for start, end in pairwise(starts):
        links += [(i, i + 1) for i in range(start, end - 1)]
        if np.hypot(*(vertices[start] - vertices[end - 1])) <= 1:
            links.append((start, end - 1))  # a closed loop
        others = np.r_[0:start, end : len(vertices)]
        for tip in {start, end - 1} if len(others) else ():
            distances = np.hypot(*(vertices[others] - vertices[tip]).T)
            if distances.min() <= touch:
                links.append((tip, int(others[distances.argmin()])))
    return np.array(links, np.int64).reshape(-1, 2)


def _nearest_number(pixels: Floats, vertices: Floats, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number [N] of the vertex nearest to each pixel [N,2]."""
    found = [
        numbers[((block[:, None] - vertices) ** 2).sum(2).argmin(1)]
        for block in (pixels[start : start + _BLOCK] for start in range(0, len(pixels), _BLOCK))
    ]
    return np.concatenate(found)


def _to_points(ring: Floats) -> tuple[Point, ...]:
    return tuple((float(x), float(y)) for x, y in ring)
