"""Fit a homography to all edges between the black and white cells of a marker.

Positions on the marker run from (-1, -1) to (1, 1), the corners of its black square.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.inspection.scale import homography_of, project

Floats = NDArray[np.float64]

_SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
_ALONG = (0.3, 0.5, 0.7)  # positions of the profiles on the edge of one cell
_REACH = 6.0  # px to search on both sides of an edge
_STEPS = np.linspace(-1, 1, 25)  # samples of a profile across an edge
_TRAPEZOID = np.gradient(_STEPS) * np.where(np.abs(_STEPS) == 1, 0.5, 1.0)  # weights of the trapezoidal rule
_PLATEAU = 4  # samples at each end of a profile that give its black and its white
_LEAST_CONTRAST = 0.4  # of an edge, as a share of the median
_ITERATIONS = 5
_NOISE_FLOOR = 0.05  # px, lowest standard uncertainty of an edge
_BEND_SIGMA = (
    20  # uncertainty of an edge for each px of bend; measured on rendered sheets bent by 1 to 5 degrees
)
_CORRELATION = 3  # profiles that count as one, because neighbours share noise, blur and JPEG blocks


@dataclass(frozen=True, eq=False)
class MarkerFit:
    """A fitted marker.

    Attributes:
        matrix: Homography [3,3] from positions on the marker to photo px.
        variants: Homographies [8,3,3], each changed by one standard deviation of an independent error.
        read: Share of the edges that were found.
        sigma: Root mean square of the distances between fitted and found edges in px.
        bend: Root mean square of the part of these distances that a smoothly bent sheet explains, without the
            part that noise explains, as a share of the marker's side.
    """

    matrix: Floats
    variants: Floats
    read: float
    sigma: float
    bend: float


@dataclass(frozen=True, eq=False)
class _CellEdges:
    """Points on the edges between black and white cells: positions [N,2], and unit vectors [N,2] to white."""

    points: Floats
    to_white: Floats
    cell: float


@dataclass(frozen=True, eq=False)
class _ReadEdges:
    """Edges in a photo: normals [N,2] to white, offsets [N] along them in px, and whether found [N]."""

    normals: Floats
    offsets: Floats
    found: NDArray[np.bool_]


def fit_marker(grey: NDArray[np.float32], cells: NDArray[np.bool_], corners: Floats) -> MarkerFit | None:
    """Fit a marker to its edges in a photo by Gauss-Newton steps.

    A further parameter is the distance by which all edges are shifted towards white or black. Blur shifts the
    edges of a gamma-encoded photo towards black.

    Args:
        grey: Photo [H,W].
        cells: The marker's cells [n,n] with its black border; True is white.
        corners: Corners [4,2] in px, in the order of the marker's own corners from the top left clockwise.

    Returns:
        The fit, or None if fewer than half of the edges can be read.
    """
    edges = _cell_edges(cells)
    centre, unit = corners.mean(0), float(np.ptp(corners, axis=0).max()) / 2
    to_photo = np.array([[unit, 0, centre[0]], [0, unit, centre[1]], [0, 0, 1]])
    matrix = homography_of(_SQUARE, (corners - centre) / unit)
    for _ in range(_ITERATIONS):
        seen = _read(grey, to_photo @ matrix, edges)
        if seen.found.mean() < 0.5:
            return None
        design = _design(matrix, edges, seen) * unit
        step = np.linalg.lstsq(design[seen.found], seen.offsets[seen.found], rcond=None)[0]
        matrix = matrix + np.append(step[:8], 0).reshape(3, 3)
    seen = _read(grey, to_photo @ matrix, edges)
    if seen.found.mean() < 0.5:
        return None
    design = _design(matrix, edges, seen)[seen.found] * unit
    left = seen.offsets[seen.found]
    left = left - design @ np.linalg.lstsq(design, left, rcond=None)[0]
    sigma = float(np.sqrt(left @ left / (len(left) - design.shape[1])))
    bend = _bend(matrix, edges, seen, design, left, sigma)
    noise = float(np.hypot(np.sqrt(_CORRELATION) * max(sigma, _NOISE_FLOOR), _BEND_SIGMA * bend))
    variants = to_photo @ _variants(matrix, design, noise)
    return MarkerFit(to_photo @ matrix, variants, float(seen.found.mean()), sigma, bend / (2 * unit))


def _cell_edges(cells: NDArray[np.bool_]) -> _CellEdges:
    upright, right = _upright_edges(cells)
    level, down = _upright_edges(cells.T)
    points, to_white = np.concatenate([upright, level[:, ::-1]]), np.concatenate([right, down[:, ::-1]])
    return _CellEdges(2 * points / len(cells) - 1, to_white, 2 / len(cells))


def _upright_edges(cells: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return points [N,2] on the edges between two columns, in cells, and unit vectors [N,2] to white."""
    change = np.diff(np.pad(cells, 1, constant_values=True).astype(np.int8), axis=1)
    rows, columns = np.nonzero(change)
    signs = change[rows, columns].astype(np.float64)
    points = [np.stack([columns, rows - 1 + share], 1) for share in _ALONG]
    to_white = np.stack([signs, np.zeros_like(signs)], 1)
    return np.concatenate(points).astype(np.float64), np.concatenate([to_white] * len(_ALONG))


def _read(grey: NDArray[np.float32], matrix: Floats, edges: _CellEdges) -> _ReadEdges:
    """Read the edges' positions in the photo near those that a homography predicts."""
    import cv2

    points = project(matrix, edges.points)
    along = project(matrix, edges.points + 1e-3 * edges.to_white[:, ::-1]) - points
    normals = np.stack([along[:, 1], -along[:, 0]], 1) / np.hypot(*along.T)[:, None]
    half_cells = project(matrix, edges.points + edges.cell / 2 * edges.to_white) - points
    normals *= np.sign((normals * half_cells).sum(1, keepdims=True))
    reach = np.minimum(0.9 * (normals * half_cells).sum(1), _REACH)
    samples = points[:, None] + (reach[:, None] * _STEPS)[..., None] * normals[:, None]
    profiles = cv2.remap(
        grey, samples[..., 0].astype(np.float32), samples[..., 1].astype(np.float32), cv2.INTER_LINEAR
    ).astype(np.float64)
    black, white = profiles[:, :_PLATEAU].mean(1), profiles[:, -_PLATEAU:].mean(1)
    contrast = white - black
    strong = contrast > _LEAST_CONTRAST * np.median(contrast)
    share = (profiles - black[:, None]) @ _TRAPEZOID / np.where(strong, contrast, np.inf)
    offsets = reach * (1 - share)
    return _ReadEdges(normals, offsets, strong & (np.abs(offsets) < 0.7 * reach))


def _design(matrix: Floats, edges: _CellEdges, seen: _ReadEdges) -> Floats:
    """Return the derivatives [N,9] of the offsets by the homography's eight entries, and by the shift."""
    step = 1e-5
    columns = []
    for entry in np.eye(9)[:8].reshape(8, 3, 3) * step:
        moved = project(matrix + entry, edges.points) - project(matrix - entry, edges.points)
        columns.append((moved * seen.normals).sum(1) / (2 * step))
    return np.stack([*columns, np.ones(len(edges.points))], 1)


def _variants(matrix: Floats, design: Floats, noise: float) -> Floats:
    """Return homographies [8,3,3], one for each principal axis of the covariance.

    `noise` is the standard uncertainty of an edge in px.
    """
    values, axes = np.linalg.eigh(noise**2 * np.linalg.inv(design.T @ design)[:8, :8])
    steps = axes.T * np.sqrt(np.maximum(values, 0))[:, None]
    return np.asarray(matrix + np.pad(steps, ((0, 0), (0, 1))).reshape(8, 3, 3))


def _bend(
    matrix: Floats, edges: _CellEdges, seen: _ReadEdges, design: Floats, left: Floats, sigma: float
) -> float:
    """Return the root mean square in px of the offsets that second and third order bending explains.

    The share that noise of the same strength would explain is taken off.
    """
    x, y = edges.points.T
    terms = np.stack([x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3], 1)
    step = 1e-4
    sides = [
        (project(matrix, edges.points + shift) - project(matrix, edges.points - shift)) / (2 * step)
        for shift in (np.array([step, 0]), np.array([0, step]))
    ]
    bends = np.concatenate([(side * seen.normals).sum(1)[:, None] * terms for side in sides], 1)[seen.found]
    bends = bends - design @ np.linalg.lstsq(design, bends, rcond=None)[0]
    basis, strength, _ = np.linalg.svd(bends, full_matrices=False)
    basis = basis[:, strength > 1e-3 * strength[0]]
    explained = float(((basis.T @ left) ** 2).sum()) - _CORRELATION * basis.shape[1] * sigma**2
    return float(np.sqrt(max(explained, 0.0) / len(left)))
