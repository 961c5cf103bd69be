"""Measure all figures that a bundle's card and the README claim, on the fixed split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.bundle.bundle import Bundle
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.evaluation import seam_accuracy
from drywallqa.evaluation.curves import calibration
from drywallqa.evaluation.distractors import (
    CompositeRecall,
    MaskSource,
    Photo,
    false_alarms,
    measure_composites,
    no_wall_photos,
)
from drywallqa.evaluation.evaluation import take_part
from drywallqa.evaluation.measure import Evaluator, Mask, measure_pairs
from drywallqa.evaluation.measured_model import without_rendered
from drywallqa.evaluation.robustness import CHANGES, Robustness, measure_robustness, robustness_lines
from drywallqa.evaluation.slices import ConceptSummary, summarise
from drywallqa.imaging import perceptual_hash
from drywallqa.imaging.straight_lines import straight_lines
from drywallqa.inference.segmenter import Segmenter
from drywallqa.metrics import Counts, mean_by_group
from drywallqa.synthetic.walls import CRACK, SEAM_LINE, TAPING_AREA

# Concept → prompt; the prompt of every other concept is its name.
PROMPTS = {CRACK: "segment crack", TAPING_AREA: "segment taping area"}
_GRID = 64  # side, in cells, of the grid to which masks are resized for baselines


@dataclass(frozen=True)
class ReleaseFigures:
    """Figures of one bundle on one split.

    Attributes:
        split: The measured part.
        concepts: Figures by concept.
        baselines: Concept → baseline → mean IoU.
        composites: Concept → figures on composites.
        wrong_prompt: Numbers of false alarms and of pairs with the wrong prompt.
        no_walls: Numbers of false alarms and of pairs on pictures that do not show a wall.
        cables: Numbers of false alarms and of pairs for cracks on the photos of setting C.
        seams: Group of photos → accuracy of the seam lines on them.
        calibration: Concept → expected calibration error of its pixels' probabilities.
        robustness: IoU on changed photos and agreement of phrasings; None if not measured.
    """

    split: str
    concepts: Mapping[str, ConceptSummary]
    baselines: Mapping[str, Mapping[str, float]]
    composites: Mapping[str, CompositeRecall]
    wrong_prompt: tuple[int, int]
    no_walls: tuple[int, int]
    cables: tuple[int, int]
    seams: Mapping[str, seam_accuracy.SeamScore]
    calibration: Mapping[str, float]
    robustness: Robustness | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON data."""
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
    """Measure a bundle on photos with its shipped settings.

    Args:
        bundle: The bundle.
        dataset: A data set with a split; its train part is used for the baselines.
        split: The part to measure.
        count: Number of composites, and largest number of rendered walls.
        robustness: Whether to also measure changed photos and other phrasings.
        report: Called with each step.
    """
    taken = take_part(dataset, split)
    part, segmenter = taken.dataset, Segmenter(bundle)
    prompts = {c: PROMPTS.get(c, c) for c in bundle.concepts}
    source = MaskSource(segmenter, prompts)
    report(f"{len(part)} photos under {len(prompts)} prompts")
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
    walls = min(count, seam_accuracy.RENDERED)
    report(f"lines of seams on {walls} rendered walls")
    seams = _measure_seams(source, part, walls)
    report("pictures that are no walls")
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


def _measure_seams(source: MaskSource, part: Dataset, count: int) -> dict[str, seam_accuracy.SeamScore]:
    """Score lines found with the seam line concept or, if the model lacks it, with the taping area."""
    concept = SEAM_LINE if SEAM_LINE in source.concepts else TAPING_AREA
    if concept not in source.concepts:
        return {}
    walls = {
        "rendered walls": seam_accuracy.rendered_walls(count),
        "labelled photos": seam_accuracy.labelled_walls(part),
    }
    scores = {}
    for name, photos in walls.items():
        score = seam_accuracy.score_seams(
            concept, lambda photo: straight_lines(source.masks(photo)[concept]), photos
        )
        if score is not None:
            scores[name] = score
    return scores


def baselines(train: Dataset, test: Dataset, concept: str) -> dict[str, float]:
    """Return the mean IoU of three baselines without a model on the photos that show a concept.

    "all foreground" marks every pixel. "mean mask" marks the cells in which the mean train mask reaches a
    level, which is chosen on train. "nearest copy" uses the mask of the train photo whose thumbnail
    correlates best. The last two baselines are missing if no train photo shows the concept.
    """

    def mean_iou(guess: Callable[[Sample], Mask]) -> float:
        shown = [(s, test.read_mask(s, concept)) for s in test if s.labels.get(concept)]
        kept = [(s, truth) for s, truth in shown if truth.any()]
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

        # The level is chosen on the grid masks, which is exact enough for a baseline.
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
    """Format the figures as text, one figure per line."""
    told = []
    for concept, summary in benchmark.concepts.items():
        low, high = summary.iou_interval
        told.append(
            f"{concept}: IoU {summary.iou:.3f} (95 % interval {low:.3f}–{high:.3f}), "
            f"Dice {summary.dice:.3f}, "
            f"precision {summary.precision:.3f}, recall {summary.recall:.3f}, pixel accuracy "
            f"{summary.pixel_accuracy:.3f} (all background {summary.background_accuracy:.3f}); "
            f"{summary.pairs} photos of {summary.photographs} photographs"
        )
        bases = ", ".join(f"{name} {value:.3f}" for name, value in benchmark.baselines[concept].items())
        told.append(f"{concept}: baselines' IoU: {bases}")
        told.append(
            f"{concept}: false alarms where it is absent {summary.false_alarm_rate:.1%} of "
            f"{summary.absent_pairs} photos, {summary.false_area:.2%} of their area"
        )
    for concept, kept in benchmark.composites.items():
        told.append(
            f"{concept} on composites: IoU {kept.composite:.3f} of {kept.alone:.3f} alone "
            f"({kept.kept:.0%} kept); "
            f"{kept.other_marked:.1%} of the other's truth marked"
            + ("" if kept.other_before is None else f", {kept.other_before:.1%} before it was there")
        )
    for what, (alarms, pairs) in false_alarm_counts(benchmark).items():
        told.append(f"{what}: {alarms} of {pairs} ({alarms / max(pairs, 1):.1%})")
    for concept, error in benchmark.calibration.items():
        told.append(f"{concept}: expected calibration error of its pixels {error:.3f}")
    told += [f"lines of seams on {where}: {score}" for where, score in benchmark.seams.items()]
    return told + (robustness_lines(benchmark.robustness) if benchmark.robustness else [])


def false_alarm_counts(benchmark: ReleaseFigures) -> dict[str, tuple[int, int]]:
    """Return a description of each false-alarm test → numbers of false alarms and of pairs."""
    return {
        "false alarms under the wrong prompt": benchmark.wrong_prompt,
        "false alarms on pictures that are no walls": benchmark.no_walls,
        "false alarms for cracks among cables and clamps (setting C)": benchmark.cables,
    }
