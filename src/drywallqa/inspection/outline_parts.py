"""The components of an outline, and fields of many small marks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.morphology import BoundingBox, Mask, label_components
from drywallqa.inspection.outline_rings import outer_rings
from drywallqa.inspection.sightings import Sighting

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

_MOST = 100  # largest components that are measured one by one; all others are joined to fields
_SPECK = 12.0  # px at 640: components with a smaller extent are specks
_MOST_SPECKS = 20  # if there are more specks, all specks are joined to fields
_CELLS = 12  # cells along the longer side of the photo; marks in adjacent cells belong to one field


@dataclass(frozen=True, eq=False)
class OutlineParts:
    """The connected components of an outline.

    Attributes:
        labels: Number of each pixel's component, from 1, int32 [H,W]; 0 outside.
        boxes: Left, top, right, bottom of each component in px, exclusive at the right and the bottom [n,4].
        sizes: Number of pixels of each component [n].
        likelihoods: Mean probability of each component [n].
    """

    labels: NDArray[np.int32]
    boxes: Numbers
    sizes: Numbers
    likelihoods: Floats

    @classmethod
    def of(cls, outline: Mask, probability: NDArray[np.float32] | None) -> OutlineParts:
        """Label the components of an outline [H,W].

        Args:
            outline: The outline.
            probability: The model's probability of each pixel [H,W]; None if unknown.
        """
        labels = label_components(outline)
        rows, columns = np.nonzero(labels)
        own = labels[rows, columns] - 1
        count = int(labels.max(initial=0))
        low, high = np.full((2, count), max(outline.shape), np.int64), np.zeros((2, count), np.int64)
        for axis, places in enumerate((columns, rows)):
            np.minimum.at(low[axis], own, places)
            np.maximum.at(high[axis], own, places + 1)
        sizes = np.bincount(own, minlength=count)
        weights = None if probability is None else probability[rows, columns]
        sums = np.asarray(np.bincount(own, weights, minlength=count), np.float64)
        return cls(labels, np.concatenate([low, high]).T, sizes, sums / np.maximum(sizes, 1))

    @property
    def unit(self) -> float:
        """Longer side of the photo in px, divided by 640; at least 1."""
        return float(max(1.0, max(self.labels.shape) / 640))

    def specks(self) -> NDArray[np.bool_]:
        """Return which components [n] are specks."""
        return np.asarray(np.hypot(*(self.boxes[:, 2:] - self.boxes[:, :2]).T) < _SPECK * self.unit)

    def measured(self) -> NDArray[np.bool_]:
        """Return which components [n] are large enough and few enough to be measured one by one."""
        extents = np.hypot(*(self.boxes[:, 2:] - self.boxes[:, :2]).T)
        specks = self.specks()
        kept = ~specks if specks.sum() > _MOST_SPECKS else np.ones_like(specks)
        order = np.argsort(-extents * kept, kind="stable")
        kept[order[_MOST:]] = False
        return np.asarray(kept)

    def keep(self, kept: NDArray[np.bool_]) -> Mask:
        """Return the mask [H,W] of the chosen components [n]."""
        return np.asarray(np.append(False, kept)[self.labels])

    def box_of(self, members: Numbers) -> BoundingBox:
        """Return the bounding box of several components, given by their indices from 0."""
        left, top = self.boxes[members, :2].min(0).tolist()
        right, bottom = self.boxes[members, 2:].max(0).tolist()
        return left, top, right, bottom

    def likelihood_of(self, members: Numbers) -> float:
        """Return the mean probability of several components."""
        sizes = self.sizes[members]
        return float((self.likelihoods[members] * sizes).sum()) / max(1, int(sizes.sum()))

    def sighting_of(self, concept: str, members: Numbers) -> Sighting:
        """Return the sighting of components in which no line is visible."""
        left, top, right, bottom = box = self.box_of(members)
        part = np.isin(self.labels[top:bottom, left:right], members + 1)
        rings = tuple(outer_rings(part, (left, top)))
        return Sighting(concept, box, int(self.sizes[members].sum()), self.likelihood_of(members), rings)


def find_fields(parts: OutlineParts, members: Numbers, concept: str) -> list[Sighting]:
    """Join components to fields of small marks. The number of fields is bounded by the number of cells.

    Args:
        parts: The components.
        members: Indices of the components to join.
        concept: The concept of the outline.
    """
    if not len(members):
        return []
    side = max(parts.labels.shape) / _CELLS
    cells = ((parts.boxes[members, 1::-1] + parts.boxes[members, :1:-1]) / 2 // side).astype(np.intp)
    occupied = np.zeros((_CELLS + 1, _CELLS + 1), np.bool_)
    occupied[cells[:, 0], cells[:, 1]] = True
    field = label_components(occupied)[cells[:, 0], cells[:, 1]]
    found = []
    for number in np.unique(field):
        own = members[field == number]
        left, top, right, bottom = box = parts.box_of(own)
        ring = np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) - 0.5
        area = int(parts.sizes[own].sum())
        found.append(Sighting(concept, box, area, parts.likelihood_of(own), (ring,), marks=len(own)))
    return found
