"""The narrowest crack that a bundle finds reliably."""

from __future__ import annotations

import pytest

import drywallqa
from drywallqa.bundle.bundle import load_bundle
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inspection.detection_limit import detection_range, real_text


@pytest.mark.parametrize("name", ["compact", "swift"])
def test_limit_grows_with_a_photo_that_is_scaled_down(name: str) -> None:
    from importlib import resources

    window = load_bundle(resources.files(drywallqa) / "bundles" / name).window  # type: ignore[arg-type]
    small, large = detection_range(name, window, 480, 640), detection_range(name, window, 525, 700)
    assert small is not None
    assert large is not None
    assert 0.5 < small.narrowest.high < 3  # px
    assert small.narrowest.value is not None
    assert small.narrowest.value <= small.narrowest.high < small.widest
    assert large.narrowest.high == pytest.approx(small.narrowest.high * 700 / 640)
    assert large.widest == pytest.approx(small.widest * 700 / 640)
    tiny = detection_range(name, window, 100, 100)
    assert tiny == small


def test_a_bundle_that_was_not_measured_has_no_limit() -> None:
    assert detection_range("mine", Letterbox(352), 480, 640) is None
    assert real_text("mine 1") == ""


def test_real_photos_are_named() -> None:
    assert real_text("compact 1.0").startswith(
        "Share of labelled pieces of cracks that were found on real photos: "
    )
