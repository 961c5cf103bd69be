"""The common data set format: photos, one PNG mask per concept and photo, and a manifest.

Layout of a data set folder::

    dataset.json      {"format_version": 1, "concepts": {"crack": ["segment crack", ...], ...}}
    manifest.jsonl    one line per photo, see `Sample`
    photos/SET/NAME   the photos, byte for byte as imported
    masks/CONCEPT/SET/NAME.png   values {0, 255}, the photo's size after the EXIF rotation
    ignored/CONCEPT/SET/NAME.png   pixels that nobody labelled, if the photo has any
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import DataError
from drywallqa.files import json_bytes, read_json_lines, write_whole
from drywallqa.imaging import mask_files, photos
from drywallqa.text.phrase_bank import phrases_of

FORMAT_VERSION = 1
MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Correction:
    """A correction made to one label after the import.

    Attributes:
        concept: The concept whose label was replaced.
        by: The person who corrected the label; empty if unknown.
        at: Time of the correction, ISO 8601.
        source: The annotation file, and the line or id in it.
    """

    concept: str
    by: str
    at: str
    source: str


@dataclass(frozen=True)
class Sample:
    """One photo with its metadata and labels.

    Attributes:
        image_id: The photo's file name without its suffix, unique within its set.
        photo: Path of the photo, relative to the data set's folder.
        set_name: The export that the photo came from.
        source_photo: Name of the source photo. All copies of a source photo have the same value.
        split: "train", "val" or "test". Training does not use photos with any other value. None if the data
            set has not been split yet.
        setting: Where the photo was taken, if known.
        height: Photo height in px, after the EXIF rotation is applied.
        width: Photo width in px, after the EXIF rotation is applied.
        labels: Concept → path of its mask, relative to the data set's folder, or None if the photo does not
            show the concept. If a concept has no entry, its ground truth is unknown.
        notes: Descriptions of the annotations that the import dropped or repaired.
        incomplete: Concepts whose mask lacks an annotation that the import could not use.
        ignored: Concept → path of a mask that marks pixels that nobody labelled. Training and metrics ignore
            these pixels.
        corrections: Later changes of the labels, the oldest first.
    """

    image_id: str
    photo: str
    set_name: str
    source_photo: str
    height: int
    width: int
    labels: Mapping[str, str | None]
    split: str | None = None
    setting: str | None = None
    notes: tuple[str, ...] = ()
    incomplete: tuple[str, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)
    corrections: tuple[Correction, ...] = ()

    @property
    def key(self) -> str:
        """The photo's name, unique within the data set."""
        return f"{self.set_name}/{self.image_id}"

    @property
    def photograph(self) -> str:
        """The name of the source photo, unique within the data set."""
        return f"{self.set_name}/{self.source_photo}"

    @property
    def rendered(self) -> bool:
        """Whether the image was rendered, according to the name of its set."""
        return self.set_name.startswith("rendered")

    def to_json(self) -> dict[str, Any]:
        """Convert the sample to JSON data for a line of the manifest."""
        data = {
            "image_id": self.image_id,
            "photo": self.photo,
            "set": self.set_name,
            "source_photo": self.source_photo,
            "split": self.split,
            "setting": self.setting,
            "height": self.height,
            "width": self.width,
            "labels": dict(self.labels),
            "notes": list(self.notes),
        }
        optional = {
            "ignored": dict(self.ignored),
            "incomplete": list(self.incomplete),
            "corrections": [asdict(each) for each in self.corrections],
        }
        return data | {key: value for key, value in optional.items() if value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sample:
        """Create a sample from the JSON data of a manifest line."""
        return cls(
            image_id=str(data["image_id"]),
            photo=str(data["photo"]),
            set_name=str(data["set"]),
            source_photo=str(data["source_photo"]),
            split=data.get("split"),
            setting=data.get("setting"),
            height=int(data["height"]),
            width=int(data["width"]),
            labels=dict(data["labels"]),
            notes=tuple(data.get("notes", ())),
            incomplete=tuple(data.get("incomplete", ())),
            ignored=dict(data.get("ignored", {})),
            corrections=tuple(Correction(**each) for each in data.get("corrections", ())),
        )


@dataclass(frozen=True)
class Dataset:
    """A folder of photos with masks, and the phrasings of each concept.

    Attributes:
        folder: Folder of the data set.
        samples: The photos.
        concepts: Concept → phrasings of the concept. The constructor expands templates such as
            `[thin|exact] line of the seam`.
    """

    folder: Path
    samples: tuple[Sample, ...]
    concepts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        written_out = {name: tuple(phrases_of(lines)) for name, lines in self.concepts.items()}
        object.__setattr__(self, "concepts", written_out)

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def digest(self) -> str:
        """Return a SHA-256 hash of the data set's metadata and file sizes.

        The files' contents are not read, because this would take minutes. Therefore, the hash does not change
        if a file is replaced by another file of the same size.
        """
        digest = hashlib.sha256(json.dumps({c: list(p) for c, p in self.concepts.items()}).encode())
        for sample in sorted(self, key=lambda sample: sample.photo):
            sizes = []
            for name in (sample.photo, *filter(None, sample.labels.values()), *sample.ignored.values()):
                path = self.folder / name
                sizes.append(path.stat().st_size if path.is_file() else -1)
            digest.update(json.dumps([sample.to_json(), sizes], sort_keys=True).encode())
        return digest.hexdigest()

    def part(self, *splits: str) -> Dataset:
        """Return a data set that contains only the samples of the given splits."""
        return replace(self, samples=tuple(s for s in self.samples if s.split in splits))

    def with_samples(self, samples: Iterable[Sample]) -> Dataset:
        """Return a copy of the data set with the given samples."""
        return replace(self, samples=tuple(samples))

    def photo_path(self, sample: Sample) -> Path:
        """Return the path of the sample's photo."""
        return self.folder / sample.photo

    def read_photo(self, sample: Sample) -> NDArray[np.uint8]:
        """Read the sample's photo as RGB uint8 [H,W,3]."""
        return photos.read_photo(self.photo_path(sample))

    def read_mask(self, sample: Sample, concept: str) -> NDArray[np.bool_]:
        """Read a concept's ground-truth mask [H,W]. The mask is all False if the concept is absent.

        Raises:
            DataError: The concept was not labelled in this photo, or the mask and the photo differ in size.
        """
        if concept not in sample.labels:
            raise DataError(f"{sample.photo}: '{concept}' was not labelled in this photo")
        name = sample.labels[concept]
        if name is None:
            return np.zeros((sample.height, sample.width), np.bool_)
        return self._read_layer(sample, name)

    def read_ignored(self, sample: Sample, concept: str) -> NDArray[np.bool_] | None:
        """Read the mask [H,W] of pixels that nobody labelled for a concept. Return None if there are none.

        Raises:
            DataError: The file has a different size than the photo.
        """
        name = sample.ignored.get(concept)
        return None if name is None else self._read_layer(sample, name)

    def _read_layer(self, sample: Sample, name: str) -> NDArray[np.bool_]:
        mask = mask_files.read_mask(self.folder / name)
        if mask.shape != (sample.height, sample.width):
            raise DataError(
                f"{name}: the mask is {mask.shape[1]}×{mask.shape[0]} px, but its photo is "
                f"{sample.width}×{sample.height} px; import the data set again"
            )
        return mask


def load_dataset(folder: str | Path) -> Dataset:
    """Open a data set folder that `drywallqa data import` wrote.

    Raises:
        DataError: The folder is not a data set, or its manifest is damaged.
    """
    root = Path(folder)
    try:
        head = json.loads((root / "dataset.json").read_text(encoding="utf-8"))
        lines = list(read_json_lines(root / MANIFEST))
        if not isinstance(head, dict):
            raise ValueError("dataset.json is not a JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{root}: not a data set ({error}); create one with: drywallqa data import EXPORT --out {root}"
        ) from error
    if head.get("format_version") != FORMAT_VERSION:
        raise DataError(
            f"{root / 'dataset.json'}: this version of drywallqa reads data set format {FORMAT_VERSION}, not "
            f"{head.get('format_version')}; import the data set again"
        )
    samples = []
    for number, line in lines:
        try:
            if line is None:
                raise ValueError("the line is truncated or not a JSON object")
            samples.append(Sample.from_json(line))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{root / MANIFEST}, line {number}: {error!r}; import again") from error
    try:
        concepts = {str(name): tuple(map(str, phrases)) for name, phrases in head["concepts"].items()}
    except (KeyError, AttributeError, TypeError) as error:
        raise DataError(
            f"{root / 'dataset.json'}: 'concepts' is missing or not a mapping of lists; import again"
        ) from error
    return Dataset(root, tuple(samples), concepts)


def save_dataset(dataset: Dataset) -> None:
    """Write `dataset.json` and the manifest atomically. Photos and masks must already exist."""
    head = {
        "format_version": FORMAT_VERSION,
        "concepts": {name: list(phrases) for name, phrases in dataset.concepts.items()},
    }
    lines = b"".join(json_bytes(sample.to_json(), None) for sample in dataset.samples)
    write_whole(dataset.folder / MANIFEST, lines)
    write_whole(dataset.folder / "dataset.json", json_bytes(head))
