"""Rows of a grid brought to the photo's size: as all at once, and nothing above the level is left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference import tiling
from drywallqa.inference.tiling import PhotoLogits, upsample

SIDES = st.integers(1, 150)


@settings(max_examples=80, deadline=None)
@given(height=SIDES, width=SIDES, seed=st.integers(0, 99), step=st.integers(1, 40))
def test_upsample__as_all_at_once_wherever_the_level_is_passed(
    height: int, width: int, seed: int, step: int
) -> None:
    placement = Letterbox(64).place(height, width)
    generator = np.random.default_rng(seed)
    shape = (placement.window_height // 2, placement.window_width // 2)
    logits = generator.normal(-1.5, 1.0, shape).astype(np.float32)
    view = PhotoLogits.whole(logits[None], placement)
    found = np.full((height, width), -np.inf, np.float32)
    parts = (view.logits[:, top : top + step] for top in range(0, shape[0], step))
    end = 0
    for rows, (part,) in upsample(parts, view, (height, width), np.zeros(1, np.float32)):
        assert rows.start == end
        end = rows.stop
        if part is not None:
            found[rows, part[0]] = part[1]
    expected = placement.restore(logits)
    assert end == height
    above = expected > 1e-4
    assert (found > 0)[above].all()
    seen = np.isfinite(found)
    assert np.allclose(found[seen], expected[seen], atol=1e-4)


def test_upsample__nothing_above_the_level_is_nothing_to_upsample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "_BAND", 100)
    view = PhotoLogits(np.full((2, 20, 25), -1, np.float32), 0.5, 0.5, 1)
    bands = list(upsample([view.logits], view, (40, 50), np.zeros(2, np.float32)))
    assert len(bands) == 20
    assert all(parts == (None, None) for _, parts in bands)
