"""Distractor tests: composites of both concepts, and pictures that do not show a wall."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.evaluation.measure import Mask
from drywallqa.imaging import photos
from drywallqa.inference.segmenter import Segmenter
from drywallqa.metrics import FALSE_ALARM_SHARE, Counts
from drywallqa.synthetic.composite import composites
from drywallqa.synthetic.walls import CRACK, TAPING_AREA

Photo = NDArray[np.uint8]

# Photographs and pages in scikit-image; drawn shapes and walls are left out.
_NO_WALLS = (
    "astronaut.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png", "color.png",
    "grass.png", "horse.png", "hubble_deep_field.jpg", "ihc.png", "microaneurysms.png", "moon.png",
    "motorcycle_left.png", "motorcycle_right.png", "page.png", "phantom.png", "retina.jpg", "rocket.jpg",
    "text.png", "logo.png", "clock_motion.png", "chessboard_GRAY.png", "chessboard_RGB.png", "gravel.png",
)  # fmt: skip


class MaskSource:
    """Runs a segmenter with one prompt per concept and returns the masks by concept.

    Args:
        segmenter: The segmenter.
        prompts: Concept → prompt.
    """

    def __init__(self, segmenter: Segmenter, prompts: Mapping[str, str]) -> None:
        self.segmenter, self.concepts = segmenter, tuple(prompts)
        self.queries = segmenter.ask_for((prompt, concept) for concept, prompt in prompts.items())

    def masks(self, photo: Photo) -> dict[str, Mask]:
        """Return each concept's mask on a photo [H,W,3]."""
        predictions = self.segmenter.answer(photo, self.queries, keep_probability=False)
        return {str(each.concept): each.mask for each in predictions}


@dataclass(frozen=True)
class CompositeRecall:
    """Accuracy for a concept on composites.

    Attributes:
        alone: Mean IoU on the photos from which the composites were made.
        composite: Mean IoU on the composites.
        kept: The ratio `composite / alone`.
        other_marked: Share of the other concept's truth (without this concept's truth) that is marked,
            pooled over composites.
        other_before: Share of the same pixels that is marked on the original photo, before the other concept
            was pasted; None for cracks, because the composite does not contain their original photo.
    """

    alone: float
    composite: float
    kept: float
    other_marked: float
    other_before: float | None = None


class _Loaded(Sequence[tuple[Photo, Mask]]):
    """Photos and masks of samples, read when indexed."""

    def __init__(self, dataset: Dataset, samples: Sequence[Sample], concept: str) -> None:
        self.dataset, self.samples, self.concept = dataset, samples, concept

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Photo, Mask]:  # type: ignore[override]
        sample = self.samples[index]
        return self.dataset.read_photo(sample), self.dataset.read_mask(sample, self.concept)


def measure_composites(source: MaskSource, dataset: Dataset, count: int = 200) -> dict[str, CompositeRecall]:
    """Paste cracks from the crack photos onto photos of boards, and segment both concepts.

    Args:
        source: The model.
        dataset: Usually a test split, with crack photos and taping photos.
        count: Number of composites to build.
    """
    boards = [s for s in dataset if s.labels.get(TAPING_AREA) and dataset.read_mask(s, TAPING_AREA).any()]
    loaded = {
        CRACK: _Loaded(dataset, [s for s in dataset if s.labels.get(CRACK)], CRACK),
        TAPING_AREA: _Loaded(dataset, boards, TAPING_AREA),
    }
    alone: dict[tuple[str, int], float] = {}
    bare: dict[int, Mask] = {}  # masks on the boards before pasting
    ious: dict[str, list[tuple[float, float]]] = {CRACK: [], TAPING_AREA: []}
    pixels = {concept: np.zeros(3, np.int64) for concept in ious}  # all pixels, marked, marked before pasting
    for composite in composites(loaded[CRACK], loaded[TAPING_AREA], count):
        masks = source.masks(composite.photo)
        truths = {CRACK: composite.crack, TAPING_AREA: composite.taping}
        for concept, index in ((CRACK, composite.crack_index), (TAPING_AREA, composite.board_index)):
            if (concept, index) not in alone:
                photo, truth = loaded[concept][index]
                mask = source.masks(photo)[concept]
                alone[concept, index] = Counts.of(mask, truth).iou
                if concept == TAPING_AREA:
                    bare[index] = mask
            ious[concept].append((alone[concept, index], Counts.of(masks[concept], truths[concept]).iou))
            other = truths[TAPING_AREA if concept == CRACK else CRACK] & ~truths[concept]
            before = other & bare[index] if concept == TAPING_AREA else np.zeros(0, np.bool_)
            pixels[concept] += [np.count_nonzero(each) for each in (other, other & masks[concept], before)]
    found = {}
    for concept, pairs in ious.items():
        photo_iou, composite_iou = (float(np.mean(column)) for column in zip(*pairs, strict=True))
        area, marked, marked_before = (int(each) for each in pixels[concept])
        found[concept] = CompositeRecall(
            photo_iou,
            composite_iou,
            composite_iou / max(photo_iou, 1e-9),
            marked / max(area, 1),
            marked_before / max(area, 1) if concept == TAPING_AREA else None,
        )
    return found


def false_alarms(source: MaskSource, pictures: Iterable[Photo]) -> tuple[int, int]:
    """Count masks that cover more than 0.1 % of a picture without the concept.

    Returns:
        The number of false alarms, and the number of pairs of picture and prompt.
    """
    alarms = [mask.mean() > FALSE_ALARM_SHARE for each in pictures for mask in source.masks(each).values()]
    return sum(map(int, alarms)), len(alarms)


def no_wall_photos() -> Iterator[Photo]:
    """Yield the pictures shipped with scikit-image, except brick.png, which shows a wall."""
    import skimage.data

    folder = Path(str(skimage.data.__file__)).parent
    for name in _NO_WALLS:
        if (folder / name).is_file():
            yield photos.read_photo(folder / name)
