from __future__ import annotations

import numpy as np
import pytest

from drywallqa.imaging.ridges import find_ridges


def board(width: float, side: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """A noisy board with a vertical dark bar in the middle, and a wide outline around the bar."""
    x = np.arange(side) - side / 2
    grey = 170 - 60 * (np.abs(x) <= width / 2)[None, :] + np.random.default_rng(1).normal(0, 2, (side, side))
    return grey.astype(np.float32), np.tile(np.abs(x) <= 1.5 * width + 4, (side, 1))


def scales(value: float) -> np.ndarray:
    return np.full((7, 7), value, np.float32)


@pytest.mark.parametrize("width", [3, 9, 31])
def test_find_ridges__are_strongest_in_the_middle_of_a_bar_at_its_own_scale(width: int) -> None:
    grey, outline = board(width)
    found = find_ridges(grey, outline, scales(25.0))
    profile = found.strength[60:140].mean(0)
    assert abs(int(profile.argmax()) - 100) <= 1
    assert profile.max() > 4
    assert 0.25 * width < np.median(found.scale[60:140, 100]) < 0.75 * width


def test_find_ridges__ignore_a_step_between_two_shades() -> None:
    grey, _ = board(-1)
    grey[:, 100:] += 60
    found = find_ridges(grey, np.zeros(grey.shape, np.bool_), scales(4.0))
    bar = find_ridges(*board(5), scales(4.0)).strength[60:140, 100]
    assert found.strength[60:140, 96:105].max() < 0.3 * bar.min()


def test_find_ridges__measure_strength_against_the_noise() -> None:
    grey, outline = board(5)
    rough = grey + np.random.default_rng(2).normal(0, 12, grey.shape).astype(np.float32)
    calm, noisy = (find_ridges(image, outline, scales(4.0)).strength[60:140, 100] for image in (grey, rough))
    assert calm.mean() > 1.5 * noisy.mean()


def test_find_ridges__skip_blocks_without_an_outline() -> None:
    grey, outline = board(5)
    wanted = scales(3.0)
    wanted[:, :2] = 0
    found = find_ridges(grey, outline, wanted)
    assert not found.strength[:, :64].any()
    assert found.strength[:, 100].all()
