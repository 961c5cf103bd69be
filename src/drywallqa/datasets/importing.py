"""Import an export into a data set: map classes to concepts, and convert annotations to masks."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.datasets import exports, problems
from drywallqa.datasets.annotations import Export, LabelledPhoto, relative_name, source_photo
from drywallqa.datasets.concepts import ConceptMap, folder_name, read_phrasings
from drywallqa.datasets.dataset import Dataset, Sample, load_dataset, save_dataset
from drywallqa.datasets.geometry import GeometryError, fit_geometry, rasterise
from drywallqa.datasets.problems import Problem
from drywallqa.errors import ConfigError, DataError, DrywallQAError
from drywallqa.files import json_bytes, read_json_lines
from drywallqa.imaging import photos

Mask = NDArray[np.bool_]
Progress = Callable[[int, int], None]

PROBLEMS_FOLDER = "problems"


@dataclass(frozen=True)
class ImportResult:
    """The result of an import: the data set with all its sets, the added samples, and the problems."""

    dataset: Dataset
    added: tuple[Sample, ...]
    problems: tuple[Problem, ...]

    @property
    def failed_photos(self) -> int:
        """The number of photos that could not be imported."""
        return sum(problem.kind in {problems.MISSING_PHOTO, problems.UNREADABLE} for problem in self.problems)


@dataclass(frozen=True)
class ImportOptions:
    """Options of an import.

    Attributes:
        concepts: "CLASS=CONCEPT" or "CLASS=ignore", one per class.
        absent: Concepts that no photo of this export shows.
        set_name: Name of the set; None uses the name of the export.
        phrasings: A text file of phrasings, see `concepts.read_phrasings`.
        layout: One of `exports.LAYOUTS`.
        strict: Whether to raise an error at the first problem.
        replace_set: Whether to replace an existing set of the same name.
    """

    concepts: Sequence[str]
    absent: Sequence[str] = ()
    set_name: str | None = None
    phrasings: Path | None = None
    layout: str = "auto"
    strict: bool = False
    replace_set: bool = False


def import_export(
    source: str | Path, out: str | Path, options: ImportOptions, progress: Progress | None = None
) -> ImportResult:
    """Import an export into a data set folder, next to the existing sets.

    Args:
        source: The export: a folder or a zip.
        out: The data set's folder, new or existing.
        options: The mapping of classes to concepts, and other options.
        progress: Called with the number of finished photos and the total.

    Raises:
        ConfigError: A class has no concept, or the set exists.
        DataError: The export cannot be read, or (strict) has a problem.
    """
    folder = Path(out)
    known = load_dataset(folder) if (folder / "dataset.json").exists() else Dataset(folder, ())
    name = set_folder_name(options.set_name or Path(source).resolve().stem)
    if any(sample.set_name == name for sample in known) and not options.replace_set:
        raise ConfigError(f"{folder}: has a set '{name}' already; pass another --set, or --replace")
    phrasings = read_phrasings(options.phrasings) if options.phrasings else {}
    with exports.opened_export(source, options.layout) as export:
        concepts = ConceptMap.parse(options.concepts, options.absent, export)
        united = _phrasings(known, concepts, phrasings)  # checked before an old set is removed
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".import-") as stage:
            work = _Import(export, concepts, name, Path(stage), options.strict)
            samples = work.run(progress)
            if not samples:
                raise DataError(f"{source}: no photo could be imported; first problem: {work.found[0]}")
            _put_in_place(Path(stage), folder, name)
    kept = [sample for sample in known if sample.set_name != name]
    dataset = replace(known.with_samples([*kept, *samples]), concepts=united)
    save_dataset(dataset)
    return ImportResult(dataset, tuple(samples), tuple(work.found))


def set_folder_name(name: str) -> str:
    """Convert a set name to a safe folder name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip(".") or "set"


def _phrasings(
    known: Dataset, concepts: ConceptMap, given: Mapping[str | None, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Merge known and given phrasings; a concept without phrasings gets "segment" and its name."""
    result = dict(known.concepts)
    targets = concepts.concepts()
    strangers = [name for name in given if name is not None and name not in {*targets, *result}]
    if strangers:
        raise ConfigError(f"phrasings for '{strangers[0]}', but this import has only: {', '.join(targets)}")
    if None in given and len(targets) != 1:
        raise ConfigError(
            "phrasings without a [concept] above them, but more than one concept; add such lines"
        )
    for concept in targets:
        own = given.get(concept, ()) + (given.get(None, ()) if len(targets) == 1 else ())
        before = result.get(concept, ())
        result[concept] = tuple(dict.fromkeys([*before, *own])) or (f"segment {concept}",)
    return result


def _put_in_place(stage: Path, folder: Path, name: str) -> None:
    """Move the finished set from the staging folder to the data set; the manifest is written afterwards."""
    for old in [folder / "photos" / name, *(folder / "masks").glob(f"*/{name}")]:
        shutil.rmtree(old, ignore_errors=True)
    for path in [stage / "photos" / name, *sorted((stage / "masks").glob(f"*/{name}"))]:
        target = folder / path.relative_to(stage)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    target = folder / PROBLEMS_FOLDER / f"{name}.jsonl"
    target.parent.mkdir(parents=True, exist_ok=True)
    (stage / "problems.jsonl").replace(target)


class _Import:
    """Imports the photos of one export."""

    def __init__(self, export: Export, concepts: ConceptMap, name: str, stage: Path, strict: bool) -> None:
        self.export = export
        self.concepts = concepts
        self.name = name
        self.stage = stage
        self.strict = strict
        self.found = list(export.problems)
        self._stems: Counter[str] = Counter()

    def run(self, progress: Progress | None) -> list[Sample]:
        self._stop_if_strict()
        (self.stage / "photos" / self.name).mkdir(parents=True)
        samples = []
        for number, photo in enumerate(self.export.photos, 1):
            sample = self._take(photo)
            self._stop_if_strict()
            if sample:
                samples.append(sample)
            if progress:
                progress(number, len(self.export.photos))
        lines = b"".join(json_bytes(problem.to_json(), None) for problem in self.found)
        (self.stage / "problems.jsonl").write_bytes(lines)
        return samples

    def _stop_if_strict(self) -> None:
        if self.strict and self.found:
            raise DataError(f"{self.found[0]} (--strict: nothing was imported)")

    def _take(self, photo: LabelledPhoto) -> Sample | None:
        """Copy one photo, write its masks, and return its sample; None if the photo cannot be used."""
        file = relative_name(photo.path, self.export.root)
        try:
            height, width = photos.read_photo(photo.path).shape[:2]
        except (DrywallQAError, OSError, ValueError) as error:
            text = str(error).replace(f"{photo.path}: ", "")
            self.found.append(Problem(problems.UNREADABLE, file, "", f"{text}; the photo is skipped"))
            return None
        before = len(self.found)
        scale = declared_scale(photo, height, width)
        if scale is None and photo.declared_size:
            declared = f"{photo.declared_size[1]}×{photo.declared_size[0]}"
            text = f"annotated at {declared} px, but the photo is {width}×{height}"
            self.found.append(Problem(problems.SIZE, file, "", f"{text}; its annotations are dropped"))
        masks, uncertain = self._masks(photo, height, width, scale)
        own = [problem for problem in self.export.problems if problem.file == file] + self.found[before:]
        stem = self._unique(photo.path.stem)
        target = self.stage / "photos" / self.name / f"{stem}{photo.path.suffix.lower()}"
        shutil.copyfile(photo.path, target)
        labels = self._labels(masks, uncertain, stem, labelled=photo.labelled and scale is not None)
        return Sample(
            image_id=stem,
            photo=target.relative_to(self.stage).as_posix(),
            set_name=self.name,
            source_photo=source_photo(photo.path.stem),
            height=height,
            width=width,
            labels=labels,
            split=photo.split,
            notes=tuple(
                f"{problem.kind}: {problem.where or problem.file}: {problem.text}" for problem in own
            ),
        )

    def _masks(
        self, photo: LabelledPhoto, height: int, width: int, scale: tuple[float, float] | None
    ) -> tuple[dict[str, Mask], set[str]]:
        """Merge the masks of each concept; also return the concepts with dropped annotations."""
        united: dict[str, Mask] = {}
        uncertain = self.concepts.of_classes(photo.dropped)
        for shape in photo.shapes if scale else ():
            concept = self.concepts.by_class[shape.class_name]
            if concept is None:
                continue
            try:
                geometry, cropped = fit_geometry(shape.geometry, height, width, scale or (1.0, 1.0))
                mask = rasterise(geometry, height, width)
                if not mask.any():
                    raise GeometryError(problems.EMPTY, "marks no pixel; dropped")
            except GeometryError as error:
                self.found.append(shape.problem(error.kind, str(error)))
                uncertain.add(concept)
                continue
            if cropped:
                self.found.append(shape.problem(problems.OUTSIDE, cropped))
            united[concept] = united[concept] | mask if concept in united else mask
        return united, uncertain

    def _labels(
        self, masks: Mapping[str, Mask], uncertain: Iterable[str], stem: str, *, labelled: bool
    ) -> dict[str, str | None]:
        """Write the masks. Other concepts are absent unless labels are missing or shapes were dropped."""
        labels: dict[str, str | None] = {}
        for concept in self.concepts.mapped():
            if concept in masks:
                name = Path("masks") / folder_name(concept) / self.name / f"{stem}.png"
                write_mask(self.stage / name, masks[concept])
                labels[concept] = name.as_posix()
            elif labelled and concept not in set(uncertain):
                labels[concept] = None
        return labels | dict.fromkeys(self.concepts.absent)

    def _unique(self, stem: str) -> str:
        """Return the stem, with a number if the set already contains it (case-insensitive)."""
        candidate, number = stem, 1
        while self._stems[candidate.lower()]:
            number += 1
            candidate = f"{stem}--{number}"
        self._stems[candidate.lower()] += 1
        return candidate


def declared_scale(photo: LabelledPhoto, height: int, width: int) -> tuple[float, float] | None:
    """Return photo size / annotated size (vertical, horizontal); None if the aspect ratios differ."""
    if photo.declared_size is None:
        return (1.0, 1.0)
    vertical, horizontal = height / photo.declared_size[0], width / photo.declared_size[1]
    return (vertical, horizontal) if abs(vertical / horizontal - 1) < 0.02 else None


def write_mask(path: Path, mask: Mask) -> None:
    """Write a mask [H,W] as a PNG with the values {0, 255}."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(path, compress_level=4)


def read_problems(folder: Path) -> list[tuple[str, Problem]]:
    """Read the problems reported by all imports of a data set, as (set name, problem)."""
    found = []
    for path in sorted((folder / PROBLEMS_FOLDER).glob("*.jsonl")):
        for number, line in read_json_lines(path):
            try:
                if line is None:
                    raise ValueError("cut off, or no JSON object")
                found.append((path.stem, Problem(**line)))
            except (ValueError, TypeError) as error:
                raise DataError(f"{path}, line {number}: damaged ({error}); import the set again") from error
    return found
