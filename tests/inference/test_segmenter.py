import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa.bundle.bundle import ConceptSettings
from drywallqa.errors import BackendError, ConfigError, PhotoError, PromptError, UnknownPromptError
from drywallqa.imaging import photos
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.queries import SegmentOptions
from drywallqa.inference.segmenter import Segmenter, load
from drywallqa.inference.tiles import Scale
from fakes import FakeBundle, wall


@pytest.fixture
def bundle() -> FakeBundle:
    return FakeBundle()


@pytest.fixture
def segmenter(bundle: FakeBundle) -> Segmenter:
    return Segmenter(bundle)


def test_segment__masks_of_the_photos_size(segmenter: Segmenter) -> None:
    crack, seam = segmenter.segment(wall(seam=True), ["segment crack", "segment taping area"], image_id="w")
    assert crack.mask.shape == crack.probability.shape == (48, 64)
    assert crack.mask[18, 32]
    assert not crack.mask[36, 32]
    assert seam.mask[36, 32]
    assert not seam.mask[18, 32]
    assert (crack.concept, seam.concept, crack.image_id) == ("crack", "taping area", "w")


def test_segment__mask_is_probability_above_threshold(segmenter: Segmenter) -> None:
    (auto,) = segmenter.segment(wall(), "crack")
    assert auto.threshold == 0.5
    (high,) = segmenter.segment(wall(), "crack", threshold=0.95)
    assert np.array_equal(high.mask, high.probability > np.float32(0.95))
    assert high.mask.sum() < auto.mask.sum()


def test_segment__empty_where_presence_is_low(bundle: FakeBundle, segmenter: Segmenter) -> None:
    (absent,) = segmenter.segment(wall(crack=False), "crack")
    assert absent.presence < 0.5
    assert not absent.mask.any()
    (absent,) = segmenter.segment(wall(crack=False), "crack", threshold=0.0)
    assert absent.probability.max() > 0
    assert not absent.mask.any()
    bundle.concepts = {"crack": ConceptSettings(presence_threshold=0.0)}
    (absent,) = segmenter.segment(wall(crack=False), "crack", threshold=0.0)
    assert absent.mask.all()


def test_segment__encodes_once_and_equal_prompts_once(bundle: FakeBundle, segmenter: Segmenter) -> None:
    predictions = segmenter.segment(wall(), ["crack", "Crack ", "joint", "fissure"])
    assert bundle.backend.encoded == 1
    assert bundle.backend.decoded == 3
    assert [p.prompt for p in predictions] == ["crack", "Crack ", "joint", "fissure"]
    predictions[0].mask[:] = False
    assert predictions[1].mask.any()


def test_segment__path_pil_and_array_agree(segmenter: Segmenter, tmp_path: Path) -> None:
    array = wall()
    Image.fromarray(array).save(tmp_path / "wall.1.rf.ab.png")
    with Image.open(tmp_path / "wall.1.rf.ab.png") as image:
        of_pil = segmenter.segment(image, "crack")[0]
    of_path = segmenter.segment(str(tmp_path / "wall.1.rf.ab.png"), "crack")[0]
    of_array = segmenter.segment(array, "crack")[0]
    assert np.array_equal(of_pil.probability, of_path.probability)
    assert np.array_equal(of_array.probability, of_path.probability)
    assert of_path.image_id == of_pil.image_id == "wall.1.rf.ab"
    assert of_array.image_id == "photo"


def test_quality__of_each_prediction(segmenter: Segmenter) -> None:
    good = wall(320, 400, seam=True)
    assert [one.quality for one in segmenter.segment(good, ["crack", "joint"])] == [(), ()]
    dark = segmenter.segment(good // 40, ["crack", "joint"], keep_probability=False)
    assert [len(one.quality) for one in dark] == [1, 1]
    assert dark[0].quality[0].startswith("nearly black: 100% of its pixels")
    assert "quality=('nearly black: " in repr(dark[0])
    (many,) = segmenter.segment_many([good // 40], "crack")
    assert many[0].quality == dark[0].quality


@pytest.mark.parametrize("scale", ["fit", "native", 0.5])
def test_quality__at_every_scale_and_refinement(segmenter: Segmenter, scale: Scale) -> None:
    (answer,) = segmenter.segment(wall(320, 400) // 40, "crack", scale=scale, refine="morphology")
    assert answer.quality[0].startswith("nearly black")


def test_quality__what_was_noted_when_the_photo_was_read(segmenter: Segmenter, tmp_path: Path) -> None:
    Image.fromarray(wall(320, 400)[:, :, 0].astype(np.uint16) * 16).save(tmp_path / "deep.png")
    noted = photos.read_noted_photo(tmp_path / "deep.png")
    (of_noted,), (of_path,) = (segmenter.segment(one, "crack") for one in (noted, tmp_path / "deep.png"))
    assert of_noted.quality == of_path.quality == noted.notes
    assert noted.notes[0].startswith("12-bit samples in a wider type")
    assert photos.read_photo(noted) is noted.pixels


def test_segment__never_changes_the_callers_array(segmenter: Segmenter) -> None:
    array = wall()
    array.setflags(write=False)
    segmenter.segment(array, "crack")
    assert np.array_equal(array, wall())


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (37, 91)])
def test_segment__any_shape(segmenter: Segmenter, shape: tuple[int, int]) -> None:
    (prediction,) = segmenter.segment(np.full((*shape, 3), 9, np.uint8), "crack")
    assert prediction.mask.shape == shape


def test_segment__unknown_prompts(segmenter: Segmenter) -> None:
    with pytest.raises(UnknownPromptError, match="dog"):
        segmenter.segment(wall(), "segment dog")
    (let_through,) = segmenter.segment(wall(), "segment dog", allow_unknown=True)
    assert let_through.concept is None
    assert let_through.threshold == 0.5


def test_segment__options_as_one_object(segmenter: Segmenter) -> None:
    options = SegmentOptions(threshold=0.9, scale="native", refine="morphology")
    (one,) = segmenter.segment(wall(), "crack", options=options)
    (other,) = segmenter.segment(wall(), "crack", threshold=0.9, scale="native", refine="morphology")
    assert np.array_equal(one.mask, other.mask)
    assert one.threshold == other.threshold == 0.9
    ((many,),) = segmenter.segment_many([wall()], "crack", options=options)
    assert np.array_equal(one.mask, many.mask)
    for broken in ({"threshold": 2}, {"scale": "large"}, {"refine": "sharpen"}):
        with pytest.raises(ConfigError):
            SegmentOptions(**broken)


def test_segment__open_vocabulary_asks_anything() -> None:
    (answer,) = Segmenter(FakeBundle(vocabulary="open")).segment(wall(), "segment dog")
    assert answer.concept is None


@pytest.mark.parametrize("prompts", [[], [""], ["\x00\x07"], ["x" * 10_001]])
def test_segment__unusable_prompts(segmenter: Segmenter, prompts: list[str]) -> None:
    with pytest.raises(PromptError):
        segmenter.segment(wall(), prompts)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), "high"])
def test_segment__impossible_threshold(segmenter: Segmenter, threshold: float) -> None:
    with pytest.raises(ConfigError, match="auto or a number from 0 to 1"):
        segmenter.segment(wall(), "crack", threshold=threshold)


def test_segment__broken_model(
    bundle: FakeBundle, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = np.full((1, 1, 4, 4), np.nan, np.float32), np.zeros((1, 1), np.float32)
    monkeypatch.setattr(bundle.backend, "decode", lambda features, embeddings: nothing)
    with pytest.raises(BackendError, match="NaN or infinite"):
        segmenter.segment(wall(), "crack")


def test_segment_many__order_shapes_and_names(
    bundle: FakeBundle, segmenter: Segmenter, tmp_path: Path
) -> None:
    shapes = [(48, 64), (64, 48), (48, 64), (20, 64), (48, 64)]
    Image.fromarray(wall(30, 30)).save(tmp_path / "last.png")
    stream = [*(wall(*shape, seam=bool(n % 2)) for n, shape in enumerate(shapes)), tmp_path / "last.png"]
    many = list(segmenter.segment_many(iter(stream), ["crack", "joint"], batch_size=3))
    assert [each[0].mask.shape for each in many] == [*shapes, (30, 30)]
    assert [each[0].image_id for each in many] == [*(f"photo-{n}" for n in range(1, 6)), "last"]
    for photo, each in zip(stream, many, strict=True):
        for alone, together in zip(segmenter.segment(photo, ["crack", "joint"]), each, strict=True):
            assert np.allclose(alone.probability, together.probability, atol=1e-6)
            assert np.array_equal(alone.mask, together.mask)


def test_segment_many__holds_no_more_than_a_batch(segmenter: Segmenter) -> None:
    taken = []

    def endless():  # type: ignore[no-untyped-def]
        while True:
            taken.append(1)
            yield wall()

    stream = segmenter.segment_many(endless(), "crack", batch_size=2)
    for _ in range(3):
        next(stream)
    assert len(taken) == 4


def test_segment_many__answers_what_came_before_a_bad_photo(segmenter: Segmenter, tmp_path: Path) -> None:
    stream = segmenter.segment_many([wall(), tmp_path / "missing.jpg", wall()], "crack")
    assert next(stream)[0].mask.any()
    with pytest.raises(PhotoError, match=r"missing\.jpg"):
        next(stream)


def test_segment_many__checks_prompts_at_once(segmenter: Segmenter) -> None:
    with pytest.raises(UnknownPromptError):
        segmenter.segment_many([], "segment dog")
    with pytest.raises(ConfigError, match="batch size"):
        segmenter.segment_many([], "crack", batch_size=0)


def test_understand(segmenter: Segmenter) -> None:
    assert segmenter.understand("hairline fissure") == "crack"
    assert segmenter.understand("segment dog") is None


def test_segmenter__shared_between_threads(segmenter: Segmenter) -> None:
    expected = segmenter.segment(wall(), "crack")[0].mask
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(10):
            if not np.array_equal(segmenter.segment(wall(), "crack")[0].mask, expected):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_segmenter__pickled_answers_the_same(segmenter: Segmenter) -> None:
    before = segmenter.segment(wall(), "crack")[0]
    after = pickle.loads(pickle.dumps(segmenter)).segment(wall(), "crack")[0]
    assert np.array_equal(before.probability, after.probability)


def test_load__uses_the_bundle(fake_bundle: FakeBundle) -> None:
    assert load().segment(wall(), "crack")[0].mask.any()


def test_prediction__is_checked() -> None:
    mask, probability = np.zeros((2, 3), np.bool_), np.zeros((2, 3), np.float32)
    good = Prediction(mask, probability, 0.5, "crack", 0.5, "crack", "w")
    assert good.area == 0
    assert "3×2 px" in repr(good)
    for broken in (
        {"mask": mask.astype(np.uint8)},
        {"probability": probability[:, :2]},
        {"probability": probability.astype(np.float64)},
        {"probability": np.full((2, 3), np.nan, np.float32)},
        {"presence": 1.5},
        {"threshold": float("nan")},
    ):
        with pytest.raises(ValueError, match=next(iter(broken))):
            Prediction(**{**vars(good), **broken})
