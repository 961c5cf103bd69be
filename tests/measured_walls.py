"""A tiny data set, and a bundle without a trained model that finds red (cracks) and blue (seams) in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from drywallqa.bundle.bundle import Bundle, ConceptSettings, save_head
from drywallqa.datasets.dataset import Dataset, Sample, save_dataset
from drywallqa.errors import UnknownPromptError
from drywallqa.imaging import perceptual_hash
from drywallqa.imaging.letterbox import Letterbox

SIDE = 96
CONCEPTS = ("crack", "taping area")


def wall(seed: int, concept: str | None) -> tuple[np.ndarray, np.ndarray]:
    """A blotchy grey wall with a slanting red line or a blue band, and its truth."""
    generator = np.random.default_rng(seed)
    blotches = Image.fromarray(generator.integers(60, 190, (6, 6), np.uint8))
    grey = np.asarray(blotches.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    photo = np.repeat(grey[:, :, None], 3, axis=2).copy()
    row, column = np.mgrid[:SIDE, :SIDE]
    start = int(generator.integers(20, 50))
    if concept == "crack":
        truth = np.abs(row - start - column // 3) <= 1 + seed % 3
        photo[truth] = (220, 20, 20)
    elif concept == "taping area":
        truth = (row > start) & (row < start + 16)
        photo[truth] = (20, 20, 220)
    else:
        truth = np.zeros((SIDE, SIDE), bool)
    return photo, truth


def make_dataset(folder: Path, splits: tuple[str, ...] = ("train", "val", "test"), each: int = 4) -> Dataset:
    """Write `each` photos of either concept, of which two are one photograph, and one wall, to each split."""
    samples = []
    for number, split in enumerate(splits):
        for place, concept in enumerate([*CONCEPTS * each, None]):
            name = f"{split}-{place}"
            photo, truth = wall(100 * number + place, concept)
            paths = {"photo": f"photos/walls/{name}.png", "mask": f"masks/{name}.png"}
            for path, pixels in ((paths["photo"], photo), (paths["mask"], truth.astype(np.uint8) * 255)):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / path)
            labels = {c: paths["mask"] if c == concept else None for c in CONCEPTS}
            source = f"{split}-{0 if place == 2 else place}"
            sample = Sample(name, paths["photo"], "walls", source, SIDE, SIDE, labels, split, "AB"[place % 2])
            samples.append(sample)
    dataset = Dataset(folder, tuple(samples), {c: (f"segment {c}",) for c in CONCEPTS})
    save_dataset(dataset)
    return dataset


def resolve(prompt: str) -> str:
    for concept in CONCEPTS:
        if concept.split()[0] in prompt or concept in prompt:
            return concept
    raise UnknownPromptError(f'"{prompt}" means nothing known; it knows "crack" and "taping area"')


@dataclass
class ColourBackend:
    """Finds colours; `broken` are numbers of the calls that answer nan."""

    broken: tuple[int, ...] = ()
    shift: float = 0.0
    asked: int = 0
    channels: list[int] = field(default_factory=list)

    def encode_image(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        return (images,)

    def encode_prompts(self, prompts: Any) -> np.ndarray:
        return np.array([[float(resolve(p) == c) for c in CONCEPTS] for p in prompts], np.float32)

    def decode(self, features: Any, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        images = features[0]
        red = images[:, 0] - images[:, 1:].max(axis=1)
        blue = images[:, 2] - images[:, :2].max(axis=1)
        score = 4 * (np.stack([red, blue], axis=1) - 1.0) + self.shift
        logits = np.einsum("pd,bdhw->bphw", embeddings, score).astype(np.float32)
        if self.asked in self.broken:
            logits[0, 0, 0, 0] = np.nan
        self.asked += 1
        return logits, np.asarray(logits.max(axis=(2, 3)), np.float32)


class SpeckledBackend(ColourBackend):
    """Finds colours, and marks specks where there is nothing."""

    def decode(self, features: Any, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, presence = super().decode(features, embeddings)
        logits[:, :, 3:90:12, 3:90:12] = 9.0
        return logits, presence


@dataclass(frozen=True)
class ColourBundle(Bundle):
    """A bundle in every respect but its model."""

    backend: Any = None

    @property
    def text(self) -> Any:  # type: ignore[override]
        return SimpleNamespace(resolve=resolve)

    def open_backend(self, *_: Any, **__: Any) -> Any:
        return self.backend


def make_bundle(
    folder: Path, trained_on: Dataset | None = None, backend: Any = None, concepts: tuple[str, ...] = CONCEPTS
) -> ColourBundle:
    """Write a bundle's head and one file, and return it with a backend that finds colours."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.bin").write_bytes(b"weights")
    hashes = (
        [perceptual_hash.perceptual_hash(trained_on.read_photo(s)) for s in trained_on] if trained_on else [2]
    )
    settings = {c: ConceptSettings((c,), 0.5, 0.5, SIDE, native=c == "crack") for c in concepts}
    made = save_head(Bundle(folder, "colours", "1", Letterbox(SIDE), settings, training_hashes=tuple(hashes)))
    fields = {name: getattr(made, name) for name in made.__dataclass_fields__}
    return ColourBundle(**fields, backend=backend or ColourBackend())


def load_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


__all__ = ["ColourBackend", "SpeckledBackend", "load_json", "make_bundle", "make_dataset", "wall"]
