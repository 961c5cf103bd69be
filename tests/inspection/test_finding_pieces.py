"""A finding is cut where a person says, and its pieces together have exactly its pixels."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drywallqa.formats.outlines import draw_ring
from drywallqa.formats.tracing import trace_regions
from drywallqa.inspection.finding_pieces import cut_observation
from drywallqa.inspection.ledger import CentreLine, Observation
from inspection_examples import observation_of


def drawn(rings) -> np.ndarray:  # type: ignore[no-untyped-def,type-arg]
    mask = np.zeros((120, 200), np.bool_)
    for ring in rings:
        draw_ring(mask, np.array(ring) + 0.5)
    return mask


def observed(mask: np.ndarray, *lines: list[tuple[float, float]]) -> Observation:  # type: ignore[type-arg]
    rows, columns = np.nonzero(mask)
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    rings = tuple(tuple((x - 0.5, y - 0.5) for x, y in r.outer.tolist()) for r in trace_regions(mask))
    centre = tuple(CentreLine(tuple(line), (5.0,) * len(line)) for line in lines)
    return observation_of(box=box, polygon=rings, centre_lines=centre)


def bar() -> Observation:
    mask = np.zeros((120, 200), np.bool_)
    mask[50:55, 10:110] = True
    return observed(mask, [(float(x), 52.0) for x in range(10, 110)])


@given(st.integers(15, 104), st.floats(-9, 9))
def test_a_bar_is_cut_at_the_point(x: int, off: float) -> None:
    left, right = cut_observation(bar(), [(x, 52 + off)])
    assert not (drawn(left) & drawn(right)).any()
    assert (drawn(left) | drawn(right)).sum() == 500
    assert abs(int(drawn(left).sum()) - 5 * (x - 10)) <= 5


def test_two_points_give_three_pieces() -> None:
    assert len(cut_observation(bar(), [(40, 52), (70, 52)])) == 3


def test_a_cut_at_a_branch_point_separates_all_branches() -> None:
    mask = np.zeros((120, 200), np.bool_)
    mask[50:53, 10:110] = True
    mask[10:50, 59:62] = True
    along = [(float(x), 51.0) for x in range(10, 110, 5)]
    observation = observed(mask, along, [(60.0, float(y)) for y in (51, 40, 30, 20, 10)])
    pieces = [drawn(rings) for rings in cut_observation(observation, [(60, 51)])]
    assert len(pieces) == 3
    assert sum(piece.sum() for piece in pieces) == mask.sum()
    assert len(cut_observation(observation, [(30, 51)])) == 2  # the branch stays with the longer part


def test_connected_parts_are_pieces() -> None:
    mask = np.zeros((120, 200), np.bool_)
    mask[50:55, 10:40] = mask[50:55, 60:90] = True
    observation = observed(mask, [(float(x), 52.0) for x in range(10, 90)])
    pieces = cut_observation(observation, [])
    assert [int(drawn(rings).sum()) for rings in pieces] == [150, 150]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "is connected, so it needs points"),
        ([(60, 90)], "is 38 px away from the point 60,90"),
        ([(10, 52)], "stays in one piece"),
        ([(2, 52)], "stays in one piece"),
    ],
)
def test_cuts_that_are_impossible(points: list[tuple[int, int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cut_observation(bar(), points)


def test_a_loop_needs_two_cuts() -> None:
    mask = np.zeros((120, 200), np.bool_)
    mask[20:61, 20:61] = True
    mask[23:58, 23:58] = False
    corners = [(21.0, 21.0), (59.0, 21.0), (59.0, 59.0), (21.0, 59.0), (21.0, 21.0)]
    points = []
    for a, b in pairwise(corners):
        points += [(x, y) for x, y in np.linspace(a, b, 10, endpoint=False).tolist()]
    observation = observed(mask, [*points, corners[0]])
    with pytest.raises(ValueError, match="stays in one piece"):
        cut_observation(observation, [(40, 21)])
    assert len(cut_observation(observation, [(40, 21), (40, 59)])) == 2


def test_without_a_centre_line() -> None:
    with pytest.raises(ValueError, match="has no centre line"):
        cut_observation(observation_of(centre_lines=()), [(30, 25)])
