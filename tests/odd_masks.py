"""Masks that break encodings and tracers, for property tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray


@st.composite
def odd_masks(draw: st.DrawFn, largest: int = 24) -> NDArray[np.bool_]:
    """Noise of any density, checkerboards, diagonals, nested frames, lines, and single pixels."""
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    y, x = np.indices((height, width))
    kind = draw(st.sampled_from(["noise", "checks", "diagonals", "frames", "lines", "pixel", "blocks"]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    step = draw(st.integers(2, 5))
    masks = {
        "noise": generator.random((height, width)) < draw(st.floats(0, 1)),
        "checks": (x + y) % 2 == 0,
        "diagonals": (x + y) % step == 0,
        "frames": np.minimum.reduce([x, y, width - 1 - x, height - 1 - y]) % step == 0,
        "lines": (x % step == 0) | (y == height // 2),
        "pixel": (x == generator.integers(width)) & (y == generator.integers(height)),
        "blocks": generator.random((height // 3 + 1, width // 3 + 1))[y // 3, x // 3] < 0.6,
    }
    mask: NDArray[np.bool_] = masks[kind] ^ draw(st.booleans())
    return mask
