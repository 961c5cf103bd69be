import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drywallqa.imaging.morphology import bounding_boxes


def test_frames__of_two_pieces_and_of_nothing():
    mask = np.zeros((10, 12), bool)
    mask[1:4, 2:5] = True
    mask[6:9, 8:12] = True
    assert bounding_boxes(mask) == [(2, 1, 5, 4), (8, 6, 12, 9)]
    assert bounding_boxes(np.zeros((4, 4), bool)) == []


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.1, 0.7))
def test_frames__are_those_of_scipy(seed, density):
    ndimage = pytest.importorskip("scipy.ndimage")
    mask = np.random.default_rng(seed).random((17, 23)) < density
    labelled, _ = ndimage.label(mask, np.ones((3, 3)))
    expected = sorted((x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labelled))
    assert sorted(bounding_boxes(mask)) == expected
