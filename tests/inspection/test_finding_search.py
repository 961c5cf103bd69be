from __future__ import annotations

import numpy as np
import pytest

from drawn_cracks import drawn
from drywallqa.inspection.finding_search import measure_outline, search_findings


def test_search_findings__two_cracks_one_of_them_broken() -> None:
    photo, outline = drawn([[(20, 60), (150, 70), (300, 60)], [(40, 160), (280, 200)]])
    outline[:, 170:185] = False  # breaks both outlines
    found = search_findings(photo, outline, None, "crack", joints=False).found
    assert len(found) == 2
    assert [round(one.box[2] - one.box[0], -1) for one in found] == [280, 240]
    assert all(one.lines and one.marks == 1 and one.joint is None for one in found)


def test_search_findings__an_outline_without_a_line_says_so() -> None:
    photo, outline = drawn([[(40, 160), (280, 200)]])
    flat = np.full_like(photo, 180)
    (found,) = search_findings(flat, outline, None, "crack", joints=False).found
    assert found.lines == ()
    assert found.area == outline.sum()
    assert len(found.rings) == 1


@pytest.mark.parametrize("joints", [False, True])
def test_search_findings__an_empty_mask_has_no_findings(joints: bool) -> None:
    empty = np.zeros((40, 50), bool)
    result = search_findings(np.zeros((40, 50, 3), np.uint8), empty, None, "crack", joints=joints)
    assert (result.found, result.remarks) == ((), ())


def test_search_findings__a_mask_that_fills_the_photo_is_refused() -> None:
    full = np.ones((40, 50), bool)
    result = search_findings(np.zeros((40, 50, 3), np.uint8), full, None, "crack", joints=False)
    assert result.found == ()
    assert "covers 100% of the photo" in result.remarks[0]


def test_search_findings__one_pixel() -> None:
    photo, outline = drawn([])
    outline = outline.copy()
    outline[7, 9] = True
    (found,) = search_findings(photo, outline, None, "crack", joints=False).found
    assert (found.box, found.area, found.lines) == ((9, 7, 10, 8), 1, ())


def test_measure_outline__a_part_of_a_crack_ends_where_its_outline_ends() -> None:
    photo, outline = drawn([[(20, 60), (300, 60)]], width=4)
    (whole,) = search_findings(photo, outline, None, "crack", joints=False).found
    half = outline.copy()
    half[:, 160:] = False
    half[:58] = half[63:] = False  # as narrow as the crack
    part = measure_outline(photo, half, "crack", joints=False)
    left, _, right, _ = part.box
    assert abs(left - whole.box[0]) <= 3
    assert 155 <= right <= 164
