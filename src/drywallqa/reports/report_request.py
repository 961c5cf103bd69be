"""What `drywallqa report` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FORMATS = ("html", "md", "pdf")
SPLITS = ("val", "test")
NAME = "report"


@dataclass(frozen=True)
class ReportRequest:
    """What is wanted; see the verb's help.

    Attributes:
        subject: The run or bundle.
        data: The data set's folder; None takes the one that the run names.
        out: The report's folder; None takes RUN/report.
        evaluations: Folders of evaluations that are there already.
        splits: Parts to measure where none were given; () takes those of `SPLITS` that the data set has.
        prompts: What to ask where an evaluation is made; () asks one phrasing of each concept.
        runs: Training runs behind a bundle.
        against: Evaluations of other models and earlier runs.
        formats: Some of `FORMATS`; () takes all that can be made here.
        bench: A `bench.json` that is there already.
        diagnosis: A diagnosis, as JSON, that is there already.
        timing: Measure times and memory where none were given.
        diagnose: Diagnose where no diagnosis was given.
        worst: Failures of each kind and prompt that an evaluation looks for.
        allow_leak: Measure on training photos, too.
    """

    subject: Path
    data: Path | None = None
    out: Path | None = None
    evaluations: tuple[Path, ...] = ()
    splits: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    runs: tuple[Path, ...] = ()
    against: tuple[Path, ...] = ()
    formats: tuple[str, ...] = ()
    bench: Path | None = None
    diagnosis: Path | None = None
    timing: bool = True
    diagnose: bool = True
    worst: int = 12
    allow_leak: bool = False
