"""The quality of a bundle on the fixed split: everything its card and the README claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from drywallqa.bundle.bundle import Bundle
from drywallqa.datasets.dataset import Dataset
from drywallqa.evaluation import robustness as steadying
from drywallqa.evaluation import seam_accuracy as seaming
from drywallqa.evaluation.baselines import baselines
from drywallqa.evaluation.curves import calibration
from drywallqa.evaluation.distractors import (
    CRACK,
    TAPING,
    CompositeRecall,
    MaskSource,
    Photo,
    false_alarms,
    measure_composites,
    no_wall_photos,
)
from drywallqa.evaluation.evaluation import take_part
from drywallqa.evaluation.measure import Evaluator, measure_pairs
from drywallqa.evaluation.robustness import Robustness, measure_robustness
from drywallqa.evaluation.seam_accuracy import SeamScore
from drywallqa.evaluation.slices import ConceptSummary, summarise
from drywallqa.evaluation.threshold_choice import without_rendered
from drywallqa.imaging.straight_lines import StraightLine, straight_lines
from drywallqa.inference.segmenter import Segmenter
from drywallqa.synthetic.walls import SEAM_LINE

PROMPTS = {CRACK: "segment crack", TAPING: "segment taping area"}


@dataclass(frozen=True)
class ReleaseFigures:
    """Figures of one bundle on one split.

    Attributes:
        split: Which part was measured.
        concepts: Figures by concept.
        baselines: Concept → baseline → mean IoU.
        composites: Concept → what remains on composites.
        wrong_prompt: False alarms and pairs under the wrong prompt.
        no_walls: The same on pictures that are no walls.
        cables: The same under "crack" on the photos of setting C.
        seams: Photos → how exactly lines of seams are found there.
        calibration: Concept → expected calibration error of its pixels' probabilities.
        robustness: IoU of changed photos and agreement of phrasings, where it was asked for.
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
        """Describe as plain data."""
        data = asdict(self)
        data["steadiness"] = data.pop("robustness")  # the name of the format
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
    """Measure a bundle from photos, as it ships.

    Args:
        bundle: The bundle.
        dataset: Split; baselines come from its train part.
        split: The part to measure.
        count: Composites to build, and at most so many rendered walls.
        robustness: Whether to measure changed photos and other phrasings, too.
        report: Told each step.
    """
    taken = take_part(dataset, split)
    part, segmenter = taken.dataset, Segmenter(bundle)
    prompts = {c: PROMPTS.get(c, c) for c in bundle.concepts}
    asker = MaskSource(segmenter, prompts)
    report(f"{len(part)} photos under {len(prompts)} prompts")
    pairs = list(measure_pairs(Evaluator(segmenter, part, asker.questions)))
    absent = [pair for pair in pairs if pair.absent]
    alarms = [pair.counts.false_alarm for pair in absent]
    cables = [p.counts.false_alarm for p in absent if p.concept == CRACK and p.sample.setting == "C"]
    report("baselines")
    train = without_rendered(dataset.part("train"))
    bases = {c: baselines(train, part, c) for c in prompts}
    report(f"{count} composites")
    kept = measure_composites(asker, part, count)
    steady = None
    if robustness:
        report(f"{len(steadying.CHANGES)} changes of each photo, and other phrasings")
        steady = measure_robustness(segmenter, part, prompts)
    walls = min(count, seaming.RENDERED)
    report(f"lines of seams on {walls} rendered walls")
    found_seams = _seams(asker, part, walls)
    report("pictures that are no walls")
    return ReleaseFigures(
        split=split,
        concepts=summarise(pairs, list(prompts), taken.clusters),
        baselines=bases,
        composites=kept,
        wrong_prompt=(sum(alarms), len(alarms)),
        no_walls=false_alarms(asker, no_wall_photos(), list(prompts)),
        cables=(sum(cables), len(cables)),
        seams=found_seams,
        calibration={c: calibration([p for p in pairs if p.concept == c]).error for c in prompts},
        robustness=steady,
    )


def _seams(asker: MaskSource, part: Dataset, walls: int) -> dict[str, SeamScore]:
    """Score lines of seams: of their own concept where the model knows it, else of the area around them."""
    concept = SEAM_LINE if SEAM_LINE in asker.concepts else TAPING
    if concept not in asker.concepts:
        return {}

    def lines(photo: Photo) -> list[StraightLine]:
        return straight_lines(asker.masks(photo)[concept])

    scores = {
        "rendered walls": seaming.on_rendered_walls(concept, lines, walls),
        "labelled photos": seaming.on_labelled_photos(concept, lines, part),
    }
    return {name: score for name, score in scores.items() if score is not None}


def release_lines(benchmark: ReleaseFigures) -> Sequence[str]:
    """Describe a benchmark as text, a line a figure."""
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
    return told + (steadying.robustness_lines(benchmark.robustness) if benchmark.robustness else [])


def false_alarm_counts(benchmark: ReleaseFigures) -> dict[str, tuple[int, int]]:
    """The false-alarm counts, by what they were counted on."""
    return {
        "false alarms under the wrong prompt": benchmark.wrong_prompt,
        "false alarms on pictures that are no walls": benchmark.no_walls,
        "false alarms for cracks among cables and clamps (setting C)": benchmark.cables,
    }
