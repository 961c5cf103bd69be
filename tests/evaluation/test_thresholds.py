from dataclasses import replace

import numpy as np
import pytest

from drywallqa.datasets.dataset import Sample
from drywallqa.errors import ConfigError, DataError
from drywallqa.evaluation.curves import threshold_sweep
from drywallqa.evaluation.measure import PairMeasurement
from drywallqa.evaluation.slices import summarise
from drywallqa.evaluation.thresholds import ThresholdRule, choose_for_concept, choose_thresholds
from drywallqa.inference.queries import PromptQuery
from drywallqa.metrics import Histogram


def score(
    name: str,
    probability: np.ndarray,
    truth: np.ndarray,
    presence: float,
    at: float = 0.55,
    gate: float = 0.75,
) -> PairMeasurement:
    """A pair whose mask is that of the thresholds."""
    sample = Sample(name, f"{name}.png", "set", name.split("-")[0], *truth.shape, {"crack": None}, "val")
    histogram = Histogram.of(probability.astype(np.float32), truth)
    counts = histogram.counts(at) if presence >= gate else histogram.empty_mask()
    return PairMeasurement(sample, PromptQuery("crack", "crack", at, gate), presence, histogram, counts)


def pictures(level: float, gate: float = 0.75) -> list[PairMeasurement]:
    """Truth in the left half; foreground probability just above `level`, background just below."""
    truth = np.zeros((20, 20), bool)
    truth[:, :10] = True
    present = np.where(truth, level + 0.12, level - 0.1)
    present[:, 10:12] = level + 0.02  # makes every threshold below this one worse
    nothing = np.zeros((20, 20), bool)
    return [
        score("a-1", present, truth, 0.9, gate=gate),
        score("a-2", present, truth, 0.8, gate=gate),
        score("b-1", present, truth, 0.7, gate=gate),
        score("c-1", np.full((20, 20), 0.99), nothing, 0.3, gate=gate),
        score("d-1", np.full((20, 20), 0.99), nothing, 0.4, gate=gate),
    ]


@pytest.mark.parametrize("level", [0.3, 0.5, 0.7])
def test_choose__finds_the_level_that_separates(level: float) -> None:
    choice = choose_for_concept(pictures(level))
    assert level + 0.02 < choice.threshold <= level + 0.12
    assert 0.4 < choice.presence_threshold <= 0.7
    assert (choice.iou, choice.false_alarm_rate) == (pytest.approx(1), 0)


def test_choose__nothing_to_choose_on_is_refused() -> None:
    with pytest.raises(DataError, match="no validation photo"):
        choose_for_concept([s for s in pictures(0.5) if s.absent])


def test_summarise__photographs_weigh_once_and_absent_pairs_give_no_iou() -> None:
    summary = summarise(pictures(0.5), ["crack"])["crack"]
    # photograph a is found whole in both copies, b is missed for its presence
    assert summary.iou == pytest.approx(0.5)
    assert (summary.pairs, summary.photographs, summary.absent_pairs) == (3, 2, 2)
    assert summary.false_alarm_rate == 0
    loose = summarise(pictures(0.5, gate=0.35), ["crack"])["crack"]
    assert loose.false_alarm_rate == 0.5
    assert loose.false_area == pytest.approx(0.5)
    assert loose.background_accuracy == pytest.approx(0.5)


def test_sweep__falls_off_the_right_level() -> None:
    curve = {row.level: row.iou for row in threshold_sweep(pictures(0.5), 0.5)}
    assert set(curve) == {t / 10 for t in range(1, 10)}
    assert curve[0.6] > curve[0.5] > curve[0.1]
    assert curve[0.9] == 0


def test_choose__presence_by_a_wanted_recall_or_precision_of_photos() -> None:
    scores = pictures(0.5)
    by_recall = choose_for_concept(scores, presence=ThresholdRule.parse("recall=0.5")).presence_threshold
    assert by_recall == pytest.approx(0.8), "photograph a in both copies, without b"
    assert choose_for_concept(
        scores, presence=ThresholdRule.parse("recall=0.9")
    ).presence_threshold == pytest.approx(0.7)
    by_precision = choose_for_concept(
        scores, presence=ThresholdRule.parse("precision=0.75")
    ).presence_threshold
    assert by_precision == pytest.approx(0.32), "three right ones and one wrong one are kept from here on"
    with pytest.raises(ConfigError, match="presence thresholds can be chosen by"):
        choose_for_concept(scores, presence=ThresholdRule.parse("sweep"))


def test_choose__by_sweep_or_percentile_as_the_original_report_did() -> None:
    scores = pictures(0.5)
    assert choose_for_concept(scores, ThresholdRule.parse("sweep")).threshold == pytest.approx(0.6)
    # half of the pixels of photos that show it are foreground, a tenth more lies just beneath
    share = choose_for_concept(scores, ThresholdRule.parse("percentile=50")).threshold
    assert 0.52 < share <= 0.62
    reached = choose_for_concept(scores, ThresholdRule.parse("percentile=30"))
    assert reached.threshold < 0.41
    assert reached.iou == pytest.approx(100 / 120)


@pytest.mark.parametrize("text", ["iou", "sweep", "recall=0.9", "precision=0.8", "percentile=97.5"])
def test_rule__reads_what_it_writes(text: str) -> None:
    assert str(ThresholdRule.parse(text)) == text


def test_choose__of_equally_good_presences_as_cautious_a_one_as_is_asked_for() -> None:
    truth = np.zeros((20, 20), bool)
    truth[:, :10] = True
    nothing = np.zeros((20, 20), bool)
    scores = [score(f"{n}-1", np.where(truth, 0.9, 0.1), truth, 0.99) for n in "abc"]
    scores += [score(f"{n}-1", np.full((20, 20), 0.9), nothing, 0.05) for n in "de"]
    assert choose_for_concept(scores).presence_threshold == pytest.approx(0.5)
    assert 0.8 < choose_for_concept(scores, caution=0.75).presence_threshold < 0.95
    assert choose_for_concept(scores, caution=0).presence_threshold == pytest.approx(0.06)
    told = choose_thresholds(scores, caution={"crack": 1.0, "seam line": 0.0})
    assert told["crack"].presence_threshold == pytest.approx(0.98)


def test_choose__the_labels_of_rendered_pictures_decide_about_no_mask() -> None:
    real = pictures(0.5)
    drawn = [
        replace(pair, sample=replace(pair.sample, set_name="rendered-phone"))
        for pair in [*pictures(0.2), *pictures(0.2)]
    ]
    assert choose_for_concept([*real, *drawn]).threshold == choose_for_concept(real).threshold
    assert choose_for_concept(drawn).threshold < choose_for_concept(real).threshold - 0.2, (
        "unless there is nothing else"
    )
