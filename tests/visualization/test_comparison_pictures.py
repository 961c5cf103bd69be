"""Two visits side by side: the later photo is warped onto the earlier one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from drywallqa.visualization.comparison_pictures import write_comparison_picture
from visited_walls import HEIGHT, WIDTH, ledger, observation, pair, straight


def test_picture__the_later_photo_lies_on_the_earlier_one(tmp_path: Path) -> None:
    first = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    first[300:330, 400:430] = 20
    second = np.roll(first, (40, -60), (0, 1))
    moved = pair("a.jpg", "b.jpg", np.array([[1.0, 0, -60], [0, 1, 40], [0, 0, 1]]))
    one = ledger({1: observation(straight((100, 100), (200, 100)))})
    twice = replace(one, visits=(*one.visits, replace(one.visits[0], number=2)))
    drawn = write_comparison_picture((first, second), moved, twice, [], tmp_path)
    with Image.open(tmp_path / drawn.path) as picture:
        pixels = np.asarray(picture.convert("L"))
    head = pixels.shape[0] - HEIGHT
    left, right = pixels[head:, :WIDTH], pixels[head:, -WIDTH:]
    assert np.abs(left[250:380, 350:480].astype(int) - right[250:380, 350:480]).mean() < 3
    assert right[300:340, :40].mean() > 250  # the later photo ends there
