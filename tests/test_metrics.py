import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drywallqa.metrics import (
    Counts,
    Histogram,
    LineScore,
    bin_of,
    group_means,
    mean_by_group,
)


def random_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    height, width = generator.integers(1, 24, 2)
    share = generator.uniform(0.05, 0.95, 2)
    truth = generator.random((height, width)) < share[0]
    truth[0, 0] = True  # the oracle's answer on an empty truth is a convention, tested apart
    return generator.random((height, width)) < share[1], truth


def test_counts__thousands_of_random_pairs_equal_torchmetrics() -> None:
    torch = pytest.importorskip("torch", reason="the oracle needs torch")
    functional = pytest.importorskip("torchmetrics.functional.classification", reason="the oracle")
    for seed in range(2000):
        mask, truth = random_pair(seed)
        counts = Counts.of(mask, truth)
        stats = functional.binary_stat_scores(torch.from_numpy(mask).int(), torch.from_numpy(truth).int())
        assert (counts.tp, counts.fp, counts.tn, counts.fn) == tuple(stats[:4].tolist())
        jaccard = functional.binary_jaccard_index(torch.from_numpy(mask).int(), torch.from_numpy(truth).int())
        assert counts.iou == pytest.approx(float(jaccard), abs=1e-6)


@pytest.mark.parametrize(
    ("mask", "truth", "expected"),
    [
        ([[0, 0]], [[1, 1]], (0, 0, 2, 0)),
        ([[1, 0]], [[0, 0]], (0, 1, 0, 1)),
        ([[0, 0]], [[0, 0]], (0, 0, 0, 2)),
        ([[1, 1]], [[1, 1]], (2, 0, 0, 0)),
        ([[1]], [[1]], (1, 0, 0, 0)),
    ],
)
def test_counts__hand_computed(mask: list, truth: list, expected: tuple) -> None:
    counts = Counts.of(np.array(mask, bool), np.array(truth, bool))
    assert (counts.tp, counts.fp, counts.fn, counts.tn) == expected


def test_counts__both_empty_has_no_iou() -> None:
    counts = Counts.of(np.zeros((4, 4), bool), np.zeros((4, 4), bool))
    assert np.isnan(counts.iou)
    assert np.isnan(counts.dice)
    assert not counts.false_alarm


def test_counts__false_alarm_begins_above_a_thousandth() -> None:
    truth = np.zeros((100, 100), bool)
    mask = truth.copy()
    mask.ravel()[:10] = True
    assert not Counts.of(mask, truth).false_alarm
    mask.ravel()[:11] = True
    assert Counts.of(mask, truth).false_alarm


def test_counts__other_size_is_refused() -> None:
    with pytest.raises(ValueError, match="different sizes"):
        Counts.of(np.zeros((2, 2), bool), np.zeros((2, 3), bool))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_histogram__counts_equal_the_mask_at_any_threshold(seed: int, level: int) -> None:
    generator = np.random.default_rng(seed)
    probability = generator.random((13, 7), np.float32)
    truth = generator.random((13, 7)) < 0.4
    histogram = Histogram.of(probability, truth)
    threshold = level / 256
    assert histogram.counts(threshold) == Counts.of(probability >= threshold, truth)
    curve = histogram.iou_curve()
    expected = Counts.of(probability >= threshold, truth).iou
    assert curve[level] == pytest.approx(expected, nan_ok=True)


def test_histogram__empty_mask_misses_everything() -> None:
    histogram = Histogram.of(np.ones((3, 3), np.float32), np.eye(3, dtype=bool))
    assert histogram.empty_mask() == Counts(0, 0, 3, 6)
    assert (histogram.truth_area, histogram.empty_mask().size) == (3, 9)


def test_bin_of__rounds_up() -> None:
    assert [bin_of(value) for value in (0.0, 0.5, 0.5001, 1.0)] == [0, 128, 129, 256]


def test_mean_by_group__copies_of_one_photograph_weigh_once() -> None:
    values, groups = [1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"]
    assert mean_by_group(values, groups) == 0.5
    assert group_means(values, groups) == {"a": 1.0, "b": 0.0}


def test_line_score__compares_skeletons_and_widths() -> None:
    truth, wide, beside = (np.zeros((100, 100), bool) for _ in range(3))
    truth[50:53, 10:90] = wide[48:55, 10:50] = beside[80:83, 10:90] = True
    score = LineScore.of(wide, truth)
    assert 0.45 < score.recall < 0.55
    assert score.precision == 1.0
    assert score.f1 == pytest.approx(2 * score.recall / (1 + score.recall))
    assert score.width_ratio == pytest.approx(7 / 3, rel=0.2)  # skeletons lose some length at their ends
    assert LineScore.of(beside, truth).f1 == 0.0
    empty = LineScore.of(np.zeros_like(truth), truth)
    assert (empty.recall, empty.precision, empty.f1) == (0.0, 0.0, 0.0)
    assert np.isnan(empty.width_ratio)
