from __future__ import annotations

import numpy as np
import pytest

from drawn_cracks import drawn
from drywallqa.inspection.finding_search import search_findings
from drywallqa.inspection.observing import PhotoView, observe


def joints_of(photo, outline):
    return search_findings(photo, outline, None, "taping area", joints=True).found


def test_find_joints__a_cross_is_two_joints() -> None:
    photo, outline = drawn([[(160, 0), (160, 239)], [(0, 120), (319, 120)]], width=4)
    found = joints_of(photo, outline)
    assert len(found) == 2
    assert sorted(round(observe(one, PhotoView(1, "a.jpg", "m", 320)).orientation) for one in found) == [
        0,
        90,
    ]


def test_find_joints__the_open_length_leaves_out_what_is_not_marked() -> None:
    photo, outline = drawn([[(160, 0), (160, 239)]], width=4)
    outline = outline.copy()
    outline[100:112] = False
    (found,) = joints_of(photo, outline)
    assert found.joint is not None
    assert found.joint.open_length == pytest.approx(228, abs=2)
    observation = observe(found, PhotoView(1, "a.jpg", "m", 320))
    assert observation.straightness is not None
    assert observation.straightness < 1.5
    assert observation.px is not None
    assert observation.px.length.value == pytest.approx(228, abs=2)


def test_find_joints__a_bent_joint_is_less_straight() -> None:
    straight, bent = (
        joints_of(*drawn([[(160, 0), (160 + by, 120), (160, 239)]], width=4))[0] for by in (0, 8)
    )
    one, other = (observe(found, PhotoView(1, "a.jpg", "m", 320)).straightness for found in (straight, bent))
    assert one is not None
    assert other is not None
    assert other > one + 2


def test_find_joints__the_seam_in_a_compact_area() -> None:
    photo, outline = drawn([[(60, 20), (260, 220)]], width=3)
    area = np.zeros_like(outline)
    area[20:220, 60:260] = True
    (found,) = joints_of(photo, area)
    assert observe(found, PhotoView(1, "a.jpg", "m", 320)).orientation == pytest.approx(135, abs=4)
