"""Find faulty labels by testing which changes to the labels improve their agreement with a model.

The predictions of a good model agree with correct labels. If they agree far better with moved, rotated or
exchanged labels, the original labels are probably shifted, rotated or exchanged. The change with the largest
gain is reported. If the model is poor, no change makes the labels agree with its predictions, so nothing is
reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.checks.coarse_pairs import CoarsePair, Gain, Mask, coarse_iou, compare_pairs
from drywallqa.checks.findings import FaultFinding, finding_of, rank_findings
from drywallqa.imaging.morphology import dilate

REACH = 32
"""Largest tested shift, in px of the grid."""
RADII = (1, 2, 3, 4, 6, 9, 13, 18)
SCALES = (0.5, 0.7, 0.85, 1.18, 1.43, 2.0)
LEAST_COUNT, LEAST_SHARE = 3, 0.15
"""A change counts if it clearly improves at least this number and this share of the photos."""
GOOD = 0.2
"""Mean IoU that a change must reach. A lower IoU is not agreement, even if the gain is large."""
LEAST_GAIN = 0.03
"""Least mean gain, minus `LabelExplanation.cost`, of a change that explains the labels."""
_WIDTHS = ("labels-wide", "labels-narrow")
_FLIPS: Mapping[str, Callable[[Mask], Mask]] = {
    "mirrored left to right": np.fliplr,
    "mirrored upside down": np.flipud,
    "turned by 180°": lambda truth: np.rot90(truth, 2),
}
_SQUARE_TURNS: Mapping[str, Callable[[Mask], Mask]] = {
    "turned by 90°": np.rot90,
    "turned by 270°": lambda truth: np.rot90(truth, 3),
    "with rows and columns exchanged": np.transpose,
    "mirrored along the other diagonal": lambda truth: np.rot90(truth, 2).T,
}


@dataclass(frozen=True)
class LabelExplanation:
    """A change to the ground truth that may explain a fault, and the gain in IoU from this change.

    Attributes:
        fault: The fault that the change indicates.
        change: A description of the change.
        gain: The gain from the change, averaged over source photos.
        cost: The gain that choosing the best of several variants yields by chance.
    """

    fault: str
    change: str
    gain: Gain
    cost: float = 0.0

    @property
    def worth(self) -> float:
        """Mean gain minus the cost."""
        return self.gain.gain - self.cost

    @property
    def holds(self) -> bool:
        """Whether the gain is large and certain enough to report the fault."""
        gain = self.gain
        if gain.after < GOOD or self.worth < LEAST_GAIN:
            return False
        if self.fault in _WIDTHS:
            # Good models may also mark wider or narrower areas than people, so many photos and a large gain
            # are needed.
            return gain.is_sure and gain.count >= 8 and gain.gain >= max(0.06, 0.2 * gain.before)
        lifts = gain.explained >= LEAST_SHARE and gain.explained * gain.count >= LEAST_COUNT - 0.5
        return gain.is_sure or lifts


@dataclass(frozen=True, eq=False)
class LabelTrial:
    """The IoU of one photo after each change to its ground truth.

    Attributes:
        pair: The photo.
        changed: (fault, description of the change) → IoU.
        shifted: IoU at each shift; see `shift_ious`.
        elsewhere: Best IoU with the concept's ground truth in a photo from any other source photo.
    """

    pair: CoarsePair
    changed: Mapping[tuple[str, str], float]
    shifted: NDArray[np.float64]
    elsewhere: float


def shift_ious(mask: Mask, truth: Mask) -> NDArray[np.float64]:
    """Return the IoU [2·REACH+1, 2·REACH+1] for each shift of the truth by (row, column) - REACH px."""
    side = 2 ** int(np.ceil(np.log2(max(mask.shape) + REACH)))
    spectra = [np.fft.rfft2(each.astype(np.float32), (side, side)) for each in (mask, truth)]
    common = np.fft.irfft2(spectra[0] * np.conj(spectra[1]), (side, side))
    moves = np.arange(-REACH, REACH + 1)
    shared = np.round(common[np.ix_(moves, moves)])
    union = int(mask.sum()) + int(truth.sum()) - shared
    return np.asarray(shared / np.maximum(union, 1), np.float64)


def scale_mask(truth: Mask, factor: float, corner: bool) -> Mask:
    """Scale a ground-truth mask [h,w] about its centre or its top left corner."""
    height, width = truth.shape
    rows, columns = (
        np.round((np.arange(n) - (0 if corner else n / 2)) / factor + (0 if corner else n / 2)).astype(int)
        for n in (height, width)
    )
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None]
    picked = truth[np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)[None]]
    return np.asarray(picked & inside)


def try_changes(pair: CoarsePair, pool: Sequence[CoarsePair]) -> LabelTrial:
    """Test every change on one photo whose ground truth and mask are not empty. `pool` has all photos."""
    mask, truth = pair.mask, pair.truth
    changed = {("labels-inverted", "inverted"): coarse_iou(mask, ~truth)}
    turns = {**_FLIPS, **(_SQUARE_TURNS if truth.shape[0] == truth.shape[1] else {})}
    for name, turn in turns.items():
        changed["labels-turned", name] = coarse_iou(mask, turn(truth))
    for factor in SCALES:
        for corner in (False, True):
            about = f"scaled by {factor:g} about the {'top left corner' if corner else 'centre'}"
            changed["labels-scaled", about] = coarse_iou(mask, scale_mask(truth, factor, corner))
    # Faulty widths are wrong by many pixels, so every second pixel is enough.
    half, label = mask[::2, ::2], truth[::2, ::2]
    offset = coarse_iou(mask, truth) - coarse_iou(half, label)
    for radius in RADII:
        amount = f"by {radius / max(label.shape):.1%} of the photo's longer side at every edge"
        changed["labels-wide", f"narrowed {amount}"] = coarse_iou(half, ~dilate(~label, radius)) + offset
        changed["labels-narrow", f"widened {amount}"] = coarse_iou(half, dilate(label, radius)) + offset
    others = [
        coarse_iou(mask, other.truth)
        for other in pool
        if other.concept == pair.concept
        and other.photograph != pair.photograph
        and other.truth.shape == truth.shape
        and other.truth.any()
    ]
    return LabelTrial(pair, changed, shift_ious(mask, truth), max(others, default=0.0))


def _changes(trials: Sequence[LabelTrial]) -> Iterator[tuple[str, str, list[float], float]]:
    """Yield the tested changes: fault, description, IoU of each photo after the change, and cost."""
    before = [t.pair.iou for t in trials]
    for fault, change in trials[0].changed:
        if not all((fault, change) in t.changed for t in trials):
            continue  # only square photos can be rotated by 90°
        after = [t.changed[fault, change] for t in trials]
        yield fault, change, after, 0.0
        if fault not in _WIDTHS:
            yield fault, f"{change} in photos where this helps", np.maximum(before, after).tolist(), 0.03
    yield (
        "labels-shifted",
        "moved to the best place in each photo",
        [float(t.shifted.max()) for t in trials],
        0.12,
    )
    averaged = np.mean([t.shifted for t in trials], axis=0)
    row, column = (int(place) for place in np.unravel_index(int(averaged.argmax()), averaged.shape))
    down, right = row - REACH, column - REACH
    if max(abs(down), abs(right)) >= 2:
        side = max(trials[0].pair.truth.shape)
        change = f"moved by {right / side:+.1%} of the photo's side to the right, {down / side:+.1%} down"
        after = [float(t.shifted[row, column]) for t in trials]
        yield "labels-shifted", change, after, 0.0
        yield (
            "labels-shifted",
            f"{change} in photos where this helps",
            np.maximum(before, after).tolist(),
            0.05,
        )
    elsewhere = np.maximum(before, [t.elsewhere - 0.05 for t in trials]).tolist()
    yield "labels-of-other-photos", "replaced by the labels of other photos", elsewhere, 0.1


def explain_labels(members: Sequence[CoarsePair], trials: Sequence[LabelTrial]) -> LabelExplanation | None:
    """Compare all changes on a group of photos, and return the best significant change.

    Args:
        members: The photos of the group.
        trials: The trials of the photos whose ground truth and mask are not empty.
    """
    # Exchanged labels are also visible in photos in which the model marks only the other concept.
    masks = [(p, np.asarray(p.other > p.threshold)) for p in members if p.other is not None and p.truth.any()]
    masks = [(p, other) for p, other in masks if p.mask.any() or other.any()]
    exchanged = [max(p.iou, coarse_iou(other, p.truth)) for p, other in masks]
    gain = compare_pairs([p.iou for p, _ in masks], exchanged, [p.photograph for p, _ in masks])
    found = [LabelExplanation("labels-exchanged", "replaced by the labels of the other concept", gain, 0.02)]
    if len(trials) >= LEAST_COUNT:
        before, groups = [t.pair.iou for t in trials], [t.pair.photograph for t in trials]
        found += [
            LabelExplanation(fault, change, compare_pairs(before, after, groups), cost)
            for fault, change, after, cost in _changes(trials)
        ]
    return max((e for e in found if e.holds), key=lambda e: e.worth, default=None)


def check_labels(pairs: Sequence[CoarsePair]) -> list[FaultFinding]:
    """Compare the labels of all splits with a model's predictions. Return each fault's strongest finding.

    Args:
        pairs: A pair for each labelled concept of each photo.
    """
    groups: dict[str, list[CoarsePair]] = {}
    for one in pairs:
        for name in (one.part, f"{one.concept} in {one.part}", f"{one.concept} in all splits", "all splits"):
            groups.setdefault(name, []).append(one)
    trials = {id(p): try_changes(p, pairs) for p in pairs if p.truth.any() and p.mask.any()}
    found = []
    for name, members in groups.items():
        best = explain_labels(members, [trials[id(p)] for p in members if id(p) in trials])
        if best:
            evidence = (
                f"{name}: the IoU of predictions and labels is {best.gain.before:.2f}, but "
                f"{best.gain.after:.2f} if the labels are {best.change} ({best.gain.count} photos, of which "
                f"{best.gain.explained:.0%} are clearly better)"
            )
            found.append(finding_of(best.fault, evidence, 0.6 + min(0.3, best.worth)))
        found += _check_missing(name, members)
    if not found:
        return rank_findings(f for name, members in groups.items() for f in _check_chance(name, members))
    ranked = rank_findings(found)
    # Exchanged or moved labels also cause empty masks, which are not a second fault.
    return [f for f in ranked if f.name != "labels-missing"] or ranked


def _check_missing(group: str, members: Sequence[CoarsePair]) -> list[FaultFinding]:
    """Find photos whose label says that the concept is absent although the model confidently detects it."""
    empty = [p for p in members if not p.truth.any()]
    shown = [p for p in members if p.truth.any()]
    certain = [p for p in empty if p.detected and p.presence >= max(0.9, p.presence_threshold)]
    mastered = sum(p.iou >= 0.3 for p in shown)
    expected = 0.08 * len(empty)
    share = len(certain) / max(1, len(certain) + len(shown))
    few = len(certain) < max(3, expected + 2 * np.sqrt(expected + 1)) or share < 0.12
    if few or mastered < 0.4 * len(shown):
        return []
    evidence = (
        f"{group}: in {len(certain)} of {len(empty)} photos that are labelled as empty the model confidently "
        f"detects the concept ({', '.join(p.photo for p in certain[:3])}, …)"
    )
    return [finding_of("labels-missing", evidence, 0.55 + 0.3 * share)]


def _check_chance(group: str, members: Sequence[CoarsePair]) -> list[FaultFinding]:
    """Find labels that do not overlap the model's masks although the model reliably predicts presence."""
    shown = [p for p in members if p.truth.any()]
    empty = [p for p in members if not p.truth.any()]
    detected = [p for p in shown if p.detected]
    missed = [p for p in detected if p.iou < 0.1]
    if len(detected) < max(5, 0.6 * len(shown)) or len(missed) < max(3, 0.3 * len(detected)):
        return []
    if len(empty) < LEAST_COUNT or sum(p.detected for p in empty) > 0.2 * len(empty):
        return []  # the model's presence is not reliable enough to doubt the labels
    evidence = (
        f"{group}: in {len(missed)} of {len(detected)} photos the model correctly detects the concept, but "
        f"its mask does not overlap the label ({', '.join(p.photo for p in missed[:3])}, …)"
    )
    return [finding_of("labels-of-other-photos", evidence, 0.5 + 0.3 * len(missed) / len(detected))]
