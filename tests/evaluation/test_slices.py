"""Figures, intervals, curves, causes and leaks, against tables worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa.errors import ConfigError, DataError
from drywallqa.evaluation import leaks
from drywallqa.evaluation.curves import calibration, percentile_threshold, precision_recall, threshold_sweep
from drywallqa.evaluation.evaluation import Evaluation, evaluate_part, take_part
from drywallqa.evaluation.failures import count_components
from drywallqa.evaluation.measure import PairMeasurement
from drywallqa.evaluation.measured_model import measured_bundle
from drywallqa.evaluation.slices import report_iou, summarise
from drywallqa.evaluation.thresholds import ThresholdRule, choose_for_concept
from drywallqa.imaging import perceptual_hash
from drywallqa.imaging.morphology import dilate
from drywallqa.inference.queries import PromptQuery
from drywallqa.intervals import Terms, difference, mean_figure
from drywallqa.metrics import Histogram, ThinScore
from measured_walls import ColourBackend, make_bundle, make_dataset


def measure(folder: Path, shift: float = 0.0) -> Evaluation:
    dataset = make_dataset(folder / "data")
    subject = measured_bundle(make_bundle(folder / "bundle", backend=ColourBackend(shift=shift)))
    return evaluate_part(subject, take_part(dataset, "test"))


def test_figures__equal_the_summary_of_the_same_scores(tmp_path: Path) -> None:
    found = measure(tmp_path, shift=6.0)
    expected = summarise(found.measurements.pairs, list(found.model.thresholds), found.part.clusters)
    for each in found.slices:
        if each.kind != "concept":
            continue
        figures, summary = each.figures(), expected[each.concept]
        for name, value in {
            "IoU": summary.iou, "Dice": summary.dice, "pooled IoU": summary.pooled_iou,
            "precision": summary.precision, "recall": summary.recall,
            "false alarms": summary.false_alarm_rate, "area falsely marked": summary.false_area,
            "pixel accuracy of all background": summary.background_accuracy,
        }.items():  # fmt: skip
            assert figures[name].value == pytest.approx(value, abs=2e-3), name
        assert figures["IoU"].photographs == summary.photographs


def test_confusion__rows_hold_every_pixel_once(tmp_path: Path) -> None:
    regions = measure(tmp_path).measurements.regions
    assert set(regions) == {"crack", "taping area", "background"}
    assert sum(sum(row.values()) for row in regions.values()) == 9 * 96 * 96
    assert regions["crack"]["crack"] > 0.8 * sum(regions["crack"].values())
    assert regions["crack"]["taping area"] == 0


def test_interval__is_that_of_the_plain_bootstrap() -> None:
    values = np.random.default_rng(1).random(40)
    figure = Terms(values, np.ones(40), 40, 40).figure()
    generator = np.random.default_rng(9)
    means = values[generator.integers(40, size=(4000, 40))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    assert figure.value == pytest.approx(values.mean())
    assert (figure.low, figure.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))
    assert mean_figure(values.tolist(), [str(n) for n in range(40)]) == figure


def test_interval__no_event_seen_does_not_mean_none_can_come() -> None:
    none = Terms(np.zeros(16), np.full(16, 3.0), 16, 48, events=True).figure()
    assert (none.value, none.low, none.high) == (0, 0, pytest.approx(0.2059, abs=1e-4))
    every = Terms(np.ones(16), np.ones(16), 16, 16, events=True).figure()
    assert (every.low, every.high) == (pytest.approx(0.7941, abs=1e-4), 1)


def test_interval__a_paired_difference_is_narrower_than_its_parts() -> None:
    values = np.random.default_rng(2).random(50)
    better, worse = (Terms(v, np.ones(50), 50, 50) for v in (values + 0.05, values))
    found = difference(better, worse)
    assert (found.value, found.low, found.high) == pytest.approx((0.05, 0.05, 0.05))
    assert better.figure().high - better.figure().low > 0.1
    with pytest.raises(ValueError, match="cannot compare ratios"):
        difference(better, Terms(values[1:], np.ones(49), 49, 49))


def score(probability: np.ndarray, truth: np.ndarray, presence: float = 0.9) -> PairMeasurement:
    from drywallqa.datasets.dataset import Sample

    sample = Sample("a", "a.png", "set", "a", *truth.shape, {"crack": None}, "val")
    histogram = Histogram.of(probability.astype(np.float32), truth)
    question = PromptQuery("crack", "crack", 0.5, 0.5)
    return PairMeasurement(sample, question, presence, histogram, histogram.counts(0.5))


def ramp() -> PairMeasurement:
    """Probabilities k/128 in rows of 128 px, foreground exactly where they are 80/128 or more."""
    probability = (np.arange(128) / 128)[None].repeat(3, axis=0)
    return score(probability, probability >= 0.625)


def test_precision_recall__by_hand() -> None:
    curve = precision_recall([ramp()], 0.5)
    assert curve.recall[0] == 1
    assert curve.precision[0] == pytest.approx(0.375)
    at = 208
    assert (curve.recall[at], curve.precision[at]) == (pytest.approx(0.5), 1)
    hidden = precision_recall([ramp(), score(np.full((1, 9), 0.9), np.ones((1, 9), bool), presence=0.1)], 0.5)
    assert hidden.recall[0] == pytest.approx(144 / 153)


def test_calibration__honest_probabilities_have_no_error() -> None:
    generator = np.random.default_rng(3)
    probability = generator.random((400, 400))
    assert calibration([score(probability, generator.random((400, 400)) < probability)]).error < 0.01
    assert calibration([score(probability, generator.random((400, 400)) < 0.0)]).error == pytest.approx(
        0.5, abs=0.01
    )


def test_percentile__marks_that_share_of_any_photo() -> None:
    assert percentile_threshold(ramp().histogram, 75) == pytest.approx(0.75, abs=0.005)


def test_sweep__is_best_at_the_edge_of_the_truth() -> None:
    rows = {row.level: row.iou for row in threshold_sweep([ramp()], 0.5)}
    assert max(rows, key=lambda level: rows[level]) == 0.6
    assert rows[0.6] == pytest.approx(48 / 51)


def test_rule__reaches_what_is_wanted_or_says_so() -> None:
    level = choose_for_concept([ramp()], ThresholdRule.parse("recall=0.75")).threshold
    assert level == pytest.approx(92 / 128, abs=0.005)
    level = choose_for_concept([ramp()], ThresholdRule.parse("precision=0.75")).threshold
    assert level == pytest.approx(0.5, abs=0.01)
    blind = score(np.full((2, 50), 0.2), np.arange(100).reshape(2, 50) < 3)
    with pytest.raises(DataError, match=r"no mask threshold reaches precision=0\.9"):
        choose_for_concept([blind], ThresholdRule("precision", 0.9))
    with pytest.raises(ConfigError):
        ThresholdRule.parse("recall=1")


def test_thin__a_line_beside_its_truth_is_forgiven_within_three_px() -> None:
    truth = np.zeros((640, 640), bool)
    truth[100:102, 50:600] = True
    near, far = (ThinScore.of(np.roll(truth, shift, axis=0), truth) for shift in (3, 6))
    assert near.tolerant_f1 == 1
    assert far.tolerant_f1 == 0
    assert near.cldice == 0
    assert ThinScore.of(truth, truth).cldice == 1
    assert ThinScore.of(np.zeros_like(truth), truth).cldice == 0
    assert 1.9 < near.width < 2.1


def test_widen__equals_a_dilation_by_a_disc() -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="the oracle is not installed")
    generator = np.random.default_rng(4)
    for shape, radius in (((64, 80), 3), ((20, 5), 7), ((1, 30), 2)):
        mask = generator.random(shape) > 0.97
        row, column = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        expected = ndimage.binary_dilation(mask, row**2 + column**2 <= radius**2)
        assert np.array_equal(dilate(mask, radius), expected)


def test_pieces__are_counted_across_corners() -> None:
    mask = np.zeros((90, 90), bool)
    mask[10, 10:40] = mask[11, 40:60] = mask[70:80, 5] = True
    assert count_components(mask) == 2
    assert count_components(np.zeros((5, 5), bool)) == 0


def test_report_figure__two_empty_masks_count_one(tmp_path: Path) -> None:
    empty = [p for p in measure(tmp_path).measurements.pairs if p.absent]
    assert report_iou(empty) == 1


def photo(seed: int, side: int = 640) -> np.ndarray:
    small = np.random.default_rng(seed).integers(30, 220, (7, 9, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("turns", [0, 1])
def test_leaks__photos_saved_anew_are_found_and_others_are_not(turns: int, tmp_path: Path) -> None:
    trained = [perceptual_hash.perceptual_hash(photo(seed)) for seed in range(20)]
    again = {}
    for seed in range(20):
        path = tmp_path / f"{seed}.jpg"
        Image.fromarray(np.rot90(photo(seed), turns)).resize((352, 352)).save(path, quality=60)
        again[str(seed)] = perceptual_hash.thumbnail(np.asarray(Image.open(path)))
    assert set(leaks.find_training_leaks(again, trained)) == set(again)
    others = {str(seed): perceptual_hash.thumbnail(photo(seed)) for seed in range(100, 160)}
    assert not leaks.find_training_leaks(others, trained)


def test_clusters__unite_by_name_and_by_look() -> None:
    thumbnails = {
        name: perceptual_hash.thumbnail(photo(seed)) for name, seed in (("a", 1), ("b", 2), ("c", 1))
    }
    names = {"a": "x", "b": "y", "c": "z", "unread": "y"}
    found = leaks.photograph_clusters(thumbnails, names)
    assert found["a"] == found["c"] != found["b"] == found["unread"]
