"""Every planted fault at three severities, and every sound case."""

from __future__ import annotations

from planted import bundle_cases, label_cases, leak_cases, run_cases, sound_cases, truth_cases, weight_cases
from planted.case import Case

CASES: tuple[Case, ...] = (
    *leak_cases.CASES,
    *label_cases.CASES,
    *truth_cases.CASES,
    *bundle_cases.CASES,
    *weight_cases.CASES,
    *run_cases.CASES,
    *sound_cases.CASES,
)
