import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drywallqa.imaging.letterbox import Letterbox, sigmoid


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 900), st.integers(1, 900))
def test_fit__any_photo_fills_the_longer_side(height: int, width: int) -> None:
    window = Letterbox(128)
    canvas, placement = window.fit(np.full((height, width, 3), 90, np.uint8))
    assert canvas.dtype == np.float32
    assert canvas.shape == (3, placement.window_height, placement.window_width)
    assert max(placement.scaled_height, placement.scaled_width) == 128
    assert placement.window_height % 32 == placement.window_width % 32 == 0
    restored = placement.restore(
        np.zeros((placement.window_height // 2, placement.window_width // 2), np.float32)
    )
    assert restored.shape == (height, width)


def test_fit__padding_is_zero_and_photo_normalised() -> None:
    window = Letterbox(64, square=True, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    canvas, placement = window.fit(np.full((32, 64, 3), 255, np.uint8))
    assert (placement.window_height, placement.window_width) == (64, 64)
    assert np.allclose(canvas[:, :32], 1)
    assert not canvas[:, 32:].any()


@pytest.mark.parametrize(("height", "width"), [(100, 60), (48, 200), (640, 640)])
def test_restore__a_square_comes_back_where_it_was(height: int, width: int) -> None:
    photo = np.zeros((height, width, 3), np.uint8)
    photo[height // 4 : height // 2, width // 3 : width // 2] = 255
    canvas, placement = Letterbox(256).fit(photo)
    back = placement.restore(canvas[0]) > (canvas[0].max() + canvas[0].min()) / 2
    truth = photo[:, :, 0] > 0
    assert np.count_nonzero(back & truth) / np.count_nonzero(back | truth) > 0.9


def test_window__json_round_trip() -> None:
    window = Letterbox(320, square=True, mean=(0.1, 0.2, 0.3))
    assert Letterbox.from_json(window.to_json()) == window


@pytest.mark.parametrize("size", [0, 100, -32])
def test_window__odd_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="multiple"):
        Letterbox(size)


def test_sigmoid__is_stable_and_right() -> None:
    values = np.array([-1e4, -2.0, 0.0, 2.0, 1e4], np.float32)
    expected = np.array([0, 1 / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(-2)), 1])
    assert np.allclose(sigmoid(values), expected, atol=1e-6)
