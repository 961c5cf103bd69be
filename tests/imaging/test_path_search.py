from __future__ import annotations

import numpy as np
import pytest

from drywallqa.imaging.path_search import cheapest_path, count_neighbours, paths_from, walk_back


def test_cheapest_path__costs_what_the_oracle_says() -> None:
    graph = pytest.importorskip("skimage.graph", reason="the oracle is not installed")
    generator = np.random.default_rng(5)
    for _ in range(8):
        cost = generator.random((17, 23)) + 0.01
        ours = cheapest_path(cost, (2, 1), (15, 20))
        theirs, _ = graph.route_through_array(cost, (2, 1), (15, 20), fully_connected=True, geometric=True)
        assert ours.tolist() == [list(place) for place in theirs]


def test_paths_from__stay_inside_and_do_not_reach_what_is_cut_off() -> None:
    inside = np.ones((5, 9), np.bool_)
    inside[:4, 4] = False  # a wall with one gap in the last row
    inside[:, 7] = False  # a wall without a gap
    distance, before = paths_from(np.ones(inside.shape), inside, (0, 0))
    path = walk_back(before, 0 * 9 + 6)
    assert inside.ravel()[path].all()
    assert 4 * 9 + 4 in path.tolist()
    assert np.isinf(distance[8])
    assert before[8] == -1


def test_count_neighbours__counts_corners() -> None:
    line = np.zeros((3, 4), np.bool_)
    line[0, 0] = line[1, 1] = line[1, 2] = True
    assert count_neighbours(line)[1].tolist() == [2, 2, 1, 1]
