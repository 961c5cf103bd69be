"""How steady a model is: the same photo under another light, turned, blurred, or asked for in other words."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.inference.segmenter import Segmenter
from drywallqa.metrics import Counts, mean_by_group

Photo = NDArray[np.uint8]
Mask = NDArray[np.bool_]

CLEAN = "clean"
ENOUGH = 0.85
"""Share of the clean IoU that should be left under each change."""
AGREEMENT = 0.95
"""IoU that the masks of one photo under two phrasings should have."""
BLUR = 1.5
"""Standard deviation of the blur in px of a photo whose longer side is 640 px."""
NOISE = 15.0
"""Standard deviation of the noise in grey levels of 255."""

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
"""Concept → phrasings whose masks are held against each other; of others the bundle's own are taken."""


@dataclass(frozen=True)
class Perturbation:
    """Something that happens to a photo.

    Attributes:
        name: How tables call it.
        photo: Changes a photo [H,W,3]; the generator is the only source of chance.
        truth: Moves a truth [H,W] along.
    """

    name: str
    photo: Callable[[Photo, np.random.Generator], Photo]
    truth: Callable[[Mask], Mask] = lambda mask: mask


def _lit(factor: float) -> Perturbation:
    def change(photo: Photo, _: np.random.Generator) -> Photo:
        lit: Photo = np.clip(photo.astype(np.float32) * factor, 0, 255).astype(np.uint8)
        return lit

    return Perturbation(f"brightness {factor - 1:+.0%}", change)


def _blurred(photo: Photo, _: np.random.Generator) -> Photo:
    radius = BLUR * max(photo.shape[:2]) / 640
    return np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(radius)))


def _noisy(photo: Photo, generator: np.random.Generator) -> Photo:
    noise = generator.normal(0.0, NOISE, photo.shape).astype(np.float32)
    noisy: Photo = np.clip(photo + noise, 0, 255).astype(np.uint8)
    return noisy


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
    def size(values: NDArray[np.generic]) -> tuple[int, int]:
        return (max(1, round(values.shape[1] * factor)), max(1, round(values.shape[0] * factor)))

    def photo_scaled(photo: Photo, _: np.random.Generator) -> Photo:
        return np.asarray(Image.fromarray(photo).resize(size(photo), Image.Resampling.BICUBIC))

    def truth_scaled(mask: Mask) -> Mask:
        grey = Image.fromarray(mask.astype(np.uint8) * 255)
        return np.asarray(grey.resize(size(mask), Image.Resampling.BILINEAR)) > 127

    return Perturbation(name, photo_scaled, truth_scaled)


CHANGES = (
    _lit(1.4),
    _lit(0.6),
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
    """How far the masks of one photo agree under several phrasings of one concept.

    Attributes:
        phrasings: What was asked.
        refused: Phrasings that the model did not take for the concept, and that were left out.
        iou: Mean IoU over photos and pairs of phrasings; two empty masks agree.
        worst_pair: Mean IoU of the two phrasings that agree least.
        steady_photos: Share of photos whose masks all agree with an IoU of at least 0.95.
    """

    phrasings: tuple[str, ...]
    refused: tuple[str, ...]
    iou: float
    worst_pair: float
    steady_photos: float


@dataclass(frozen=True)
class Robustness:
    """What was measured.

    Attributes:
        photos: Photos that show a concept.
        ious: Concept → change → mean IoU over photographs, `CLEAN` among the changes.
        agreements: Concept → agreement of phrasings.
    """

    photos: int
    ious: Mapping[str, Mapping[str, float]]
    agreements: Mapping[str, PhrasingAgreement]

    def share(self, concept: str, change: str) -> float:
        """Return what a change leaves of the clean IoU."""
        return self.ious[concept][change] / max(self.ious[concept][CLEAN], 1e-9)


def measure_robustness(
    segmenter: Segmenter,
    dataset: Dataset,
    prompts: Mapping[str, str],
    *,
    phrasings: Mapping[str, Sequence[str]] = PHRASINGS,
    seed: int = 0,
) -> Robustness:
    """Measure IoU under each change, and the agreement of phrasings.

    Args:
        segmenter: The model, asked as a user asks it.
        dataset: Usually a val or test part; photos that show no concept are passed over.
        prompts: Concept → prompt.
        phrasings: Concept → ways to ask for it.
        seed: Of the noise.
    """
    shown = [s for s in dataset if any(s.labels.get(concept) for concept in prompts)]
    return Robustness(
        len(shown),
        _ious(segmenter, dataset, shown, prompts, seed),
        {c: _agreement(segmenter, dataset, shown, c, _of(segmenter, c, phrasings)) for c in prompts},
    )


def _ious(
    segmenter: Segmenter, dataset: Dataset, shown: Sequence[Sample], prompts: Mapping[str, str], seed: int
) -> dict[str, dict[str, float]]:
    questions = {concept: segmenter.ask(prompt) for concept, prompt in prompts.items()}
    values: dict[tuple[str, str], list[float]] = {}
    groups: dict[tuple[str, str], list[str]] = {}
    still = Perturbation(CLEAN, lambda photo, _: photo)
    for number, sample in enumerate(shown):
        photo = dataset.read_photo(sample)
        asked = [concept for concept in prompts if sample.labels.get(concept)]
        truths = {concept: dataset.read_mask(sample, concept) for concept in asked}
        for change in (still, *CHANGES):
            changed = change.photo(photo, np.random.default_rng([seed, number]))
            for concept in asked:
                (answer,) = segmenter.answer(changed, questions[concept])
                truth = change.truth(truths[concept])
                if truth.any():
                    values.setdefault((concept, change.name), []).append(Counts.of(answer.mask, truth).iou)
                    groups.setdefault((concept, change.name), []).append(sample.photograph)
    names = [CLEAN, *(change.name for change in CHANGES)]
    return {
        concept: {n: mean_by_group(values.get((concept, n), []), groups.get((concept, n), [])) for n in names}
        for concept in prompts
    }


def _of(segmenter: Segmenter, concept: str, phrasings: Mapping[str, Sequence[str]]) -> Sequence[str]:
    own = getattr(segmenter.bundle.concepts[concept], "phrasings", ())
    return tuple(phrasings.get(concept) or (concept, *own))


def _agreement(
    segmenter: Segmenter, dataset: Dataset, shown: Sequence[Sample], concept: str, phrasings: Sequence[str]
) -> PhrasingAgreement:
    kept = tuple(phrase for phrase in phrasings if segmenter.understand(phrase) == concept)
    refused = tuple(phrase for phrase in phrasings if phrase not in kept)
    pairs = list(combinations(range(len(kept)), 2))
    rows = []
    if pairs:
        questions = segmenter.ask(kept)
        for sample in shown:
            if sample.labels.get(concept):
                masks = [answer.mask for answer in segmenter.answer(dataset.read_photo(sample), questions)]
                rows.append([_overlap(masks[first], masks[second]) for first, second in pairs])
    if not rows:
        return PhrasingAgreement(kept, refused, float("nan"), float("nan"), float("nan"))
    table = np.array(rows)
    steady = float((table.min(axis=1) >= AGREEMENT).mean())
    return PhrasingAgreement(kept, refused, float(table.mean()), float(table.mean(axis=0).min()), steady)


def _overlap(first: Mask, second: Mask) -> float:
    iou = Counts.of(first, second).iou
    return 1.0 if np.isnan(iou) else iou


def robustness_lines(measured: Robustness) -> list[str]:
    """Describe as a table: a row a change, IoU and what is left of the clean one; then the phrasings."""
    concepts = list(measured.ious)
    rows = [["steadiness", *(f"{concept}: IoU, share of clean" for concept in concepts)]]
    for name in (CLEAN, *(change.name for change in CHANGES)):
        cells = []
        for concept in concepts:
            share = measured.share(concept, name)
            low = "" if share >= ENOUGH or np.isnan(share) else f"  below {ENOUGH:.0%}"
            cells.append(f"{measured.ious[concept][name]:.3f}  {share:.1%}{low}")
        rows.append([name, *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    told = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    for concept, found in measured.agreements.items():
        told.append(
            f"{concept} under {len(found.phrasings)} phrasings: masks agree with IoU {found.iou:.3f} "
            f"(worst two {found.worst_pair:.3f}; all at {AGREEMENT:.2f} or more in "
            f"{found.steady_photos:.1%} of photos)"
            + (f"; not understood: {', '.join(found.refused)}" if found.refused else "")
        )
    return told
