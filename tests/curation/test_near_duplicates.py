import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from drywallqa.curation.near_duplicates import SAME_PHOTO_CELLS, cell_agreement, find_pairs
from drywallqa.imaging import perceptual_hash
from drywallqa.imaging.morphology import group_links
from tiny_exports import photo


def _encoded(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(io.BytesIO(stream.getvalue())).convert("RGB")


CHANGES = {
    "as it is": lambda image: image,
    "JPEG 60 at half the size": lambda image: _encoded(image.resize((80, 80)), 60),
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "mirrored and upside down": lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.75),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "another aspect": lambda image: image.resize((160, 100)),
    "cropped by 2 %": lambda image: image.crop((3, 3, 157, 157)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_find_pairs__finds_changed_copies_and_nothing_else(change):
    originals = [Image.fromarray(photo(seed, 160)) for seed in range(8)]
    pictures = [*originals, *map(CHANGES[change], originals)]
    thumbnails = np.stack([perceptual_hash.thumbnail(np.asarray(picture)) for picture in pictures])
    assert {(pair.first, pair.second) for pair in find_pairs(thumbnails, range(16))} == {
        (n, n + 8) for n in range(8)
    }


def test_find_pairs__says_how_the_second_was_turned():
    upright = photo(1)
    other = np.ascontiguousarray(np.rot90(upright, 3)[:, ::-1])
    thumbnails = np.stack([perceptual_hash.thumbnail(upright), perceptual_hash.thumbnail(other)])
    (pair,) = find_pairs(thumbnails, [0, 1])
    assert (perceptual_hash.orient(other, pair.turns, pair.flip) == upright).all()


def test_find_pairs__passes_over_pairs_of_one_group():
    thumbnails = np.stack([perceptual_hash.thumbnail(photo(1))] * 3)
    pairs = find_pairs(thumbnails, ["a", "a", "b"])
    assert {(pair.first, pair.second) for pair in pairs} == {(0, 2), (1, 2)}


def test_find_pairs__blank_photos_and_no_photos_are_no_pairs():
    assert find_pairs(np.full((3, 32, 32), 90, np.float32), range(3)) == []
    assert find_pairs(np.zeros((0, 32, 32), np.float32), []) == []


def test_cell_agreement__one_backdrop_is_not_one_photograph():
    def board(seed: int) -> Image.Image:
        faint = (180 + 0.3 * (photo(seed, 160).astype(float) - 128)).astype(np.uint8)
        return Image.fromarray(faint).rotate(8, fillcolor=(20, 20, 20))

    boards = [perceptual_hash.thumbnail(np.asarray(board(seed))) for seed in range(5)]
    others = [cell_agreement(first, second) for first, second in combinations(boards, 2)]
    darker = perceptual_hash.thumbnail(np.asarray(ImageEnhance.Brightness(board(1)).enhance(0.8)))
    assert np.median(others) < SAME_PHOTO_CELLS - 0.05
    assert cell_agreement(boards[1], darker) > 0.9


def test_cell_agreement__of_a_picture_with_itself_and_with_another():
    first, second = perceptual_hash.thumbnail(photo(1)), perceptual_hash.thumbnail(photo(2))
    assert cell_agreement(first, first) == pytest.approx(1, abs=1e-4)
    assert abs(cell_agreement(first, second)) < 0.3


def test_unite__follows_chains():
    assert group_links(6, [(4, 5), (1, 4), (2, 3)]).tolist() == [0, 1, 2, 2, 1, 1]
