import numpy as np
import pytest

from drywallqa.synthetic.not_walls import OTHERS, render_other


@pytest.mark.parametrize("kind", OTHERS)
def test_render_other__every_kind_is_a_picture_of_the_size_asked_for(kind):
    picture = render_other(2, (72, 100), kind)
    assert picture.shape == (72, 100, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 2


def test_render_other__same_seed_same_picture():
    assert (render_other(5, (64, 64)) == render_other(5, (64, 64))).all()
    assert (render_other(5, (64, 64), "shapes") != render_other(6, (64, 64), "shapes")).any()
