import numpy as np
import pytest

from drywallqa.synthetic.canvas import Canvas
from drywallqa.synthetic.objects import OBJECTS, draw_objects


@pytest.mark.parametrize("name", OBJECTS)
def test_draw_objects__changes_the_wall_and_stays_finite(name):
    changed = False
    for seed in range(3):
        canvas = Canvas.plain((90, 120), (0.6, 0.6, 0.6), np.random.default_rng(seed))
        draw_objects(canvas, [name], OBJECTS)
        assert np.isfinite(canvas.colour).all()
        assert canvas.colour.min() >= -0.01
        changed |= bool((np.abs(canvas.colour - 0.6) > 0.02).any())
    assert changed
