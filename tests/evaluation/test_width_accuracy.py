"""Calibration of the intervals of crack sizes, and their coverage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drywallqa.evaluation.known_findings import KnownFinding
from drywallqa.evaluation.width_accuracy import (
    accuracy_table,
    bias_table,
    class_accuracies,
    fit_calibration,
    length_bias,
)
from drywallqa.inspection.crack_sizes import QUANTITIES


def _findings(count: int, seed: int, width: float = 5.0, told: bool = True) -> list[KnownFinding]:
    """Create findings whose values are 0.2 too large and scatter by 0.3, with a stated uncertainty of 0.1."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        truths = dict.fromkeys(QUANTITIES, width)
        values = {name: width + 0.2 + generator.normal(0, 0.3) for name in QUANTITIES}
        found.append(
            KnownFinding(
                number, "truth", width, "straight", generator.uniform(0, 180), "paint", 1.0, True, True, told,
                values["width_mean"], 0.2, truths, values, dict.fromkeys(QUANTITIES, 0.1),
            )
        )  # fmt: skip
    return found


def test_intervals_cover_other_findings_and_values_lose_their_bias() -> None:
    table = fit_calibration(_findings(2000, 0) + _findings(500, 2, 2.0, told=False))
    (one,) = class_accuracies(_findings(1000, 1), table)
    assert one.count == 1000
    assert one.width_bias == pytest.approx(0, abs=0.05)
    for name in QUANTITIES:
        assert one.coverage[name] == pytest.approx(0.95, abs=0.025)


def test_untold_width_is_covered_from_above() -> None:
    table = fit_calibration(_findings(500, 0) + _findings(500, 2, 2.0, told=False))
    (one,) = class_accuracies(_findings(300, 3, 2.0, told=False), table)
    assert one.told == 0
    assert np.isnan(one.width_error)
    assert one.coverage["width_mean"] > 0.9


def test_missed_branches_are_told_apart() -> None:
    findings = _findings(500, 0)
    table = fit_calibration(findings + _findings(500, 2, 2.0, told=False))
    short = [replace(one, complete=False, truths=one.truths | {"length": 50.0}) for one in findings[:100]]
    (one,) = class_accuracies(short + findings[100:], table)
    assert one.complete == pytest.approx(0.8)
    assert one.coverage["length"] > 0.9
    assert one.coverage_of_all["length"] < 0.8


def test_tables() -> None:
    findings = _findings(500, 0)
    table = fit_calibration(findings + _findings(500, 2, 2.0, told=False))
    rows = accuracy_table(class_accuracies(findings, table)).splitlines()
    assert len(rows) == 3
    assert rows[2].startswith("| 5 | 500 | 100.0 % | 100.0 % |")
    assert len({row.count("|") for row in rows}) == 1
    biases = length_bias(findings, table)
    assert len(biases) == 12
    assert max(abs(bias) for bias in biases.values()) < 0.05
    assert len(bias_table(biases).splitlines()) == 14
