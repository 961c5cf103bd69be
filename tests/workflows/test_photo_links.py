"""Photos that show the same wall, through `inspect`: their cracks are counted once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

import drywallqa
from drywallqa import InspectOptions
from drywallqa.bundle.bundle import ConceptSettings
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference.segmenter import Segmenter
from drywallqa.workflows import photo_links
from drywallqa.workflows.visit_record import MAY_COUNT_TWICE
from fakes import FakeBundle

DAY = InspectOptions(prompts=("crack",), date="2026-11-30")


@pytest.fixture
def segmenter() -> Segmenter:
    return Segmenter(FakeBundle(concepts={"crack": ConceptSettings()}, window=Letterbox(256)))


@pytest.fixture(scope="module")
def whole() -> Image.Image:
    """A wall of 900×600 px with a texture and two cracks, one across its middle and one at its left."""
    noise = np.random.default_rng(3).integers(0, 256, (200, 300), np.uint8)
    texture = Image.fromarray(noise).resize((900, 600), Image.Resampling.BICUBIC)
    grey = np.asarray(texture.filter(ImageFilter.GaussianBlur(1)), float) * 0.25 + 150
    image = Image.fromarray(np.repeat(grey[..., None].astype(np.uint8), 3, 2))
    pen = ImageDraw.Draw(image)
    for points in ([(250, 250), (420, 290), (520, 270), (700, 330)], [(60, 450), (150, 520), (190, 500)]):
        pen.line(points, fill=(230, 20, 20), width=7, joint="curve")
    return image


def saved(image: Image.Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def inspect(folder: Path, segmenter: Segmenter, options: InspectOptions = DAY):
    return drywallqa.inspect(folder, folder.parent / "out", options, segmenter=segmenter).ledger


def photos_of(ledger) -> list[list[str]]:
    return [[o.photo for o in f.observations] for f in ledger.findings if f.state == "open"]


def test_inspect__a_crack_on_two_overlapping_photos_is_counted_once(
    tmp_path: Path, segmenter: Segmenter, whole: Image.Image
) -> None:
    pytest.importorskip("cv2")
    saved(whole.crop((0, 0, 640, 600)), tmp_path / "site" / "a.png")
    saved(whole.crop((200, 0, 900, 600)), tmp_path / "site" / "b.png")
    ledger = inspect(tmp_path / "site", segmenter)
    assert sorted(photos_of(ledger)) == [["a.png"], ["a.png", "b.png"]]
    assert all(MAY_COUNT_TWICE not in photo.notes for photo in ledger.visits[0].photos)


def test_inspect__a_photo_that_is_added_later_is_linked_too(
    tmp_path: Path, segmenter: Segmenter, whole: Image.Image
) -> None:
    pytest.importorskip("cv2")
    saved(whole.crop((0, 0, 640, 600)), tmp_path / "site" / "a.png")
    inspect(tmp_path / "site", segmenter)
    saved(whole.crop((200, 0, 900, 600)), tmp_path / "site" / "b.png")
    ledger = inspect(tmp_path / "site", segmenter)
    assert sorted(photos_of(ledger)) == [["a.png"], ["a.png", "b.png"]]


def test_inspect__a_new_visit_keeps_the_numbers(
    tmp_path: Path, segmenter: Segmenter, whole: Image.Image
) -> None:
    pytest.importorskip("cv2")
    saved(whole, tmp_path / "march" / "a.png")
    saved(whole.rotate(2, Image.Resampling.BICUBIC).crop((20, 20, 880, 580)), tmp_path / "june" / "b.png")
    before = inspect(tmp_path / "march", segmenter)
    after = inspect(tmp_path / "june", segmenter, replace(DAY, visit="new"))
    assert [finding.number for finding in after.findings] == [finding.number for finding in before.findings]
    assert all([o.visit for o in finding.observations] == [1, 2] for finding in after.findings)
    assert after.visits[1].compared == {"b.png": "a.png"}


def test_inspect__without_opencv_photos_of_one_wall_may_count_twice(
    tmp_path: Path, segmenter: Segmenter, whole: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_links, "can_align", lambda: False)
    saved(whole, tmp_path / "site" / "north" / "a.png")
    saved(whole, tmp_path / "site" / "north" / "b.png")
    saved(whole, tmp_path / "site" / "south" / "c.png")
    ledger = inspect(tmp_path / "site", segmenter)
    noted = [photo.path for photo in ledger.visits[0].photos if MAY_COUNT_TWICE in photo.notes]
    assert noted == ["north/a.png", "north/b.png"]
    assert len(ledger.findings) == 6
