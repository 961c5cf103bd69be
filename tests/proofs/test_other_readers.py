"""Written labels, read back by supervision, datumaro and label-studio-sdk in an environment of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from drywallqa.formats.annotations import MaskedPhoto
from drywallqa.formats.writing import write_export
from written_labels import large_mask, masked_photo, small_masks

pytestmark = pytest.mark.prove

# MIT, MIT and Apache-2.0; only this test installs them.
PACKAGES = ("supervision>=0.26", "datumaro>=1.10", "label-studio-sdk>=2")
SCRIPT = Path(__file__).with_name("read_labels_elsewhere.py")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with the other readers, and return its python."""
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, timeout=300)
    python = folder / "venv" / "bin" / "python"
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *PACKAGES],
        capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip
    if installed.returncode != 0:
        pytest.skip(f"the other readers cannot be installed here: {installed.stderr.strip()[-300:]}")
    return python


def read(python: Path, reader: str, export: Path) -> dict[str, np.ndarray]:
    target = export.with_suffix(".npz")
    done = subprocess.run(
        [python, SCRIPT, reader, export, target], capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(target) as masks:
        return dict(masks)


def photos(folder: Path, masks: dict[str, np.ndarray]) -> list[MaskedPhoto]:
    return [masked_photo(folder, f"{name}.png", {"crack": mask}) for name, mask in masks.items()]


@pytest.mark.parametrize(
    ("reader", "layout"),
    [
        ("supervision coco", "coco-rle"),
        ("datumaro coco", "coco-rle"),
        ("datumaro coco", "coco"),
        ("datumaro cvat", "cvat"),
        ("label studio", "label-studio"),
    ],
)
def test_other_readers__return_each_pixel(elsewhere: Path, tmp_path: Path, reader: str, layout: str) -> None:
    masks = small_masks() | {"large": large_mask()}
    write_export(tmp_path / "out", layout, photos(tmp_path, masks), ["crack"])
    found = read(elsewhere, reader, tmp_path / "out")
    assert set(found) == set(masks)
    wrong = {
        name: int((found[name] != mask).sum()) if found[name].size else int(mask.sum())
        for name, mask in masks.items()
    }
    assert not any(wrong.values()), wrong


@pytest.mark.parametrize(("reader", "layout"), [("supervision coco", "coco"), ("supervision yolo", "yolo")])
def test_other_readers__that_use_opencv_add_the_right_and_lower_border(
    elsewhere: Path, tmp_path: Path, reader: str, layout: str
) -> None:
    masks = small_masks()
    write_export(tmp_path / "out", layout, photos(tmp_path, masks), ["crack"])
    found = read(elsewhere, reader, tmp_path / "out")
    assert set(found) == set(masks)
    for name, mask in masks.items():
        padded = np.pad(mask, ((1, 0), (1, 0)))
        grown = padded[1:, 1:] | padded[:-1, 1:] | padded[1:, :-1] | padded[:-1, :-1]
        assert (found[name] == grown).all(), name
