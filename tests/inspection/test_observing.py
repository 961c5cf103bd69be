from __future__ import annotations

import numpy as np
import pytest

from drawn_cracks import drawn, line
from drywallqa.inspection.finding_search import search_findings
from drywallqa.inspection.observing import PhotoView, observe
from drywallqa.inspection.scale import Scale
from drywallqa.inspection.sightings import Sighting

SCALED = PhotoView(2, "a.jpg", "compact 4", 320, Scale(0.5, 0.02, "as given"))


def test_observe__a_drawn_crack_in_pixels_and_millimetres() -> None:
    photo, outline = drawn([[(20, 60), (300, 60)]], width=4)
    (found,) = search_findings(photo, outline, None, "crack", joints=False).found
    observation = observe(found, SCALED)
    assert observation.px is not None
    assert observation.mm is not None
    assert observation.px.length.value == pytest.approx(280, abs=10)
    assert observation.px.width_median.value == pytest.approx(4, abs=0.5)
    assert observation.mm.width_median.value == pytest.approx(observation.px.width_median.value / 2)
    assert observation.mm.length.low < observation.mm.length.value < observation.mm.length.high
    centre = observation.centre_lines[0]
    assert np.allclose(centre.width_mm, np.array(centre.width_px) / 2, atol=1e-3)
    assert (observation.visit, observation.photo, observation.model) == (2, "a.jpg", "compact 4")
    assert observation.line_visible


def test_observe__without_a_line_there_is_no_width() -> None:
    ring = np.array([[0, 0], [40, 0], [40, 6], [0, 6.0]])
    observation = observe(Sighting("crack", (0, 0, 40, 6), 240, 0.7, (ring,)), SCALED)
    assert (observation.px, observation.mm, observation.widest_at) == (None, None, None)
    assert not observation.line_visible
    assert observation.orientation == pytest.approx(0, abs=0.1)


def test_observe__a_field_names_its_number_of_marks() -> None:
    ring = np.array([[0, 0], [40, 0], [40, 6], [0, 6.0]])
    observation = observe(Sighting("crack", (0, 0, 40, 6), 240, 0.7, (ring,), marks=312), SCALED)
    assert observation.notes == ("field of 312 small marks",)


def test_observe__long_centre_lines_keep_their_ends_and_few_vertices() -> None:
    one = line((0, 0), (3999, 0), (0, 1))
    observation = observe(
        Sighting("crack", (0, 0, 4000, 4), 9, 0.7, (one.points,), (one,)), PhotoView(1, "a", "m", 4000)
    )
    points = observation.centre_lines[0].points
    assert points[0] == (0, 0)
    assert points[-1] == (3999, 0)
    assert len(points) <= 1002
