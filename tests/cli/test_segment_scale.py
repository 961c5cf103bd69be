"""`drywallqa segment --scale`: large photos from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa import cli
from drywallqa.bundle.bundle import ConceptSettings
from drywallqa.imaging import mask_files
from drywallqa.imaging.letterbox import Letterbox
from fakes import FakeBundle

NAME = "large__segment_crack.png"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_bundle: FakeBundle) -> Path:
    """A folder with a photo of 700×900 px, whose crack of six pixels is half lost where it is scaled down."""
    fake_bundle.window = Letterbox(128)
    fake_bundle.concepts = {"crack": ConceptSettings(native=True), "taping area": ConceptSettings()}
    photo = np.full((700, 900, 3), 200, np.uint8)
    photo[200:206, 100:800] = (230, 20, 20)
    Image.fromarray(photo).save(tmp_path / "large.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> int:
    return cli.main(
        [
            "segment",
            "large.png",
            "--prompt",
            "segment crack",
            "--mask",
            "outline",
            "--no-index",
            "--quiet",
            *arguments,
        ]
    )


def marked(folder: str) -> float:
    return float(mask_files.read_mask(Path(folder) / NAME)[200:206, 110:790].mean())


def test_segment__auto_finds_what_fit_loses(site: Path) -> None:
    assert run("--out", "auto") == 0
    assert run("--out", "fit", "--scale", "fit") == 0
    assert run("--out", "native", "--scale", "native") == 0
    assert marked("auto") > 0.9
    assert marked("fit") < 0.7
    assert (site / "auto" / NAME).read_bytes() == (site / "native" / NAME).read_bytes()
    with Image.open(site / "auto" / NAME) as image:
        assert image.size == (900, 700)


def test_segment__factor_and_probability(site: Path) -> None:
    assert run("--out", "half", "--scale", "0.5", "--probability") == 0
    assert run("--out", "double", "--scale", "2") == 0
    assert marked("double") > 0.9
    with Image.open(site / "half" / "large__segment_crack.probability.png") as image:
        assert image.size == (900, 700)


def test_segment__another_scale_is_another_result(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--out", "out") == 0
    assert run("--out", "out") == 0
    assert run("--out", "out", "--scale", "fit") == 3
    assert "other settings" in capsys.readouterr().err
    assert run("--out", "out", "--scale", "fit", "--overwrite") == 0
    assert marked("out") < 0.7
    lines = [json.loads(line) for line in (site / "out" / "manifest.jsonl").read_text().splitlines()]
    assert len(lines) == 1


@pytest.mark.parametrize("scale", ["huge", "0", "-1", "nan", "9"])
def test_segment__impossible_scale(site: Path, capsys: pytest.CaptureFixture[str], scale: str) -> None:
    assert run("--out", "out", f"--scale={scale}") == 2
    assert "auto, fit, native, or a factor" in capsys.readouterr().err
