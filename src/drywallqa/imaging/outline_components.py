"""The components of an outline, and the reduced grid on which lines inside a wide outline are searched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.morphology import Mask, label_components
from drywallqa.imaging.ridges import BLOCK

_MOST_COMPONENTS = 400  # the largest components of an outline that are searched
_LEAST_AREA = 9  # px, area of the smallest component that is searched
_WIDEST = 24.0  # px at 640, largest half width of a line


@dataclass(frozen=True, eq=False)
class Component:
    """One component of an outline.

    Attributes:
        rows: Row of each of its N pixels, [N].
        columns: Column of each pixel, [N].
        width: Mean width in px.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    width: float

    @property
    def margin(self) -> int:
        """Distance in px around the component that the search uses."""
        return round(0.5 * self.width) + 2


def largest_components(outline: Mask) -> Iterator[Component]:
    """Yield the components of an outline [H,W] by descending area, at most 400; specks are left out."""
    padded = np.pad(outline, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    labels = label_components(outline)
    rows, columns = np.nonzero(labels)
    numbers = labels[rows, columns]
    sizes = np.bincount(numbers, minlength=1)
    border = np.bincount(numbers[~inner[rows, columns]], minlength=len(sizes))
    order = np.argsort(numbers, kind="stable")
    starts = np.cumsum(sizes) - sizes
    for number in np.argsort(-sizes, kind="stable")[:_MOST_COMPONENTS].tolist():
        if sizes[number] < _LEAST_AREA:
            return
        own = order[starts[number] : starts[number] + sizes[number]]
        # A strip has two sides, so its width is about twice its area divided by its border's length.
        yield Component(rows[own], columns[own], 2 * float(sizes[number]) / max(1, int(border[number])))


def largest_scales(components: list[Component], shape: tuple[int, ...], unit: float) -> NDArray[np.float32]:
    """Return the largest scale of ridges for each block of a photo, 0 in blocks far from the components.

    Args:
        components: The components.
        shape: Height and width of the photo.
        unit: Factor for all distances, which are given for a photo with a longer side of 640 px.

    Returns:
        Scales in px, float32 [⌈H/32⌉,⌈W/32⌉].
    """
    grid = np.zeros([-(-side // BLOCK) for side in shape], np.float32)
    for component in components:
        largest = min(max(1.5, component.width / 2.5), _WIDEST * unit)
        for down in (-component.margin, component.margin):
            rows = np.clip(component.rows + down, 0, shape[0] - 1) // BLOCK
            for across in (-component.margin, component.margin):
                columns = np.clip(component.columns + across, 0, shape[1] - 1) // BLOCK
                near = np.zeros_like(grid, np.bool_)
                near[rows, columns] = True
                grid[near] = np.maximum(grid[near], largest)
    return grid


def reduce_cells(values: NDArray[np.float32], cell: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the largest value of each cell × cell px [h,w], and its pixel's index in the cell [h,w]."""
    best = values[::cell, ::cell].copy()
    place = np.zeros(best.shape, np.int32)
    for index in range(1, cell**2):
        part = values[index // cell :: cell, index % cell :: cell]
        within = np.s_[: part.shape[0], : part.shape[1]]
        np.putmask(place[within], part > best[within], index)
        np.maximum(best[within], part, out=best[within])
    return best, place
