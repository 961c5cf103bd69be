import numpy as np
import pytest
from PIL import Image, ImageDraw

from drywallqa.imaging.morphology import mean_width, skeletonise


def _line(width: int) -> np.ndarray:
    canvas = Image.new("L", (200, 120))
    ImageDraw.Draw(canvas).line([(10, 20), (90, 60), (180, 40)], fill=1, width=width)
    return np.asarray(canvas) > 0


@pytest.mark.parametrize("width", [1, 4, 9])
def test_skeletonise__is_nearly_as_long_as_that_of_scikit_image(width):
    morphology = pytest.importorskip("skimage.morphology")
    mask = _line(width)
    ours, theirs = skeletonise(mask), morphology.skeletonize(mask, method="zhang")
    assert abs(int(ours.sum()) - int(theirs.sum())) <= 0.12 * theirs.sum()
    assert not (ours & ~mask).any()


def test_skeletonise__keeps_an_empty_mask_and_does_not_touch_its_argument():
    assert not skeletonise(np.zeros((5, 5), bool)).any()
    mask = _line(5)
    before = mask.copy()
    skeletonise(mask)
    assert (mask == before).all()


def test_skeletonise__a_full_mask_thins_to_a_little():
    assert 1 <= skeletonise(np.ones((30, 30), bool)).sum() <= 5


@pytest.mark.parametrize("width", [3, 7, 11])
def test_mean_width__of_a_straight_line(width):
    mask = np.zeros((60, 200), bool)
    mask[20 : 20 + width, 5:195] = True
    assert mean_width(mask) == pytest.approx(width, rel=0.1)


def test_mean_width__of_nothing_is_zero():
    assert mean_width(np.zeros((4, 4), bool)) == 0


@pytest.mark.parametrize("width", [1, 4, 9])
def test_skeletonise__of_a_connected_line_is_one_piece(width):
    ndimage = pytest.importorskip("scipy.ndimage")
    assert ndimage.label(skeletonise(_line(width)), np.ones((3, 3)))[1] == 1
