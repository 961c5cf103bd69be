from __future__ import annotations

import numpy as np

from drywallqa.imaging.line_visibility import moving_mean, seen_along, visible_stretches


def test_seen_along__needs_a_strong_ridge_and_a_steady_depth() -> None:
    count = 120
    strong, weak = np.full(count, 3.0), np.full(count, 0.2)
    steady = np.full(count, 20.0)
    assert seen_along(strong, steady, 1.0).all()
    assert not seen_along(weak, steady, 1.0).any()
    assert not seen_along(strong, -steady, 1.0).any()
    middling = np.full(count, 0.75)
    uneven = np.where(np.arange(count) % 2, 60.0, 0.0)
    assert seen_along(middling, steady, 1.0).all()
    assert not seen_along(middling, uneven, 1.0).any()


def test_seen_along__keeps_a_faint_course_only_next_to_a_sure_line() -> None:
    depth = np.full(240, 10.0)
    faint = np.full(240, 0.62)
    assert not seen_along(faint, depth * np.where(np.arange(240) % 2, 1.2, 0.8), 1.0).any()
    joined = np.where(np.arange(240) < 120, 3.0, faint)
    assert seen_along(joined, depth * np.where(np.arange(240) % 2, 1.2, 0.8), 1.0).all()


def test_visible_stretches__bridge_gaps_and_drop_what_is_short() -> None:
    seen = np.zeros(300, np.bool_)
    seen[10:60] = seen[80:120] = True
    seen[200:206] = True
    assert visible_stretches(seen, 1.0) == [(10, 120)]
    assert visible_stretches(np.ones(8, np.bool_), 1.0) == [(0, 8)]


def test_moving_mean__cuts_windows_off_at_the_ends() -> None:
    assert moving_mean(np.array([0.0, 3.0, 6.0, 9.0]), 3).tolist() == [1.5, 3.0, 6.0, 7.5]
