from __future__ import annotations

import numpy as np

from drawn_cracks import line
from drywallqa.inspection.line_groups import group_lines


def grouped(lines, components=None, unit=1.0):
    numbers = np.arange(len(lines)) if components is None else np.array(components)
    return group_lines(lines, numbers, unit)


def test_group_lines__without_lines() -> None:
    assert group_lines([], np.zeros(0, np.int64), 1.0) == []


def test_group_lines__pieces_that_continue_each_other_are_one_crack_with_an_unseen_bridge() -> None:
    (crack,) = grouped([line((10, 50), (110, 50), (0, 1)), line((140, 52), (240, 55), (2, 3))])
    bridge = crack[-1]
    assert not bridge.seen.any()
    assert {bridge.start, bridge.end} == {1, 2}
    assert np.allclose(bridge.points[[0, -1]], [(110, 50), (140, 52)])
    assert np.allclose(bridge.width, 3)


def test_group_lines__a_gap_that_is_long_against_the_pieces_stays() -> None:
    assert len(grouped([line((10, 50), (30, 50), (0, 1)), line((60, 50), (80, 50), (2, 3))])) == 2


def test_group_lines__a_gap_grows_with_the_photo() -> None:
    pieces = [line((10, 50), (510, 50), (0, 1)), line((610, 50), (1100, 50), (2, 3))]
    assert len(grouped(pieces)) == 2
    assert len(grouped(pieces, unit=4.0)) == 1


def test_group_lines__parallel_lines_stay_apart() -> None:
    assert len(grouped([line((10, 50), (200, 50), (0, 1)), line((10, 80), (200, 80), (2, 3))])) == 2


def test_group_lines__an_end_that_faces_away_is_not_joined() -> None:
    assert len(grouped([line((10, 50), (110, 50), (0, 1)), line((140, 60), (140, 260), (2, 3))])) == 2


def test_group_lines__a_broken_branch_meets_the_side_of_its_crack() -> None:
    (crack,) = grouped([line((10, 50), (210, 50), (0, 1)), line((110, 150), (110, 58), (2, 3))])
    nodes = [node for one in crack for node in (one.start, one.end)]
    assert len(crack) == 4  # both halves of the crack, the branch and the bridge
    assert max(nodes.count(node) for node in nodes) == 3


def test_group_lines__lines_with_a_common_node_or_component_are_one_crack() -> None:
    far = [
        line((0, 0), (50, 0), (0, 1)),
        line((50, 0), (50, 90), (1, 2)),
        line((300, 200), (400, 200), (3, 4)),
    ]
    assert [len(crack) for crack in grouped(far)] == [2, 1]
    assert [len(crack) for crack in grouped(far, [0, 0, 0])] == [3]
