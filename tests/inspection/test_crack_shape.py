from __future__ import annotations

import numpy as np
import pytest

from drawn_cracks import line
from drywallqa.inspection.crack_shape import shape_of, straightness_of


@pytest.mark.parametrize(
    ("end", "degrees"), [((90, 0), 0), ((0, 90), 90), ((90, -90), 45), ((90, 90), 135), ((-90, 90), 45)]
)
def test_shape_of__orientation_is_counterclockwise_as_seen(end, degrees) -> None:
    assert shape_of([line((0, 0), end, (0, 1))]).orientation == pytest.approx(degrees, abs=0.1)


def test_shape_of__counts_branches_and_ends() -> None:
    shape = shape_of(
        [line((0, 0), (50, 0), (0, 1)), line((50, 0), (100, 0), (1, 2)), line((50, 0), (50, 40), (1, 3))]
    )
    assert (shape.branches, shape.ends) == (1, 3)
    assert shape.tortuosity == pytest.approx(1)


def test_shape_of__tortuosity_is_path_over_distance() -> None:
    shape = shape_of([line((0, 0), (30, 40), (0, 1)), line((30, 40), (60, 0), (1, 2))])
    assert shape.tortuosity == pytest.approx(100 / 60, abs=1e-3)
    assert shape.ends == 2


def test_shape_of__closed_loop() -> None:
    corners = [(0, 0), (60, 0), (60, 60), (0, 60)]
    loop = [line(corners[n], corners[(n + 1) % 4], (n, (n + 1) % 4)) for n in range(4)]
    assert shape_of(loop).ends == 0
    assert shape_of(loop).tortuosity >= 1


def test_straightness_of__largest_distance_from_the_best_line() -> None:
    x = np.linspace(-100, 100, 201)
    assert straightness_of(np.stack([x, 0.3 * x], 1)) == pytest.approx(0, abs=1e-9)
    assert straightness_of(np.stack([x, 4 * np.sign(x)], 1)) == pytest.approx(4, rel=0.6)
