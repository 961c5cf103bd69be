import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from drywallqa.formats.geometry import (
    Box,
    Fitted,
    GeometryError,
    Layer,
    Outline,
    Runs,
    fit_geometry,
    is_box_like,
    pixels_around,
    rasterise,
)
from tiny_exports import square

ONE = (1.0, 1.0)


def _ring(*points: tuple[float, float]) -> Outline:
    return Outline((np.array(points, float),))


@pytest.mark.parametrize(
    ("geometry", "kind"),
    [
        (Box(5, 5, 8, 40), "degenerate"),
        (Box(40, 5, 10, 40), "degenerate"),
        (Box(float("nan"), 5, 30, 40), "not a number"),
        (Box(float("inf"), 5, 30, 40), "not a number"),
        (Box(70, 5, 90, 40), "outside the photo"),
        (_ring((5, 5), (6, 6), (7, 5)), "degenerate"),
        (_ring((5, 5), (40, 40), (5, 5)), "too few points"),
        (_ring((5, 5), (float("nan"), 40), (9, 5)), "not a number"),
        (_ring((-9, 5), (-5, 9), (-20, 30)), "outside the photo"),
        (Outline(()), "too few points"),
        (_ring((5, 5), (60, 5), (30, 5)), "degenerate"),
        (_ring((5, 5), (60, 6), (62, 20), (60, 6)), "degenerate"),
        (_ring((-1, -30), (90, -30), (90, 30), (66, -10)), "outside the photo"),
        (_ring((5, 5), (1e300, 40), (9, 5)), "outside the photo"),
    ],
)
def test_fit__unusable_annotations_are_refused_with_their_kind(geometry, kind):
    with pytest.raises(GeometryError) as caught:
        fit_geometry(geometry, 64, 64, ONE)
    assert caught.value.kind == kind


def test_fit__clips_rounding_silently_and_more_with_a_word():
    assert fit_geometry(Box(-1, 0, 30, 65), 64, 64, ONE) == Fitted(Box(0, 0, 30, 64))
    result = fit_geometry(Box(-20, 0, 30, 30), 64, 64, ONE)
    box, words = result.geometry, result.cropped
    assert box == Box(0, 0, 30, 30)
    assert "20 px outside" in words


def test_fit__an_outline_is_cropped_where_it_leaves_the_photo():
    result = fit_geometry(_ring((-50, 0), (50, 0), (0, 50)), 50, 50, ONE)
    fitted, words = result.geometry, result.cropped
    assert words == "extends 50 px outside the photo of 50×50 px; cropped"
    assert rasterise(fitted, 50, 50).sum() == 1250 + 50 / 2  # the pixels on the diagonal are covered by half
    result = fit_geometry(_ring((25, -1e9), (1e9, 25), (25, 1e9), (-1e9, 25)), 50, 50, ONE)
    far, words = result.geometry, result.cropped
    assert "1000000000 px outside" in words
    assert rasterise(far, 50, 50).all()


def test_fit__an_outline_that_leaves_twice_has_no_bridge_along_the_border():
    prongs = _ring((10, 10), (20, 10), (20, 70), (30.5, 70), (30.5, 10), (40, 10), (40, 90), (10, 90))
    mask = rasterise(fit_geometry(prongs, 50, 50, ONE).geometry, 50, 50)
    assert mask[10:50, 10:20].all()
    assert not mask[:, 20:30].any()


def test_fit__scales_declared_and_relative_coordinates():
    assert fit_geometry(Box(10, 10, 20, 30), 128, 64, (2.0, 1.0)).geometry == Box(10, 20, 20, 60)
    assert fit_geometry(Box(0.25, 0.5, 0.5, 1, relative=True), 100, 40, ONE).geometry == Box(10, 50, 20, 100)


def test_fit__keeps_the_good_ring_of_two_and_says_so():
    outline = Outline(
        (np.array([[5, 5], [50, 5], [50, 50]], float), np.array([[1, 1], [2, 1], [1, 2]], float))
    )
    result = fit_geometry(outline, 64, 64, ONE)
    assert len(result.geometry.rings) == 1
    assert [(error.kind, str(error)[:11]) for error in result.lost] == [("degenerate", "one of its ")]


def test_rasterise__box_and_its_outline_mark_the_same():
    box = rasterise(Box(10, 20, 30, 50), 64, 64)
    ring = rasterise(_ring((10, 20), (30, 20), (30, 50), (10, 50)), 64, 64)
    assert (box == square(10, 20, 30, 50)).all()
    assert (ring == box).all()


def test_rasterise__outline_is_near_that_of_pycocotools():
    oracle = pytest.importorskip("pycocotools.mask")
    generator = np.random.default_rng(0)
    for _ in range(20):
        angles = np.sort(generator.uniform(0, 2 * np.pi, 12))
        radius = generator.uniform(60, 120, 12)
        ring = np.stack([128 + radius * np.cos(angles), 128 + radius * np.sin(angles)], 1)
        theirs = oracle.decode(oracle.frPyObjects([ring.reshape(-1).tolist()], 256, 256))[:, :, 0] > 0
        ours = rasterise(Outline((ring,)), 256, 256)
        assert (ours & theirs).sum() / (ours | theirs).sum() > 0.985


def test_rasterise__a_hairline_does_not_vanish():
    assert rasterise(_ring((5, 5), (60, 6), (60, 6.2), (5, 5.2)), 64, 64).sum() >= 50


def test_rasterise__unites_rings():
    one, two = [[0, 0], [10, 0], [10, 10], [0, 10]], [[40, 40], [50, 40], [50, 50], [40, 50]]
    mask = rasterise(Outline((np.array(one, float), np.array(two, float))), 64, 64)
    assert mask[5, 5]
    assert mask[45, 45]
    assert not mask[25, 25]


def test_rasterise__runs_of_another_size_are_refused():
    with pytest.raises(GeometryError, match="the mask is 4×4 px, but its photo is 8×8") as caught:
        rasterise(Runs((16,), 4, 4), 8, 8)
    assert caught.value.kind == "wrong size"


def test_rasterise__mask_files_by_value(tmp_path):
    mask = square(0, 0, 8, 8)
    Image.fromarray(mask.astype(np.uint8) * 2).save(tmp_path / "grey.png")
    assert (rasterise(Layer(tmp_path / "grey.png", frozenset({2, 3})), 64, 64) == mask).all()
    colours = np.zeros((64, 64, 3), np.uint8)
    colours[:8, :8] = (250, 50, 83)
    Image.fromarray(colours).save(tmp_path / "colour.png")
    assert (rasterise(Layer(tmp_path / "colour.png", frozenset({(250, 50, 83)})), 64, 64) == mask).all()


def test_rasterise__a_damaged_mask_file_is_refused(tmp_path):
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(GeometryError) as caught:
        rasterise(Layer(tmp_path / "x.png", frozenset({255})), 8, 8)
    assert caught.value.kind == "unreadable"


def test_is_box_like__rectangles_only():
    assert is_box_like(_ring((5, 5), (30, 5), (30, 20), (5, 20)))
    assert is_box_like(_ring((5, 5), (17, 5), (30, 5), (30, 20), (5, 20)))
    assert not is_box_like(_ring((5, 5), (30, 5), (30, 20)))
    assert not is_box_like(_ring((5, 12), (17, 5), (30, 12), (17, 20)))
    assert not is_box_like(Box(1, 1, 9, 9))


_place = st.floats(-20, 84)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(_place, _place), min_size=2, max_size=7))
def test_pixels_around__nothing_outside_is_marked(points):
    (left, top), (right, bottom) = np.min(points, axis=0), np.max(points, axis=0)
    for geometry in (_ring(*points), Box(left, top, right, bottom)):
        try:
            fitted = fit_geometry(geometry, 64, 60, ONE).geometry
        except GeometryError:
            continue
        mask = rasterise(fitted, 64, 60)
        inside = mask[pixels_around(fitted)].sum()
        assert inside == mask.sum()
