import numpy as np
import pytest

from drywallqa.formats.geometry import GeometryError
from drywallqa.formats.rings import box_ring, ellipse_ring, turn_points


@pytest.mark.parametrize("radii", [(3.0, 2.0), (400.0, 30.0), (3000.0, 3000.0)])
def test_ellipse__no_edge_deviates_by_more_than_a_fiftieth_of_a_pixel(radii):
    ring = ellipse_ring((0.0, 0.0), radii)
    middles = (ring + np.roll(ring, -1, axis=0)) / 2
    gap = max(radii) * (1 - np.hypot(middles[:, 0] / radii[0], middles[:, 1] / radii[1]))
    assert 0 <= gap.max() <= 0.021


def test_turn__clockwise_on_the_screen():
    ring = turn_points(box_ring(0, 0, 4, 2), (0.0, 0.0), 90)
    assert ring == pytest.approx(np.array([[0, 0], [0, 4], [-2, 4], [-2, 0]]), abs=1e-9)


@pytest.mark.parametrize("radii", [(0.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0)])
def test_ellipse__without_an_area_is_refused(radii):
    with pytest.raises(GeometryError):
        ellipse_ring((0.0, 0.0), radii)
