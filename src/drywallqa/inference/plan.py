"""What a run over many photos is going to do: which photos, which prompts, into which folder."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drywallqa.errors import PhotoError, PromptError
from drywallqa.files import check_folder
from drywallqa.imaging import mask_files
from drywallqa.imaging.photo_search import FoundFiles, search_photos
from drywallqa.imaging.photos import image_id_of
from drywallqa.inference.manifest import Manifest, Record, made_in
from drywallqa.inference.outputs import MASK, Output
from drywallqa.inference.queries import RunnableBundle, Threshold, check_threshold, concept_of
from drywallqa.inference.refinement import AUTO, Refinement
from drywallqa.inference.scales import Scale, check_scale
from drywallqa.text.prompts import LONGEST


@dataclass(frozen=True)
class RunSettings:
    """How photos are segmented into a folder.

    Attributes:
        threshold: "auto" or a probability, see `Segmenter.segment`.
        allow_unknown: Let prompts through that mean no known concept.
        overwrite: Replace results of other content.
        recursive: Look into folders' folders; results mirror them. (So do those of any run in which
            different folders hold photos of the same name.)
        scale: How large photos are shown to the model, see `Segmenter.segment`.
        refine: What follows the model, see `Segmenter.segment`.
    """

    threshold: Threshold = "auto"
    allow_unknown: bool = False
    overwrite: bool = False
    recursive: bool = False
    scale: Scale = "auto"
    refine: str = AUTO


@dataclass(frozen=True)
class PhotoOutcome:
    """What became of one photo (or of a path or prompt that failed).

    Attributes:
        status: "done", "skipped" (the results lay there already) or "failed".
        source: The photo's path as it was given; None where a prompt failed.
        records: The manifest's lines about it, also of a photo that was skipped.
        error: What went wrong, as a sentence.
    """

    status: str
    source: str | None
    records: tuple[Record, ...] = ()
    error: str | None = None

    def failure(self) -> Record:
        """Return what is recorded of a photo, path or prompt that failed."""
        if self.source is None:
            return {"prompt": self.records[0]["prompt"][:LONGEST], "error": self.error}
        return {"source": self.source, "image_id": image_id_of(Path(self.source)), "error": self.error}


@dataclass(frozen=True)
class PlannedPhoto:
    """One photo of a run: its path, its folder below the results ("" for none) and its name there."""

    path: Path
    folder: str
    image_id: str


@dataclass(frozen=True)
class RunPlan:
    """Photos, prompts and a folder for the results, checked.

    Attributes:
        out: The folder for the results.
        settings: How photos are segmented.
        outputs: What is written for each photo and prompt, the mask first.
        manifest: What earlier runs left in the folder.
        prompts: The prompts that can be asked, each once.
        paths: The paths that photos were looked for in.
        items: The photos.
        refused: Outcomes of the paths and prompts that failed before any photo was read.
    """

    out: Path
    settings: RunSettings
    outputs: tuple[Output, ...]
    manifest: Manifest
    prompts: tuple[str, ...]
    paths: tuple[str, ...]
    items: tuple[PlannedPhoto, ...]
    refused: tuple[PhotoOutcome, ...]


def make_plan(
    bundle: RunnableBundle,
    paths: Sequence[str | os.PathLike[str]],
    prompts: Sequence[str],
    out: str | os.PathLike[str],
    settings: RunSettings | None = None,
    outputs: Sequence[Output] = (),
) -> RunPlan:
    """Find the photos and check the prompts, so that all that can fail early does.

    Args:
        bundle: The model; it says which prompts it understands.
        paths: Photos, folders and patterns.
        prompts: What to look for.
        out: The folder for the results; made where it is missing.
        settings: How.
        outputs: What is written beside the masks.

    Raises:
        OutputError: The folder cannot be made or written to.
        ConfigError: The threshold, the scale or the refinement is impossible.
    """
    chosen = settings or RunSettings()
    check_settings(chosen)
    folder = check_folder(out)
    manifest = Manifest(folder)
    askable, refused = split_refused(bundle, prompts, chosen.allow_unknown)
    kept_out = [folder, *(folder / output.folder for output in outputs if output.folder)]
    found = search_photos(paths, recursive=chosen.recursive, leave_out=kept_out, made_in=made_in)
    items, unplaced = place_photos(found, chosen.recursive)
    given = tuple(str(path) for path in paths)
    return RunPlan(folder, chosen, (MASK, *outputs), manifest, askable, given, items, (*refused, *unplaced))


def check_settings(settings: RunSettings) -> None:
    """Make sure that settings are possible.

    Raises:
        ConfigError: The threshold, the scale or the refinement is impossible.
    """
    check_threshold(settings.threshold)
    check_scale(settings.scale)
    if settings.refine != AUTO:
        Refinement.parse(settings.refine)


def split_refused(
    bundle: RunnableBundle, prompts: Sequence[str], allow_unknown: bool
) -> tuple[tuple[str, ...], tuple[PhotoOutcome, ...]]:
    """Part prompts into those that can be asked, each once, and outcomes of those that cannot."""
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
    """Give each photo that was found its place below the results; outcomes of what has none follow."""
    refused = [PhotoOutcome("failed", problem.source, (), str(problem)) for problem in found.problems]
    items, twice = _without_shared_names(_placed(found, recursive))
    return tuple(items), (*refused, *twice)


def _placed(found: FoundFiles, recursive: bool) -> list[PlannedPhoto]:
    """Give each photo its place: its own folder in a recursive run, else none as long as that will do."""
    items = [PlannedPhoto(path, found.folder_of(path), image_id_of(path)) for path in found.photos]
    folders: dict[str, set[str]] = {}
    for item in items:
        folders.setdefault(_folded(item.image_id), set()).add(item.folder)
    if recursive or any(len(each) > 1 for each in folders.values()):
        return items
    return [replace(item, folder="") for item in items]


def _folded(name: str) -> str:
    """Bring names that some system takes for one to one form."""
    return unicodedata.normalize("NFC", name).casefold()


def _without_shared_names(items: list[PlannedPhoto]) -> tuple[list[PlannedPhoto], list[PhotoOutcome]]:
    """Leave out photos whose masks would bear one name (on a system that takes `A` and `a` for one)."""
    named: dict[str, list[PlannedPhoto]] = {}
    for item in items:
        named.setdefault(_folded(f"{item.folder}/{mask_files.base_name(item.image_id, 'x')}"), []).append(
            item
        )
    kept = [group[0] for group in named.values() if len(group) == 1]
    refused = []
    for group in (group for group in named.values() if len(group) > 1):
        others = " and ".join(str(item.path) for item in group[1:])
        problem = PhotoError(
            group[0].path, f"its masks would bear the same names as those of {others}", "rename one of them"
        )
        refused.append(PhotoOutcome("failed", str(group[0].path), (), str(problem)))
    return kept, refused
