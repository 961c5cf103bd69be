"""Checks of a data set as a whole: copies, repeats, broken files, boxes, and the sizes of its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from drywallqa.checks.findings import FaultFinding, finding_of, name_some

LINES = ("crack",)
"""Concepts that are lines: a box around one is no outline of it, however customary."""
BOXES = 0.25
"""Share of a line's annotations that may be boxes: straight upright ones look like them."""
APART = 1.5
"""Ratio of the parts' usual sizes from which they differ in resolution."""
PARTS = ("train", "val", "test")


def check_copies(
    leaks: Sequence[tuple[str, int, int]], across: Sequence[tuple[str, str]]
) -> list[FaultFinding]:
    """Check that no photograph lies on both sides of a split.

    Args:
        leaks: The part and the other part, as "val in train"; photos that share their photograph by name;
            photos of the part.
        across: Pairs of photos under other names that show the same, in different parts.
    """
    if leaks:
        text = "; ".join(f"{shared} of {size} photos of {where}" for where, shared, size in leaks)
        return [finding_of("split-leak", f"share their photograph by name: {text}", 0.97)]
    if across:
        few = name_some([f"{one} = {other}" for one, other in across], 2)
        return [finding_of("split-leak", f"{len(across)} photographs look alike in two parts: {few}", 0.96)]
    return []


def check_repeats(pairs: int, photographs: int) -> list[FaultFinding]:
    """Check that few photos recur under other names within a part."""
    if pairs < max(3, 0.08 * photographs):
        return []
    text = f"{pairs} pairs of {photographs} photographs show the same under other names within a part"
    return [finding_of("photos-repeated", text, 0.6 + min(0.3, pairs / max(photographs, 1) / 2))]


def check_problems(problems: Sequence[tuple[str, str]], photos: int) -> list[FaultFinding]:
    """Check that all files can be used.

    Args:
        problems: Kind of each problem, and its text.
        photos: Photos that can be read.
    """
    sizes = [text for kind, text in problems if kind == "wrong size" or "the mask is" in text]
    kinds = ("unreadable", "missing photo", "missing labels")
    unread = [text for kind, text in problems if kind in kinds and text not in sizes]
    return [
        finding_of(
            fault,
            f"{len(texts)} files, the first: {texts[0]}",
            0.85 + 0.1 * min(1.0, len(texts) / max(1, photos + len(unread))),
        )
        for fault, texts in (("masks-size", sizes), ("photos-broken", unread))
        if texts
    ]


def check_boxes(boxes: Mapping[str, int], annotations: Mapping[str, int]) -> list[FaultFinding]:
    """Check that lines were not marked by boxes."""
    found = []
    for concept in LINES:
        count, of = boxes.get(concept, 0), annotations.get(concept, 0)
        if count >= 3 and count > BOXES * of:
            text = f"{count} of {of} masks of '{concept}' are exactly one box"
            found.append(finding_of("labels-boxes", text, 0.7 + 0.2 * count / of))
    return found


def check_sizes(sizes: Mapping[str, Sequence[int]]) -> list[FaultFinding]:
    """Check that photos of train, val and test are of about one size.

    Args:
        sizes: Part → longer side of each of its photos in px.
    """
    usual = {part: float(np.median(sizes[part])) for part in PARTS if len(sizes.get(part, ())) >= 3}
    if len(usual) < 2 or max(usual.values()) < APART * min(usual.values()):
        return []
    listed = ", ".join(f"{part} {side:.0f} px" for part, side in usual.items())
    weight = 0.75 + min(0.15, 0.03 * max(usual.values()) / min(usual.values()))
    return [finding_of("parts-resolution", f"the usual longer side is {listed}", weight)]
