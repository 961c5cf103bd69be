"""Inspect photos: segment them, measure their findings, judge these by rules, and write the results."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from drywallqa.errors import ConfigError, DataError, OutputError
from drywallqa.files import check_folder
from drywallqa.imaging.photo_search import absolute_path, folder_below
from drywallqa.inference.batch_run import model_digest, segment_plan
from drywallqa.inference.mask_kinds import OUTLINE
from drywallqa.inference.plan import PhotoOutcome, RunOptions, RunPlan, make_plan
from drywallqa.inference.queries import SegmentOptions, concept_of
from drywallqa.inference.segmenter import Segmenter, load
from drywallqa.inspection.alignment_features import load_opencv
from drywallqa.inspection.ledger import Ledger, Outcome, Visit
from drywallqa.inspection.ledger_file import read_ledger
from drywallqa.inspection.ledger_verdicts import judge_ledger, summarise_verdicts
from drywallqa.inspection.review_files import read_reviews
from drywallqa.inspection.reviews import ReviewContext, apply_reviews
from drywallqa.inspection.rules import DEFAULT_RULES, RuleSet, load_rule_set
from drywallqa.inspection.scale_sources import ScaleOptions
from drywallqa.reports.inspection_material import ReportOptions
from drywallqa.workflows.inspected_photos import DrawnOutlines, Measuring, PhotoReader, PhotoResult
from drywallqa.workflows.inspection_files import LEDGER, REVIEWS, write_inspection
from drywallqa.workflows.visit_record import absent_of, record_photos

if TYPE_CHECKING:
    from drywallqa.inference.wrapped_model import RunnableBundle


@dataclass(frozen=True)
class InspectOptions:
    """Options of an inspection.

    Attributes:
        prompts: What to search for. If empty, the bundle's first concept that is not straight (cracks) and
            its first straight concept (joints).
        segment: Options of the segmentation. Findings are searched inside outlines, whatever mask it names.
        scale: Sources of the scale.
        rules: Name of a rule set or path of its file.
        visit: "last" inspects again or continues; "new" adds a visit to an earlier inspection.
        date: ISO date of the visit. Default: the recorded date of the visit, or today.
        reviewer: Name of the responsible person. Default: the recorded name.
        title: Name of the project. Default: the recorded name, or the name of the inspected folder.
        overwrite: Whether to replace the results of photos that changed, or that had other settings.
        reviews: A file with decisions of people. Default: `reviews.csv` in the folder of results, if any.
        report: Options of the report.
        pdf: Whether to write the report also as PDF.
    """

    prompts: tuple[str, ...] = ()
    segment: SegmentOptions = field(default_factory=SegmentOptions)
    scale: ScaleOptions = field(default_factory=ScaleOptions)
    rules: str = DEFAULT_RULES
    visit: str = "last"
    date: str | None = None
    reviewer: str | None = None
    title: str | None = None
    overwrite: bool = False
    reviews: Path | None = None
    report: ReportOptions = field(default_factory=ReportOptions)
    pdf: bool = False


@dataclass(frozen=True)
class InspectSummary:
    """The results of an inspection.

    Attributes:
        ledger: The ledger that was written.
        out: The folder of the results.
        photos: Photos of this run that were inspected.
        refused: Photos and paths that were not inspected, or whose scale could not be found.
        outcome: The worst verdict of the visit.
        report: The files of the report.
        measuring_seconds: Processor time for measuring; skipped photos cost none.
        problems: A sentence for each stored review that no longer fits its photo, and for each folder that
            was not searched because it contains the results of an inspection.
    """

    ledger: Ledger
    out: Path
    photos: int
    refused: int
    outcome: Outcome
    report: tuple[Path, ...]
    measuring_seconds: float
    problems: tuple[str, ...] = ()


def inspect(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    options: InspectOptions | None = None,
    *,
    segmenter: Segmenter | None = None,
    on_start: Callable[[int], None] = lambda total: None,
    on_outcome: Callable[[PhotoOutcome], None] = lambda outcome: None,
    on_picture: Callable[[int, int], None] = lambda done, total: None,
) -> InspectSummary:
    """Inspect photos, and write the ledger, the tables, the pictures and the report into a folder.

    Folders are rooms and walls: the photos of one folder show one wall.

    Args:
        paths: Photos, folders and patterns. Folders are searched with their subfolders.
        out: Folder for the results. An earlier inspection in this folder is continued.
        options: Options of the inspection.
        segmenter: The model. Default: the bundled model.
        on_start: Called once, with the number of photos.
        on_outcome: Called after each photo, and for each rejected path.
        on_picture: Called after the pictures of each photo, with the number of photos done and of all photos.

    Raises:
        ConfigError: An option is invalid or does not fit the photos.
        RuleError: The rule set is wrong.
        ReviewError: A review does not fit the inspection.
        PromptError: A prompt cannot be used.
        DataError: The earlier inspection cannot be read, or there is no photo.
        MissingExtraError: The scale, the PDF or a second visit needs a package that is not installed.
        OutputError: The results cannot be written.
    """
    options, folder = options or InspectOptions(), check_folder(out)
    rule_set, segmenter = load_rule_set(options.rules), segmenter or load()
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    ledger = read_ledger(folder / LEDGER) if (folder / LEDGER).exists() else Ledger("")
    if options.visit == "new" and ledger.visits:
        load_opencv()  # the photos of two visits must be aligned
    visit, measuring = _visit_of(ledger, segmenter.bundle, options), Measuring(segmenter.bundle)
    plan = _plan(segmenter.bundle, given, folder, options, visit, measuring)
    if not visit.folder:
        visit = replace(visit, folder=relative_path(plan.base, folder))
    reader = PhotoReader(plan, visit, options.scale, ledger, segmenter.bundle)
    on_start(len(plan.items))
    problems = [
        f"{path} contains the results of an inspection, so it was not searched for photos"
        for path in plan.inspections
    ]
    photos: list[PhotoResult] = []
    failed = 0
    for segmented in segment_plan(segmenter, plan):
        outcome, photo = reader.read(segmented)
        on_outcome(outcome)
        failed += outcome.error is not None
        photos += [photo] if photo else []
    if not plan.items:
        raise DataError(_nothing_to_inspect(problems))
    ledger = record_photos(ledger, visit, photos, folder)
    ledger = replace(ledger, name=options.title or ledger.name or plan.base.name)
    ledger = _reviewed(ledger, folder, rule_set, options, measuring, problems.append)
    ledger = judge_ledger(ledger, rule_set, absent_of(ledger), options.report.units)
    report = write_inspection(ledger, rule_set, folder, options.report, options.pdf, on_picture)
    return InspectSummary(
        ledger, folder, len(photos), failed, summarise_verdicts(ledger).outcome, tuple(report),
        measuring.seconds, tuple(problems),
    )  # fmt: skip


def _nothing_to_inspect(problems: Sequence[str]) -> str:
    return "; ".join(["no photo was found, so nothing was inspected", *problems])


def _visit_of(ledger: Ledger, bundle: RunnableBundle, options: InspectOptions) -> Visit:
    """Return the visit to record, without its photos.

    Raises:
        ConfigError: The date is not a date or is before an earlier visit, or the visit is unknown.
    """
    if options.visit not in ("last", "new"):
        raise ConfigError(f"the visit '{options.visit}' is unknown; choose last or new")
    new = options.visit == "new" or not ledger.visits
    last = ledger.visits[-1] if ledger.visits else Visit(0, "")
    day = options.date or (date.today().isoformat() if new else last.date)
    try:
        date.fromisoformat(day)
    except ValueError as error:
        raise ConfigError(f"the date '{day}' is not a date; write it as YYYY-MM-DD") from error
    number = last.number + 1 if new else last.number
    before = [one for one in ledger.visits if one.number < number and one.date > day]
    if before:
        raise ConfigError(
            f"the date {day} is before visit {before[-1].number} on {before[-1].date}; pass --date"
        )
    kept = "" if new else last.reviewer
    return Visit(
        number=number,
        date=day,
        reviewer=kept if options.reviewer is None else options.reviewer,
        model=f"{bundle.name} {bundle.version}",
        model_digest=model_digest(bundle),
        folder="" if new else last.folder,
    )


def _plan(
    bundle: RunnableBundle, paths: Sequence[str | os.PathLike[str]], folder: Path, options: InspectOptions,
    visit: Visit, measuring: Measuring,
) -> RunPlan:  # fmt: skip
    """Plan the segmentation. The results of each photo lie in the photo's folder below the visit's folder.

    Raises:
        PromptError: A prompt cannot be used.
        ConfigError: An option does not fit the photos.
        OutputError: The folder of results is also a folder of photos.
    """
    if any(absolute_path(path) == absolute_path(folder) for path in paths):
        raise OutputError(
            f"{folder} cannot contain both the photos and the results; choose another --out, such as "
            f"{folder / 'inspection'}"
        )
    outlines = replace(options.segment, mask=OUTLINE, band=None)
    run = RunOptions(outlines, options.overwrite, True, measuring.outputs, index=False)
    prompts = options.prompts or default_prompts(bundle)
    for prompt in prompts:
        concept_of(bundle, prompt, options.segment.allow_unknown)
    plan = make_plan(bundle, paths, prompts, folder / f"visit-{visit.number}", run, leave_out=[folder])
    if options.scale.for_one_photo and len(plan.items) > 1:
        raise ConfigError(
            f"--line and --rectangle state positions in one photo, but there are {len(plan.items)} photos; "
            "inspect this photo alone, or use a marker"
        )
    if not visit.folder:
        return plan
    base = absolute_path(folder / visit.folder)
    items = [replace(item, folder=folder_below(absolute_path(item.path.parent), base)) for item in plan.items]
    for item in items:
        if not absolute_path(item.path).is_relative_to(base):
            raise ConfigError(
                f"{item.path} lies outside {base}, the inspected folder of visit {visit.number}; "
                "add --visit new, or choose another --out"
            )
    return replace(plan, items=tuple(items), base=base)


def default_prompts(bundle: RunnableBundle) -> tuple[str, ...]:
    """Return a bundle's first concept that is not straight (cracks) and its first straight one (joints)."""
    first = {settings.straight: name for name, settings in reversed([*bundle.concepts.items()])}
    return tuple(first[straight] for straight in (False, True) if straight in first)


def relative_path(path: Path, start: Path) -> str:
    """Return a path relative to a folder with "/", or the absolute path if they are on different drives."""
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:
        return absolute_path(path).as_posix()


def _reviewed(
    ledger: Ledger, folder: Path, rule_set: RuleSet, options: InspectOptions, measuring: Measuring,
    on_problem: Callable[[str], None],
) -> Ledger:  # fmt: skip
    """Return the ledger with the decisions of people: stored and new ones.

    Raises:
        ReviewError: A decision does not fit the ledger.
    """
    path, visit = options.reviews or folder / REVIEWS, ledger.visits[-1]
    rules = [rule.id for rule in rule_set.rules]
    measurer = DrawnOutlines(ledger, folder, measuring)
    concepts = measuring.concepts | visit.thresholds.keys()
    context = ReviewContext(measurer.measure, rules, concepts, f"{visit.date}T00:00:00+00:00", on_problem)
    missing = options.reviews is None and not path.exists()
    return apply_reviews(ledger, [] if missing else read_reviews(path, visit.reviewer), context)
