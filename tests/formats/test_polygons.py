import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drywallqa.formats.polygons import crop_ring, enclosed_loops, pixel_corners, ring_area

SLIVER = [(40.5, 100.0), (140.5, 120.0), (140.5, 124.0), (40.5, 104.0)]
OTHER = [(480.0, 500.0), (600.0, 540.0), (600.0, 544.0), (480.0, 504.0)]


def _areas(loops):
    return sorted(round(ring_area(loop), 6) for loop in loops)


def test_crop__a_ring_inside_is_the_same_object():
    ring = np.array([[0, 0], [50, 0], [25, 40]], float)
    assert crop_ring(ring, 40, 50) is ring


@pytest.mark.parametrize(
    ("points", "area"),
    [
        ([(-50, 0), (50, 0), (0, 50)], 1250),
        ([(0, 0), (100, 0), (0, 100)], 2500),
        ([(0, 0), (50, 0), (50, 100)], 50 * 50 - 25 * 25),
        ([(25, -1e9), (1e9, 25), (25, 1e9), (-1e9, 25)], 2500),
        ([(10, 10), (20, 10), (20, 70), (30, 70), (30, 10), (40, 10), (40, 90), (10, 90)], 800),
    ],
    ids=["triangle", "corner", "slope", "far away", "two prongs"],
)
def test_crop__keeps_the_area_inside(points, area):
    cropped = crop_ring(np.array(points, float), 50, 50)
    assert ((cropped >= 0) & (cropped <= 50)).all()
    assert ring_area(cropped) == pytest.approx(area)


def test_crop__prongs_that_join_outside_become_two_loops():
    ring = [(10, 10), (20, 10), (20, 70), (30, 70), (30, 10), (40, 10), (40, 90), (10, 90)]
    assert _areas(enclosed_loops(crop_ring(np.array(ring, float), 50, 50))) == [400, 400]


def test_crop__nothing_is_left_of_a_ring_that_passes_by():
    ring = crop_ring(np.array([[-1, -30], [90, -30], [90, 30], [60, -10]], float), 50, 50)
    assert len(ring) == 0 or enclosed_loops(ring) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-90, 140), st.floats(-90, 140)), min_size=3, max_size=6), st.data())
def test_crop__a_point_is_inside_as_before(points, data):
    cv2 = pytest.importorskip("cv2")
    x, y = data.draw(st.floats(0.5, 49.5)), data.draw(st.floats(0.5, 49.5))
    before = np.array(points, np.float32).reshape(-1, 1, 2)
    hull = cv2.convexHull(before)
    assume(hull is not None and len(hull) > 2)
    distance = cv2.pointPolygonTest(hull, (x, y), measureDist=True)
    after = crop_ring(hull.reshape(-1, 2).astype(float), 50, 50)
    if abs(distance) > 0.1:
        inside = (
            len(after) > 2 and cv2.pointPolygonTest(after.astype(np.float32), (x, y), measureDist=False) > 0
        )
        assert inside == (distance > 0)


def test_pixel_corners__only_along_pixel_edges():
    ring = np.array([[1, 1], [4.004, 1.003], [4, 3], [1, 3]], float)
    assert pixel_corners(ring).tolist() == [[1, 1], [4, 1], [4, 3], [1, 3]]
    assert pixel_corners(ring + 0.02) is None
    assert pixel_corners(np.array([[1, 1], [4, 1], [1, 3]], float)) is None


def test_loops__an_ordinary_ring_is_the_same_object():
    ring = np.array([*SLIVER, SLIVER[0]])
    assert enclosed_loops(ring)[0] is ring


@pytest.mark.parametrize("stops", [[], [(310.25, 312.0)], [(200.125, 203.75), (310.25, 312.0)]])
def test_loops__a_bridge_encloses_nothing(stops):
    a, b = SLIVER[2], OTHER[0]
    stops = [
        ((1 - t) * a[0] + t * b[0], (1 - t) * a[1] + t * b[1]) for t in np.linspace(0, 1, len(stops) + 2)
    ][1:-1]
    ring = [a, SLIVER[3], SLIVER[0], SLIVER[1], a, *stops, *OTHER, b, a]
    assert _areas(enclosed_loops(np.array(ring))) == [400, 480]


def test_loops__a_keyhole_is_a_ring_and_its_hole():
    ring = [(0, 0), (20, 0), (20, 20), (0, 20), (0, 5), (5, 5), (5, 9), (9, 9), (9, 5), (5, 5), (0, 5)]
    assert _areas(enclosed_loops(np.array(ring, float) + 0.3)) == [16, 400]


def test_loops__a_line_there_and_back_encloses_nothing():
    assert enclosed_loops(np.array([[5, 5], [60, 6], [90, 20], [60, 6]], float)) == []
    assert enclosed_loops(np.array([[5, 5], [60, 5], [30, 5]], float)) == []


def test_loops__a_spike_vanishes():
    (loop,) = enclosed_loops(np.array([[0, 0], [9, 0], [30, 1], [9, 0], [9, 9], [0, 9]], float))
    assert ring_area(loop) == 81
    assert loop[:, 0].max() == 9


def test_loops__an_edge_walked_twice_in_one_direction_and_once_back_stays():
    ring = np.array([[0, 0], [9, 0], [9, 9], [0, 0], [9, 0], [0, 0], [9, 0], [9, 9]], float)
    assert ring_area(ring) == pytest.approx(sum(_areas(enclosed_loops(ring))))
