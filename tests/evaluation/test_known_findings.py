"""Measured and true values of rendered cracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drywallqa.evaluation.known_findings import measure_wall, measure_walls, read_findings
from drywallqa.synthetic.known_cracks import CALIBRATION_SURFACES, render_known_wall


def test_wide_straight_crack_is_measured() -> None:
    wall = render_known_wall([7, 1], (8.0,), CALIBRATION_SURFACES, ("straight",))
    (finding,) = measure_wall(3, wall, None)
    assert (finding.wall, finding.source, finding.width) == (3, "truth", 8.0)
    assert finding.found
    assert finding.complete
    assert finding.told
    assert finding.marked > 0.99
    assert finding.values["length"] == pytest.approx(finding.truths["length"], rel=0.02)
    assert finding.values["width_mean"] == pytest.approx(finding.truths["width_mean"], abs=0.5)
    assert finding.point_error < 0.5


def test_model_that_marks_nothing_finds_nothing() -> None:
    wall = render_known_wall([7, 1], (8.0,), CALIBRATION_SURFACES, ("straight",))
    empty = np.zeros(wall.photo.shape[:2], bool)
    (finding,) = measure_wall(0, wall, lambda photo: (empty, empty.astype(np.float32)))
    assert (finding.source, finding.found, finding.marked) == ("model", False, 0.0)


def test_rerun_measures_only_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "findings.jsonl"
    assert list(measure_walls("calibration", "truth", 1, path)) == [0, 1, 2, 3, 4]
    whole = path.read_text()
    path.write_text("".join(line + "\n" for line in whole.splitlines()[:2]) + '{"half')
    assert len(read_findings(path)) == 8
    path.write_text("".join(line + "\n" for line in whole.splitlines()[:4]))
    assert list(measure_walls("calibration", "truth", 1, path)) == [4]
    assert sorted(one.width for one in read_findings(path)) == sorted(
        [0.7, 1, 1.5, 2, 3, 5, 8, 12, 20, 30] * 2
    )
