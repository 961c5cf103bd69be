"""Checks of labels against what a model sees: which change of the truth would make both agree?

A model that masters a concept agrees with sound labels as they are. Where it agrees far better with labels
that are shifted back, turned back or exchanged, the labels are shifted, turned or exchanged: each change is a
counterfactual, and the one that explains most wins. A poor model agrees with no change, and accuses nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.checks.coarse_pairs import CoarsePair, Gain, Mask, coarse_iou, compare_pairs
from drywallqa.checks.findings import FaultFinding, finding_of
from drywallqa.imaging.morphology import dilate

REACH = 32
"""Largest shift looked for, in px of the grid."""
RADII = (1, 2, 3, 4, 6, 9, 13, 18)
SCALES = (0.5, 0.7, 0.85, 1.18, 1.43, 2.0)
LEAST_COUNT, LEAST_SHARE = 3, 0.15
"""A change that lifts single photos counts from this many photos, and this share of them."""
GOOD = 0.2
"""Mean IoU that a change must reach: less is no agreement, however much less it was before."""
LEAST_GAIN = 0.03
"""Mean gain, beyond what the freedom of choice brings by itself, from which a change explains anything."""


@dataclass(frozen=True)
class LabelExplanation:
    """A change of the truth, how it reads, and what it brings.

    Attributes:
        case: The case that it stands for.
        told: How the change is described.
        gain: What it brings, over photographs.
        cost: Gain that choosing freely among so many changes brings by itself.
    """

    case: str
    told: str
    gain: Gain
    cost: float = 0.0

    @property
    def worth(self) -> float:
        """Mean gain beyond what the freedom of choice brings."""
        return self.gain.gain - self.cost

    @property
    def holds(self) -> bool:
        """Whether it is more than chance."""
        gain = self.gain
        if gain.after < GOOD or self.worth < LEAST_GAIN:
            return False
        if self.case in ("labels-wide", "labels-narrow"):
            # models, too, are wider or narrower than people draw: so many photographs, and so much
            return gain.is_sure and gain.count >= 8 and gain.gain >= max(0.06, 0.2 * gain.before)
        return gain.is_sure or self.lifts_single

    @property
    def lifts_single(self) -> bool:
        """Whether it lifts enough single photos clearly."""
        gain = self.gain
        return gain.explained >= LEAST_SHARE and gain.explained * gain.count >= LEAST_COUNT - 0.5


@dataclass(frozen=True, eq=False)
class LabelTrial:
    """One photo's IoU after every change of its truth.

    Attributes:
        seen: The photo.
        as_is: Without a change.
        changed: (case, how it is told) → IoU.
        moved: IoU at every shift; see `overlaps`.
        elsewhere: Best IoU with the truth of any other photograph of the concept.
    """

    seen: CoarsePair
    as_is: float
    changed: Mapping[tuple[str, str], float]
    moved: NDArray[np.float64]
    elsewhere: float


def overlaps(mask: Mask, truth: Mask) -> NDArray[np.float64]:
    """IoU of a mask with the truth moved by (row, column) = (i, j) - REACH px: [2·REACH+1, 2·REACH+1]."""
    side = 2 ** int(np.ceil(np.log2(max(mask.shape) + REACH)))
    spectra = [np.fft.rfft2(each.astype(np.float32), (side, side)) for each in (mask, truth)]
    common = np.fft.irfft2(spectra[0] * np.conj(spectra[1]), (side, side))
    moves = np.arange(-REACH, REACH + 1)
    shared = np.round(common[np.ix_(moves, moves)])
    union = int(mask.sum()) + int(truth.sum()) - shared
    return np.asarray(shared / np.maximum(union, 1), np.float64)


def scale_mask(truth: Mask, factor: float, corner: bool) -> Mask:
    """Scale a truth [h,w] about its centre, or about the top left corner."""
    height, width = truth.shape
    rows, columns = (
        np.round((np.arange(n) - (0 if corner else n / 2)) / factor + (0 if corner else n / 2)).astype(int)
        for n in (height, width)
    )
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None]
    picked = truth[np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)[None]]
    return np.asarray(picked & inside)


def _turnings(shape: tuple[int, int]) -> dict[str, Callable[[Mask], Mask]]:
    known: dict[str, Callable[[Mask], Mask]] = {
        "mirrored left to right": lambda t: t[:, ::-1],
        "mirrored upside down": lambda t: t[::-1],
        "turned by 180°": lambda t: t[::-1, ::-1],
    }
    if shape[0] == shape[1]:
        known |= {
            "turned by 90°": lambda t: np.rot90(t),
            "turned by 270°": lambda t: np.rot90(t, 3),
            "with rows and columns exchanged": lambda t: t.T,
            "mirrored along the other diagonal": lambda t: t[::-1, ::-1].T,
        }
    return known


def try_changes(seen: CoarsePair, pool: Sequence[CoarsePair]) -> LabelTrial:
    """Try every change on one photo whose truth and mask are not empty."""
    mask, truth = seen.mask, seen.truth
    changed = {("labels-inverted", "inverted"): coarse_iou(mask, ~truth)}
    for name, turn in _turnings(truth.shape).items():
        changed["labels-turned", name] = coarse_iou(mask, turn(truth))
    for factor in SCALES:
        for corner in (False, True):
            about = f"scaled by {factor:g} about the {'top left corner' if corner else 'centre'}"
            changed["labels-scaled", about] = coarse_iou(mask, scale_mask(truth, factor, corner))
    # widths differ by much or not at all, so that every second pixel tells enough
    seen_, label = mask[::2, ::2], truth[::2, ::2]
    offset = coarse_iou(mask, truth) - coarse_iou(seen_, label)
    for radius in RADII:
        told = f"by {radius / max(label.shape):.1%} of the photo's side all around"
        changed["labels-wide", f"narrowed {told}"] = coarse_iou(seen_, ~dilate(~label, radius)) + offset
        changed["labels-narrow", f"widened {told}"] = coarse_iou(seen_, dilate(label, radius)) + offset
    others = [
        coarse_iou(mask, other.truth)
        for other in pool
        if other.concept == seen.concept
        and other.photograph != seen.photograph
        and other.truth.shape == truth.shape
        and other.truth.any()
    ]
    return LabelTrial(seen, coarse_iou(mask, truth), changed, overlaps(mask, truth), max(others, default=0.0))


def explain_labels(trials: Sequence[LabelTrial], exchange: Gain) -> list[LabelExplanation]:
    """Weigh every change over the photos of a group; those that hold, best first.

    Args:
        trials: The photos of a group.
        exchange: What reading labels as the other concept's brings.
    """
    found = [LabelExplanation("labels-exchanged", "read as those of the other concept", exchange, 0.02)]
    if len(trials) >= LEAST_COUNT:
        before = [t.as_is for t in trials]
        groups = [t.seen.photograph for t in trials]
        keys = [key for key in trials[0].changed if all(key in t.changed for t in trials)]
        for case, told in keys:
            after = [t.changed[case, told] for t in trials]
            found.append(LabelExplanation(case, told, compare_pairs(before, after, groups)))
            if case not in ("labels-wide", "labels-narrow"):
                some = np.maximum(before, after).tolist()
                found.append(
                    LabelExplanation(
                        case, f"{told} where that fits", compare_pairs(before, some, groups), 0.03
                    )
                )
        found += _shifts(trials, before, groups)
        elsewhere = np.maximum(before, [t.elsewhere - 0.05 for t in trials]).tolist()
        told = "read as those of another photo each"
        found.append(
            LabelExplanation("labels-of-other-photos", told, compare_pairs(before, elsewhere, groups), 0.1)
        )
    return sorted((e for e in found if e.holds), key=lambda e: e.worth, reverse=True)


def _shifts(
    trials: Sequence[LabelTrial], before: Sequence[float], groups: Sequence[str]
) -> list[LabelExplanation]:
    averaged = np.mean([t.moved for t in trials], axis=0)
    row, column = np.unravel_index(int(averaged.argmax()), averaged.shape)
    down, right = int(row) - REACH, int(column) - REACH
    free = compare_pairs(before, [float(t.moved.max()) for t in trials], groups)
    found = [LabelExplanation("labels-shifted", "moved to where each fits", free, 0.12)]
    if max(abs(down), abs(right)) >= 2:
        side = max(trials[0].seen.truth.shape)
        told = f"moved by {right / side:+.1%} of the photo's side to the right, {down / side:+.1%} down"
        after = [float(t.moved[row, column]) for t in trials]
        found.append(LabelExplanation("labels-shifted", told, compare_pairs(before, after, groups)))
        some = np.maximum(before, after).tolist()
        found.append(
            LabelExplanation(
                "labels-shifted", f"{told} where that fits", compare_pairs(before, some, groups), 0.05
            )
        )
    return found


def _exchange(seen: Sequence[CoarsePair]) -> Gain:
    """Hold labels against what is seen of the other concept, also where nothing else is seen."""
    masks = [(s, np.asarray(s.other > s.level)) for s in seen if s.other is not None and s.truth.any()]
    able = [(s, other) for s, other in masks if s.mask.any() or other.any()]
    after = [max(s.iou, coarse_iou(other, s.truth)) for s, other in able]
    return compare_pairs([s.iou for s, _ in able], after, [s.photograph for s, _ in able])


def check_labels(seen: Sequence[CoarsePair]) -> list[FaultFinding]:
    """Check the labels of all parts against a model's answers; the strongest explanation of each case.

    Args:
        seen: Photos under each concept that they are labelled for.
    """
    groups: dict[str, list[CoarsePair]] = {}
    for one in seen:
        for name in (one.part, f"{one.concept} in {one.part}", f"{one.concept} in all parts", "all parts"):
            groups.setdefault(name, []).append(one)
    trials = {id(s): try_changes(s, seen) for s in seen if s.truth.any() and s.mask.any()}
    found: dict[str, FaultFinding] = {}
    for name, members in groups.items():
        able = [trials[id(s)] for s in members if id(s) in trials]
        explanations = explain_labels(able, _exchange(members))[:1]
        for each in [*(_told(name, e) for e in explanations), *check_absent(name, members)]:
            if each.name not in found or each.weight > found[each.name].weight:
                found[each.name] = each
    if not found:
        return check_chance(groups)
    listed = sorted(found.values(), key=lambda s: -s.weight)
    # Exchanged or moved labels leave empty ones behind, which are no second fault.
    others = [s for s in listed if s.name != "labels-missing"]
    return others or listed


def _told(group: str, explanation: LabelExplanation) -> FaultFinding:
    gain = explanation.gain
    evidence = (
        f"{group}: what the model sees agrees with the labels at IoU {gain.before:.2f} as they are, at "
        f"{gain.after:.2f} where the labels are {explanation.told} ({gain.count} photos, "
        f"{gain.explained:.0%} of them clearly better)"
    )
    return finding_of(explanation.case, evidence, 0.6 + min(0.3, explanation.worth))


def check_absent(group: str, seen: Sequence[CoarsePair]) -> list[FaultFinding]:
    """Look for photos that are labelled as empty where the model is sure to see something."""
    empty = [s for s in seen if not s.truth.any()]
    shown = [s for s in seen if s.truth.any()]
    certain = [s for s in empty if s.marked and s.presence >= max(0.9, s.presence_level)]
    mastered = [s for s in shown if s.iou >= 0.3]
    expected = 0.08 * len(empty)
    share = len(certain) / max(1, len(certain) + len(shown))
    if len(certain) < max(3, expected + 2 * np.sqrt(expected + 1)) or share < 0.12:
        return []
    if shown and len(mastered) < 0.4 * len(shown):
        return []
    evidence = (
        f"{group}: {len(certain)} of {len(empty)} photos that are labelled as empty show it to a model "
        f"that is sure of it ({', '.join(s.photo for s in certain[:3])}, …)"
    )
    return [finding_of("labels-missing", evidence, 0.55 + 0.3 * share)]


def check_chance(groups: Mapping[str, Sequence[CoarsePair]]) -> list[FaultFinding]:
    """Look for labels that a model, which tells presence well, meets by chance only."""
    found = []
    for name, members in groups.items():
        shown = [s for s in members if s.truth.any()]
        empty = [s for s in members if not s.truth.any()]
        seen = [s for s in shown if s.marked]
        alarms = sum(s.marked for s in empty)
        if len(seen) < 5 or len(seen) < 0.6 * len(shown):
            continue
        if len(empty) < LEAST_COUNT or alarms > 0.2 * len(empty):
            continue  # nothing shows that the model's belief is worth more than the label
        missed = [s for s in seen if s.iou < 0.1]
        if len(missed) >= max(3, 0.3 * len(seen)):
            evidence = (
                f"{name}: in {len(missed)} of {len(seen)} photos the label lies elsewhere than what a model "
                f"sees and is right to believe in ({', '.join(s.photo for s in missed[:3])}, …)"
            )
            found.append(finding_of("labels-of-other-photos", evidence, 0.5 + 0.3 * len(missed) / len(seen)))
    return sorted(found, key=lambda s: -s.weight)[:1]


__all__ = ["LabelExplanation", "check_labels", "overlaps"]
