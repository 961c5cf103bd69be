"""Measure robustness to changed photos (light, rotation, blur, noise, scale) and to other phrasings."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from drywallqa.datasets.dataset import Dataset
from drywallqa.evaluation.measure import Mask
from drywallqa.evaluation.release_tests import MaskSource, Photo
from drywallqa.inference.segmenter import Segmenter
from drywallqa.metrics import Counts, mean_by_group

CLEAN = "clean"
ENOUGH = 0.85  # after a change, the IoU should reach at least this share of the IoU on clean photos
AGREEMENT = 0.95  # the masks of one photo for two phrasings should have at least this IoU
BLUR = 1.5  # standard deviation of the blur, in px at a photo size of 640 px
NOISE = 15.0  # standard deviation of the noise, in grey levels from 0 to 255

PHRASINGS = {
    "crack": (
        "segment crack",
        "segment wall crack",
        "hairline fissure in the plaster",
        "find the cracks",
        "cracked wall surface",
    ),
    "taping area": (
        "segment taping area",
        "segment joint/tape",
        "segment drywall seam",
        "where do two boards meet",
        "drywall joint",
    ),
}
"""Concept → phrasings whose masks are compared. Other concepts use the phrasings in the bundle."""


@dataclass(frozen=True)
class Perturbation:
    """A change that is applied to photos to test robustness.

    Attributes:
        name: The change's name in tables.
        photo: Changes a photo [H,W,3] and takes all random numbers from the generator.
        truth: Applies the same geometric change to a ground-truth mask [H,W].
    """

    name: str
    photo: Callable[[Photo, np.random.Generator], Photo]
    truth: Callable[[Mask], Mask] = lambda mask: mask


def _brightness(factor: float) -> Perturbation:
    return Perturbation(
        f"brightness {factor - 1:+.0%}", lambda photo, _: _grey_levels(photo.astype(np.float32) * factor)
    )


def _grey_levels(values: NDArray[Any]) -> Photo:
    return np.asarray(np.clip(values, 0, 255).astype(np.uint8))


def _blurred(photo: Photo, _: np.random.Generator) -> Photo:
    radius = BLUR * max(photo.shape[:2]) / 640
    return np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(radius)))


def _noisy(photo: Photo, generator: np.random.Generator) -> Photo:
    return _grey_levels(photo + generator.normal(0.0, NOISE, photo.shape).astype(np.float32))


def _compressed(photo: Photo, _: np.random.Generator) -> Photo:
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", quality=30)
    return np.asarray(Image.open(stream).convert("RGB"))


def _turned(quarters: int) -> Perturbation:
    return Perturbation(
        f"turned by {90 * quarters}°",
        lambda photo, _: np.ascontiguousarray(np.rot90(photo, quarters)),
        lambda mask: np.ascontiguousarray(np.rot90(mask, quarters)),
    )


def _scaled(name: str, factor: float) -> Perturbation:
    def resize(image: Image.Image, way: Image.Resampling) -> Photo:
        size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
        return np.asarray(image.resize(size, way))

    return Perturbation(
        name,
        lambda photo, _: resize(Image.fromarray(photo), Image.Resampling.BICUBIC),
        lambda mask: resize(Image.fromarray(mask.astype(np.uint8) * 255), Image.Resampling.BILINEAR) > 127,
    )


CHANGES = (
    _brightness(1.4),
    _brightness(0.6),
    Perturbation("blur", _blurred),
    Perturbation("noise", _noisy),
    Perturbation("JPEG 30", _compressed),
    _turned(1),
    _turned(2),
    _turned(3),
    _scaled("half scale", 0.5),
    _scaled("double scale", 2.0),
)


@dataclass(frozen=True)
class PhrasingAgreement:
    """Agreement between the masks of one photo for different phrasings of one concept.

    Attributes:
        phrasings: The phrasings that were compared.
        refused: Phrasings that were left out because the model did not map them to the concept.
        iou: Mean IoU over photos and pairs of phrasings. The IoU of two empty masks is 1.
        worst_pair: Mean IoU of the pair of phrasings whose masks agree least.
        steady_photos: Share of photos on which every pair of masks has an IoU of at least 0.95.
    """

    phrasings: tuple[str, ...]
    refused: tuple[str, ...]
    iou: float
    worst_pair: float
    steady_photos: float


@dataclass(frozen=True)
class Robustness:
    """The IoU on changed photos, and the agreement between phrasings.

    Attributes:
        photos: Number of photos that show a concept.
        ious: Concept → change → mean IoU over source photos. The key `CLEAN` maps to the IoU on unchanged
            photos.
        agreements: Concept → agreement between its phrasings.
    """

    photos: int
    ious: Mapping[str, Mapping[str, float]]
    agreements: Mapping[str, PhrasingAgreement]

    def share(self, concept: str, change: str) -> float:
        """Return the IoU after a change, divided by the IoU on clean photos."""
        return self.ious[concept][change] / max(self.ious[concept][CLEAN], 1e-9)


def measure_robustness(
    segmenter: Segmenter,
    dataset: Dataset,
    prompts: Mapping[str, str],
    *,
    phrasings: Mapping[str, Sequence[str]] = PHRASINGS,
    seed: int = 0,
) -> Robustness:
    """Measure the IoU after each change, and the agreement between phrasings.

    Args:
        segmenter: The model, with the settings that a user would run it with.
        dataset: Usually a val or test split. Photos that show no concept are left out.
        prompts: Concept → prompt.
        phrasings: Concept → phrasings to compare.
        seed: Seed of the noise.
    """
    shown = dataset.with_samples(s for s in dataset if any(s.labels.get(c) for c in prompts))
    ious = _measure_changes(segmenter, shown, prompts, seed)
    agreements = {}
    for concept in prompts:
        own = getattr(segmenter.bundle.concepts[concept], "phrasings", ())
        ways = tuple(phrasings.get(concept) or (concept, *own))
        agreements[concept] = _measure_agreement(segmenter, shown, concept, ways)
    return Robustness(len(shown), ious, agreements)


def _measure_changes(
    segmenter: Segmenter, shown: Dataset, prompts: Mapping[str, str], seed: int
) -> dict[str, dict[str, float]]:
    """Return concept → change → mean IoU over source photos."""
    sources = {concept: MaskSource(segmenter, {concept: prompt}) for concept, prompt in prompts.items()}
    changes = (Perturbation(CLEAN, lambda photo, _: photo), *CHANGES)
    ious = {c: {change.name: (list[float](), list[str]()) for change in changes} for c in prompts}
    for number, sample in enumerate(shown):
        photo = shown.read_photo(sample)
        truths = {c: shown.read_mask(sample, c) for c in prompts if sample.labels.get(c)}
        for change in changes:
            changed = change.photo(photo, np.random.default_rng([seed, number]))
            for concept, whole in truths.items():
                mask, truth = sources[concept].masks(changed)[concept], change.truth(whole)
                if (ignored := shown.read_ignored(sample, concept)) is not None:
                    known = ~change.truth(ignored)
                    mask, truth = mask & known, truth & known
                if truth.any():
                    values, photographs = ious[concept][change.name]
                    values.append(Counts.of(mask, truth).iou)
                    photographs.append(sample.photograph)
    return {c: {name: mean_by_group(*lists) for name, lists in each.items()} for c, each in ious.items()}


def _measure_agreement(
    segmenter: Segmenter, shown: Dataset, concept: str, phrasings: Sequence[str]
) -> PhrasingAgreement:
    """Compare the masks of each pair of phrasings of a concept, on each photo that shows the concept."""
    kept = tuple(phrase for phrase in phrasings if segmenter.understand(phrase) == concept)
    refused = tuple(phrase for phrase in phrasings if phrase not in kept)
    rows = []
    if len(kept) > 1:
        queries = segmenter.ask_for((phrase, concept) for phrase in kept)
        for sample in shown:
            if sample.labels.get(concept):
                masks = [each.mask for each in segmenter.answer(shown.read_photo(sample), queries)]
                ious = [Counts.of(first, second).iou for first, second in combinations(masks, 2)]
                rows.append([1.0 if np.isnan(iou) else iou for iou in ious])  # both masks are empty
    if not rows:
        return PhrasingAgreement(kept, refused, float("nan"), float("nan"), float("nan"))
    table = np.array(rows)
    steady = float((table.min(axis=1) >= AGREEMENT).mean())
    return PhrasingAgreement(kept, refused, float(table.mean()), float(table.mean(axis=0).min()), steady)


def robustness_lines(measured: Robustness) -> list[str]:
    """Format a table of the IoU after each change, and a line about the phrasings of each concept."""
    concepts = list(measured.ious)
    rows = [["robustness", *(f"{concept}: IoU, share of clean IoU" for concept in concepts)]]
    for name in (CLEAN, *(change.name for change in CHANGES)):
        cells = []
        for concept in concepts:
            share = measured.share(concept, name)
            low = "" if share >= ENOUGH or np.isnan(share) else f"  below {ENOUGH:.0%}"
            cells.append(f"{measured.ious[concept][name]:.3f}  {share:.1%}{low}")
        rows.append([name, *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    for concept, found in measured.agreements.items():
        lines.append(
            f"{concept} with {len(found.phrasings)} phrasings: the masks agree with a mean IoU of "
            f"{found.iou:.3f} ({found.worst_pair:.3f} for the worst two phrasings; at least {AGREEMENT:.2f} "
            f"for all phrasings in {found.steady_photos:.1%} of the photos)"
            + (f"; not understood: {', '.join(found.refused)}" if found.refused else "")
        )
    return lines
