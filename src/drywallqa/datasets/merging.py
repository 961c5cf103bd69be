"""Merge corrected labels from an export into the photos that a data set already contains.

The corrected labels replace the old ones, and the data set records who changed them and when. A photo keeps
its split, even if the export puts the photo into another split.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from drywallqa.datasets.concepts import ConceptMap
from drywallqa.datasets.dataset import Correction, Dataset, Sample, load_dataset, save_dataset
from drywallqa.datasets.importing import ImportOptions, ImportResult, turned_problem
from drywallqa.datasets.photo_labels import LabelledPhoto, PhotoLabels, label_photo, unite_entries
from drywallqa.datasets.set_files import write_ignored, write_labels
from drywallqa.errors import ConfigError, DataError
from drywallqa.files import file_digest
from drywallqa.formats import exports, problems
from drywallqa.formats.annotations import Export
from drywallqa.formats.problems import Problem
from drywallqa.imaging import photos
from drywallqa.imaging.mask_files import safe_stem

Progress = Callable[[int, int], None]


def merge_export(
    source: str | Path,
    out: str | Path,
    options: ImportOptions,
    by: str = "",
    progress: Progress | None = None,
) -> ImportResult:
    """Replace labels in a data set with the labels of an export.

    A photo of the export is matched to the data set by its content, or by its name if the export has no
    photos. In each photo, the export replaces only the labels of concepts that it marks or declares absent.

    Args:
        source: Path of the export, which is a folder or a zip file.
        out: The data set's folder.
        options: The mapping of classes to concepts, and other options.
        by: Name of the person who corrected the labels. It is used for annotations that do not name their
            author.
        progress: Called with the number of finished photos and the total.

    Returns:
        The data set, and the samples with new labels.

    Raises:
        ConfigError: A class has no concept, or an option does not apply to a merge.
        DataError: The data set or the export cannot be read, no photo of the export is in the data set, or
            `strict` is True and the export has a problem.
    """
    if options.replace_set or options.set_name or options.phrasings:
        raise ConfigError("--merge changes labels only; leave out --replace, --set and --phrasings")
    folder = Path(out)
    known = load_dataset(folder)
    read = replace(options.read, photos=folder / "photos")
    with (
        exports.opened_export(source, options.layout, read) as export,
        tempfile.TemporaryDirectory(dir=folder, prefix=".merge-") as stage,
    ):
        concepts = ConceptMap.parse(options.concepts, options.absent, export)
        work = _Merge(known, export, concepts, options, Path(stage))
        changed = work.run(by, progress)
        if not changed:
            first = f"; first problem: {work.found[0]}" if work.found else ""
            raise DataError(f"{source}: no photo of this export has labels and is in {folder}{first}")
        for path in sorted(Path(stage).rglob("*.png")):
            target = folder / path.relative_to(stage)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
        dataset = known.with_samples(changed.get(sample.photo, sample) for sample in known)
        phrasings = {name: (f"segment {name}",) for name in concepts.concepts()}
        dataset = replace(dataset, concepts=phrasings | dict(known.concepts))
        save_dataset(dataset)
    for path in _mask_files(known) - _mask_files(dataset):
        path.unlink(missing_ok=True)
    return ImportResult(dataset, tuple(changed.values()), concepts.concepts(), tuple(work.found))


def _mask_files(dataset: Dataset) -> set[Path]:
    """Return the paths of all masks that a data set's manifest names."""
    return {
        dataset.folder / name
        for sample in dataset
        for name in (*filter(None, sample.labels.values()), *sample.ignored.values())
    }


class _Merge:
    """Matches the photos of an export with the samples of a data set, and writes their new masks."""

    def __init__(
        self, known: Dataset, export: Export, concepts: ConceptMap, options: ImportOptions, stage: Path
    ) -> None:
        self.known = known
        self.export = export
        self.concepts = concepts
        self.options = options
        self.stage = stage
        united, split_problems = unite_entries(export)
        self.photos = [photo for photo in united if any(entry.source for entry in photo.entries)]
        self.found = [problem for problem in export.problems if problem.kind != problems.MISSING_LABELS]
        self.found += split_problems
        self._by_path = {known.photo_path(sample).resolve(): sample for sample in known}
        self._by_content: dict[str, list[Sample]] = defaultdict(list)

    def run(self, by: str, progress: Progress | None) -> dict[str, Sample]:
        """Write the new masks, and return the changed samples, keyed by photo path."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        changed: dict[str, Sample] = {}
        turned = []
        pairs = self._pairs()
        for number, (sample, photo) in enumerate(pairs, 1):
            self._stop_if_strict()
            read = photos.read_noted_photo(self.known.photo_path(sample))
            labels = label_photo(photo, sample.height, sample.width, read.orientation, self.options.exif)
            self.found += labels.problems
            turned += [photo.name] if labels.orientation_unknown else []
            changed[sample.photo] = self._relabel(sample, photo, labels, Correction("", by, at, ""))
            if progress:
                progress(number, len(pairs))
        self.found += [turned_problem(turned)] if turned else []
        self._stop_if_strict()
        return changed

    def _pairs(self) -> list[tuple[Sample, LabelledPhoto]]:
        """Pair each sample with its photo in the export. The labels of a photo's copies are merged."""
        pairs: dict[str, tuple[Sample, LabelledPhoto]] = {}
        for photo in self.photos:
            sample = self._sample_of(photo)
            if sample is None:
                continue
            if photo.split and sample.split and photo.split != sample.split:
                text = f"the export puts this photo into {photo.split}; it stays in {sample.split}"
                self.found.append(Problem(problems.TWO_SPLITS, photo.name, "", text))
            first = pairs[sample.photo][1] if sample.photo in pairs else None
            united = replace(first, entries=(*first.entries, *photo.entries)) if first else photo
            pairs[sample.photo] = sample, united
        return list(pairs.values())

    def _stop_if_strict(self) -> None:
        if self.options.strict and self.found:
            raise DataError(f"{self.found[0]} (--strict: nothing was merged)")

    def _sample_of(self, photo: LabelledPhoto) -> Sample | None:
        """Find a photo's sample by path or content. Report a problem if not exactly one sample matches."""
        if sample := self._by_path.get(photo.path.resolve()):
            return sample
        if not self._by_content:
            for sample in self.known:
                if self.known.photo_path(sample).is_file():
                    self._by_content[file_digest(self.known.photo_path(sample))].append(sample)
        equal = self._by_content.get(file_digest(photo.path), [])
        named = [sample for sample in equal if sample.image_id == safe_stem(photo.path.stem)]
        if len(equal) == 1 or len(named) == 1:
            return named[0] if len(named) == 1 else equal[0]
        text = "the data set has this photo twice" if equal else "the data set does not have this photo"
        problem = Problem(problems.MISSING_PHOTO, photo.name, "", f"{text}; its labels are skipped")
        self.found.append(problem)
        return None

    def _relabel(
        self, sample: Sample, photo: LabelledPhoto, labels: PhotoLabels, correction: Correction
    ) -> Sample:
        """Return a sample with its new labels from the export, and record who corrected them."""
        # New files have new names, so that the old manifest stays valid until the new one replaces it.
        stem = f"{sample.image_id}.v{len(sample.corrections) + 2}"
        new = write_labels(labels, self.concepts, self.stage, sample.set_name, stem)
        author = next((entry for entry in reversed(photo.entries) if entry.author), None)
        corrections = tuple(
            replace(
                correction,
                concept=concept,
                by=author.author if author else correction.by,
                at=(author.changed if author else "") or correction.at,
                source=photo.entries[-1].source,
            )
            for concept in new
        )
        ignored = write_ignored(labels, self.concepts, self.stage, sample.set_name, stem)
        kept_ignored = {name: path for name, path in sample.ignored.items() if name not in new}
        kept = [concept for concept in sample.incomplete if concept not in new]
        return replace(
            sample,
            labels={**sample.labels, **new},
            incomplete=(*kept, *self.concepts.incomplete(labels)),
            ignored=kept_ignored | ignored,
            corrections=(*sample.corrections, *corrections),
        )
