"""Checks of a model's answers: their range, what they depend on, their thresholds, and counterfactual inputs.

A counterfactual is the same photo given in another way (colour channels reversed, other normalisation, other
window). Where one lifts the IoU clearly, the way that the model gets photos is the fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from drywallqa.checks.coarse_pairs import (
    CoarsePair,
    Gain,
    best_logit_threshold,
    coarse_iou,
    compare_pairs,
    mean_or_zero,
)
from drywallqa.checks.findings import FaultFinding, finding_of
from drywallqa.imaging.letterbox import logit

USABLE = 0.15
"""Mean IoU from which a model separates well enough for its threshold to be judged."""


def by_concept(seen: Sequence[CoarsePair]) -> dict[str, list[CoarsePair]]:
    """Group by concept."""
    groups: dict[str, list[CoarsePair]] = {}
    for each in seen:
        groups.setdefault(each.concept, []).append(each)
    return groups


_ROUNDING = 1e-4  # of logits that were read back from probabilities


def check_range(seen: Sequence[CoarsePair]) -> list[FaultFinding]:
    """Check that answers are finite, unbounded, and depend on the photo and on the prompt."""
    logits = [s.logits for s in seen]
    if not logits:
        return []
    broken = sum(not np.isfinite(values).all() for values in logits)
    if broken:
        return [
            finding_of("weights-not-finite", f"{broken} of {len(logits)} answers are nan or infinite", 0.99)
        ]
    low, high = min(float(v.min()) for v in logits), max(float(v.max()) for v in logits)
    spread = mean_or_zero(float(v.std()) for v in logits)
    told = f"over {len(logits)} answers logits range from {low:.3g} to {high:.3g}"
    if spread < 1e-4 * max(1.0, abs(low), abs(high)):
        return [finding_of("output-constant", f"{told}; within a photo they vary by {spread:.2g}", 0.95)]
    if low >= -_ROUNDING and high <= 1 + _ROUNDING:
        return [finding_of("sigmoid-twice", f"{told}, as probabilities do", 0.96)]
    return [*_same_photos(seen, spread, told), *_same_prompts(seen)]


def _same_photos(seen: Sequence[CoarsePair], spread: float, told: str) -> list[FaultFinding]:
    """Answers to different photos that are alike to the last digits are one pattern."""
    for members in by_concept(seen).values():
        alike = [s.logits for s in members if s.logits.shape == members[0].logits.shape]
        if len(alike) < 4:
            continue
        change = float(np.std(np.stack(alike), axis=0).mean())
        if change < 0.01 * spread:
            what = f"{told}; from photo to photo they change by {change:.2g} only"
            return [finding_of("output-constant", what, 0.94)]
    return []


def _same_prompts(seen: Sequence[CoarsePair]) -> list[FaultFinding]:
    asked = [s for s in seen if s.other is not None]
    if not asked:
        return []
    changes = [
        float(np.abs(s.logits - s.other).mean() / max(float(s.logits.std()), 1e-6))
        for s in asked
        if s.other is not None
    ]
    usual = float(np.median(changes))
    if usual < 0.05:
        what = f"another prompt changes logits by {usual:.1%} of their spread over {len(asked)} answers"
        return [finding_of("prompt-ignored", what, 0.92)]  # less than weights that explain it
    same = [
        coarse_iou(s.mask, np.asarray(s.other > s.level))
        for s in asked
        if s.other is not None and s.mask.any()
    ]
    if len(same) >= 5 and mean_or_zero(same) > 0.8:
        what = (
            f"masks under two prompts overlap at a mean IoU of {mean_or_zero(same):.2f} ({len(same)} answers)"
        )
        return [finding_of("prompt-ignored", what, 0.85)]
    return []


def check_exchange(seen: Sequence[CoarsePair]) -> list[FaultFinding]:
    """Check whether answers fit better under the other concept's prompt."""
    shown = [s for s in seen if s.truth.any() and s.other is not None]
    before = [s.iou for s in shown]
    after = [coarse_iou(np.asarray(s.other > s.level), s.truth) for s in shown if s.other is not None]
    gain = compare_pairs(before, after)
    if not (gain.is_sure or (gain.explained >= 0.3 and gain.count >= 3)) or gain.gain < 0.08:
        return []
    what = f"asked for the other concept, the truth is met at IoU {gain.after:.2f}, not {gain.before:.2f}"
    return [finding_of("prompts-exchanged", f"{what} ({gain.count} photos)", 0.91)]


def check_sign(seen: Sequence[CoarsePair]) -> list[FaultFinding]:
    """Check whether what is left unmarked is what should be marked."""
    shown = [s for s in seen if s.truth.any()]
    as_is, turned = best_logit_threshold(shown)[1], best_logit_threshold(shown, lambda x: -x)[1]
    if len(shown) < 3 or turned < max(USABLE, as_is + 0.15):
        return []
    what = (
        f"with the sign of its output turned the model reaches an IoU of {turned:.2f}, as it is {as_is:.2f}"
    )
    return [finding_of("output-inverted", f"{what} at the best threshold ({len(shown)} photos)", 0.9)]


def check_levels(seen: Sequence[CoarsePair], held_out: Sequence[CoarsePair] = ()) -> list[FaultFinding]:
    """Check the stored thresholds of each concept against the best ones on these photos.

    Args:
        seen: Validation photos, on which thresholds are chosen.
        held_out: Test photos; thresholds that fit them better than validation were tuned on them.
    """
    found = []
    for concept, members in by_concept(seen).items():
        shown = [s for s in members if s.truth.any()]
        if len(shown) < 3:
            continue
        found += _mask_level(concept, shown, [s for s in held_out if s.concept == concept])
        found += _presence_level(concept, members)
    return found


def _mask_level(
    concept: str, shown: Sequence[CoarsePair], held_out: Sequence[CoarsePair]
) -> list[FaultFinding]:
    best, reached = best_logit_threshold(shown)
    stored = shown[0].level
    gain = compare_pairs([s.iou for s in shown], [coarse_iou(s.logits > best, s.truth) for s in shown])
    if reached < USABLE or gain.gain < max(0.05, 0.1 * reached) or gain.sure < 2.5:
        return []
    told = [1 / (1 + np.exp(-level)) for level in (stored, best)]
    what = (
        f"{concept}: at the stored threshold {told[0]:.3f} IoU is {gain.before:.2f}, at {told[1]:.3f} it is "
    )
    what += f"{gain.after:.2f} ({gain.count} photos)"
    away = [s for s in held_out if s.truth.any()]
    if len(away) >= 3:
        regret = best_logit_threshold(away)[1] - mean_or_zero(s.iou for s in away)
        if regret < 0.2 * gain.gain:
            what += f"; on test photos the stored one is the best to {regret:.3f}"
            return [finding_of("threshold-from-test", what, 0.62)]
    if abs(best) > logit(0.97) and abs(stored) < logit(0.9):
        return [finding_of("output-scale", what, 0.7 + 0.2 * gain.gain / max(reached, 1e-6))]
    case = "mask-threshold-high" if stored > best else "mask-threshold-low"
    return [finding_of(case, what, 0.6 + 0.3 * gain.gain / max(reached, 1e-6))]


def _presence_level(concept: str, members: Sequence[CoarsePair]) -> list[FaultFinding]:
    shown = [s for s in members if s.truth.any()]
    empty = [s for s in members if not s.truth.any()]
    alarms = [s for s in empty if float(s.mask.mean()) > 0.001]

    def worth(level: float) -> float:
        kept = mean_or_zero(s.iou if s.presence >= level else 0.0 for s in shown)
        return kept - 0.5 * (sum(s.presence >= level for s in alarms) / len(empty) if empty else 0.0)

    stored = shown[0].presence_level
    levels = [float(level) for level in np.arange(0.02, 0.99, 0.04)]
    best = max(levels, key=worth)
    gain = worth(best) - worth(stored)
    lost = sum(s.presence < stored and s.mask.any() and s.iou > 0.2 for s in shown)
    false = sum(s.presence >= stored for s in alarms)
    if gain < 0.1 or not (lost >= max(3, 0.25 * len(shown)) or false >= max(3, 0.3 * len(empty))):
        return []
    what = f"{concept}: at the stored presence threshold {stored:.2f} {lost} of {len(shown)} photos "
    what += f"that show it lose a good mask and {false} of {len(empty)} others get a false one; "
    what += f"{best:.2f} would suit"
    return [finding_of("presence-threshold", what, 0.62 + min(0.25, gain))]  # less than what explains it


def check_inputs(
    as_is: Sequence[CoarsePair], variants: Mapping[str, tuple[str, Sequence[CoarsePair]]]
) -> list[FaultFinding]:
    """Check whether photos given in another way are answered better.

    Args:
        as_is: Photos as the model gets them.
        variants: How it is told → the case it stands for, and the same photos in that way.
    """
    shown = [number for number, s in enumerate(as_is) if s.truth.any()]
    levels = {c: best_logit_threshold(members)[0] for c, members in by_concept(as_is).items()}
    before = [coarse_iou(as_is[n].logits > levels[as_is[n].concept], as_is[n].truth) for n in shown]
    tried: list[tuple[str, str, Gain]] = []
    for told, (case, answers) in variants.items():
        own = {c: best_logit_threshold(members)[0] for c, members in by_concept(answers).items()}
        after = [coarse_iou(answers[n].logits > own[answers[n].concept], answers[n].truth) for n in shown]
        tried.append((case, told, compare_pairs(before, after)))
    sure = [t for t in tried if t[2].is_sure and t[2].gain >= max(0.05, 0.12 * t[2].before)]
    if not sure:
        return []
    case, told, gain = max(sure, key=lambda t: t[2].gain)
    what = f"{told}, photos are answered at IoU {gain.after:.2f}, as they are now at {gain.before:.2f}"
    weight = 0.65 + min(0.24, gain.gain) if case != "text-side" else 0.9
    return [finding_of(case, f"{what} ({gain.count} photos)", weight)]


def output_facts(seen: Sequence[CoarsePair]) -> dict[str, float]:
    """Figures that everybody asks for first: range, share above threshold, truth, IoU."""
    shown = [s for s in seen if s.truth.any()]
    logits = np.concatenate([s.logits.ravel() for s in seen]) if seen else np.zeros(1, np.float32)
    return {
        "pairs": len(seen),
        "pairs with an empty truth": len(seen) - len(shown),
        "lowest logit": float(logits.min()),
        "mean logit": float(logits.mean()),
        "highest logit": float(logits.max()),
        "share above the threshold": mean_or_zero(float(s.mask.mean()) for s in seen),
        "share of foreground in the truth": mean_or_zero(float(s.truth.mean()) for s in shown),
        "mean IoU at the stored threshold": mean_or_zero(s.iou for s in shown),
        "best mean IoU at any threshold": best_logit_threshold(shown)[1],
    }
