"""Order unlabelled photos by how much a model would learn from their labels.

Three signals are combined: the uncertainty of the model, the disagreement between a photo and its mirror
image, and the distance to the nearest labelled photo. The signals have different units. Each signal is
therefore replaced by its rank among all photos (0 for the lowest, 1 for the highest), and the score of a
photo is the mean of its ranks. Copies of a labelled photo, or of a photo with a higher score, come last,
because their labels add little new information.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drywallqa.curation.learning_signals import (
    LearningSignals,
    PhotoFeatures,
    SignalReader,
    average_ranks,
    nearest_distances,
)
from drywallqa.curation.near_duplicates import find_pairs
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import (
    BackendError,
    ConfigError,
    DataError,
    MissingExtraError,
    PhotoError,
    UnknownPromptError,
)
from drywallqa.formats.annotations import source_photo
from drywallqa.imaging.morphology import group_links
from drywallqa.imaging.photo_search import search_photos
from drywallqa.inference.manifest import made_in
from drywallqa.inference.segmenter import Segmenter

TRAINED_ON = ("train", None)
"""Splits whose photos a model can be trained on. None means that a photo has no split."""

_COLUMNS = ("score", "uncertainty", "disagreement", "distance")


class Candidate(NamedTuple):
    """The path of a photo to read, and the name that all copies of its source photo share."""

    path: Path
    photograph: str


@dataclass(frozen=True)
class RankedPhoto:
    """An unlabelled photo with its score and the signals behind the score.

    Attributes:
        photo: Path of the photo.
        score: Mean of the ranks of its signals, 0–1.
        uncertainty: The larger of `mask_uncertainty` and `presence_uncertainty`.
        mask_uncertainty: See `LearningSignals`.
        presence_uncertainty: See `LearningSignals`.
        disagreement: See `LearningSignals`.
        distance: Cosine distance, 0–2, between the features of the photo and of the nearest labelled photo.
            None if no photo is labelled.
        copy_of: Path of a labelled or higher-scored copy of this photo. None if there is no such copy.
        quality: Remarks on defects of the photo.
    """

    photo: str
    score: float
    uncertainty: float
    mask_uncertainty: float
    presence_uncertainty: float
    disagreement: float
    distance: float | None
    copy_of: str | None = None
    quality: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ranking:
    """Unlabelled photos in the order in which to label them.

    Attributes:
        concept: The concept that is not labelled in these photos.
        model: Name and version of the model.
        photos: The photos, the most useful first.
        unlabelled: Number of unlabelled photos, including those that `first` removed.
        labelled: Number of labelled photos with which the photos were compared.
        failed: An error message for each photo that could not be read.
    """

    concept: str
    model: str
    photos: tuple[RankedPhoto, ...]
    unlabelled: int
    labelled: int
    failed: tuple[str, ...] = ()

    def first(self, limit: int | None) -> Ranking:
        """Return the ranking with only its first `limit` photos. None keeps all photos."""
        return replace(self, photos=self.photos[:limit])

    def to_json(self) -> dict[str, Any]:
        """Return the ranking as JSON data."""
        return asdict(self)

    def to_list(self) -> str:
        """Return the paths of the photos, one per line, with the most useful photo first."""
        return "".join(f"{photo.photo}\n" for photo in self.photos)

    def to_csv(self) -> str:
        """Return the ranking as CSV text, with the most useful photo in the first row."""
        stream = io.StringIO()
        writer = csv.DictWriter(stream, ["rank", *RankedPhoto.__dataclass_fields__], lineterminator="\n")
        writer.writeheader()
        for number, photo in enumerate(self.photos, 1):
            writer.writerow({"rank": number, **asdict(photo), "quality": " ".join(photo.quality)})
        return stream.getvalue()


def rank_photos(
    dataset: Dataset,
    concept: str,
    segmenter: Segmenter,
    folder: Path | None = None,
    *,
    recursive: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Ranking:
    """Order unlabelled photos by how much the model would learn from their labels.

    Args:
        dataset: The data set with the labelled photos. If `folder` is None, its photos without a label for
            the concept are ranked. Photos of the splits val and test are not used.
        concept: The concept to label.
        segmenter: The model. If it was trained on the unlabelled photos, their uncertainty is too low.
        folder: A folder of unlabelled photos. It must not be a data set.
        recursive: Whether to search the subfolders of `folder`.
        progress: Called with the number of finished photos and the total.

    Raises:
        UnknownPromptError: The model does not know the concept.
        ConfigError: `folder` is a data set.
        PhotoError: `folder` is missing or contains no photo.
        DataError: There is no unlabelled photo, or none can be read.
    """
    known = segmenter.bundle.concepts
    if concept not in known:
        named = ", ".join(f"'{name}'" for name in known)
        raise UnknownPromptError(
            f"the model {segmenter.bundle.name} does not know the concept '{concept}'; it knows {named}"
        )
    labelled = [_candidate(dataset, s) for s in dataset if s.split in TRAINED_ON and concept in s.labels]
    unlabelled, failed = _unlabelled(dataset, concept, folder, recursive)
    reader = SignalReader(segmenter, (dataset.concepts.get(concept) or (concept,))[0], concept)
    results = _read_all(reader, labelled, unlabelled, failed, progress)
    described = [(each, features) for each, signals, features in results if signals is None]
    measured = [(each, signals, features) for each, signals, features in results if signals is not None]
    if not measured:
        raise DataError(
            f"{folder or dataset.folder}: no unlabelled photo could be read; the first: {failed[0]}"
        )
    photos = _ordered(described, measured)
    model = f"{segmenter.bundle.name} {segmenter.bundle.version}"
    return Ranking(concept, model, tuple(photos), len(measured), len(described), tuple(failed))


def _candidate(dataset: Dataset, sample: Sample) -> Candidate:
    return Candidate(dataset.photo_path(sample), sample.photograph)


def _unlabelled(
    dataset: Dataset, concept: str, folder: Path | None, recursive: bool
) -> tuple[list[Candidate], list[str]]:
    """Return the unlabelled photos, and an error message for each path that cannot be read."""
    if folder is None:
        missing = [sample for sample in dataset if concept not in sample.labels]
        found = [_candidate(dataset, sample) for sample in missing if sample.split in TRAINED_ON]
        if not found:
            others = f" of train (there are {len(missing)} in other splits)" if missing else ""
            raise DataError(
                f"{dataset.folder}: every photo{others} has a label for '{concept}'; import photos without "
                "labels, or pass a folder of photos"
            )
        return found, []
    if (folder / "dataset.json").is_file():
        raise ConfigError(f"{folder}: is a data set; pass it as the only argument to rank its own photos")
    search = search_photos([folder], recursive=recursive, made_in=made_in)
    if not search.photos and search.problems:
        raise search.problems[0]
    photos = [Candidate(path, f"{path.parent}/{source_photo(path.stem)}") for path in search.photos]
    return photos, [str(problem) for problem in search.problems]


def _read_all(
    reader: SignalReader,
    labelled: Sequence[Candidate],
    unlabelled: Sequence[Candidate],
    failed: list[str],
    progress: Callable[[int, int], None] | None,
) -> list[tuple[Candidate, LearningSignals | None, PhotoFeatures]]:
    """Run the model on all photos, and add error messages to `failed`. Labelled photos get no signals."""
    results: list[tuple[Candidate, LearningSignals | None, PhotoFeatures]] = []
    total = len(labelled) + len(unlabelled)
    for done, each in enumerate((*labelled, *unlabelled), 1):
        try:
            if done <= len(labelled):
                results.append((each, None, reader.describe(each.path)))
            else:
                results.append((each, *reader.measure(each.path)))
        except (PhotoError, MissingExtraError, BackendError) as error:
            failed.append(str(error))
        if progress:
            progress(done, total)
    return results


def _ordered(
    described: Sequence[tuple[Candidate, PhotoFeatures]],
    measured: Sequence[tuple[Candidate, LearningSignals, PhotoFeatures]],
) -> Iterator[RankedPhoto]:
    """Score the measured photos. Yield them from the most useful to the least useful, then the copies."""
    signals = [each for _, each, _ in measured]
    values: list[Any] = [[each.uncertainty for each in signals], [each.disagreement for each in signals]]
    distances = nearest_distances([f.features for *_, f in measured], [f.features for _, f in described])
    if described:
        values.append(distances)
    scores = np.mean([average_ranks(each) for each in values], axis=0)
    groups = _photograph_groups([*described, *((each, features) for each, _, features in measured)])
    first = {int(groups[place]): str(each.path) for place, (each, _) in reversed([*enumerate(described)])}
    order = sorted(range(len(measured)), key=lambda place: (-scores[place], str(measured[place][0].path)))
    copies: list[RankedPhoto] = []
    for place in order:
        candidate, each, _ = measured[place]
        group, path = int(groups[len(described) + place]), str(candidate.path)
        distance = float(distances[place]) if described else None
        ranked = _ranked(path, float(scores[place]), each, distance, first.get(group))
        first.setdefault(group, path)
        if ranked.copy_of:
            copies.append(ranked)
        else:
            yield ranked
    yield from copies


def _ranked(
    path: str, score: float, signals: LearningSignals, distance: float | None, copy_of: str | None
) -> RankedPhoto:
    return RankedPhoto(
        photo=path,
        score=round(score, 6),
        uncertainty=round(signals.uncertainty, 6),
        mask_uncertainty=round(signals.mask_uncertainty, 6),
        presence_uncertainty=round(signals.presence_uncertainty, 6),
        disagreement=round(signals.disagreement, 6),
        distance=None if distance is None else round(distance, 6),
        copy_of=copy_of,
        quality=signals.quality,
    )


def _photograph_groups(photos: Sequence[tuple[Candidate, PhotoFeatures]]) -> NDArray[np.int64]:
    """Return a group number for each photo [N]. Near-duplicates and copies of a source photo share it."""
    names = [each.photograph for each, _ in photos]
    first: dict[str, int] = {}
    links = [(place, first.setdefault(name, place)) for place, name in enumerate(names)]
    pairs = find_pairs(np.array([features.thumbnail for _, features in photos]), names)
    return np.asarray(group_links(len(photos), [*links, *((p.first, p.second) for p in pairs)]), np.int64)


def ranking_lines(ranking: Ranking, shown: int) -> Iterator[str]:
    """Yield lines of text that list the first photos with their signals, and give the number of copies."""
    yield "rank  " + "  ".join(f"{name:>12}" for name in _COLUMNS) + "  photo"
    for number, photo in enumerate(ranking.photos[:shown], 1):
        values = (getattr(photo, name) for name in _COLUMNS)
        cells = "  ".join(f"{'-' if value is None else format(value, '.3f'):>12}" for value in values)
        remarks = [f"copy of {photo.copy_of}"] if photo.copy_of else []
        yield f"{number:4d}  {cells}  {'; '.join([photo.photo, *remarks, *photo.quality])}"
    if (more := ranking.unlabelled - min(shown, len(ranking.photos))) > 0:
        yield f"... and {more} more"
    copies = sum(photo.copy_of is not None for photo in ranking.photos)
    yield (
        f"{ranking.unlabelled} photos have no label for '{ranking.concept}'; {ranking.model} compared them "
        f"with {ranking.labelled} labelled photos"
    )
    if copies:
        yield f"{copies} of the {len(ranking.photos)} listed photos are copies, which come last"
