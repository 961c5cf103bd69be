import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from drywallqa.imaging import perceptual_hash
from tiny_exports import photo


def distance(first: int, second: int) -> int:
    return (first ^ second).bit_count()


def closest_distance(first: int, second: int) -> int:
    return min(distance(first, turned) for turned in perceptual_hash.orientations(second))


def test_perceptual_hash__fits_64_bits_and_differs_between_photos():
    values = [perceptual_hash.perceptual_hash(photo(seed)) for seed in range(20)]
    assert all(0 <= value < 2**64 for value in values)
    assert min(closest_distance(a, b) for a in values for b in values if a != b) > 8


def test_perceptual_hash__survives_jpeg_60_and_half_the_size():
    for seed in range(20):
        pixels = photo(seed, 320)
        stream = io.BytesIO()
        Image.fromarray(pixels).resize((160, 160)).save(stream, "JPEG", quality=60)
        again = np.asarray(Image.open(stream).convert("RGB"))
        assert distance(perceptual_hash.perceptual_hash(pixels), perceptual_hash.perceptual_hash(again)) <= 4


@pytest.mark.parametrize("index", range(8))
def test_orientations__are_the_hashes_of_the_turned_photo(index):
    pixels = photo(3)
    turns, flip = perceptual_hash.ORIENTATIONS[index]
    turned = np.ascontiguousarray(perceptual_hash.orient(pixels, turns, flip))
    expected = perceptual_hash.perceptual_hash(turned)
    assert (
        distance(perceptual_hash.orientations(perceptual_hash.perceptual_hash(pixels))[index], expected) <= 1
    )


def test_closest_distance__finds_a_mirrored_photo():
    pixels = photo(5)
    mirrored = perceptual_hash.perceptual_hash(np.ascontiguousarray(pixels[:, ::-1]))
    upright = perceptual_hash.perceptual_hash(pixels)
    assert distance(upright, mirrored) > 15
    assert closest_distance(upright, mirrored) <= 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
def test_closest_distances__agrees_with_one_by_one(values):
    table = perceptual_hash.closest_hash_distances(values, values)
    expected = [[closest_distance(a, b) for b in values] for a in values]
    assert table.tolist() == expected


def test_count_bits__without_numpy_2(monkeypatch):
    values = [perceptual_hash.perceptual_hash(photo(seed)) for seed in range(3)]
    expected = perceptual_hash.closest_hash_distances(values, values)
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert (perceptual_hash.closest_hash_distances(values, values) == expected).all()


def test_perceptual_hash__of_a_blank_photo_is_defined():
    assert 0 <= perceptual_hash.perceptual_hash(np.full((5, 9, 3), 200, np.uint8)) < 2**64
