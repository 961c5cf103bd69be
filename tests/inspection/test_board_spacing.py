"""The distance between joints, and photos in which it is not clear."""

from __future__ import annotations

import pytest

from drywallqa.errors import ScaleError
from drywallqa.imaging.straight_lines import StraightLine
from drywallqa.inspection.board_spacing import board_spacing

SIZE = (600, 800)


def upright(x: float, lean: float = 0, top: float = 0, bottom: float = 600) -> StraightLine:
    return StraightLine((x, top), (x + lean, bottom))


def test_board_spacing__two_joints_and_a_level_one() -> None:
    level = StraightLine((0, 300), (500, 300))
    spacing, sigma = board_spacing([upright(700), level, upright(100)], SIZE)
    assert spacing == pytest.approx(600)
    assert 0 < sigma < 0.02


def test_board_spacing__two_edges_of_one_joint_count_once() -> None:
    assert board_spacing([upright(90), upright(110), upright(500)], SIZE)[0] == pytest.approx(400)


def test_board_spacing__turned_photo() -> None:
    lines = [StraightLine((100, 0), (400, 400)), StraightLine((300, 0), (600, 400))]
    assert board_spacing(lines, SIZE)[0] == pytest.approx(160)


def test_board_spacing__slightly_converging_joints_are_less_certain() -> None:
    spacing, sigma = board_spacing([upright(100), upright(500, lean=20)], SIZE)
    assert spacing == pytest.approx(410, abs=2)
    assert sigma > board_spacing([upright(100), upright(500)], SIZE)[1]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([], "does not show two long parallel joints"),
        ([upright(100)], "does not show two long parallel joints"),
        ([upright(100), upright(500, bottom=150)], "does not show two long parallel joints"),
        ([upright(100), upright(400, lean=200)], "does not show two long parallel joints"),
        ([upright(100, bottom=290), upright(400, top=310)], "does not show two long parallel joints"),
        ([upright(100), upright(300, lean=40)], "changes by 18% along them, so the wall is tilted"),
        ([upright(100), upright(300), upright(600)], "are 200, 300 px apart, not equally far"),
    ],
)
def test_board_spacing__unclear(lines: list[StraightLine], sentence: str) -> None:
    with pytest.raises(ScaleError, match=r"--board: .*; use a marker, or give four points") as caught:
        board_spacing(lines, SIZE)
    assert sentence in str(caught.value)
