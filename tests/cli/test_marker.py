"""`drywallqa marker`: the sheet has its true size, and the photo of a sheet gives the scale."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from drywallqa.cli import USAGE, main
from drywallqa.inspection.markers import FAMILIES, find_markers
from drywallqa.inspection.scale import project

pypdf = pytest.importorskip("pypdf")
pytest.importorskip("reportlab")
pytest.importorskip("cv2")

RESOLUTION = 4  # px a mm
POINT = 25.4 / 72  # mm


def painted(path: Path) -> tuple[NDArray[np.uint8], str]:
    """Paint the rectangles of a PDF's page, RGB uint8 [H,W,3] at RESOLUTION, and return the page's text."""
    page = pypdf.PdfReader(path).pages[0]
    height, width = (round(float(side) * POINT * RESOLUTION) for side in page.mediabox[:1:-1])
    picture = np.full((height, width, 3), 255, np.uint8)
    grey, scale, rectangles = 0.0, 1.0, []
    for operands, operator in pypdf.generic.ContentStream(page.get_contents(), page.pdf).operations:
        values = [float(value) for value in operands if isinstance(value, int | float)]
        if operator == b"cm" and not values[1]:
            scale *= values[0]
        elif operator == b"g":
            (grey,) = values
        elif operator == b"re":
            rectangles.append(np.array(values) * scale * POINT * RESOLUTION)
        elif operator == b"f*":
            for x, y, w, h in rectangles:
                top, left = round(height - y - h), round(x)
                picture[top : round(height - y), left : round(x + w)] = round(255 * grey)
            rectangles = []
    return picture, page.extract_text()


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_marker__the_sheet_is_read_back(tmp_path: Path, family: str) -> None:
    out = tmp_path / "new" / "marker.pdf"
    assert main(["marker", "--out", str(out), "--family", family, "--number", "5", "--size", "9cm"]) == 0
    picture, text = painted(out)
    (found,) = find_markers(picture, 90, family)
    assert found.number == 5
    middle = found.corners.mean(0)
    ends = project(found.homography, np.array([middle, middle + np.array([50.0 * RESOLUTION, 0])]))
    assert np.hypot(*(ends[1] - ends[0])) == pytest.approx(50, rel=0.002)
    assert f"{family}, number 5" in text
    assert "check line: 150 mm" in text
    assert "--marker 90mm" in text
    assert (f"--marker-family {family}" in text) == (family != "aruco-5x5")


def test_marker__letter_and_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.pdf", "two.pdf"):
        assert main(["marker", "--out", str(tmp_path / name), "--paper", "Letter", "--size", "4in"]) == 0
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()
    picture, text = painted(tmp_path / "one.pdf")
    assert picture.shape[:2] == (round(279.4 * RESOLUTION), round(215.9 * RESOLUTION))
    assert "check line: 6 in" in text
    assert "--marker 101.6mm" in text


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--size", "300mm"), "--size: a marker of 300 mm does not suit A4; choose 20 to 124 mm"),
        (("--size", "5mm"), "--size: a marker of 5 mm does not suit A4"),
        (("--size", "0mm"), "--size: 0mm is not above zero"),
        (("--size", "50px"), '--size: "50px" is in pixels'),
        (("--paper", "A3"), '--paper: "A3" is unknown; use A4 or Letter'),
        (("--family", "qr"), 'the marker family "qr" is unknown; use aruco-5x5'),
        (("--number", "100"), "marker 100 does not exist in the family aruco-5x5; use 0 to 99"),
    ],
)
def test_marker__says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], sentence: str
) -> None:
    assert main(["marker", "--out", str(tmp_path / "marker.pdf"), *options]) == USAGE
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "marker.pdf").exists()


@pytest.mark.parametrize("package", ["cv2", "reportlab.pdfgen.canvas"])
def test_marker__without_the_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["marker", "--out", str(tmp_path / "marker.pdf")]) == USAGE
    assert "pip install 'drywallqa[inspect]'" in capsys.readouterr().err
