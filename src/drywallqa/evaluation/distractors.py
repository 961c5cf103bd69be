"""Does the model do what the prompt says? Composites of both concepts, and photos that are no walls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.inference.segmenter import Segmenter
from drywallqa.metrics import FALSE_ALARM_SHARE, Counts
from drywallqa.synthetic.composite import composites

CRACK, TAPING = "crack", "taping area"
Photo = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class CompositeRecall:
    """What remains of a concept on composites.

    Attributes:
        alone: Mean IoU on the photos that the composites were made of.
        composite: Mean IoU on the composites.
        kept: Mean IoU on composites over that alone.
        other_marked: Share of the other concept's truth (own truth left out) that is marked, pooled.
        other_before: Share of the same pixels that is marked on the photo as it was before the other concept
            was pasted there; None where the photo was not kept as it was, as that of a crack.
    """

    alone: float
    composite: float
    kept: float
    other_marked: float
    other_before: float | None = None


class _Loaded(Sequence[tuple[Photo, Mask]]):
    """Samples that are read when they are indexed."""

    def __init__(self, dataset: Dataset, samples: Sequence[Sample], concept: str) -> None:
        self.dataset, self.samples, self.concept = dataset, samples, concept

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Photo, Mask]:  # type: ignore[override]
        sample = self.samples[index]
        return self.dataset.read_photo(sample), self.dataset.read_mask(sample, self.concept)


class MaskSource:
    """Masks of a segmenter at the thresholds of the concepts that are asked for, whatever a prompt reads as.

    Args:
        segmenter: The segmenter.
        prompts: Concept → prompt.
    """

    def __init__(self, segmenter: Segmenter, prompts: Mapping[str, str]) -> None:
        self.segmenter, self.concepts = segmenter, tuple(prompts)
        self.questions = segmenter.ask_for((prompt, concept) for concept, prompt in prompts.items())

    def masks(self, photo: Photo) -> dict[str, Mask]:
        """Return each concept's mask on a photo [H,W,3]."""
        answers = self.segmenter.answer(photo, self.questions, keep_probability=False)
        return {str(answer.concept): answer.mask for answer in answers}


def measure_composites(
    asker: MaskSource, dataset: Dataset, count: int = 200, seed: int = 0
) -> dict[str, CompositeRecall]:
    """Paste cracks of the data set's photos on its boards and ask for both concepts.

    Args:
        asker: The model.
        dataset: Usually a test part, with crack photos and taping photos.
        count: Composites to build.
        seed: Decides the pairs.
    """
    cracks = [s for s in dataset if s.labels.get(CRACK)]
    boards = [s for s in dataset if s.labels.get(TAPING)]
    boards = [s for s in boards if dataset.read_mask(s, TAPING).any()]
    sources = {CRACK: cracks, TAPING: boards}
    alone: dict[tuple[str, int], float] = {}
    bare: dict[int, Mask] = {}  # of the boards, before anything was pasted there
    values: dict[str, list[tuple[float, float]]] = {CRACK: [], TAPING: []}
    marked, other, before = {CRACK: 0, TAPING: 0}, {CRACK: 0, TAPING: 0}, 0
    made = composites(_Loaded(dataset, cracks, CRACK), _Loaded(dataset, boards, TAPING), count, seed)
    for composite in made:
        masks = asker.masks(composite.photo)
        truths = {CRACK: composite.crack, TAPING: composite.taping}
        for concept, index in ((CRACK, composite.crack_index), (TAPING, composite.board_index)):
            if (concept, index) not in alone:
                sample = sources[concept][index]
                mask = asker.masks(dataset.read_photo(sample))[concept]
                alone[concept, index] = Counts.of(mask, dataset.read_mask(sample, concept)).iou
                if concept == TAPING:
                    bare[index] = mask
            values[concept].append((alone[concept, index], Counts.of(masks[concept], truths[concept]).iou))
            foreign = truths[TAPING if concept == CRACK else CRACK] & ~truths[concept]
            marked[concept] += int(np.count_nonzero(masks[concept] & foreign))
            other[concept] += int(np.count_nonzero(foreign))
            if concept == TAPING:
                before += int(np.count_nonzero(bare[index] & foreign))
    return {
        concept: _kept(pairs, marked[concept], other[concept], before if concept == TAPING else None)
        for concept, pairs in values.items()
    }


def _kept(
    pairs: Sequence[tuple[float, float]], marked: int, other: int, before: int | None
) -> CompositeRecall:
    """Sum up IoU alone and on composites, and marked pixels among the other concept's."""
    alone, composite = (float(np.mean(column)) for column in zip(*pairs, strict=True))
    earlier = None if before is None else before / max(other, 1)
    return CompositeRecall(alone, composite, composite / max(alone, 1e-9), marked / max(other, 1), earlier)


def false_alarms(asker: MaskSource, photos: Iterable[Photo], concepts: Sequence[str]) -> tuple[int, int]:
    """Count (photo, prompt) pairs, and those with a mask over more than 0.1 % of the photo.

    Returns:
        False alarms and pairs.
    """
    alarms = pairs = 0
    for photo in photos:
        masks = asker.masks(photo)
        for concept in concepts:
            alarms += int(masks[concept].mean() > FALSE_ALARM_SHARE)
            pairs += 1
    return alarms, pairs


# pictures of scikit-image that are photographs or pages, not drawn shapes and not walls
_NO_WALLS = [
    "astronaut.png",
    "camera.png",
    "cell.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "color.png",
    "grass.png",
    "horse.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "microaneurysms.png",
    "moon.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "page.png",
    "phantom.png",
    "retina.jpg",
    "rocket.jpg",
    "text.png",
    "logo.png",
    "clock_motion.png",
    "chessboard_GRAY.png",
    "chessboard_RGB.png",
    "gravel.png",
]


def no_wall_photos() -> Iterator[Photo]:
    """The pictures that scikit-image ships, but for brick.png, which is a wall."""
    from pathlib import Path

    import skimage.data

    from drywallqa.imaging import photos

    folder = Path(str(skimage.data.__file__)).parent
    for name in _NO_WALLS:
        if (folder / name).is_file():
            yield photos.read_photo(folder / name)
