"""The fixed suites of `drywallqa evaluate --suite`: what a release claims, and photos of a phone's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drywallqa.bundle.bundle import FAILURES, Bundle, load_bundle
from drywallqa.datasets import dataset as datasets
from drywallqa.errors import ConfigError
from drywallqa.evaluation.phone_size import (
    LARGE,
    SECTIONS,
    PhoneSize,
    PhoneSizePlan,
    measure_phone_size,
    phone_size_lines,
)
from drywallqa.evaluation.release_figures import ReleaseFigures, measure_release, release_lines
from drywallqa.files import json_bytes, write_whole
from drywallqa.inference.segmenter import Segmenter

SUITES = ("release", "phone")


@dataclass(frozen=True)
class SuiteRequest:
    """What is measured by a suite; see the verb's help.

    Attributes:
        suite: One of `SUITES`.
        data: The data set's folder.
        model: A bundle; None for the bundled model.
        split: The part to measure.
        count: Composites of the suite "release" (200); rendered walls of the suite "phone" (200), and at most
            so many photos of every other section.
        robustness: Whether "release" changes photos and wording, too.
        sections: Sections of "phone"; by default all that can be measured.
        elsewhere: Photographs from elsewhere, for the section "large-walls".
        json_file: A JSON file for the figures.
        write: Write the figures into the bundle and its card.
    """

    suite: str
    data: Path
    model: Path | None = None
    split: str = "test"
    count: int | None = None
    robustness: bool = False
    sections: Sequence[str] = ()
    elsewhere: Path | None = None
    json_file: Path | None = None
    write: bool = False


def run_suite(request: SuiteRequest, report: Callable[[str], None] = print) -> list[str]:
    """Measure a bundle by a suite, write what was asked for, and describe it in lines.

    Raises:
        ConfigError: The suite, the split or a section is unknown.
        DataError: The split is empty, or photographs from elsewhere are not as they should be.
    """
    if request.suite not in SUITES:
        raise ConfigError(f"'{request.suite}' is no suite; choose among {', '.join(SUITES)}")
    bundle, dataset = load_bundle(request.model), datasets.load_dataset(request.data)
    measured: ReleaseFigures | PhoneSize
    if request.suite == "release":
        measured = measure_release(
            bundle,
            dataset,
            request.split,
            count=request.count or 200,
            robustness=request.robustness,
            report=report,
        )
        lines = list(release_lines(measured))
    else:
        plan = PhoneSizePlan() if request.count is None else PhoneSizePlan.of(request.count)
        possible = [name for name in SECTIONS if name != LARGE or request.elsewhere is not None]
        plan = replace(plan, sections=request.sections or possible)
        measured = measure_phone_size(
            Segmenter(bundle), dataset, request.split, elsewhere=request.elsewhere, plan=plan, report=report
        )
        lines = phone_size_lines(measured)
        if LARGE not in plan.sections and not request.sections:
            lines.append(f"{LARGE}: not measured; --elsewhere names the folder of photographs from elsewhere")
    if request.json_file:
        write_whole(request.json_file, json_bytes(measured.to_json()))
    if request.write:
        _write(bundle, measured)
        lines.append(f"{bundle.folder}: figures and card written")
    return lines


def _write(bundle: Bundle, measured: ReleaseFigures | PhoneSize) -> None:
    """Put figures into a bundle and its card; those of a release bring a picture of failures."""
    from drywallqa.exporting.bundle_figures import write_figures, write_phone_size
    from drywallqa.visualization.failed_walls import failed_walls

    if isinstance(measured, PhoneSize):
        write_phone_size(bundle, measured)
    else:
        labelled = [concept for concept in ("crack", "taping area") if concept in bundle.concepts]
        write_whole(bundle.folder / FAILURES, failed_walls(Segmenter(bundle), labelled))
        write_figures(bundle, measured)
