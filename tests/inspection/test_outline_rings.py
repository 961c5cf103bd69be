from __future__ import annotations

import numpy as np

from drywallqa.formats.outlines import draw_ring
from drywallqa.inspection.outline_rings import outer_rings


def test_outer_rings__a_rectangle_lies_around_its_pixel_centres() -> None:
    mask = np.zeros((90, 120), bool)
    mask[20:50, 30:90] = True
    (ring,) = outer_rings(mask, (100, 200))
    assert len(ring) <= 8
    assert np.allclose(ring.min(0), (129.5, 219.5), atol=0.5)
    assert np.allclose(ring.max(0), (189.5, 249.5), atol=0.5)


def test_outer_rings__a_slanted_line_keeps_its_area_with_few_points() -> None:
    rows, columns = np.mgrid[:200, :300]
    mask = abs(rows - 0.4 * columns - 20) < 6
    (ring,) = outer_rings(mask)
    filled = np.zeros_like(mask)
    draw_ring(filled, ring + 0.5)
    assert len(ring) < 40
    assert (filled & mask).sum() / (filled | mask).sum() > 0.93


def test_outer_rings__one_pixel() -> None:
    mask = np.zeros((3, 3), bool)
    mask[1, 1] = True
    (ring,) = outer_rings(mask)
    assert len(ring) == 4
