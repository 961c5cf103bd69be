"""Test a model on special photos before a release.

The photos are composites of a crack and a taped joint, pictures that do not show a wall, and walls with known
seams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.evaluation.measure import Mask
from drywallqa.imaging import photos
from drywallqa.imaging.straight_lines import StraightLine, straight_lines
from drywallqa.inference.segmenter import Segmenter
from drywallqa.metrics import FALSE_ALARM_SHARE, Counts, share_near
from drywallqa.synthetic.composite import composites
from drywallqa.synthetic.walls import CRACK, SEAM_LINE, TAPING_AREA, render_wall

WITHIN = 5.0  # largest distance of a found line from a true line, in px at a photo size of 640 px
ENOUGH = 0.9  # the seams of a photo count as found if at least this share of their length is found
RENDERED = 60  # largest number of rendered walls with seams
_SEED = 9_000_000  # far from the seeds of rendered training pictures

Photo = NDArray[np.uint8]
Lines = Sequence[StraightLine]

# Photos and scanned pages in scikit-image. Drawn shapes and walls are left out.
_NO_WALLS = (
    "astronaut.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png", "color.png",
    "grass.png", "horse.png", "hubble_deep_field.jpg", "ihc.png", "microaneurysms.png", "moon.png",
    "motorcycle_left.png", "motorcycle_right.png", "page.png", "phantom.png", "retina.jpg", "rocket.jpg",
    "text.png", "logo.png", "clock_motion.png", "chessboard_GRAY.png", "chessboard_RGB.png", "gravel.png",
)  # fmt: skip


class MaskSource:
    """Runs a segmenter with one prompt per concept and returns one mask per concept.

    Args:
        segmenter: The segmenter.
        prompts: Concept → prompt.
    """

    def __init__(self, segmenter: Segmenter, prompts: Mapping[str, str]) -> None:
        self.segmenter, self.concepts = segmenter, tuple(prompts)
        self.queries = segmenter.ask_for((prompt, concept) for concept, prompt in prompts.items())

    def masks(self, photo: Photo) -> dict[str, Mask]:
        """Return each concept's mask for a photo [H,W,3]."""
        predictions = self.segmenter.answer(photo, self.queries, keep_probability=False)
        return {str(each.concept): each.mask for each in predictions}


@dataclass(frozen=True)
class CompositeRecall:
    """Accuracy of one concept's masks on composites.

    Attributes:
        alone: Mean IoU on the photos from which the composites were made.
        composite: Mean IoU on the composites.
        kept: The ratio `composite / alone`.
        other_marked: Share of the other concept's pixels that are wrongly marked as this concept, pooled over
            composites. Pixels that show both concepts are not counted.
        other_before: Share of the same pixels that are marked on the original photo, before a crack was
            pasted onto it. None for cracks, because only the crack is pasted, not the rest of its photo.
    """

    alone: float
    composite: float
    kept: float
    other_marked: float
    other_before: float | None = None


class _Loaded(Sequence[tuple[Photo, Mask]]):
    """A sequence of photos with masks that reads each photo and mask only when it is indexed."""

    def __init__(self, dataset: Dataset, samples: Sequence[Sample], concept: str) -> None:
        self.dataset, self.samples, self.concept = dataset, samples, concept

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Photo, Mask]:  # type: ignore[override]
        sample = self.samples[index]
        return self.dataset.read_photo(sample), self.dataset.read_mask(sample, self.concept)


def measure_composites(source: MaskSource, dataset: Dataset, count: int = 200) -> dict[str, CompositeRecall]:
    """Paste cracks onto photos of boards, and segment both concepts in these composites.

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
    """Yield the sample pictures of scikit-image. brick.png is left out because it shows a wall."""
    import skimage.data

    folder = Path(str(skimage.data.__file__)).parent
    for name in _NO_WALLS:
        if (folder / name).is_file():
            yield photos.read_photo(folder / name)


@dataclass(frozen=True)
class SeamScore:
    """Agreement between the found lines and the true lines.

    Attributes:
        asked: The concept named in the prompt.
        photos: Number of photos with seams.
        found: Share of the true lines' length that was found, averaged over photos.
        true: Share of the found lines' length that is correct, averaged over photos with found lines.
        enough: Share of photos in which at least 90 % of the true lines' length was found.
    """

    asked: str
    photos: int
    found: float
    true: float
    enough: float

    def __str__(self) -> str:
        return (
            f"{self.found:.1%} of the true length was found within {WITHIN:g} px, and {self.true:.1%} of the "
            f"found length is correct; {self.enough:.1%} of {self.photos} photos have at least {ENOUGH:.0%} "
            f"found (prompt '{self.asked}')"
        )


def score_seams(
    asked: str, find: Callable[[Photo], Lines], walls: Iterable[tuple[Photo, Lines]]
) -> SeamScore | None:
    """Compare the lines found on photos with the true lines. Return None if there are no photos.

    Args:
        asked: The concept named in the prompt.
        find: Finds lines on a photo [H,W,3].
        walls: Photos with their true lines.
    """
    found, true = [], []
    for photo, truth in walls:
        lines, within = find(photo), WITHIN * max(photo.shape[:2]) / 640
        found.append(share_near(truth, lines, within))
        true.append(share_near(lines, truth, within))
    if not found:
        return None
    shares = np.array(found)
    correct = float(np.nanmean(true)) if not np.isnan(true).all() else 0.0
    return SeamScore(asked, len(found), float(shares.mean()), correct, float((shares >= ENOUGH).mean()))


def rendered_walls(count: int) -> Iterator[tuple[Photo, Lines]]:
    """Render walls with seams. These walls were not used for training."""
    for number in range(count):
        wall = render_wall(np.random.default_rng([_SEED, number]), kind=("seam", "both")[number % 2])
        if wall.seam_lines:
            yield wall.photo, wall.seam_lines


def labelled_walls(dataset: Dataset) -> Iterator[tuple[Photo, Lines]]:
    """Yield the photos whose seam lines were labelled with `drywallqa data seam-lines`."""
    for sample in dataset:
        if sample.labels.get(SEAM_LINE):
            yield dataset.read_photo(sample), straight_lines(dataset.read_mask(sample, SEAM_LINE))


def measure_seams(source: MaskSource, dataset: Dataset, count: int) -> dict[str, SeamScore]:
    """Score the lines found for the concept seam line or, if the model lacks it, for the taping area.

    Args:
        source: The model.
        dataset: Photos; only photos with labelled seam lines are used.
        count: Number of walls to render.

    Returns:
        Group of photos → score of the lines on these photos; groups without photos are left out.
    """
    concept = SEAM_LINE if SEAM_LINE in source.concepts else TAPING_AREA
    if concept not in source.concepts:
        return {}
    walls = {"rendered walls": rendered_walls(count), "labelled photos": labelled_walls(dataset)}
    scores = {
        name: score_seams(concept, lambda photo: straight_lines(source.masks(photo)[concept]), photos)
        for name, photos in walls.items()
    }
    return {name: score for name, score in scores.items() if score}
