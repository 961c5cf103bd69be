import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from drywallqa.inference.prediction import Prediction
from drywallqa.visualization import overlay
from fakes import wall


def prediction(mask: np.ndarray, prompt: str = "segment crack") -> Prediction:
    return Prediction(mask, mask.astype(np.float32), 0.9, "crack", 0.5, prompt, "wall")


def bar(height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), np.bool_)
    mask[height // 3 : height // 2, width // 4 : width // 2] = True
    return mask


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_draw_mask__outline_stands_out_in_grey_from_any_wall(shade: int) -> None:
    photo, mask = np.full((90, 120, 3), shade, np.uint8), bar(90, 120)
    drawn = overlay.draw_mask(photo, mask)
    line = np.abs(drawn.astype(int).mean(axis=2) - shade)[~mask].max()
    assert line >= 100
    assert (photo == shade).all()


def test_draw_mask__fill_is_translucent_and_stays_inside() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    mask = bar(90, 120)
    drawn = overlay.draw_mask(photo, mask)
    assert drawn[mask].std() > 20
    far = np.zeros_like(mask)
    far[:10] = True
    assert np.array_equal(drawn[far], photo[far])
    assert np.array_equal(overlay.draw_mask(photo, np.zeros_like(mask)), photo)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2000, 3), (48, 64)])
def test_encode_overlay__any_size(shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), 200, np.uint8)
    with Image.open(io.BytesIO(overlay.encode_overlay(photo, prediction(np.ones(shape, np.bool_))))) as image:
        assert image.format == "JPEG"
        assert image.width >= shape[1]
        assert image.height > shape[0]


def test_encode_overlay__legend_is_drawn_and_fits() -> None:
    for prompt in ("crack", "crack " * 200, "🔥"):
        picture = overlay.encode_overlay(wall(), prediction(bar(48, 64), prompt))
        with Image.open(io.BytesIO(picture)) as image:
            strip = np.asarray(image.convert("L"))[52:]
        assert strip.min() < 60
        assert (strip[:, -4:] > 200).all()


def test_legend__says_what_was_found() -> None:
    assert overlay.legend(prediction(bar(48, 64))) == "segment crack: 4.2% marked, presence 0.90"
    empty = prediction(np.zeros((4, 4), np.bool_))
    assert "nothing marked, presence" in overlay.legend(empty)
    assert "nothing marked, no line in 100% of the outline" in overlay.legend(replace(empty, unseen=1.0))


def test_encode_thumbnail__keeps_thin_cracks() -> None:
    photo = np.full((1920, 1920, 3), 200, np.uint8)
    mask = np.zeros((1920, 1920), np.bool_)
    mask[1000:1002] = True
    with Image.open(io.BytesIO(overlay.encode_thumbnail(photo, prediction(mask)))) as image:
        assert image.size == (480, 480)
        assert np.asarray(image.convert("L"))[245:256].min() < 120
