"""Join the parts of a broken line if the probabilities in the gap are high enough."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from drywallqa.backend import Float
from drywallqa.imaging.letterbox import resize_map
from drywallqa.imaging.morphology import Mask, dilate, label_components, skeletonise
from drywallqa.imaging.path_search import Place, cheapest_path, count_neighbours

_GAP_PX = 48.0  # the longest gap that is joined, in px at 640
_LEAST_PROBABILITY = 0.2  # gaps with a lower mean probability along the path are not joined
_TURN = 0.5  # minimum cosine between the direction of a line's end and the direction to the other end
_DETOUR = 1.4  # maximum ratio of the path's length to the straight distance

_BACK_PX = 10.0  # length of skeleton that determines the direction of an end
_FLOOR = 0.02  # lower probabilities are raised to this value


@dataclass(frozen=True)
class _End:
    """An end of a component's skeleton: the component's label, the pixel (row, column) and the direction."""

    label: int
    place: Place
    direction: tuple[float, float]


def join_gaps(mask: Mask, probability: Float, unit: float) -> Mask:
    """Join components of a mask [H,W] whose ends face each other, along the path of highest probability.

    The mask of a large photo is first scaled down to 640 px. A bridge is as wide as the narrower of the two
    components that it joins.
    """
    shrink = 1 / unit if unit > 1.25 else 1.0
    size = tuple(max(1, round(side * shrink)) for side in mask.shape)
    coarse, likelihood, px = _resize_mask(mask, size), resize_map(probability, size), unit * shrink
    labels, line = label_components(coarse), skeletonise(coarse)
    lengths = np.bincount(labels[line], minlength=labels.max() + 1)
    widths = np.bincount(labels.ravel()) / np.maximum(lengths, 1)
    added = np.zeros_like(coarse)
    group = np.arange(labels.max() + 1)  # group of each component; joined components share one
    for first, second in _facing(list(_ends(labels, line, px)), px):
        if group[first.label] == group[second.label]:
            continue  # already joined by a shorter bridge
        path = _likeliest_path(likelihood, first.place, second.place)
        rows, columns = path.T
        gap = ~coarse[rows, columns]
        mean = float(likelihood[rows, columns][gap].mean()) if gap.any() else 1.0
        length = float(np.hypot(*np.diff(path, axis=0).T).sum())
        if mean < _LEAST_PROBABILITY or length > _DETOUR * math.dist(first.place, second.place) + 2:
            continue
        group[group == group[first.label]] = group[second.label]
        stroke = np.zeros_like(coarse)
        stroke[rows, columns] = True
        added |= dilate(stroke, max(1, round(min(widths[first.label], widths[second.label]) / 2)))
    return mask | _resize_mask(added, mask.shape) if added.any() else mask


def _ends(labels: NDArray[np.int32], line: Mask, unit: float) -> Iterator[_End]:
    """Find the ends of a skeleton [h,w]: pixels with at most one neighbour."""
    reach = max(3, round(_BACK_PX * unit))
    for row, column in np.argwhere(line & (count_neighbours(line) <= 1)).tolist():
        top, left = max(0, row - reach), max(0, column - reach)
        near = np.s_[top : row + reach + 1, left : column + reach + 1]
        own = np.argwhere(line[near] & (labels[near] == labels[row, column])).mean(axis=0)
        direction = (float(row - top - own[0]), float(column - left - own[1]))
        yield _End(int(labels[row, column]), (row, column), direction)


def _facing(ends: list[_End], unit: float) -> list[tuple[_End, _End]]:
    """Pair the ends of different components that are close and face each other. Sort pairs by distance."""
    pairs = []
    for first, second in combinations(ends, 2):
        distance = math.dist(first.place, second.place)
        if first.label == second.label or distance > _GAP_PX * unit:
            continue
        there = (second.place[0] - first.place[0], second.place[1] - first.place[1])
        back = (-there[0], -there[1])
        if _cosine(first.direction, there) > _TURN and _cosine(second.direction, back) > _TURN:
            pairs.append((distance, first.place, second.place, first, second))
    return [(first, second) for *_, first, second in sorted(pairs, key=lambda pair: pair[:3])]


def _cosine(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Return the cosine of the angle between two vectors; 1 if one of them has zero length."""
    lengths = math.hypot(*first) * math.hypot(*second)
    return (first[0] * second[0] + first[1] * second[1]) / lengths if lengths else 1.0


def _likeliest_path(probability: Float, start: Place, end: Place) -> NDArray[np.int64]:
    """Return the most probable path [n,2] between two pixels, near the straight line between them."""
    margin = max(2, round(math.dist(start, end) / 2))
    top, left = (max(0, min(a, b) - margin) for a, b in zip(start, end, strict=True))
    bottom, right = (max(a, b) + margin + 1 for a, b in zip(start, end, strict=True))
    part = np.maximum(probability[top:bottom, left:right], _FLOOR)
    path = cheapest_path(
        -np.log(part) + 0.05, (start[0] - top, start[1] - left), (end[0] - top, end[1] - left)
    )
    return np.asarray(path + np.array([top, left]), np.int64)


def _resize_mask(mask: Mask, size: tuple[int, ...]) -> Mask:
    return mask if mask.shape == size else resize_map(mask.astype(np.float32), size) > 0.5
