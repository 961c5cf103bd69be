"""Pictures of large documents shrink to their share of the budget, and missing ones are named."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa.errors import DataError
from drywallqa.reports.picture_budget import budget_share, read_picture


def noisy(path: Path, side: int = 200) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    Image.fromarray(noise).save(path, quality=90)
    return path


def test_within_the_budget__unchanged(tmp_path: Path) -> None:
    path = noisy(tmp_path / "a.jpg")
    assert budget_share([path], 10**9) == 1
    assert read_picture(path, 1) == path.read_bytes()


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_over_the_budget__at_most_the_share(tmp_path: Path, share: float) -> None:
    path = noisy(tmp_path / "a.jpg")
    assert len(read_picture(path, share)) <= share * path.stat().st_size


def test_missing__named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jpg: this picture cannot be read"):
        budget_share([tmp_path / "none.jpg"], 1)
    with pytest.raises(DataError, match=r"none\.jpg: this picture cannot be read"):
        read_picture(tmp_path / "none.jpg", 1)
