"""Where the connected pieces of a mask lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.connected_components import label_components

Frame = tuple[int, int, int, int]


def bounding_boxes(mask: NDArray[np.bool_]) -> list[Frame]:
    """Return the bounding box (left, top, right, bottom; right and bottom excluded) of each connected piece.

    Pieces that touch at a corner are connected.
    """
    labels = label_components(mask)
    rows, columns = np.nonzero(labels)
    numbers = labels[rows, columns] - 1
    count = int(labels.max(initial=0))
    low = np.full((2, count), max(mask.shape), np.int64)
    high = np.zeros((2, count), np.int64)
    for axis, places in enumerate((columns, rows)):
        np.minimum.at(low[axis], numbers, places)
        np.maximum.at(high[axis], numbers, places + 1)
    return [(left, top, right, bottom) for left, top, right, bottom in np.concatenate((low, high)).T.tolist()]
