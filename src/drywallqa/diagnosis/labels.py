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

from drywallqa.diagnosis.finished import Suspect, suspect
from drywallqa.diagnosis.seen import Gain, Mask, Seen, compare, iou
from drywallqa.metrics import widen

REACH = 32
"""Largest shift looked for, in px of the grid."""
RADII = (1, 2, 3, 5, 8)
SCALES = (0.5, 0.7, 0.85, 1.18, 1.43, 2.0)
LEAST_COUNT, LEAST_SHARE = 3, 0.15
"""A change that lifts single photos counts from this many photos, and this share of them."""
GOOD = 0.2
"""Mean IoU that a change must reach: less is no agreement, however much less it was before."""
CHANCE = 0.05
"""Gain that the freedom of choosing among many changes brings by itself."""


@dataclass(frozen=True)
class Explanation:
    """A change of the truth, how it reads, and what it brings.

    Attributes:
        case: The case that it stands for.
        told: How the change is described.
        gain: What it brings.
    """

    case: str
    told: str
    gain: Gain

    @property
    def holds(self) -> bool:
        """Whether it is more than chance."""
        gain = self.gain
        clear = gain.explained >= LEAST_SHARE and gain.explained * gain.count >= LEAST_COUNT - 0.5
        return gain.after >= GOOD and (gain.is_sure or (clear and gain.gain > CHANCE))


def overlaps(mask: Mask, truth: Mask) -> NDArray[np.float64]:
    """IoU of a mask with the truth moved by (row, column) = (i, j) - REACH px: [2·REACH+1, 2·REACH+1]."""
    side = 2 ** int(np.ceil(np.log2(max(mask.shape) + REACH)))
    spectra = [np.fft.rfft2(each.astype(np.float32), (side, side)) for each in (mask, truth)]
    common = np.fft.irfft2(spectra[0] * np.conj(spectra[1]), (side, side))
    moves = np.arange(-REACH, REACH + 1)
    shared = np.round(common[np.ix_(moves, moves)])
    union = int(mask.sum()) + int(truth.sum()) - shared
    return np.asarray(shared / np.maximum(union, 1), np.float64)


def scaled(truth: Mask, factor: float, corner: bool) -> Mask:
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


def explain(seen: Sequence[Seen]) -> list[Explanation]:
    """Try every change of the truth on photos that show a concept; those that hold, best first.

    Args:
        seen: Photos of one part whose truth is not empty.
    """
    shown = [s for s in seen if s.truth.any() and s.mask.any()]
    if len(shown) < LEAST_COUNT:
        return [e for e in _exchanged(seen) if e.holds]
    before = [s.iou for s in shown]
    found = [*_shifts(shown, before), *_turns(shown, before), *_sizes(shown, before), *_widths(shown, before)]
    found.append(
        Explanation("labels-inverted", "inverted", compare(before, [iou(s.mask, ~s.truth) for s in shown]))
    )
    found += [_others(shown, before), *_exchanged(seen)]
    return sorted((e for e in found if e.holds), key=_worth, reverse=True)


def _worth(explanation: Explanation) -> float:
    """Mean gain, less what choosing freely for each photo gains by itself."""
    free = explanation.told.startswith("each")
    return explanation.gain.gain - (CHANCE if free else 0.0)


def _shifts(shown: Sequence[Seen], before: Sequence[float]) -> list[Explanation]:
    maps = [overlaps(s.mask, s.truth) for s in shown]
    averaged = np.mean(maps, axis=0)
    row, column = np.unravel_index(int(averaged.argmax()), averaged.shape)
    down, right = int(row) - REACH, int(column) - REACH
    found = []
    if max(abs(down), abs(right)) >= 2:
        side = max(shown[0].truth.shape)
        told = f"moved back by {right / side:+.1%} of the photo's side to the right, {down / side:+.1%} down"
        found.append(
            Explanation("labels-shifted", told, compare(before, [float(m[row, column]) for m in maps]))
        )
    free = Explanation(
        "labels-shifted", "each moved to where it fits", compare(before, [float(m.max()) for m in maps])
    )
    return [*found, free]


def _turns(shown: Sequence[Seen], before: Sequence[float]) -> list[Explanation]:
    tried = {
        name: [iou(s.mask, turn(s.truth)) if name in _turnings(s.truth.shape) else b
               for s, b in zip(shown, before, strict=True)]
        for name, turn in _turnings(shown[0].truth.shape).items()
    }  # fmt: skip
    common = [Explanation("labels-turned", name, compare(before, values)) for name, values in tried.items()]
    free = compare(before, np.max(list(tried.values()), axis=0).tolist())
    return [*common, Explanation("labels-turned", "each mirrored or turned to where it fits", free)]


def _sizes(shown: Sequence[Seen], before: Sequence[float]) -> list[Explanation]:
    return [
        Explanation(
            "labels-scaled",
            f"scaled by {factor:g} about the {'top left corner' if corner else 'centre'}",
            compare(before, [iou(s.mask, scaled(s.truth, factor, corner)) for s in shown]),
        )
        for factor in SCALES
        for corner in (False, True)
    ]


def _widths(shown: Sequence[Seen], before: Sequence[float]) -> list[Explanation]:
    found = []
    for radius in RADII:
        narrow = [iou(s.mask, ~widen(~s.truth, radius)) for s in shown]
        wide = [iou(s.mask, widen(s.truth, radius)) for s in shown]
        pixels = radius / max(shown[0].truth.shape)
        told = f"by {pixels:.1%} of the photo's side all around"
        found.append(Explanation("labels-wide", f"narrowed {told}", compare(before, narrow)))
        found.append(Explanation("labels-narrow", f"widened {told}", compare(before, wide)))
    return found


def _exchanged(seen: Sequence[Seen]) -> list[Explanation]:
    """Hold labels against what is seen of the other concept, also where nothing else is seen."""
    masks = [(s, np.asarray(s.other > s.level)) for s in seen if s.other is not None and s.truth.any()]
    able = [(s, other) for s, other in masks if s.mask.any() or other.any()]
    gain = compare([s.iou for s, _ in able], [iou(other, s.truth) for s, other in able])
    return [Explanation("labels-exchanged", "read as those of the other concept", gain)]


def _others(shown: Sequence[Seen], before: Sequence[float]) -> Explanation:
    """Hold every answer against the truth of all other photographs of the same concept."""
    best = list(before)
    for number, own in enumerate(shown):
        for other in shown:
            alike = own.concept == other.concept and own.truth.shape == other.truth.shape
            if alike and own.photograph != other.photograph:
                best[number] = max(best[number], iou(own.mask, other.truth) - CHANCE)
    return Explanation("labels-of-other-photos", "each read as that of another photo", compare(before, best))


def check_labels(seen: Sequence[Seen]) -> list[Suspect]:
    """Check the labels of all parts against a model's answers; the strongest explanation of each case.

    Args:
        seen: Photos under each concept that they are labelled for.
    """
    groups: dict[str, list[Seen]] = {}
    for one in seen:
        for name in (one.part, f"{one.concept} in {one.part}"):
            groups.setdefault(name, []).append(one)
    found: dict[str, Suspect] = {}
    for name, members in groups.items():
        explanations = explain(members)[:1]
        for each in [*(_told(name, e) for e in explanations), *check_absent(name, members)]:
            if each.name not in found or each.weight > found[each.name].weight:
                found[each.name] = each
    if not found:
        return check_chance(groups)
    listed = sorted(found.values(), key=lambda s: -s.weight)
    # Exchanged or moved labels leave empty ones behind, which are no second fault.
    others = [s for s in listed if s.name != "labels-missing"]
    return others or listed


def _told(group: str, explanation: Explanation) -> Suspect:
    gain = explanation.gain
    evidence = (
        f"{group}: what the model sees agrees with the labels at IoU {gain.before:.2f} as they are, at "
        f"{gain.after:.2f} where the labels are {explanation.told} ({gain.count} photos, "
        f"{gain.explained:.0%} of them clearly better)"
    )
    return suspect(explanation.case, evidence, 0.6 + min(0.3, _worth(explanation)))


def check_absent(group: str, seen: Sequence[Seen]) -> list[Suspect]:
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
    return [suspect("labels-missing", evidence, 0.55 + 0.3 * share)]


def check_chance(groups: Mapping[str, Sequence[Seen]]) -> list[Suspect]:
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
            found.append(suspect("labels-of-other-photos", evidence, 0.5 + 0.3 * len(missed) / len(seen)))
    return sorted(found, key=lambda s: -s.weight)[:1]


__all__ = ["Explanation", "check_labels", "explain"]
