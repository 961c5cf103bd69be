"""Checks of a model's predictions: range, dependence on photo and prompt, and thresholds.

Some checks prepare the same photos differently, for example with reversed colour channels, another
normalisation or another window. If such a change clearly raises the IoU, the model's input is prepared
wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from drywallqa.checks.coarse_pairs import (
    CoarsePair,
    best_ious,
    best_logit_threshold,
    by_concept,
    coarse_iou,
    compare_pairs,
    mean_or_zero,
)
from drywallqa.checks.findings import FaultFinding, finding_of
from drywallqa.imaging.letterbox import logit

USABLE = 0.15
"""Least mean IoU of a model that is good enough for judging its threshold."""
_ROUNDING = 1e-4  # rounding error of logits that were computed from probabilities


def check_range(pairs: Sequence[CoarsePair]) -> list[FaultFinding]:
    """Check that logits are finite, are not probabilities, and depend on the photo and on the prompt."""
    logits = [p.logits for p in pairs]
    if not logits:
        return []
    broken = sum(not np.isfinite(values).all() for values in logits)
    if broken:
        text = f"{broken} of {len(logits)} predictions contain NaN or infinite logits"
        return [finding_of("weights-not-finite", text, 0.99)]
    low, high = min(float(v.min()) for v in logits), max(float(v.max()) for v in logits)
    spread = mean_or_zero(float(v.std()) for v in logits)
    text = f"the logits of {len(logits)} predictions range from {low:.3g} to {high:.3g}"
    if spread < 1e-4 * max(1.0, abs(low), abs(high)):
        return [finding_of("output-constant", f"{text}; in a photo they vary by only {spread:.2g}", 0.95)]
    if low >= -_ROUNDING and high <= 1 + _ROUNDING:
        return [finding_of("sigmoid-twice", f"{text}, like probabilities", 0.96)]
    found: list[FaultFinding] = []
    for members in by_concept(pairs).values():
        alike = [p.logits for p in members if p.logits.shape == members[0].logits.shape]
        change = float(np.std(np.stack(alike), axis=0).mean())
        if len(alike) >= 4 and change < 0.01 * spread and not found:
            constant = f"{text}; between photos they change by only {change:.2g}"
            found.append(finding_of("output-constant", constant, 0.94))
    return [*found, *_check_prompts(pairs)]


def _check_prompts(pairs: Sequence[CoarsePair]) -> list[FaultFinding]:
    """Check that the prediction depends on the prompt.

    The finding has a lower weight than findings about faulty weights, which may be its cause.
    """
    both = [(p, p.other) for p in pairs if p.other is not None]
    if not both:
        return []
    changes = [float(np.abs(p.logits - other).mean() / max(float(p.logits.std()), 1e-6)) for p, other in both]
    usual = float(np.median(changes))
    if usual < 0.05:
        text = f"another prompt changes the logits by {usual:.1%} of their spread ({len(both)} predictions)"
        return [finding_of("prompt-ignored", text, 0.92)]
    same = [coarse_iou(p.mask, np.asarray(other > p.threshold)) for p, other in both if p.mask.any()]
    if len(same) < 5 or mean_or_zero(same) <= 0.8:
        return []
    text = f"masks for two prompts overlap with a mean IoU of {mean_or_zero(same):.2f}"
    return [finding_of("prompt-ignored", f"{text} ({len(same)} predictions)", 0.85)]


def check_exchange(pairs: Sequence[CoarsePair]) -> list[FaultFinding]:
    """Check that the right concept's prompt does not give worse masks than the wrong concept's prompt."""
    both = [(p, p.other) for p in pairs if p.truth.any() and p.other is not None]
    after = [coarse_iou(np.asarray(other > p.threshold), p.truth) for p, other in both]
    gain = compare_pairs([p.iou for p, _ in both], after)
    if not (gain.is_sure or (gain.explained >= 0.3 and gain.count >= 3)) or gain.gain < 0.08:
        return []
    text = f"the wrong concept's prompt reaches an IoU of {gain.after:.2f}, the right one {gain.before:.2f}"
    return [finding_of("prompts-exchanged", f"{text} ({gain.count} photos)", 0.91)]


def check_sign(pairs: Sequence[CoarsePair]) -> list[FaultFinding]:
    """Check that the model does not mark the background instead of the foreground."""
    shown = [p for p in pairs if p.truth.any()]
    as_is = best_logit_threshold(shown)[1]
    turned = best_logit_threshold([replace(p, logits=-p.logits) for p in shown])[1]
    if len(shown) < 3 or turned < max(USABLE, as_is + 0.15):
        return []
    text = f"the best IoU over all thresholds is {as_is:.2f}, and {turned:.2f} with inverted logits"
    return [finding_of("output-inverted", f"{text} ({len(shown)} photos)", 0.9)]


def check_thresholds(
    pairs: Sequence[CoarsePair], held_out: Sequence[CoarsePair] = ()
) -> Iterator[FaultFinding]:
    """Compare the stored thresholds of each concept with the best thresholds on these photos.

    Args:
        pairs: Predictions for validation photos, on which thresholds are chosen.
        held_out: Predictions for test photos. Stored thresholds that fit the test photos better than the
            validation photos were probably tuned on test photos.
    """
    for concept, members in by_concept(pairs).items():
        shown = [p for p in members if p.truth.any()]
        if len(shown) >= 3:
            away = [p for p in held_out if p.concept == concept and p.truth.any()]
            yield from _check_mask_threshold(concept, shown, away)
            yield from _check_presence_threshold(concept, shown, [p for p in members if not p.truth.any()])


def _check_mask_threshold(
    concept: str, shown: Sequence[CoarsePair], held_out: Sequence[CoarsePair]
) -> list[FaultFinding]:
    best, reached = best_logit_threshold(shown)
    stored = shown[0].threshold
    gain = compare_pairs([p.iou for p in shown], [coarse_iou(p.logits > best, p.truth) for p in shown])
    if reached < USABLE or gain.gain < max(0.05, 0.1 * reached) or gain.sure < 2.5:
        return []
    was, better = (1 / (1 + np.exp(-threshold)) for threshold in (stored, best))
    text = (
        f"{concept}: the IoU is {gain.before:.2f} at the stored threshold {was:.3f} and {gain.after:.2f} at "
        f"{better:.3f} ({gain.count} photos)"
    )
    if len(held_out) >= 3:
        regret = best_logit_threshold(held_out)[1] - mean_or_zero(p.iou for p in held_out)
        if regret < 0.2 * gain.gain:
            text += f"; on test photos the stored threshold is within {regret:.3f} of the best IoU"
            return [finding_of("threshold-from-test", text, 0.62)]
    relative = gain.gain / reached
    if abs(best) > logit(0.97) and abs(stored) < logit(0.9):
        return [finding_of("output-scale", text, 0.7 + 0.2 * relative)]
    fault = "mask-threshold-high" if stored > best else "mask-threshold-low"
    return [finding_of(fault, text, 0.6 + 0.3 * relative)]


def _check_presence_threshold(
    concept: str, shown: Sequence[CoarsePair], empty: Sequence[CoarsePair]
) -> list[FaultFinding]:
    alarms = [p for p in empty if float(p.mask.mean()) > 0.001]

    def worth(threshold: float) -> float:
        kept = mean_or_zero(p.iou if p.presence >= threshold else 0.0 for p in shown)
        return kept - 0.5 * sum(p.presence >= threshold for p in alarms) / max(1, len(empty))

    stored = shown[0].presence_threshold
    best = max((float(threshold) for threshold in np.arange(0.02, 0.99, 0.04)), key=worth)
    gain = worth(best) - worth(stored)
    lost = sum(p.presence < stored and p.mask.any() and p.iou > 0.2 for p in shown)
    false = sum(p.presence >= stored for p in alarms)
    if gain < 0.1 or not (lost >= max(3, 0.25 * len(shown)) or false >= max(3, 0.3 * len(empty))):
        return []
    text = (
        f"{concept}: at the stored presence threshold {stored:.2f}, {lost} of {len(shown)} photos with the "
        f"concept lose a good mask and {false} of {len(empty)} other photos get a false mask; a threshold of "
        f"{best:.2f} is better"
    )
    return [finding_of("presence-threshold", text, 0.62 + min(0.25, gain))]  # ranks below its possible causes


def check_inputs(
    as_is: Sequence[CoarsePair], variants: Mapping[str, tuple[str, Sequence[CoarsePair]]]
) -> list[FaultFinding]:
    """Check that the predictions do not improve if the photos are prepared differently.

    Args:
        as_is: Predictions for photos that were prepared as the model specifies.
        variants: Description of a change → the fault that it indicates, and the predictions after the change.
    """
    before = best_ious(as_is)
    tried = [
        (compare_pairs(before, best_ious(pairs)), fault, way) for way, (fault, pairs) in variants.items()
    ]
    sure = [t for t in tried if t[0].is_sure and t[0].gain >= max(0.05, 0.12 * t[0].before)]
    if not sure:
        return []
    gain, fault, way = max(sure, key=lambda t: t[0].gain)
    text = f"{way}, photos reach an IoU of {gain.after:.2f}; with the current input, {gain.before:.2f}"
    weight = 0.65 + min(0.24, gain.gain) if fault != "text-side" else 0.9
    return [finding_of(fault, f"{text} ({gain.count} photos)", weight)]


def output_facts(pairs: Sequence[CoarsePair]) -> dict[str, float]:
    """Return basic statistics: range of logits, share above the threshold, share of foreground, and IoU."""
    shown = [p for p in pairs if p.truth.any()]
    logits = np.concatenate([p.logits.ravel() for p in pairs])
    return {
        "pairs": len(pairs),
        "pairs with an empty truth": len(pairs) - len(shown),
        "lowest logit": float(logits.min()),
        "mean logit": float(logits.mean()),
        "highest logit": float(logits.max()),
        "share above the threshold": mean_or_zero(float(p.mask.mean()) for p in pairs),
        "share of foreground in the truth": mean_or_zero(float(p.truth.mean()) for p in shown),
        "mean IoU at the stored threshold": mean_or_zero(p.iou for p in shown),
        "best mean IoU at any threshold": best_logit_threshold(shown)[1],
    }
