"""Numbers of findings do not overlap, stay inside, avoid cracks, and differ in more than colour."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from drywallqa.inspection.ledger import Outcome
from drywallqa.visualization.finding_labels import LINES, Label, draw_label, place_labels

FONT = ImageFont.load_default(20)


def overlapping(first, second) -> bool:
    across = first[0] < second[2] and second[0] < first[2]
    return across and first[1] < second[3] and second[1] < first[3]


def test_places__of_a_crowd_do_not_overlap() -> None:
    rng = np.random.default_rng(1)
    labels = [Label(str(number), "fail", tuple(rng.uniform(0, 800, 2))) for number in range(120)]
    boxes = place_labels(labels, 28, FONT, (800, 800), np.zeros((800, 800), np.bool_))
    shown = [box for box in boxes if box is not None]
    assert len(shown) > 100
    assert boxes[0] is not None, "the most important label comes first"
    assert not any(overlapping(a, b) for n, a in enumerate(shown) for b in shown[:n])
    assert all(min(box[:2]) >= 0 and max(box[2:]) <= 800 for box in shown)


def test_places__without_room_are_none() -> None:
    labels = [Label(str(number), "pass", (30.0, 20.0)) for number in range(5)]
    boxes = place_labels(labels, 28, FONT, (160, 40), np.zeros((40, 160), np.bool_))
    assert boxes.count(None) >= 3


def test_places__avoid_cracks() -> None:
    busy = np.zeros((400, 400), np.bool_)
    busy[:, 200:] = True
    (box,) = place_labels([Label("7", "fail", (196.0, 200.0))], 28, FONT, (400, 400), busy)
    assert box is not None
    assert box[2] <= 200


def draw(outcome: Outcome) -> np.ndarray:
    image = Image.new("RGB", (120, 50), (200, 190, 170))
    draw_label(ImageDraw.Draw(image), (10.0, 10.0, 90.0, 40.0), "12", outcome, FONT)
    return np.asarray(image.convert("L"), np.int16)


def test_outcomes__differ_in_grey() -> None:
    pictures = [draw(outcome) for outcome in LINES]
    for place, first in enumerate(pictures):
        for second in pictures[:place]:
            assert (abs(first - second) > 60).sum() > 40
