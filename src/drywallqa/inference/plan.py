"""The plan of a run over many photos: the photos, the prompts and the folder for the results."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drywallqa.errors import PhotoError, PromptError
from drywallqa.files import check_folder
from drywallqa.imaging import mask_files
from drywallqa.imaging.photo_search import FoundFiles, search_photos
from drywallqa.imaging.photos import image_id_of
from drywallqa.inference.manifest import Manifest, Record, made_in
from drywallqa.inference.outputs import MASK, Output
from drywallqa.inference.queries import SegmentOptions, concept_of
from drywallqa.text.prompts import LONGEST

if TYPE_CHECKING:
    from drywallqa.formats.problems import Problem
    from drywallqa.inference.wrapped_model import RunnableBundle


@dataclass(frozen=True)
class RunOptions:
    """Options for segmenting photos into a folder.

    Attributes:
        segment: Options of the segmentation.
        overwrite: Whether to replace results with different content.
        recursive: Whether to search subfolders as well. The results then have the same folder structure.
            (The results also keep this structure if photos in different folders have the same name.)
        outputs: The kinds of files to write in addition to the masks.
        index: Whether to write an HTML page that shows the results. Runs on Ray do not write this page.
        labels: Annotation format (a key of `formats.writing.WRITERS`) in which to write the masks as well;
            None for none. Runs on Ray cannot write it.
    """

    segment: SegmentOptions = field(default_factory=SegmentOptions)
    overwrite: bool = False
    recursive: bool = False
    outputs: tuple[Output, ...] = ()
    index: bool = True
    labels: str | None = None

    @property
    def all_outputs(self) -> tuple[Output, ...]:
        """The kinds of files to write for each photo and prompt, starting with the mask."""
        return (MASK, *self.outputs)


@dataclass(frozen=True)
class PhotoOutcome:
    """The outcome of one photo, or the failure of a path or prompt.

    Attributes:
        status: "done", "skipped" (the results already existed) or "failed".
        source: The photo's path as given; None if a prompt failed.
        records: The manifest records of the photo, even if the photo was skipped.
        error: The error as a sentence.
    """

    status: str
    source: str | None
    records: tuple[Record, ...] = ()
    error: str | None = None

    def failure(self) -> Record:
        """Return the record of a photo, path or prompt that failed."""
        if self.source is None:
            return {"prompt": self.records[0]["prompt"][:LONGEST], "error": self.error}
        return {"source": self.source, "image_id": image_id_of(Path(self.source)), "error": self.error}


@dataclass(frozen=True)
class SegmentSummary:
    """The results of a run.

    Attributes:
        done: Photos segmented.
        skipped: Photos whose results already existed.
        failed: Photos, paths and prompts that failed.
        masks: Number of masks for this run's photos and prompts, including masks that already existed.
        seconds: Duration of the run.
        prompts: The valid prompts.
        out: The folder or address of the results.
        index: The HTML page of the results, if it was written.
        table: The table of results, if a run on Ray wrote it; otherwise None.
        labels: The folder of the masks in an annotation format, if it was written.
        label_problems: Photos that are missing there, and what the format cannot store exactly.
    """

    done: int
    skipped: int
    failed: int
    masks: int
    seconds: float
    prompts: tuple[str, ...]
    out: Path | str
    index: Path | None = None
    table: str | None = None
    labels: Path | None = None
    label_problems: tuple[Problem, ...] = ()


def count_outcomes(
    outcomes: Iterable[PhotoOutcome], on_outcome: Callable[[PhotoOutcome], None]
) -> dict[str, Any]:
    """Count outcomes for a `SegmentSummary`, and call `on_outcome` with each outcome."""
    counts = dict.fromkeys(("done", "skipped", "failed", "masks"), 0)
    for outcome in outcomes:
        counts[outcome.status] += 1
        counts["masks"] += sum("mask" in record for record in outcome.records)
        on_outcome(outcome)
    return counts


@dataclass(frozen=True)
class PlannedPhoto:
    """The path of a photo, and the subfolder ("" if none) and name of its results in the results folder."""

    path: Path
    folder: str
    image_id: str


@dataclass(frozen=True)
class RunPlan:
    """The photos, prompts and results folder of a run, after all checks.

    Attributes:
        out: The folder for the results.
        options: Options of the run.
        manifest: The records of earlier runs in the folder.
        prompts: The valid prompts, without duplicates.
        paths: The paths that were searched for photos.
        items: The photos.
        refused: Outcomes of the paths and prompts that failed before any photo was read.
        base: The folder that contains all photos.
        inspections: Folders that were not searched, because they contain the results of an inspection.
    """

    out: Path
    options: RunOptions
    manifest: Manifest
    prompts: tuple[str, ...]
    paths: tuple[str, ...]
    items: tuple[PlannedPhoto, ...]
    refused: tuple[PhotoOutcome, ...]
    base: Path = Path()
    inspections: tuple[Path, ...] = ()


def make_plan(
    bundle: RunnableBundle,
    paths: Sequence[str | os.PathLike[str]],
    prompts: Sequence[str],
    out: str | os.PathLike[str],
    options: RunOptions | None = None,
    *,
    leave_out: Iterable[str | os.PathLike[str]] = (),
) -> RunPlan:
    """Find the photos and check the prompts before the run starts, so that errors appear early.

    Args:
        bundle: The model. Its text model interprets the prompts.
        paths: Photos, folders and patterns.
        prompts: The prompts.
        out: The folder for the results; created if missing.
        options: Options of the run.
        leave_out: Further files and folders in which the search finds no photos.

    Raises:
        OutputError: The folder cannot be created or written to.
    """
    options, folder = options or RunOptions(), check_folder(out)
    manifest = Manifest(folder)
    askable, refused = split_refused(bundle, prompts, options.segment.allow_unknown)
    kept_out = [folder, *leave_out, *(folder / output.folder for output in options.outputs if output.folder)]
    found = search_photos(paths, recursive=options.recursive, leave_out=kept_out, made_in=made_in)
    items, unplaced = place_photos(found, options.recursive)
    given = tuple(str(path) for path in paths)
    return RunPlan(
        folder, options, manifest, askable, given, items, (*refused, *unplaced), found.base, found.inspections
    )


def split_refused(
    bundle: RunnableBundle, prompts: Sequence[str], allow_unknown: bool
) -> tuple[tuple[str, ...], tuple[PhotoOutcome, ...]]:
    """Return the valid prompts without duplicates, and an outcome for each rejected prompt."""
    askable: list[str] = []
    refused: list[PhotoOutcome] = []
    for prompt in dict.fromkeys(prompts):
        try:
            concept_of(bundle, prompt, allow_unknown)
            askable.append(prompt)
        except PromptError as error:
            refused.append(PhotoOutcome("failed", None, ({"prompt": prompt},), str(error)))
    return tuple(askable), tuple(refused)


def place_photos(
    found: FoundFiles, recursive: bool
) -> tuple[tuple[PlannedPhoto, ...], tuple[PhotoOutcome, ...]]:
    """Assign a folder and a name in the results to each photo. Also return an outcome per rejected photo.

    Photos keep their folders in a recursive run, or if photos from different folders have the same name.
    Photos are rejected if their masks would have the same name on some file system, such as a
    case-insensitive one.
    """
    items = [PlannedPhoto(path, found.folder_of(path), image_id_of(path)) for path in found.photos]
    folders: dict[str, set[str]] = {}
    for item in items:
        folders.setdefault(_folded(item.image_id), set()).add(item.folder)
    if not recursive and all(len(each) == 1 for each in folders.values()):
        items = [replace(item, folder="") for item in items]
    named: dict[str, list[PlannedPhoto]] = {}
    for item in items:
        name = _folded(f"{item.folder}/{mask_files.base_name(item.image_id, 'x')}")
        named.setdefault(name, []).append(item)
    problems = [*found.problems]
    for first, *others in (group for group in named.values() if len(group) > 1):
        paths = " and ".join(str(item.path) for item in others)
        problem = f"its masks would have the same names as the masks of {paths}"
        problems.append(PhotoError(first.path, problem, "rename one of them"))
    kept = tuple(group[0] for group in named.values() if len(group) == 1)
    return kept, tuple(PhotoOutcome("failed", error.source, (), str(error)) for error in problems)


def _folded(name: str) -> str:
    """Normalise a name. Two names become equal if any file system treats them as equal."""
    return unicodedata.normalize("NFC", name).casefold()
