import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drywallqa.formats.rle import (
    BoxRuns,
    compress,
    decode_box_runs,
    decode_brush,
    decode_runs,
    decompress,
    encode_box_runs,
    encode_brush,
    encode_runs,
)
from odd_masks import odd_masks

many = settings(max_examples=100, deadline=None)


@many
@given(odd_masks())
def test_coco__both_directions_as_pycocotools(mask):
    oracle = pytest.importorskip("pycocotools.mask")
    counts = oracle.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert compress(encode_runs(mask)) == counts
    assert decompress(counts) == encode_runs(mask)
    assert (decode_runs(counts, *mask.shape) == mask).all()


@many
@given(odd_masks())
def test_coco__uncompressed_runs_come_back(mask):
    runs = encode_runs(mask)
    assert runs[0] == 0 or not mask[0, 0]
    assert (decode_runs(runs, *mask.shape) == mask).all()


@many
@given(st.lists(st.integers(0, 2**32 - 1), max_size=9))
def test_compress__large_numbers_come_back(runs):
    assert decompress(compress(runs)) == runs


@pytest.mark.parametrize(
    "counts",
    [[10, 5], [-1, 17], [8.0, 8], [True, 15], [10**30, 1], "ÿ", "o", "", "\ud800", "o" * 10**6 + "0"],
    ids=[
        "too few", "negative", "fraction", "boolean", "huge", "strange character", "cut off", "nothing",
        "surrogate", "a number without end",
    ],
)  # fmt: skip
def test_decode_runs__damaged_runs_are_refused(counts):
    with pytest.raises(ValueError, match=r"run length|RLE"):
        decode_runs(counts, 4, 4)


def _read_bits(stream: list[int]) -> list[int]:
    """Read a brush as the format describes it, one character per bit."""
    bits = "".join(f"{byte:08b}" for byte in stream)
    place, values = 0, []

    def take(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    total, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    while len(values) < total:
        repeated = take(1)
        length = take(sizes[take(2)]) + 1
        values += [take(word)] * length if repeated else [take(word) for _ in range(length)]
    assert set(bits[place:]) <= {"0"}
    return values


@many
@given(odd_masks())
def test_brush__is_what_the_format_describes(mask):
    stream = encode_brush(mask)
    assert _read_bits(stream) == np.repeat(mask.ravel() * 255, 4).tolist()
    assert (decode_brush(stream, *mask.shape) == mask).all()


def test_brush__a_run_longer_than_16_bits():
    mask = np.ones((150, 300), bool)
    mask[70, 20:40] = False
    assert _read_bits(encode_brush(mask)) == np.repeat(mask.ravel() * 255, 4).tolist()
    assert (decode_brush(encode_brush(mask), 150, 300) == mask).all()


def _stream(total: int, body: str, word: int = 8) -> list[int]:
    bits = f"{total:032b}{word - 1:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16)) + body
    return [int(bits[start : start + 8].ljust(8, "0"), 2) for start in range(0, len(bits), 8)]


def test_decode_brush__values_without_repetition_and_soft_edges():
    pixels = [(9, 9, 9, 200), (0, 0, 0, 127), (0, 0, 0, 128), (255, 255, 255, 0)]
    values = [value for pixel in pixels for value in pixel]
    body = f"001{15:04b}" + "".join(f"{value:08b}" for value in values)
    assert decode_brush(_stream(16, body), 2, 2).tolist() == [[True, False], [True, False]]
    ones = f"100{3:03b}{1:08b}" + f"100{3:03b}{0:08b}"
    assert decode_brush(_stream(8, ones), 1, 2).tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        ([], "header"),
        ([0, 0, 0, 64], "header"),
        (encode_brush(np.eye(5, dtype=bool)), "covers 25 px, the photo has 16"),
        ([255] * 50, "values of 32 bits"),
        (_stream(2**32 - 1, ""), "px, the photo has 16"),
        (encode_brush(np.eye(4, dtype=bool))[:-2], "truncated"),
        (_stream(64, ""), "truncated"),
        (_stream(64, f"110{200:08b}{255:08b}"), "more than the 64 values"),
        (_stream(64, f"001{15:04b}" + "0" * 90), "truncated"),
        (_stream(64, "", word=16), "values of 16 bits"),
        ([0, 0, 300], "list of bytes"),
        ([0.0] * 9, "list of bytes"),
        ([True] * 9, "list of bytes"),
        (10**12, "list of bytes"),
        ("AAAA", "list of bytes"),
        (None, "list of bytes"),
    ],
)
def test_decode_brush__damaged_streams_are_refused(stream, words):
    with pytest.raises(ValueError, match=words):
        decode_brush(stream, 4, 4)


@many
@given(odd_masks())
def test_box_runs__come_back(mask):
    if mask.any():
        assert (decode_box_runs(encode_box_runs(mask), *mask.shape) == mask).all()
    else:
        with pytest.raises(ValueError, match="no bounding box"):
            encode_box_runs(mask)


def test_box_runs__by_hand():
    mask = np.zeros((6, 7), bool)
    mask[2, 3:5] = mask[3, 4] = mask[4, 2] = True
    assert encode_box_runs(mask) == BoxRuns("1, 2, 2, 2, 2", 2, 2, 3, 3)


@pytest.mark.parametrize(
    ("rle", "box", "words"),
    [
        ("1, 2", (0, 0, 2, 2), "cover 3 px, the box has 4"),
        ("1, 9", (0, 0, 2, 2), "cover 10 px, the box has 4"),
        ("-1, 5", (0, 0, 2, 2), "negative"),
        ("1, x", (0, 0, 2, 2), "not an integer"),
        ("", (0, 0, 2, 2), "not an integer"),
        ("0, 4", (3, 0, 2, 2), "leaves the 4×4 px photo"),
        ("0, 4", (0, -1, 2, 2), "leaves the 4×4 px photo"),
        ("0, 1000000000000", (0, 0, 10**6, 10**6), "leaves the 4×4 px photo"),
    ],
)
def test_decode_box_runs__damaged_masks_are_refused(rle, box, words):
    with pytest.raises(ValueError, match=words):
        decode_box_runs(BoxRuns(rle, *box), 4, 4)
