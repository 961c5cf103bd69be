import numpy as np
import pytest

from drywallqa.checks.coarse_pairs import CoarsePair, best_logit_threshold, compare_pairs
from drywallqa.checks.label_checks import check_labels, shift_ious
from drywallqa.imaging.letterbox import logit
from drywallqa.imaging.morphology import dilate

SIDE = 64


def truth_of(number: int) -> np.ndarray:
    """A slanting bar and a blob, elsewhere in each photo."""
    generator = np.random.default_rng(number)
    row, column = np.mgrid[:SIDE, :SIDE]
    start, slope = generator.integers(12, 40), generator.uniform(0.1, 0.4)
    bar = np.abs(row - start - slope * column) < 4
    blob = (row - generator.integers(10, 54)) ** 2 + (column - generator.integers(10, 54)) ** 2 < 40
    return bar | blob


def coarse_pair(
    number: int, label: np.ndarray | None = None, sees: np.ndarray | None = None, **more
) -> CoarsePair:
    """A photo that a model masters, under a label that may be another than what it shows."""
    truth = truth_of(number)
    noise = np.random.default_rng(number).normal(0, 0.5, truth.shape)
    shown = truth if sees is None else sees
    fields = {
        "photo": f"{number}.jpg", "photograph": f"set/{number}", "part": "val", "concept": "crack",
        "truth": truth if label is None else label,
        "logits": (np.where(shown, 3.0, -3.0) + noise).astype(np.float32),
        "other": np.full(truth.shape, -4, np.float32), "presence": 0.95 if shown.any() else 0.02,
        "threshold": 0.0, "presence_threshold": 0.5,
    }  # fmt: skip
    return CoarsePair(**(fields | more))


def first(many: list[CoarsePair]) -> str:
    found = check_labels(many)
    return found[0].name if found else ""


NUMBERS = range(10)
EMPTY = np.zeros((SIDE, SIDE), bool)


def test_check_labels__sound_labels_raise_nothing() -> None:
    many = [coarse_pair(n) for n in NUMBERS] + [coarse_pair(n, EMPTY, EMPTY) for n in range(20, 26)]
    assert check_labels(many) == []


def test_check_labels__a_poor_model_accuses_nobody() -> None:
    generator = np.random.default_rng(0)
    many = [coarse_pair(n, logits=generator.normal(-1, 1, (SIDE, SIDE)).astype(np.float32)) for n in NUMBERS]
    assert check_labels(many) == []


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("labels-shifted", lambda t: np.roll(t, (6, 5), (0, 1))),
        ("labels-turned", lambda t: t[:, ::-1]),
        ("labels-turned", lambda t: t.T),
        ("labels-inverted", lambda t: ~t),
        ("labels-of-other-photos", lambda t: None),
    ],
)
def test_check_labels__names_what_was_done(case: str, change) -> None:
    labels = [change(truth_of(n)) for n in NUMBERS]
    if labels[0] is None:
        labels = [truth_of(n + 1) for n in NUMBERS]
    assert first([coarse_pair(n, label) for n, label in zip(NUMBERS, labels, strict=True)]) == case


def test_check_labels__exchanged_concepts() -> None:
    many = [
        coarse_pair(n, sees=EMPTY, other=np.where(truth_of(n), 3, -3).astype(np.float32), logits=logits)
        for n in NUMBERS
        for logits in [np.where(truth_of(n + 50), 1, -4).astype(np.float32)]
    ]
    assert first(many) == "labels-exchanged"


def test_check_labels__one_concept_drawn_wide_in_every_part() -> None:
    many = [
        coarse_pair(n, label, part=part, concept=concept)
        for n in range(12)
        for part in [("train", "val", "test")[n % 3]]
        for concept, label in (("crack", dilate(truth_of(n), 8)), ("taping area", None))
    ]
    assert first(many) == "labels-wide"


def test_check_labels__labels_drawn_wide_by_a_quarter_of_the_photo() -> None:
    assert first([coarse_pair(n, dilate(truth_of(n), 17)) for n in NUMBERS]) == "labels-wide"


def test_check_labels__missing_ones() -> None:
    many = [coarse_pair(n) for n in range(6)] + [coarse_pair(n, EMPTY) for n in range(6, 12)]
    assert first(many) == "labels-missing"


def test_shift_ious__finds_the_shift() -> None:
    truth = truth_of(3)
    found = shift_ious(np.roll(truth, (-4, 7), (0, 1)), truth)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert (row - 32, column - 32) == (-4, 7)


def test_compare__needs_more_than_chance() -> None:
    assert not compare_pairs([0.5, 0.4, 0.6, 0.5, 0.5], [0.6, 0.3, 0.7, 0.4, 0.6]).is_sure
    assert compare_pairs([0.2] * 6, [0.5] * 6).is_sure
    assert compare_pairs([], []).count == 0


def test_best_threshold__lies_between_the_two() -> None:
    level, reached = best_logit_threshold([coarse_pair(n) for n in range(4)])
    assert -1.5 < level < 1.5
    assert reached > 0.9
    assert logit(0.5) == 0
