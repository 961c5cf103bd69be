import numpy as np
import pytest

pytest.importorskip("cv2")

from drywallqa.sampling.augment import vary_light, warp_photo, whole_photo


def line_photo() -> tuple[np.ndarray, np.ndarray]:
    """A dark 3 px line on a light wall, and its mask."""
    photo = np.full((640, 640, 3), 200, np.uint8)
    mask = np.zeros((640, 640), bool)
    mask[300:303, 40:600] = True
    photo[mask] = 20
    return photo, mask


@pytest.mark.parametrize("seed", range(12))
def test_warp__mask_stays_on_the_line(seed: int) -> None:
    photo, mask = line_photo()
    picture, truth = warp_photo(photo, {"crack": mask}, 256, (256, 512), np.random.default_rng(seed))
    assert picture.shape == (256, 256, 3)
    assert picture.dtype == np.uint8
    assert truth["crack"].shape == (256, 256)
    marked = truth["crack"] > 0.5
    if marked.sum() > 20:
        inside = picture[marked].mean()
        assert inside < 130  # a line of 1.2 px at the smallest scale is still a line
        wall = picture[(truth["crack"] == 0) & (picture.sum(2) > 0)]
        assert wall.mean() > 185


def test_warp__whole_photo_fits_where_it_is_smaller_than_the_window() -> None:
    photo, mask = line_photo()
    _, truth = warp_photo(photo, {"crack": mask}, 320, (200, 200), np.random.default_rng(3))
    expected = mask.sum() * (200 / 640) ** 2
    assert truth["crack"].sum() >= 0.7 * expected


def test_develop__keeps_a_thin_crack_visible() -> None:
    photo, mask = line_photo()
    for seed in range(30):
        changed = vary_light(photo, np.random.default_rng(seed)).astype(float)
        assert changed.shape == photo.shape
        assert changed[~mask].mean() - changed[mask].mean() > 15


def test_augmentation__same_generator_same_picture() -> None:
    photo, mask = line_photo()
    first = warp_photo(photo, {"c": mask}, 128, (128, 256), np.random.default_rng(5))
    second = warp_photo(photo, {"c": mask}, 128, (128, 256), np.random.default_rng(5))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1]["c"], second[1]["c"])
    assert np.array_equal(
        vary_light(photo, np.random.default_rng(1)), vary_light(photo, np.random.default_rng(1))
    )


def test_whole__photo_is_shown_as_it_is_in_the_corner() -> None:
    generator = np.random.default_rng(0)
    photo = generator.integers(0, 255, (32, 64, 3), np.uint8)
    mask = np.zeros((32, 64), bool)
    mask[:16, :32] = True
    picture, truth = whole_photo(photo, {"crack": mask}, 64)
    assert np.array_equal(picture[:32], photo)
    assert not picture[32:].any()
    assert np.array_equal(truth["crack"] > 0.5, np.pad(mask, ((0, 32), (0, 0))))
    small, share = whole_photo(photo, {"crack": mask}, 32)
    assert small.shape == (32, 32, 3)
    assert share["crack"].sum() * 4 == mask.sum()
