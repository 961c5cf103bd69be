"""Large photos in tiles: what lies where, no step where tiles meet, and the same answer as without them."""

import numpy as np
import pytest
from PIL import Image

from drywallqa.backend import Features, Float
from drywallqa.bundle.bundle import ConceptSettings
from drywallqa.errors import BackendError, ConfigError
from drywallqa.imaging.letterbox import Letterbox, Placement, resize_photo
from drywallqa.inference import tiling
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.tiles import WHOLE, Axis, TileGrid, ViewPlan, plan_views
from drywallqa.inference.tiling import PhotoLogits, TiledView, upsample
from fakes import FakeBackend, FakeBundle, wall

WINDOW = Letterbox(128)
CRACK = np.asarray([[1.0, 0.0]], np.float32)
NO_LEVEL = np.full(1, -np.inf, np.float32)


def smooth_photo(height: int, width: int) -> np.ndarray:
    """Red comes and goes in waves, so that its logits do, too."""
    rows, columns = np.mgrid[:height, :width]
    red = 127 + 60 * np.sin(rows / 23.0) + 60 * np.cos(columns / 31.0)
    return np.stack([red, np.full_like(red, 90), np.full_like(red, 90)], axis=2).astype(np.uint8)


def whole_view(backend: FakeBackend, photo: np.ndarray) -> PhotoLogits:
    canvas, placement = WINDOW.fit(photo)
    return PhotoLogits.whole(backend.decode(backend.encode_image(canvas[None]), CRACK)[0][0], placement)


def bands_of(
    backend: FakeBackend,
    grid: TileGrid,
    photo: np.ndarray,
    before: PhotoLogits | None,
    level: Float = NO_LEVEL,
) -> list[tiling.RowBand]:
    closer = TiledView(backend, grid, photo, CRACK, before)
    view = closer.decode()
    middle = view.logits.shape[1] // 2
    rows = [view.logits[:, :middle], view.logits[:, middle:]]
    return list(upsample(rows, view, (photo.shape[0], photo.shape[1]), level))


def logits_of(
    backend: FakeBackend, grid: TileGrid, photo: np.ndarray, before: PhotoLogits | None = None
) -> Float:
    bands = bands_of(backend, grid, photo, before)
    ends = [0, *(rows.stop for rows, _ in bands)]
    assert [rows.start for rows, _ in bands] == ends[:-1]
    parts = [part for _, (part,) in bands]
    assert all(part is not None and part[0] == slice(0, photo.shape[1]) for part in parts)
    return np.concatenate([part[1] for part in parts if part is not None])


def tiles_of(grid: TileGrid) -> int:
    return len(grid.rows.starts) * len(grid.columns.starts)


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


@pytest.mark.parametrize("length", [1, 100, 128, 129, 400, 4032])
@pytest.mark.parametrize("factor", [0.3, 1.0, 1.7])
def test_axis__covers_with_overlap(length: int, factor: float) -> None:
    axis = Axis.cover(length, factor, WINDOW)
    assert axis.starts[0] == 0
    assert axis.scaled <= axis.end < axis.scaled + WINDOW.multiple
    assert all(start % WINDOW.multiple == 0 for start in axis.starts)
    steps = np.diff(axis.starts)
    assert (steps > 0).all()
    assert (steps <= axis.tile - 64).all()
    weights = axis.weights(2)
    total = np.zeros(axis.end // 2)
    for start, row in zip(axis.starts, weights, strict=True):
        total[start // 2 : start // 2 + len(row)] += row
    assert np.allclose(total, 1, atol=1e-6)
    for row in weights[1:]:
        assert row[:4].max() == 0, "a tile's blind edge must not count"


@pytest.mark.parametrize(("height", "width"), [(90, 128), (128, 128), (1, 128), (100, 57)])
def test_one_tile__equals_the_whole_photo(height: int, width: int) -> None:
    photo = smooth_photo(height, width)
    backend = FakeBackend()
    canvas, placement = WINDOW.fit(photo)
    factor = WINDOW.size / max(height, width)
    grid = TileGrid.over(height, width, factor, WINDOW)
    assert tiles_of(grid) == 1
    logits, _ = backend.decode(backend.encode_image(canvas[None]), CRACK)
    assert np.allclose(logits_of(backend, grid, photo), placement.restore(logits[0, 0]), atol=1e-4)


@pytest.mark.parametrize("factor", [1.0, 0.6, 1.5])
@pytest.mark.parametrize("stride", [2, 8])
def test_tiles__equal_one_large_window(factor: float, stride: int) -> None:
    """A model that looks at single pixels must not notice that it sees tiles."""
    photo = smooth_photo(700, 500)
    grid = TileGrid.over(700, 500, factor, WINDOW)
    assert tiles_of(grid) > 8
    backend = FakeBackend(stride=stride)
    large = Letterbox(1056)
    scaled = resize_photo(photo, grid.rows.scaled, grid.columns.scaled)
    canvas = np.zeros((3, 1056, 1056), np.float32)
    canvas[:, : scaled.shape[0], : scaled.shape[1]] = large.normalise(scaled)
    expected, _ = backend.decode(backend.encode_image(canvas[None]), CRACK)
    placement = Placement(700, 500, *scaled.shape[:2], 1056, 1056)
    alone = logits_of(backend, grid, photo)
    one_level = 1.5 / 255 / min(large.std)  # of 256, as scaling a part may round otherwise than scaling all
    assert np.abs(alone - placement.restore(expected[0, 0])).max() < 2 * one_level
    view = whole_view(backend, photo)
    mixed = logits_of(backend, grid, photo, view)
    _, placement = WINDOW.fit(photo)
    coarse = placement.restore(view.logits[0])
    assert np.abs(mixed - (alone + coarse) / 2).max() < 0.25, "each counts for half"


class Disagreeing(FakeBackend):
    """Each tile is off by a constant of its own, as where a model takes its surroundings into account."""

    def decode(self, features: Features, embeddings: Float) -> tuple[Float, Float]:
        logits, presence = super().decode(features, embeddings)
        return logits + np.float32(2 * np.sin(1e3 * features[0].mean())), presence


def test_tiles__meet_without_a_step() -> None:
    photo = smooth_photo(600, 600)
    grid = TileGrid.over(600, 600, 1.0, WINDOW)
    calm, restless = logits_of(FakeBackend(), grid, photo), logits_of(Disagreeing(), grid, photo)
    offsets = restless - calm
    assert np.ptp(offsets) > 2, "the tiles do disagree"
    for axis, tiles in ((0, grid.rows), (1, grid.columns)):
        jumps = np.abs(np.diff(offsets, n=2, axis=axis)).max(axis=1 - axis)
        borders = [edge for start in tiles.starts for edge in (start, start + tiles.tile) if 4 < edge < 590]
        at_borders = max(jumps[edge - 3 : edge + 2].max() for edge in borders)
        assert at_borders <= np.percentile(jumps, 99) + 1e-4
        steepest = 4 * np.pi / 2 / 32  # of a raised cosine over 32 px between offsets that differ by 4
        assert np.abs(np.diff(offsets, axis=axis)).max() < steepest + 1e-3


def test_bands__leave_out_what_cannot_pass_the_level() -> None:
    photo = smooth_photo(500, 700)
    photo[:, :300] = 90  # nothing there
    backend, grid = FakeBackend(), TileGrid.over(500, 700, 1.0, WINDOW)
    full = logits_of(backend, grid, photo)
    level = float(np.quantile(full, 0.97))
    found = np.full_like(full, -np.inf)
    for rows, (part,) in bands_of(backend, grid, photo, None, np.full(1, level, np.float32)):
        if part is not None:
            found[rows, part[0]] = part[1]
    assert ((found > level) == (full > level)).mean() > 0.9999
    assert np.isinf(found).mean() > 0.3


def test_resize__in_strips_as_pillow_does(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (507, 391, 3), np.uint8)
    expected = Image.fromarray(photo).resize((41, 52), Image.Resampling.BILINEAR, reducing_gap=3.0)
    monkeypatch.setattr("drywallqa.imaging.letterbox._STRIP", 391 * 40)
    assert np.array_equal(resize_photo(photo, 52, 41), np.asarray(expected))


def test_views__by_scale_and_size() -> None:
    window = Letterbox(448)
    phone = (3024, 4032, window)
    assert plan_views("fit", True, *phone) == WHOLE
    assert plan_views("auto", True, 640, 640, window) == WHOLE, "the size that it has learnt from"
    assert plan_views("auto", False, *phone) == WHOLE
    assert plan_views("auto", True, *phone) == ViewPlan(True, pytest.approx((2 / 9, 4 / 9, 1.0)))
    assert plan_views("native", False, *phone) == plan_views("auto", True, *phone)
    assert plan_views("native", True, 640, 640, window) == ViewPlan(True, (1.0,))
    assert plan_views("native", True, 300, 448, window) == WHOLE
    assert plan_views(0.5, True, *phone) == ViewPlan(True, pytest.approx((2 / 9, 0.5)))
    assert plan_views(0.1, True, *phone) == WHOLE
    assert len(plan_views("auto", True, 8660, 11547, window).factors) == 4, "bounded, however large"
    squares = {len(plan_views("auto", True, side, side, window).factors) for side in range(4780, 12_000, 7)}
    assert squares == {4}, "the last digits of a factor decide nothing"
    assert plan_views("auto", True, 4000, 6000, window).factors == pytest.approx(
        (0.1493, 0.2987, 0.5973, 1), abs=1e-3
    )


def test_views__a_panorama_is_never_shown_whole() -> None:
    window = Letterbox(448)
    assert plan_views("auto", False, 640, 6400, window) == ViewPlan(False, (0.7,))
    assert plan_views("auto", True, 640, 6400, window) == ViewPlan(False, (0.7, 1.0))
    assert plan_views("auto", False, 200, 2000, window) == ViewPlan(False, (1.0,)), "never enlarged"
    assert plan_views("auto", False, 300, 640, window) == WHOLE, "what is not large stays as it was"
    assert plan_views("fit", False, 640, 6400, window) == WHOLE, "unless that is asked for"
    assert plan_views("native", False, 640, 6400, window) == ViewPlan(False, (0.7, 1.0)), "at any other scale"
    assert plan_views(0.5, True, 6400, 640, window) == ViewPlan(False, (0.5,))
    assert plan_views("auto", True, 3000, 20_000, window).factors == pytest.approx(
        (0.1493, 0.2987, 1), abs=1e-3
    )


@pytest.fixture
def bundle() -> FakeBundle:
    bundle = FakeBundle(window=WINDOW)
    bundle.concepts = {"crack": ConceptSettings(native=True), "taping area": ConceptSettings()}
    return bundle


def large_wall() -> np.ndarray:
    """A crack of six pixels, half of which is lost where the photo is scaled down, and a broad seam."""
    photo = np.full((700, 900, 3), 200, np.uint8)
    photo[200:206, 100:800] = (230, 20, 20)
    photo[500:600] = (20, 20, 230)
    return photo


def test_segment__auto_decides_for_each_concept(bundle: FakeBundle) -> None:
    segmenter = Segmenter(bundle)
    crack, seam, again = segmenter.segment(large_wall(), ["crack", "joint", "fissure"])
    assert [p.prompt for p in (crack, seam, again)] == ["crack", "joint", "fissure"]
    assert crack.outline[200:206, 110:790].mean() > 0.9
    assert crack.outline.sum() < 16 * 700
    assert np.array_equal(crack.outline, again.outline)
    assert seam.outline[510:590].mean() > 0.95
    (whole,) = segmenter.segment(large_wall(), "crack", scale="fit")
    assert whole.outline[200:206, 110:790].mean() < 0.7
    (seam_whole,) = segmenter.segment(large_wall(), "joint", scale="fit")
    assert np.array_equal(seam.probability, seam_whole.probability)


def test_segment__each_tile_is_encoded_once(bundle: FakeBundle) -> None:
    segmenter = Segmenter(bundle)
    segmenter.segment(large_wall(), "crack", scale="native")
    once = bundle.backend.encoded
    segmenter.segment(large_wall(), ["crack", "fissure", "crack"], scale="native")
    assert bundle.backend.encoded == 2 * once


class Sure(FakeBackend):
    """Leaves no room where it sees nothing."""

    def decode(self, features: Features, embeddings: Float) -> tuple[Float, Float]:
        logits, presence = super().decode(features, embeddings)
        return 4 * logits, 4 * presence


def test_segment__looks_closer_only_where_there_is_room(bundle: FakeBundle) -> None:
    bundle.backend = Sure()
    blank = np.full((700, 900, 3), 200, np.uint8)
    views = plan_views("auto", True, 700, 900, WINDOW)
    first, *others = (tiles_of(TileGrid.over(700, 900, factor, WINDOW)) for factor in views.factors)
    (answer,) = Segmenter(bundle).segment(blank, "crack")
    assert not answer.outline.any()
    assert bundle.backend.encoded == 1 + first, "the whole photo and one closer look decide"
    bundle.backend.encoded = 0
    Segmenter(bundle).segment(large_wall(), "crack")
    assert 1 + first < bundle.backend.encoded < 1 + first + sum(others)


@pytest.mark.parametrize("scale", ["auto", "native", 0.5])
def test_segment__asked_together_or_alone_answers_the_same(bundle: FakeBundle, scale: float) -> None:
    bundle.concepts = {name: ConceptSettings(native=True) for name in bundle.concepts}
    bundle.backend = Sure()
    photo = np.full((700, 900, 3), 200, np.uint8)
    photo[100:130, 50:300] = (230, 20, 20)
    photo[500:560, 600:850] = (20, 20, 230)
    segmenter = Segmenter(bundle)
    together = segmenter.segment(photo, ["crack", "joint"], scale=scale)
    for answer in together:
        (alone,) = segmenter.segment(photo, answer.prompt, scale=scale)
        assert answer.outline.any()
        assert np.array_equal(answer.outline, alone.outline)
        assert np.array_equal(answer.probability, alone.probability)
        assert answer.presence == alone.presence


def test_segment__the_whole_photo_decides_whether(bundle: FakeBundle) -> None:
    segmenter = Segmenter(bundle)
    photo = np.full((500, 500, 3), 200, np.uint8)
    photo[400:403, 420:423] = (230, 20, 20)
    (answer,) = segmenter.segment(photo, "crack", scale="native")
    (tile,) = segmenter.segment(photo[372:, 372:], "crack")
    (whole,) = segmenter.segment(photo, "crack", scale="fit")
    assert whole.presence < 0.3 < 0.9 < tile.presence, "a tile believes what the whole photo does not"
    assert answer.presence < 0.5
    assert not answer.outline.any()
    photo[380:440, 400:490] = (230, 20, 20)
    (answer,) = segmenter.segment(photo, "crack", scale="native")
    assert answer.presence > 0.5
    assert answer.outline[390:430, 410:480].all()
    assert not answer.outline[:300].any()


def test_segment__joints_of_a_panorama_are_found_in_its_pieces(bundle: FakeBundle) -> None:
    photo = np.full((200, 2400, 3), 200, np.uint8)
    for left in range(300, 2400, 600):
        photo[:, left : left + 4] = (20, 20, 230)
    segmenter = Segmenter(bundle)
    (whole,) = segmenter.segment(photo, "joint", scale="fit")
    assert not whole.outline.any()
    (answer,) = segmenter.segment(photo, "joint")
    assert answer.presence > 0.5
    for left in range(300, 2400, 600):
        assert answer.outline[:, left : left + 4].mean() > 0.9
        assert answer.outline[:, left + 100 : left + 500].mean() < 0.01


def test_segment__without_probability(bundle: FakeBundle) -> None:
    segmenter = Segmenter(bundle)
    for scale in ("fit", "native"):
        kept = segmenter.segment(large_wall(), ["crack", "joint"], scale=scale)
        bare = segmenter.segment(large_wall(), ["crack", "joint"], scale=scale, keep_probability=False)
        for one, other in zip(kept, bare, strict=True):
            assert other.probability is None
            assert np.array_equal(one.outline, other.outline)
            assert one.presence == other.presence


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 2), (20_000, 500), (129, 129)])
def test_segment__any_shape_in_tiles(bundle: FakeBundle, shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), 200, np.uint8)
    photo[shape[0] // 2 :] = (230, 20, 20)
    (answer,) = Segmenter(bundle).segment(photo, "crack", scale="native", keep_probability=False)
    assert answer.outline.shape == shape
    assert answer.outline[-1, -1]
    assert not answer.outline[0, 0] or shape[0] == 1


def test_segment_many__large_and_small_photos_in_one_stream(bundle: FakeBundle) -> None:
    segmenter = Segmenter(bundle)
    stream = [wall(), large_wall(), wall(60, 60), large_wall()]
    many = list(segmenter.segment_many(stream, ["crack", "joint"], batch_size=3))
    for photo, each in zip(stream, many, strict=True):
        for alone, together in zip(segmenter.segment(photo, ["crack", "joint"]), each, strict=True):
            assert np.array_equal(alone.outline, together.outline)


def test_segment__many_bands(bundle: FakeBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = Segmenter(bundle)
    expected = segmenter.segment(large_wall(), ["crack", "joint"], scale="native")
    monkeypatch.setattr(tiling, "_BAND", 5000)
    for one, other in zip(
        expected, segmenter.segment(large_wall(), ["crack", "joint"], scale="native"), strict=True
    ):
        assert one.probability is not None
        assert other.probability is not None
        assert np.allclose(one.probability, other.probability, atol=1e-5)


def test_segment__broken_model_in_tiles(bundle: FakeBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.full((1, 1, 64, 64), np.nan, np.float32), np.zeros((1, 1), np.float32)
    monkeypatch.setattr(bundle.backend, "decode", lambda features, embeddings: nothing)
    with pytest.raises(BackendError, match="NaN or infinite"):
        Segmenter(bundle).segment(large_wall(), "crack")


@pytest.mark.parametrize("scale", ["large", 0, -1.0, 5.0, float("nan")])
def test_segment__impossible_scale(bundle: FakeBundle, scale: float) -> None:
    with pytest.raises(ConfigError, match="auto, fit, native, or a factor"):
        Segmenter(bundle).segment(wall(), "crack", scale=scale)


def test_segment__large_photos_have_thresholds_of_their_own(bundle: FakeBundle) -> None:
    bundle.concepts = {"crack": ConceptSettings(native=True, closer=(0.9, 0.2))}
    segmenter = Segmenter(bundle)
    small, large = segmenter.segment(wall(), "crack")[0], segmenter.segment(large_wall(), "crack")[0]
    assert (small.threshold, small.presence_threshold) == (0.5, 0.5)
    assert (large.threshold, large.presence_threshold) == (0.9, 0.2)
    assert large.probability is not None
    assert np.array_equal(large.outline, large.probability > np.float32(0.9))
    (asked,) = segmenter.segment(large_wall(), "crack", threshold=0.3)
    assert (asked.threshold, asked.presence_threshold) == (0.3, 0.2)
    (whole,) = segmenter.segment(large_wall(), "crack", scale="fit")
    assert whole.threshold == 0.5
