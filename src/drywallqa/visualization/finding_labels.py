"""Numbers of findings on a photo: a symbol and a colour for each outcome, and places without overlaps.

The outcomes differ in colour, in lightness and in symbol, so the numbers are also readable in greyscale and
for colour-blind people.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.inspection.ledger import Outcome

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
LINES: dict[Outcome, Colour] = {
    "fail": (176, 42, 0), "monitor": (190, 124, 0), "pass": (0, 98, 163), "not assessable": (88, 92, 98),
    "no rule": (40, 44, 52),
}  # fmt: skip
"""Colour of a finding's outline."""
_FILLS: dict[Outcome, Colour] = {
    "fail": (176, 42, 0), "monitor": (255, 200, 40), "pass": WHITE, "not assessable": (224, 226, 229),
    "no rule": WHITE,
}  # fmt: skip
_TEXTS: dict[Outcome, Colour] = {**LINES, "fail": WHITE, "monitor": BLACK, "not assessable": BLACK}
_RINGS, _DIRECTIONS = 14, 16
_CELL = 8  # px of the canvas per cell of the map of crack pixels
_DISTANCE_COST = 0.04  # of one label height, in shares of a label that hides cracks


@dataclass(frozen=True)
class Label:
    """The number of a finding.

    Attributes:
        text: The number.
        outcome: The outcome that gives colour and symbol.
        anchor: Point of the finding in px of the canvas.
    """

    text: str
    outcome: Outcome
    anchor: tuple[float, float]


def label_size(text: str, height: float, font: Any) -> tuple[float, float]:
    """Return width and height in px of a label whose number is drawn in a font."""
    return height * 1.35 + font.getlength(text), height


def place_labels(
    labels: Sequence[Label], height: float, font: Any, size: tuple[int, int], busy: NDArray[np.bool_]
) -> list[Box | None]:
    """Choose a box for each label so that no two overlap and few crack pixels are hidden.

    Args:
        labels: The most important first, because the first get the best places.
        height: Height of a label in px.
        font: Pillow font of the numbers.
        size: Width and height of the canvas in px.
        busy: Pixels that labels should not hide, bool [H,W].

    Returns:
        Left, top, right, bottom of each label; None for a label without room.
    """
    rows, columns = (side // _CELL * _CELL for side in busy.shape)
    cells = busy[:rows, :columns].reshape(rows // _CELL, _CELL, columns // _CELL, _CELL)
    hidden: NDArray[np.bool_] = np.any(cells, axis=(1, 3))
    placed: list[Box | None] = []
    taken = np.empty((0, 4))
    for label in labels:
        box = _best_box(label, label_size(label.text, height, font), size, taken, hidden)
        placed.append(box)
        if box is not None:
            taken = np.vstack([taken, box])
    return placed


def _best_box(
    label: Label,
    extent: tuple[float, float],
    size: tuple[int, int],
    taken: NDArray[Any],
    hidden: NDArray[Any],
) -> Box | None:
    width, height = extent
    best, least = None, math.inf
    for ring in range(_RINGS):
        for turn in range(_DIRECTIONS):
            angle = 2 * math.pi * (turn + 0.5) / _DIRECTIONS
            reach = height * (0.9 + 0.75 * ring)
            x = label.anchor[0] + math.cos(angle) * (reach + width / 2)
            y = label.anchor[1] + math.sin(angle) * (reach + height / 2)
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            if not _is_free(box, size, taken, height * 0.15):
                continue
            left, top, right, bottom = (int(side) // _CELL for side in box)
            cost = float(hidden[top : bottom + 1, left : right + 1].mean()) + _DISTANCE_COST * reach / height
            if cost < least:
                best, least = box, cost
        if best is not None and least <= _DISTANCE_COST * reach / height:
            break  # boxes that are farther away cannot cost less
    return best


def _is_free(box: Box, size: tuple[int, int], taken: NDArray[Any], gap: float) -> bool:
    left, top, right, bottom = box
    if left < gap or top < gap or right > size[0] - gap or bottom > size[1] - gap:
        return False
    across = (taken[:, 0] < right + gap) & (taken[:, 2] > left - gap)
    return not bool((across & (taken[:, 1] < bottom + gap) & (taken[:, 3] > top - gap)).any())


def draw_label(pen: Any, box: Box, text: str, outcome: Outcome, font: Any) -> None:
    """Draw a number with the symbol of its outcome in a box with round ends."""
    left, top, right, bottom = box
    height = bottom - top
    line = max(2, round(height / 14))
    pen.rounded_rectangle((left - line, top - line, right + line, bottom + line), height / 2, fill=WHITE)
    pen.rounded_rectangle(box, height / 2, fill=_FILLS[outcome], outline=LINES[outcome], width=line)
    draw_symbol(pen, (left + height * 0.55, (top + bottom) / 2), height * 0.24, outcome)
    pen.text((left + height * 0.95, (top + bottom) / 2), text, fill=_TEXTS[outcome], font=font, anchor="lm")


def draw_symbol(pen: Any, centre: tuple[float, float], radius: float, outcome: Outcome) -> None:
    """Draw a cross (fail), an exclamation mark (monitor), a tick (pass), a question mark or a dash."""
    x, y, r = *centre, radius
    style = {"fill": _TEXTS[outcome], "width": max(2, round(r * 0.42))}
    match outcome:
        case "fail":
            pen.line((x - r, y - r, x + r, y + r), **style)
            pen.line((x - r, y + r, x + r, y - r), **style)
        case "monitor":
            pen.line((x, y - 1.2 * r, x, y + 0.4 * r), **style)
            pen.line((x, y + 0.8 * r, x, y + 1.2 * r), **style)
        case "pass":
            pen.line((x - r, y, x - r / 4, y + 0.8 * r, x + r, y - 0.9 * r), joint="curve", **style)
        case "not assessable":
            pen.arc((x - 0.7 * r, y - 1.2 * r, x + 0.7 * r, y + 0.2 * r), 180, 90, **style)
            pen.line((x, y, x, y + 0.5 * r), **style)
            pen.line((x, y + 0.85 * r, x, y + 1.25 * r), **style)
        case "no rule":
            pen.line((x - r, y, x + r, y), **style)
