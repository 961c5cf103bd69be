"""Measure the metrics that a bundle's model card and the README report, on one split of a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.bundle.bundle import Bundle
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.evaluation.curves import calibration
from drywallqa.evaluation.evaluation import take_part
from drywallqa.evaluation.measure import Evaluator, Mask, measure_pairs
from drywallqa.evaluation.measured_model import without_rendered
from drywallqa.evaluation.release_tests import (
    RENDERED,
    CompositeRecall,
    MaskSource,
    Photo,
    SeamScore,
    false_alarms,
    measure_composites,
    measure_seams,
    no_wall_photos,
)
from drywallqa.evaluation.robustness import CHANGES, Robustness, measure_robustness, robustness_lines
from drywallqa.evaluation.slices import ConceptSummary, summarise
from drywallqa.imaging import perceptual_hash
from drywallqa.inference.segmenter import Segmenter
from drywallqa.metrics import Counts, mean_by_group
from drywallqa.synthetic.walls import CRACK, TAPING_AREA

# Concept → prompt. The prompt of any other concept is its name.
PROMPTS = {CRACK: "segment crack", TAPING_AREA: "segment taping area"}
_GRID = 64  # side, in cells, of the grid to which masks are resized for baselines


@dataclass(frozen=True)
class ReleaseFigures:
    """Metrics of one bundle on one split.

    Attributes:
        split: Name of the measured split.
        concepts: Concept → metrics on the photos of the split.
        baselines: Concept → baseline → mean IoU.
        composites: Concept → accuracy on composites.
        wrong_prompt: Number of false alarms, and number of (photo, prompt) pairs in which the photo does not
            show the prompt's concept.
        no_walls: Number of false alarms, and number of (photo, prompt) pairs, on pictures that do not show a
            wall.
        cables: Number of false alarms for cracks, and number of pairs, on photos of setting C, which show
            cables.
        seams: Group of photos → accuracy of the seam lines on these photos.
        calibration: Concept → expected calibration error of the pixel probabilities.
        robustness: IoU on changed photos, and agreement between the masks of different phrasings; None if not
            measured.
    """

    split: str
    concepts: Mapping[str, ConceptSummary]
    baselines: Mapping[str, Mapping[str, float]]
    composites: Mapping[str, CompositeRecall]
    wrong_prompt: tuple[int, int]
    no_walls: tuple[int, int]
    cables: tuple[int, int]
    seams: Mapping[str, SeamScore]
    calibration: Mapping[str, float]
    robustness: Robustness | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the metrics as JSON data."""
        data = asdict(self)
        data["steadiness"] = data.pop("robustness")  # the JSON format uses this name
        return data


def measure_release(
    bundle: Bundle,
    dataset: Dataset,
    split: str = "test",
    *,
    count: int = 200,
    robustness: bool = False,
    report: Callable[[str], None] = print,
) -> ReleaseFigures:
    """Measure a bundle with the settings that are stored in it.

    Args:
        bundle: The bundle.
        dataset: A data set that was split. The baselines use its train split.
        split: Name of the split to measure.
        count: Number of composites, and maximum number of rendered walls.
        robustness: Whether to also measure changed photos and other phrasings.
        report: Called with a description of each step.
    """
    taken = take_part(dataset, split)
    part, segmenter = taken.dataset, Segmenter(bundle)
    prompts = {c: PROMPTS.get(c, c) for c in bundle.concepts}
    source = MaskSource(segmenter, prompts)
    report(f"{len(part)} photos with {len(prompts)} prompts")
    pairs = list(measure_pairs(Evaluator(segmenter, part, source.queries)))
    absent = [pair for pair in pairs if pair.absent]
    alarms = [pair.counts.false_alarm for pair in absent]
    cables = [p.counts.false_alarm for p in absent if p.concept == CRACK and p.sample.setting == "C"]
    report("baselines")
    train = without_rendered(dataset.part("train"))
    bases = {c: baselines(train, part, c) for c in prompts}
    report(f"{count} composites")
    on_composites = measure_composites(source, part, count)
    robust = None
    if robustness:
        report(f"{len(CHANGES)} changes of each photo, and other phrasings")
        robust = measure_robustness(segmenter, part, prompts)
    walls = min(count, RENDERED)
    report(f"seam lines on {walls} rendered walls")
    seams = measure_seams(source, part, walls)
    report("pictures that do not show a wall")
    return ReleaseFigures(
        split=split,
        concepts=summarise(pairs, list(prompts), taken.clusters),
        baselines=bases,
        composites=on_composites,
        wrong_prompt=(sum(alarms), len(alarms)),
        no_walls=false_alarms(source, no_wall_photos()),
        cables=(sum(cables), len(cables)),
        seams=seams,
        calibration={c: calibration([p for p in pairs if p.concept == c]).error for c in prompts},
        robustness=robust,
    )


def baselines(train: Dataset, test: Dataset, concept: str) -> dict[str, float]:
    """Return the mean IoU of three baselines that use no model, on the test photos that show a concept.

    The baseline "all foreground" marks every pixel. "mean mask" marks the grid cells in which the mean of all
    train masks reaches a level, which is chosen on the train split. "nearest copy" uses the mask of the train
    photo whose thumbnail is most similar. The last two are missing if no train photo shows the concept.
    """
    truths = [(s, test.read_mask(s, concept)) for s in test if s.labels.get(concept)]
    kept = [(s, truth) for s, truth in truths if truth.any()]

    def mean_iou(guess: Callable[[Sample], Mask]) -> float:
        values = [Counts.of(guess(s), truth).iou for s, truth in kept]
        return mean_by_group(values, [s.photograph for s, _ in kept])

    found = {"all foreground": mean_iou(lambda s: np.ones((s.height, s.width), np.bool_))}
    shown = [s for s in train if s.labels.get(concept)]
    if shown:
        shares = np.stack([_grid_shares(train.read_mask(s, concept)) for s in shown])
        masks, mean = shares > 0.5, shares.mean(0)

        def grid_iou(level: float) -> float:
            both, either = (masks & (mean >= level)).sum((1, 2)), (masks | (mean >= level)).sum((1, 2))
            return float(np.mean(both / np.maximum(either, 1)))

        # The IoU on the coarse grid is accurate enough to choose a baseline's level.
        best = max(np.quantile(mean, np.linspace(0.0, 0.95, 20)), key=grid_iou)
        found["mean mask"] = mean_iou(lambda s: _enlarged(mean >= best, s))
        thumbnails = np.stack([_unit_thumbnail(train.read_photo(s)) for s in shown])
        found["nearest copy"] = mean_iou(
            lambda s: _enlarged(masks[int((thumbnails @ _unit_thumbnail(test.read_photo(s))).argmax())], s)
        )
    return found


def _grid_shares(mask: Mask) -> NDArray[np.float32]:
    """Return the share of each grid cell that a mask covers, float32."""
    image = Image.fromarray(mask.astype(np.uint8) * 255).resize((_GRID, _GRID), Image.Resampling.BOX)
    return np.asarray(np.asarray(image) / 255, np.float32)


def _enlarged(mask: Mask, sample: Sample) -> Mask:
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(image.resize((sample.width, sample.height), Image.Resampling.NEAREST)) > 127


def _unit_thumbnail(photo: Photo) -> NDArray[np.float32]:
    flat = np.asarray(perceptual_hash.thumbnail(photo), np.float32).ravel()
    flat = flat - flat.mean()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-6), np.float32)


def release_lines(benchmark: ReleaseFigures) -> Sequence[str]:
    """Format the metrics as lines of text."""
    told = []
    for concept, summary in benchmark.concepts.items():
        low, high = summary.iou_interval
        told.append(
            f"{concept}: IoU {summary.iou:.3f} (95 % interval {low:.3f}–{high:.3f}), "
            f"Dice {summary.dice:.3f}, "
            f"precision {summary.precision:.3f}, recall {summary.recall:.3f}, pixel accuracy "
            f"{summary.pixel_accuracy:.3f} (all background {summary.background_accuracy:.3f}); "
            f"{summary.pairs} photos from {summary.photographs} source photos"
        )
        bases = ", ".join(f"{name} {value:.3f}" for name, value in benchmark.baselines[concept].items())
        told.append(f"{concept}: IoU of the baselines: {bases}")
        told.append(
            f"{concept}: false alarms on {summary.false_alarm_rate:.1%} of {summary.absent_pairs} photos "
            f"without the concept, covering {summary.false_area:.2%} of their area"
        )
    for concept, kept in benchmark.composites.items():
        told.append(
            f"{concept} on composites: IoU {kept.composite:.3f}, compared with {kept.alone:.3f} on the "
            f"original photos ({kept.kept:.0%} kept); {kept.other_marked:.1%} of the other concept's pixels "
            "are marked"
            + ("" if kept.other_before is None else f", {kept.other_before:.1%} before it was pasted")
        )
    told += [
        f"{what}: {alarms} of {pairs} ({alarms / max(pairs, 1):.1%})"
        for what, (alarms, pairs) in false_alarm_counts(benchmark).items()
    ]
    told += [
        f"{concept}: expected calibration error of the pixel probabilities {error:.3f}"
        for concept, error in benchmark.calibration.items()
    ]
    told += [f"seam lines on {where}: {score}" for where, score in benchmark.seams.items()]
    return told + (robustness_lines(benchmark.robustness) if benchmark.robustness else [])


def false_alarm_counts(benchmark: ReleaseFigures) -> dict[str, tuple[int, int]]:
    """Return name of a false-alarm test → (number of false alarms, number of pairs)."""
    return {
        "false alarms under the wrong prompt": benchmark.wrong_prompt,
        "false alarms on pictures that are no walls": benchmark.no_walls,
        "false alarms for cracks among cables and clamps (setting C)": benchmark.cables,
    }
