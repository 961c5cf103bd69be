"""Edges lie half a width beside the centre line and stop at bridged gaps."""

import numpy as np

from drywallqa.inspection.ledger import CentreLine
from drywallqa.visualization.finding_strokes import View, _seen_runs, edges_of


def test_edges__half_a_width_on_each_side() -> None:
    line = CentreLine(tuple((float(x), 10.0) for x in range(5)), (4.0,) * 5)
    first, second = edges_of(line)
    assert np.allclose(first[:, 1], 12)
    assert np.allclose(second[:, 1], 8)


def test_edges__stop_at_gaps() -> None:
    edge = np.arange(12.0).reshape(6, 2)
    runs = _seen_runs(edge, (True, True, False, True, True, True))
    assert [len(run) for run in runs] == [2, 3]
    assert len(_seen_runs(edge, ())) == 1


def test_view__pixel_centres() -> None:
    assert View(0.0, 0.0, 2.0).of((0.0, 0.0)) == (1.0, 1.0)
