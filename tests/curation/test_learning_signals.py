import numpy as np
import pytest

from drywallqa.bundle.bundle import ConceptSettings
from drywallqa.curation import learning_signals as signals
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.segmenter import Segmenter
from fakes import FakeBundle, wall


def prediction(probability, threshold=0.5):
    values = np.asarray(probability, np.float32)
    return Prediction(values > threshold, values, 0.9, "crack", threshold, "crack", "a")


def test_closeness__is_one_at_the_threshold_and_zero_at_the_ends():
    assert signals.closeness([0.0, 0.1, 0.2, 0.6, 1.0], 0.2) == pytest.approx([0, 0.5, 1, 0.5, 0])


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_closeness__takes_a_threshold_at_the_end(threshold):
    found = signals.closeness([0.0, 0.5, 1.0], threshold)
    assert np.isfinite(found).all()
    assert found[1] == pytest.approx(0.5)


def test_mask_uncertainty__is_the_share_of_the_possibly_marked_area():
    sure, unsure = np.zeros((40, 50)), np.zeros((40, 50))
    sure[:10] = 0.99
    unsure[:10] = 0.99
    unsure[5:10] = 0.55
    assert signals.mask_uncertainty(prediction(sure)) == 0
    assert signals.mask_uncertainty(prediction(unsure)) == pytest.approx(0.5, abs=0.01)


def test_mask_uncertainty__ignores_single_pixels_of_an_empty_photo():
    empty, stray, missed = (np.zeros((100, 100)) for _ in range(3))
    stray[0, 0] = 0.4
    missed[:10] = 0.4
    assert signals.mask_uncertainty(prediction(empty)) == 0
    assert signals.mask_uncertainty(prediction(stray)) < 0.1
    assert signals.mask_uncertainty(prediction(missed)) > 0.98


def test_disagreement__compares_masks_and_two_empty_masks_agree():
    mask = np.zeros((4, 4), bool)
    half, whole = mask.copy(), mask.copy()
    half[:2], whole[:] = True, True
    assert signals.mask_disagreement(mask, mask) == 0
    assert signals.mask_disagreement(mask, half) == 1
    assert signals.mask_disagreement(half, whole) == 0.5


def test_pooled__averages_maps_and_tokens_to_unit_length():
    grid = np.zeros((1, 2, 3, 3), np.float32)
    grid[:, 0], grid[:, 1] = 3, 4
    assert signals.pooled(grid) == pytest.approx([0.6, 0.8])
    assert signals.pooled(grid.reshape(1, 2, 9).transpose(0, 2, 1)) == pytest.approx([0.6, 0.8])
    assert signals.pooled(np.zeros((1, 2, 3, 3), np.float32)) == pytest.approx([0, 0])


def test_reader__a_model_that_treats_both_sides_alike_does_not_disagree():
    reader = signals.SignalReader(Segmenter(FakeBundle()), "crack", "crack")
    found, features = reader.measure(wall())
    assert found.disagreement == 0
    assert found.uncertainty == max(found.mask_uncertainty, found.presence_uncertainty)
    assert features.features == pytest.approx(reader.describe(wall()).features)
    assert np.linalg.norm(features.features) == pytest.approx(1)
    assert features.thumbnail.shape == (32, 32)


def test_reader__sees_a_model_that_depends_on_the_side():
    bundle = FakeBundle()
    decode = bundle.backend.decode

    def left_half_only(features, embeddings):
        logits, presence = decode(features, embeddings)
        logits[..., logits.shape[-1] // 2 :] = -8
        return logits, presence

    bundle.backend.decode = left_half_only
    found, _ = signals.SignalReader(Segmenter(bundle), "crack", "crack").measure(wall())
    assert found.disagreement == 1


def test_reader__features_of_a_large_photo_are_those_of_the_whole_photo():
    bundle = FakeBundle(concepts={"crack": ConceptSettings(native=True)})
    reader = signals.SignalReader(Segmenter(bundle), "crack", "crack")
    small = wall(48, 64)
    large = small.repeat(8, 0).repeat(8, 1)
    before = bundle.backend.encoded
    found = reader.describe(large).features
    assert bundle.backend.encoded > before + 1, "the model sees closer views of the large photo"
    assert found == pytest.approx(reader.describe(small).features, abs=0.02)


def test_uncertainty__is_the_larger_of_mask_and_presence():
    assert signals.LearningSignals(0.1, 0.7, 0).uncertainty == 0.7
    assert signals.LearningSignals(0.8, 0.7, 0).uncertainty == 0.8


def test_nearest_distances__to_the_nearest_known_photo():
    across, up = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    assert signals.nearest_distances([across, up, -up], [across]) == pytest.approx([0, 1, 1])
    assert signals.nearest_distances([across, up], [across, up]) == pytest.approx([0, 0])
    assert np.isnan(signals.nearest_distances([across], [])).all()


def test_average_ranks__run_from_0_to_1_and_ties_share_one():
    assert signals.average_ranks([30, 10, 20]) == pytest.approx([1, 0, 0.5])
    assert signals.average_ranks([1, 1, 2]) == pytest.approx([0.25, 0.25, 1])
    assert signals.average_ranks([7]) == pytest.approx([0])
