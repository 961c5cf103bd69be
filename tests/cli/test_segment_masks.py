"""`segment --mask` and `--band`: the crack's own pixels, and a band along a joint."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa.cli import main
from drywallqa.imaging import mask_files
from drywallqa.synthetic.walls import render_wall


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "wall.png"
    Image.fromarray(render_wall([77, 0], (520, 640), "both").photo).save(path)
    return path


def segment(photo: Path, out: Path, prompt: str, *options: str) -> tuple[np.ndarray, dict]:
    asked = ["--prompt", prompt, "--out", str(out), "--no-index", "--quiet", *options]
    assert main(["segment", str(photo), *asked]) == 0
    mask = mask_files.read_mask(out / mask_files.file_name("wall", prompt))
    return mask, json.loads((out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()[-1])


def test_segment__writes_the_cracks_own_pixels(photo: Path, tmp_path: Path) -> None:
    outline, plain = segment(photo, tmp_path / "outline", "segment crack", "--mask", "outline")
    crack, record = segment(photo, tmp_path / "crack", "segment crack")
    assert outline.any()
    assert crack.any()
    assert crack.sum() < 0.7 * outline.sum()
    assert (plain["mask_kind"], record["mask_kind"]) == ("outline", "crack")
    assert "kind crack" in record["settings"]
    assert "unseen" not in plain
    assert 0 <= record["unseen"] < 1
    assert record["area"] == pytest.approx(crack.mean())


def test_segment__does_not_take_an_outline_for_a_finished_crack_mask(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment(photo, tmp_path, "segment crack", "--mask", "outline")
    options = ["--prompt", "segment crack", "--out", str(tmp_path), "--quiet"]
    assert main(["segment", str(photo), *options]) == 3
    assert "made from other settings" in capsys.readouterr().err


def test_segment__writes_a_band_of_the_given_width(photo: Path, tmp_path: Path) -> None:
    prompt = "segment taping area"
    wide, _ = segment(photo, tmp_path / "px", prompt, "--mask", "band", "--band", "40px")
    scaled = ("--mask", "band", "--band", "40 mm", "--mm-per-pixel", "2")
    narrow, record = segment(photo, tmp_path / "mm", prompt, *scaled)
    assert narrow.any()
    assert narrow.sum() == pytest.approx(wide.sum() / 2, rel=0.1)
    assert "band of 20 px" in record["settings"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mask", "strip"], "unknown kind of mask 'strip'"),
        (["--mask", "band", "--band", "50mm"], "--band 50mm needs a scale; add --mm-per-pixel"),
        (["--mask", "band", "--band", "50"], "has no unit"),
        (["--mask", "band", "--band", "50mm", "--mm-per-pixel", "0"], "--mm-per-pixel is 0"),
        (["--band", "40px"], "pass mask band"),
    ],
)
def test_segment__refuses_masks_that_it_cannot_make(
    options: list[str], message: str, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", str(photo), "-p", "segment crack", "--out", str(tmp_path), *options]) == 2
    assert message in capsys.readouterr().err
