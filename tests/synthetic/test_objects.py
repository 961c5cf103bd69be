import numpy as np
import pytest

from drywallqa.synthetic.canvas import Canvas
from drywallqa.synthetic.objects import OBJECTS, add_object


@pytest.mark.parametrize("name", OBJECTS)
def test_add_object__changes_the_wall_and_stays_finite(name):
    changed = False
    for seed in range(3):
        canvas = Canvas.plain((90, 120), (0.6, 0.6, 0.6), np.random.default_rng(seed))
        add_object(canvas, name)
        assert np.isfinite(canvas.colour).all()
        assert canvas.colour.min() >= -0.01
        changed |= bool((np.abs(canvas.colour - 0.6) > 0.02).any())
    assert changed
