"""Import an export into a data set: map classes to concepts, and convert annotations to masks."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from drywallqa.datasets.concepts import ConceptMap, read_phrasings
from drywallqa.datasets.dataset import Dataset, Sample, load_dataset
from drywallqa.datasets.photo_labels import (
    EXIF_CHOICES,
    LabelledPhoto,
    label_photo,
    unite_entries,
)
from drywallqa.datasets.set_files import PROBLEMS_FOLDER, install_set, write_ignored, write_labels
from drywallqa.errors import ConfigError, DataError, DrywallQAError
from drywallqa.files import check_folder, json_bytes, write_whole
from drywallqa.formats import exports, problems
from drywallqa.formats.annotations import Export, ReadOptions, source_photo
from drywallqa.formats.problems import Problem
from drywallqa.imaging import photos
from drywallqa.imaging.mask_files import free_name, safe_stem

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ImportResult:
    """The result of an import.

    Attributes:
        dataset: The data set after the import, with all its sets.
        added: The imported samples.
        concepts: The concepts of this import.
        problems: The problems found.
    """

    dataset: Dataset
    added: tuple[Sample, ...]
    concepts: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def losses(self) -> int:
        """The number of problems that caused the loss of a label, part of a label, or a photo."""
        return sum(problem.is_loss for problem in self.problems)

    def label_counts(self) -> list[str]:
        """For each concept, count the photos in which it is marked, absent or unknown."""
        lines = []
        for concept in self.concepts:
            known = [sample.labels[concept] for sample in self.added if concept in sample.labels]
            marked = sum(mask is not None for mask in known)
            partial = sum(concept in sample.incomplete for sample in self.added)
            incomplete = f" ({partial} incomplete)" if partial else ""
            counts = f"{marked} marked{incomplete}, {len(known) - marked} absent"
            lines.append(f"'{concept}': {counts}, {len(self.added) - len(known)} unknown")
        return lines


@dataclass(frozen=True)
class ImportOptions:
    """Options of an import.

    Attributes:
        concepts: "CLASS=CONCEPT" or "CLASS=ignore" for each class.
        absent: Concepts that no photo of this export shows.
        set_name: Name of the set, or None to use the name of the export.
        phrasings: A text file with phrasings, in the format that `concepts.read_phrasings` reads.
        layout: One of `exports.LAYOUTS`.
        strict: Whether the first problem of the export raises an error.
        replace_set: Whether to replace an existing set of the same name.
        exif: One of `photo_labels.EXIF_CHOICES`.
        read: Options for reading the export's files.
    """

    concepts: Sequence[str]
    absent: Sequence[str] = ()
    set_name: str | None = None
    phrasings: Path | None = None
    layout: str = "auto"
    strict: bool = False
    replace_set: bool = False
    exif: str = "auto"
    read: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        if self.exif not in EXIF_CHOICES:
            raise ConfigError(f"--exif {self.exif} is unknown; use one of {', '.join(EXIF_CHOICES)}")


def import_export(
    source: str | Path, out: str | Path, options: ImportOptions, progress: Progress | None = None
) -> ImportResult:
    """Import an export as a new set of a data set.

    Args:
        source: Path of the export, which is a folder or a zip file.
        out: The folder of the data set. It is created if it does not exist.
        options: The mapping of classes to concepts, and other options.
        progress: Called with the number of finished photos and the total.

    Raises:
        ConfigError: A class has no concept, or the set already exists.
        DataError: The export cannot be read, or `strict` is True and the export has a problem.
    """
    folder = Path(out)
    known = load_dataset(folder) if (folder / "dataset.json").exists() else Dataset(folder, ())
    name = set_folder_name(options.set_name or Path(source).resolve().stem)
    if any(sample.set_name == name for sample in known) and not options.replace_set:
        raise ConfigError(f"{folder}: already has a set '{name}'; pass another --set, or --replace")
    phrasings = read_phrasings(options.phrasings) if options.phrasings else {}
    with exports.opened_export(source, options.layout, options.read) as export:
        concepts = ConceptMap.parse(options.concepts, options.absent, export)
        united = _phrasings(known, concepts, phrasings)  # checked before an old set is removed
        check_folder(folder)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".import-") as stage:
            work = _Import(export, concepts, name, Path(stage), options)
            samples = work.run(progress)
            if not samples:
                raise DataError(f"{source}: no photo could be imported; first problem: {work.found[0]}")
            kept = [sample for sample in known if sample.set_name != name]
            dataset = replace(known.with_samples([*kept, *samples]), concepts=united)
            install_set(Path(stage), dataset, name)
    return ImportResult(dataset, tuple(samples), concepts.concepts(), tuple(work.found))


def set_folder_name(name: str) -> str:
    """Convert a set name to a safe folder name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip(".") or "set"


def _phrasings(
    known: Dataset, concepts: ConceptMap, given: Mapping[str | None, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Merge existing and given phrasings. By default, a concept has the phrasing "segment CONCEPT"."""
    result = dict(known.concepts)
    targets = concepts.concepts()
    strangers = [name for name in given if name is not None and name not in {*targets, *result}]
    if strangers:
        raise ConfigError(
            f"the file has phrasings for '{strangers[0]}', but this import has only: {', '.join(targets)}"
        )
    if None in given and len(targets) != 1:
        raise ConfigError(
            "the file has phrasings without a [concept] line above them, but this import has several "
            "concepts; add a [concept] line"
        )
    for concept in targets:
        own = given.get(concept, ()) + (given.get(None, ()) if len(targets) == 1 else ())
        before = result.get(concept, ())
        result[concept] = tuple(dict.fromkeys([*before, *own])) or (f"segment {concept}",)
    return result


class _Import:
    """Converts the photos and annotations of one export to samples."""

    def __init__(
        self, export: Export, concepts: ConceptMap, name: str, stage: Path, options: ImportOptions
    ) -> None:
        self.export = export
        self.concepts = concepts
        self.name = name
        self.stage = stage
        self.options = options
        self.photos, split_problems = unite_entries(export)
        self.found = [*export.problems, *split_problems]
        self._turned: list[str] = []
        self._stems: set[str] = set()

    def run(self, progress: Progress | None) -> list[Sample]:
        self._stop_if_strict()
        (self.stage / "photos" / self.name).mkdir(parents=True)
        samples = []
        for number, photo in enumerate(self.photos, 1):
            sample = self._take(photo)
            self._stop_if_strict()
            if sample:
                samples.append(sample)
            if progress:
                progress(number, len(self.photos))
        if self._turned:
            self.found.append(turned_problem(self._turned))
            self._stop_if_strict()
        lines = b"".join(json_bytes(problem.to_json(), None) for problem in self.found)
        write_whole(self.stage / PROBLEMS_FOLDER / f"{self.name}.jsonl", lines)
        return samples

    def _stop_if_strict(self) -> None:
        if self.options.strict and self.found:
            raise DataError(f"{self.found[0]} (--strict: nothing was imported)")

    def _take(self, photo: LabelledPhoto) -> Sample | None:
        """Copy one photo, write its masks, and return its sample, or None if the photo cannot be read."""
        before = len(self.found)
        try:
            read = photos.read_noted_photo(photo.path)
        except (DrywallQAError, OSError, ValueError) as error:
            text = str(error).replace(f"{photo.path}: ", "")
            self.found.append(Problem(problems.UNREADABLE, photo.name, "", f"{text}; the photo is skipped"))
            return None
        self.found += [Problem(problems.PHOTO_NOTE, photo.name, "", note) for note in read.notes]
        height, width = read.pixels.shape[:2]
        labels = label_photo(photo, height, width, read.orientation, self.options.exif)
        self.found += labels.problems
        self._turned += [photo.name] if labels.orientation_unknown else []
        own = [problem for problem in self.export.problems if problem.file == photo.name]
        own += self.found[before:]
        stem = self._unique(safe_stem(photo.path.stem))
        target = self.stage / "photos" / self.name / f"{stem}{photo.path.suffix.lower()}"
        shutil.copyfile(photo.path, target)
        return Sample(
            image_id=stem,
            photo=target.relative_to(self.stage).as_posix(),
            set_name=self.name,
            source_photo=source_photo(photo.path.stem),
            height=height,
            width=width,
            labels=write_labels(labels, self.concepts, self.stage, self.name, stem),
            split=photo.split,
            notes=tuple(
                f"{problem.kind}: {problem.where or problem.file}: {problem.text}" for problem in own
            ),
            incomplete=self.concepts.incomplete(labels),
            ignored=write_ignored(labels, self.concepts, self.stage, self.name, stem),
        )

    def _unique(self, stem: str) -> str:
        """Return the file stem. If the set already has this stem (ignoring case), add a number."""
        name = free_name(stem, lambda candidate: candidate.lower() not in self._stems)
        self._stems.add(name.lower())
        return name


def turned_problem(names: Sequence[str]) -> Problem:
    """Report photos with an EXIF rotation whose labels may refer to the stored or the viewed picture."""
    text = (
        f"EXIF turns {len(names)} photos (such as {names[0]}); their labels were read as drawn on the viewed "
        "picture; pass --exif viewed to confirm this, or --exif stored if they refer to the stored pixels"
    )
    return Problem(problems.TURNED, "", "", text)
