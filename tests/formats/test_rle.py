import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drywallqa.formats.geometry import decode_runs


@st.composite
def masks(draw):
    height, width, seed = draw(st.integers(1, 40)), draw(st.integers(1, 40)), draw(st.integers(0, 2**32))
    return np.random.default_rng(seed).random((height, width)) < draw(st.floats(0, 1))


def _runs(mask: np.ndarray) -> list[int]:
    flat = mask.T.reshape(-1)
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *changes, len(flat)]).tolist()
    return [0, *runs] if flat[0] else runs


@settings(max_examples=100, deadline=None)
@given(masks())
def test_decode__compressed_as_pycocotools_writes_it(mask):
    oracle = pytest.importorskip("pycocotools.mask")
    counts = oracle.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert (decode_runs(counts, *mask.shape) == mask).all()


@settings(max_examples=100, deadline=None)
@given(masks())
def test_decode__uncompressed(mask):
    assert (decode_runs(_runs(mask), *mask.shape) == mask).all()


@pytest.mark.parametrize(
    "counts",
    [[10, 5], [-1, 17], [8.0, 8], [True, 15], "ÿ", "o", ""],
    ids=["too few", "negative", "fraction", "boolean", "strange character", "cut off", "nothing"],
)
def test_decode__damaged_runs_are_refused(counts):
    with pytest.raises(ValueError):
        decode_runs(counts, 4, 4)
