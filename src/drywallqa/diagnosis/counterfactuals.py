"""Test a model with changed inputs and newly chosen thresholds, and check its stored metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from drywallqa.bundle.bundle import Bundle
from drywallqa.checks.coarse_pairs import (
    CoarsePair,
    best_ious,
    best_logit_threshold,
    compare_pairs,
    mean_or_zero,
)
from drywallqa.checks.findings import FaultFinding, finding_of
from drywallqa.diagnosis.probe import ModelProbe, ProbePhoto
from drywallqa.evaluation.measured_model import MeasuredModel
from drywallqa.evaluation.thresholds import choose_thresholds
from drywallqa.imaging.letterbox import IMAGENET_MEAN, IMAGENET_STD
from drywallqa.inference.queries import PromptQueries
from drywallqa.models.registry import CLIP_MEAN, CLIP_STD
from drywallqa.text.text_side import TextSide

MOST_CHOSEN_ON = 160
"""Largest number of val and test photos for which thresholds are chosen again, as in an export."""

_NORMALISATIONS: Mapping[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "normalised by ImageNet's mean and deviation": (IMAGENET_MEAN, IMAGENET_STD),
    "normalised by CLIP's mean and deviation": (CLIP_MEAN, CLIP_STD),
    "scaled to −1 to 1": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "scaled to 0 to 1": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "left at 0 to 255": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}


def run_variants(
    probe: ModelProbe, photos: Sequence[ProbePhoto]
) -> Mapping[str, tuple[str, list[CoarsePair]]]:
    """Run the model on changed inputs: reversed channels, other normalisations and other windows.

    Each change is first tested on every second photo. If their mean IoU does not rise, the change is not
    tested on the other photos, because these could hardly make the gain significant.

    Returns:
        Description of a change → the fault that it indicates, and the predictions after the change.
    """
    window = probe.subject.window
    ways = {"with reversed colour channels": ("channel-order", window)}
    for way, (mean, std) in _NORMALISATIONS.items():
        if not np.allclose([*mean, *std], [*window.mean, *window.std], atol=1e-3):
            ways[way] = "normalisation", replace(window, mean=mean, std=std)
    sizes = {round(window.size * factor / window.multiple) * window.multiple for factor in (0.5, 1.5)}
    for size in sorted(sizes - {window.size, 0}):
        if size <= 1024:
            ways[f"at {size} px"] = "window-size", replace(window, size=size)
    found = {}
    reached = mean_or_zero(best_ious(probe.predict(photos[::2])))
    for way, (fault, changed) in ways.items():
        reverse = fault == "channel-order"
        if mean_or_zero(best_ious(probe.predict(photos[::2], changed, reverse_channels=reverse))) > reached:
            found[way] = fault, probe.predict(photos, changed, reverse_channels=reverse)
    return found


def run_other_text(
    probe: ModelProbe, photos: Sequence[ProbePhoto], text: TextSide
) -> Mapping[str, tuple[str, list[CoarsePair]]]:
    """Predict with another text model's embeddings, unless they equal the model's own or have another width.

    Returns:
        A mapping like the result of `run_variants`.
    """
    own, other = probe.queries, text.embed(list(probe.concepts))
    if other.shape != own.embeddings.shape or np.allclose(other, own.embeddings, atol=1e-3):
        return {}
    pairs = probe.predict(photos, queries=PromptQueries(own.each, other))
    return {"with the embeddings of the bundled text model": ("text-side", pairs)}


def check_tuned(bundle: Bundle, probe: ModelProbe, photos: Sequence[ProbePhoto]) -> list[FaultFinding]:
    """Check that the stored thresholds are not the thresholds that would be chosen on the test split."""
    parts = [[p for p in photos if p.sample.split == part] for part in ("val", "test")]
    if not all(parts) or sum(map(len, parts)) > MOST_CHOSEN_ON:
        return []
    choices = []
    for members in parts:
        pairs = [pair for pair in probe.measure(members) if not pair.closer]
        shown = {pair.concept for pair in pairs if not pair.absent}
        choices.append(choose_thresholds([pair for pair in pairs if pair.concept in shown]))
    tuned = []
    for concept in [c for c in probe.concepts if c in bundle.concepts and all(c in each for each in choices)]:
        for name in ("threshold", "presence_threshold"):
            stored, val, test = (
                getattr(each, name) for each in (bundle.concepts[concept], *(c[concept] for c in choices))
            )
            if abs(test - val) < 1e-6:
                continue
            if abs(stored - test) < 1e-6:
                tuned.append((name, f"'{concept}' {name} {stored:.4f} (validation chooses {val:.4f})"))
            elif abs(stored - val) < 1e-6 and name == "threshold":
                return []
    if "threshold" not in dict(tuned):
        return []  # there are few candidates for presence thresholds, so two may be equal by chance
    listed = "; ".join(text for _, text in tuned)
    text = f"the stored thresholds are the ones that would be chosen on the test split: {listed}"
    return [finding_of("threshold-from-test", text, 0.94 if len(tuned) > 1 else 0.9)]


def check_average(
    probe: ModelProbe, trained: MeasuredModel, photos: Sequence[ProbePhoto]
) -> list[FaultFinding]:
    """Check that the averaged weights of a run (in `probe`) are not worse than the trained weights."""
    other = ModelProbe(trained, probe.concepts)
    gain = compare_pairs(best_ious(probe.predict(photos)), best_ious(other.predict(photos)))
    if not gain.is_sure or gain.gain < 0.1:
        return []
    text = f"the IoU is {gain.after:.2f} with the trained weights, but {gain.before:.2f} with their average"
    return [finding_of("average-stale", f"{text} ({gain.count} photos)", 0.9)]


def check_claims(
    bundle: Bundle, own: Sequence[CoarsePair], reference: Sequence[CoarsePair]
) -> Iterator[FaultFinding]:
    """Check the stored metrics of the concepts that the bundled model segments well on these photos."""
    for concept, figures in dict(bundle.metrics.get("val", {})).items():
        claimed = float(figures.get("iou") or 0)
        reached, other = (
            best_logit_threshold(p for p in pairs if p.concept == concept)[1] for pairs in (own, reference)
        )
        if claimed >= 0.25 and reached < 0.6 * claimed and other >= max(0.25, 1.4 * reached):
            text = (
                f"{concept}: the bundle states an IoU of {claimed:.2f} on validation, but reaches only "
                f"{reached:.2f} on these photos at its best threshold; the bundled model reaches {other:.2f}"
            )
            yield finding_of("model-damaged", text, 0.6)
