"""The common data set format: photos, one PNG mask per concept, and a manifest.

Layout of a data set folder::

    dataset.json      {"format_version": 1, "concepts": {"crack": ["segment crack", ...], ...}}
    manifest.jsonl    one line per photo, see `Sample`
    photos/SET/NAME   the photos, byte for byte as imported
    masks/CONCEPT/SET/NAME.png   {0, 255}, the photo's size as a viewer shows it
    ignored/CONCEPT/SET/NAME.png   like a mask: pixels that nobody labelled, only if there are any
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
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
class Sample:
    """One photo with its metadata and labels.

    Attributes:
        image_id: The whole stem of the photo's file, unique within its set.
        photo: Path of the photo, relative to the data set's folder.
        set_name: The export that the photo came from.
        source_photo: Name of the original photograph. All copies of a photograph have the same value.
        split: "train", "val", "test", any other word (never trained on), or None before splitting.
        setting: Where the photo was taken, if known.
        height: Photo height in px, as a viewer shows it.
        width: Photo width in px.
        labels: Concept → mask path relative to the folder, or None if the concept is known to be absent. A
            concept without an entry was not labelled: its ground truth is unknown.
        notes: Descriptions of what the import dropped or repaired.
        incomplete: Concepts with a mask, of which an annotation was lost in the import.
        ignored: Concept → path of the mask of pixels that nobody labelled. Neither training nor figures use
            these pixels.
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

    @property
    def key(self) -> str:
        """The photo's name, unique within the data set."""
        return f"{self.set_name}/{self.image_id}"

    @property
    def photograph(self) -> str:
        """The photograph's name, unique within the data set."""
        return f"{self.set_name}/{self.source_photo}"

    @property
    def rendered(self) -> bool:
        """Whether the image was rendered rather than photographed, according to the name of its set."""
        return self.set_name.startswith("rendered")

    def to_json(self) -> dict[str, Any]:
        """Convert the sample to the data of a manifest line."""
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
        data |= {"incomplete": list(self.incomplete)} if self.incomplete else {}
        return data | ({"ignored": dict(self.ignored)} if self.ignored else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sample:
        """Create a sample from the data of a manifest line."""
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
        )


@dataclass(frozen=True)
class Dataset:
    """A folder of photos with masks, and the phrasings of each concept.

    Attributes:
        folder: Folder of the data set.
        samples: The photos.
        concepts: Concept → its phrasings. Templates such as `[thin|exact] line of the seam` are expanded on
            construction.
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
        """Return a SHA-256 of the data set's metadata and the size of each file.

        Pixels are not read, since reading them would take minutes. The digest does not change if a file is
        replaced by a file of equal size.
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
        """Return the data set with only the samples of these splits."""
        return replace(self, samples=tuple(s for s in self.samples if s.split in splits))

    def with_samples(self, samples: Iterable[Sample]) -> Dataset:
        """Return the same data set with other samples."""
        return replace(self, samples=tuple(samples))

    def photo_path(self, sample: Sample) -> Path:
        """Return the path of the sample's photo."""
        return self.folder / sample.photo

    def read_photo(self, sample: Sample) -> NDArray[np.uint8]:
        """Read the sample's photo as RGB uint8 [H,W,3]."""
        return photos.read_photo(self.photo_path(sample))

    def read_mask(self, sample: Sample, concept: str) -> NDArray[np.bool_]:
        """Read the ground truth of a concept as boolean [H,W]; all False if it is known to be absent.

        Raises:
            DataError: The concept was not labelled in this photo, or the mask has a different size.
        """
        if concept not in sample.labels:
            raise DataError(f"{sample.photo}: '{concept}' was not labelled in this photo")
        name = sample.labels[concept]
        if name is None:
            return np.zeros((sample.height, sample.width), np.bool_)
        return self._read_layer(sample, name)

    def read_ignored(self, sample: Sample, concept: str) -> NDArray[np.bool_] | None:
        """Read the pixels that nobody labelled for a concept as boolean [H,W]; None if there are none.

        Raises:
            DataError: The file has a different size than the photo.
        """
        name = sample.ignored.get(concept)
        return None if name is None else self._read_layer(sample, name)

    def _read_layer(self, sample: Sample, name: str) -> NDArray[np.bool_]:
        mask = mask_files.read_mask(self.folder / name)
        if mask.shape != (sample.height, sample.width):
            raise DataError(
                f"{name}: the mask is {mask.shape[1]}×{mask.shape[0]} px but its photo "
                f"{sample.width}×{sample.height}; import the data set again"
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
            f"{root / 'dataset.json'}: format {head.get('format_version')} is not known to this version "
            f"(it reads {FORMAT_VERSION}); import the data set again"
        )
    samples = []
    for number, line in lines:
        try:
            if line is None:
                raise ValueError("cut off, or no JSON object")
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
    """Write `dataset.json` and the manifest, each atomically. Photos and masks must already exist."""
    head = {
        "format_version": FORMAT_VERSION,
        "concepts": {name: list(phrases) for name, phrases in dataset.concepts.items()},
    }
    lines = b"".join(json_bytes(sample.to_json(), None) for sample in dataset.samples)
    write_whole(dataset.folder / MANIFEST, lines)
    write_whole(dataset.folder / "dataset.json", json_bytes(head))
