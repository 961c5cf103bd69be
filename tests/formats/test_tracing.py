import numpy as np
import pytest
from hypothesis import given, settings

from drywallqa.formats.tracing import keyhole, trace_regions
from odd_masks import odd_masks

many = settings(max_examples=150, deadline=None)


def _fill(rings, height, width):
    """Fill rings of pixel corners by the even-odd rule, edge by edge."""
    crossings = np.zeros((height, width), int)
    for ring in rings:
        for (x, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            assert (x == x1) != (y0 == y1)
            crossings[min(y0, y1) : max(y0, y1), x:] += x == x1
    return crossings % 2 == 1


def _shape(*rows):
    return np.array([[letter == "#" for letter in row] for row in rows])


@many
@given(odd_masks())
def test_trace__each_region_comes_back_exactly(mask):
    ndimage = pytest.importorskip("scipy.ndimage")
    numbers, count = ndimage.label(mask)
    regions = trace_regions(mask)
    assert len(regions) == count
    for number, region in enumerate(regions, 1):
        assert (_fill([region.outer, *region.holes], *mask.shape) == (numbers == number)).all()
        holes = ndimage.label(_fill([region.outer], *mask.shape) & (numbers != number), np.ones((3, 3)))[1]
        assert len(region.holes) >= holes


@many
@given(odd_masks())
def test_trace__every_corner_turns(mask):
    for region in trace_regions(mask):
        for ring in (region.outer, *region.holes):
            across = np.roll(ring, -1, axis=0)[:, 0] != ring[:, 0]
            assert (across != np.roll(across, 1)).all()


@many
@given(odd_masks())
def test_keyhole__encloses_the_region(mask):
    for region in trace_regions(mask):
        both = [region.outer, *region.holes]
        assert (_fill([keyhole(region)], *mask.shape) == _fill(both, *mask.shape)).all()


@many
@given(odd_masks())
def test_keyhole__pycocotools_reads_it_exactly(mask):
    oracle = pytest.importorskip("pycocotools.mask")
    rings = [keyhole(region).astype(float).ravel().tolist() for region in trace_regions(mask)]
    if rings:  # it has no polygon for an empty mask
        runs = oracle.merge(oracle.frPyObjects(rings, *mask.shape))
        assert (np.array(oracle.decode(runs)) == mask).all()


@many
@given(odd_masks())
def test_keyhole__opencv_loses_nothing_and_adds_the_right_and_lower_border(mask):
    cv2 = pytest.importorskip("cv2")
    drawn = np.zeros(mask.shape, np.uint8)
    for region in trace_regions(mask):
        cv2.fillPoly(drawn, [keyhole(region).astype(np.int32)], 1)
    padded = np.pad(mask, ((1, 0), (1, 0)))
    border = padded[:-1, :-1] | padded[:-1, 1:] | padded[1:, :-1]
    assert (mask <= (drawn > 0)).all()
    assert ((drawn > 0) <= (mask | border)).all()


def test_trace__empty_full_and_one_pixel():
    assert trace_regions(np.zeros((4, 5), bool)) == []
    (full,) = trace_regions(np.ones((4, 5), bool))
    assert full.outer.tolist() == [[0, 0], [5, 0], [5, 4], [0, 4]]
    assert full.holes == ()
    (pixel,) = trace_regions(_shape("...", ".#.", "..."))
    assert pixel.outer.tolist() == [[1, 1], [2, 1], [2, 2], [1, 2]]


def test_trace__a_hole_belongs_to_the_region_around_it():
    frames = _shape("#######", "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######")
    outer, inner = trace_regions(frames)
    assert [len(region.holes) for region in (outer, inner)] == [1, 1]
    assert outer.holes[0].tolist() == [[1, 1], [1, 6], [6, 6], [6, 1]]
    assert inner.holes[0].tolist() == [[3, 3], [3, 4], [4, 4], [4, 3]]


def test_trace__pixels_that_touch_diagonally_are_two_regions():
    assert len(trace_regions(_shape("#.", ".#"))) == 2
    assert len(trace_regions(_shape(".#", "#."))) == 2


def test_keyhole__by_hand():
    (region,) = trace_regions(_shape("###", "#.#", "###"))
    seam = [[0, 1], [1, 1], [1, 2], [2, 2], [2, 1], [1, 1], [0, 1]]
    assert keyhole(region).tolist() == [[0, 0], [3, 0], [3, 3], [0, 3], *seam]
