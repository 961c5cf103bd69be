"""JPEG files that lost a part of their data and decode all the same."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from drywallqa.errors import PhotoError
from drywallqa.imaging import photos
from drywallqa.synthetic.walls import render_wall

END = b"\xff\xd9"
KINDS = {
    "baseline": {},
    "full colour": {"subsampling": 0},
    "optimised": {"optimize": True},
    "grey": {"mode": "L"},
    "restarts by row": {"restart_marker_rows": 1},
    "restarts by block": {"restart_marker_blocks": 7},
    "progressive": {"progressive": True},
}


def encoded(kind: str, picture: Image.Image | None = None) -> bytes:
    options = dict(KINDS[kind])
    picture = Image.fromarray(render_wall(1, (240, 330)).photo) if picture is None else picture
    stream = io.BytesIO()
    picture.convert(options.pop("mode", "RGB")).save(stream, "JPEG", quality=90, **options)
    return stream.getvalue()


def notes(content: bytes) -> tuple[str, ...]:
    return photos.read_photo_bytes(content, "wall.jpg").notes


@pytest.mark.parametrize("kind", KINDS)
def test_lost__nothing(kind: str) -> None:
    assert notes(encoded(kind)) == ()
    assert notes(encoded(kind) + b"what a phone appends" + END) == ()
    for value in (0, 128, 200, 255):
        assert notes(encoded(kind, Image.new("RGB", (333, 257), (value,) * 3))) == ()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "progressive"])
@pytest.mark.parametrize("kept", [0.4, 0.7, 0.95, 0.995])
def test_lost__the_end_but_for_its_marker(kind: str, kept: float) -> None:
    whole = encoded(kind)
    (note,) = notes(whole[: int(len(whole) * kept)] + END)
    assert note.startswith("damaged: ")
    assert note.endswith("; copy it again from the camera")


def test_lost__where_the_grey_begins() -> None:
    whole = encoded("baseline")
    content = whole[: int(len(whole) * 0.6)] + END
    noted = photos.read_photo_bytes(content, "wall.jpg")
    first = int(np.flatnonzero((noted.pixels != 128).any(axis=(1, 2)))[-1]) + 1
    assert f"the photo is grey from row {first} of 240 on" in noted.notes[0]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "progressive"])
@pytest.mark.parametrize("hole", [512, 4096])
def test_lost__a_piece_in_the_middle(kind: str, hole: int) -> None:
    whole = encoded(kind)
    middle = len(whole) // 2
    if marker := re.search(
        rb"\xff[\xd0-\xd7]", whole[middle:]
    ):  # between two of them nothing tells of a hole
        middle += marker.start() - 10
    assert notes(whole[:middle] + whole[middle + hole :])[0].startswith("damaged: ")


@pytest.mark.parametrize("kind", ["baseline", "full colour", "grey", "restarts by row", "restarts by block"])
@pytest.mark.parametrize("hole", [512, 4096])
def test_lost__a_block_of_zeros(kind: str, hole: int) -> None:
    whole = encoded(kind)
    middle = len(whole) // 2
    assert notes(whole[:middle] + bytes(hole) + whole[middle + hole :])[0].startswith("damaged: ")


@pytest.mark.parametrize("kept", [1, 3, 6])
def test_lost__passes_of_a_progressive_file(kept: int) -> None:
    passes = b"\xff\xda".join(encoded("progressive").split(b"\xff\xda")[: kept + 1])
    (note,) = notes(passes[: passes.rindex(b"\xff\xc4")] + END)  # the next pass begins with its tables
    assert note.startswith("cut short: its later scans are missing")


@pytest.mark.parametrize("kind", KINDS)
def test_cut_short__is_refused(kind: str) -> None:
    whole = encoded(kind)
    for content in (whole[: len(whole) // 2], whole[:-2], whole[:-40]):
        with pytest.raises(PhotoError, match=r"wall\.jpg: the photo is damaged or cut short"):
            notes(content)


def test_cut_short__is_told_where_pillow_was_told_to_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    whole = encoded("baseline")
    (note,) = notes(whole[: len(whole) // 2])
    assert note == "cut short: the file ends before its image data is complete; copy it again from the camera"
    assert notes(whole) == ()
    assert notes(whole[: len(whole) // 2] + END)[0].startswith("damaged: its image data ends too early")


def test_lost__a_grey_picture_is_whole(tmp_path: Path) -> None:
    photo = render_wall(1, (240, 330)).photo.copy()
    photo[100:] = 128
    Image.fromarray(photo).save(tmp_path / "card.jpg", quality=90)
    assert photos.read_noted_photo(tmp_path / "card.jpg").notes == ()
