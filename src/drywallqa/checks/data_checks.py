"""Checks of training inputs and of whole data sets, without a model. The checks need only numpy.

Shapes: N photos, K concepts, D embedding width, h×w grid of the ground truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from drywallqa.checks.findings import FaultFinding, finding_of, name_some
from drywallqa.text.phrase_bank import phrases_of

Floats = NDArray[np.float32]

FULL = 0.98
"""Share of foreground above which a ground-truth mask may be inverted or may fill the photo."""
ALIKE = 0.98
"""Cosine similarity of two concepts' mean embeddings above which a decoder may confuse the concepts."""
PIXELS = 12.0
"""Largest plausible normalised pixel value; ImageNet's normalised values reach about ±2.7."""
BOXES = 0.25
"""Largest plausible share of boxes among the annotations of a line concept.

Annotations of vertical or horizontal lines look like boxes."""
APART = 1.5
"""Ratio of the median photo sizes of two splits above which their resolutions count as different."""
PARTS = ("train", "val", "test")


def check_truth(truth: Floats, known: Floats, concepts: Sequence[str]) -> list[FaultFinding]:
    """Check the range and the foreground share of the ground truth that the loss receives.

    Args:
        truth: Share of foreground in each cell of the ground truth's grid [N,K,h,w].
        known: [N,K], above 0 if the concept was labelled.
        concepts: The K concepts' names.
    """
    labelled = truth[np.asarray(known) > 0]
    if not labelled.size:
        return [finding_of("masks-empty", "no photo in the first batches has a labelled concept")]
    low, high = float(labelled.min()), float(labelled.max())  # NaN if any value is NaN
    if not (low >= -1e-4 and high <= 1 + 1e-4):
        return [finding_of("masks-range", f"the ground truth ranges from {low:g} to {high:g}")]
    if high == 0:
        text = (
            f"all {len(labelled)} ground-truth masks in the first batches ({', '.join(concepts)}) are empty"
        )
        return [finding_of("masks-empty", text)]
    share = float(labelled[labelled.reshape(len(labelled), -1).any(1)].mean())
    text = f"{share:.1%} of the pixels in the ground-truth masks are foreground"
    return [finding_of("masks-full", text)] if share > FULL else []


def check_images(images: Floats) -> list[FaultFinding]:
    """Check that photos [N,3,H,W] are normalised."""
    low, high = float(images.min()), float(images.max())  # NaN if any value is NaN
    if -PIXELS <= low < high <= PIXELS:
        return []
    return [finding_of("images-range", f"pixel values in the first batches range from {low:g} to {high:g}")]


def check_phrasings(
    phrasings: Mapping[str, Iterable[str]], understand: Callable[[str], str | None]
) -> list[FaultFinding]:
    """Check that the text model maps each phrasing of a concept to this concept.

    Args:
        phrasings: Concept → the data set's phrasings.
        understand: Maps a prompt to its concept, or to None if the prompt is unknown.
    """
    missed = [
        f"'{phrase}' of '{concept}' is understood as {understood or 'no known concept'}"
        for concept, phrases in phrasings.items()
        for phrase in phrases_of(phrases)
        if (understood := understand(phrase)) != concept
    ]
    return [finding_of("prompt-unknown", name_some(missed))] if missed else []


def check_embeddings(embeddings: Mapping[str, Floats]) -> list[FaultFinding]:
    """Check that different concepts have different embeddings [N,D]."""
    means = {}
    for concept, rows in embeddings.items():
        if not len(rows) or not np.isfinite(rows).all() or not rows.any():
            return [finding_of("prompts-alike", f"the phrasings of '{concept}' have no usable embedding")]
        mean = np.asarray(rows, np.float64).mean(0)
        means[concept] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    alike = [
        f"'{one}' and '{other}' (cosine {cosine:.3f})"
        for one, other in combinations(means, 2)
        if (cosine := float(means[one] @ means[other])) > ALIKE
    ]
    return [finding_of("prompts-alike", f"indistinguishable embeddings: {name_some(alike)}")] if alike else []


def check_split(parts: Mapping[str, Sequence[str]]) -> list[FaultFinding]:
    """Check that no source photo is in two splits.

    Args:
        parts: Split → source photo of each photo in the split. The train split comes first.
    """
    texts = []
    for earlier, later in combinations(parts, 2):
        known = set(parts[earlier])
        shared = [photograph for photograph in parts[later] if photograph in known]
        if shared:
            count = f"{len(shared)} of {len(parts[later])} photos in {later} share a source photo with"
            texts.append(f"{count} {earlier} ({name_some(dict.fromkeys(shared), 3)})")
    return [finding_of("split-leak", "; ".join(texts), 0.97)] if texts else []


def check_copies(pairs: Sequence[tuple[str, str]]) -> list[FaultFinding]:
    """Check that no photo is in two splits under different names."""
    if not pairs:
        return []
    few = name_some([f"{one} = {other}" for one, other in pairs], 2)
    return [
        finding_of(
            "split-leak", f"{len(pairs)} pairs of photos in different splits look the same: {few}", 0.96
        )
    ]


def check_repeats(pairs: int, photographs: int) -> list[FaultFinding]:
    """Check that a split has few duplicate photos under different names."""
    if pairs < max(3, 0.08 * photographs):
        return []
    text = (
        f"{pairs} pairs among {photographs} source photos are duplicates under different names in one split"
    )
    return [finding_of("photos-repeated", text, 0.6 + min(0.3, pairs / max(photographs, 1) / 2))]


def check_problems(problems: Sequence[tuple[str, str]], photos: int) -> list[FaultFinding]:
    """Check that all photo files and mask files are usable.

    Args:
        problems: Kind and description of each problem.
        photos: Number of readable photos.
    """
    sizes = [text for kind, text in problems if kind == "wrong size" or "the mask is" in text]
    unread = [
        text for kind, text in problems if kind in ("unreadable", "missing photo") and text not in sizes
    ]
    return [
        finding_of(
            fault,
            f"{len(texts)} files; the first problem: {texts[0]}",
            0.85 + 0.1 * min(1.0, len(texts) / max(1, photos + len(unread))),
        )
        for fault, texts in (("masks-size", sizes), ("photos-broken", unread))
        if texts
    ]


def check_boxes(
    boxes: Mapping[str, int], annotations: Mapping[str, int], lines: Iterable[str]
) -> Iterator[FaultFinding]:
    """Check that line concepts were not annotated with boxes, because a box is not the outline of a line.

    Args:
        boxes: Concept → number of annotations that are boxes.
        annotations: Concept → number of annotations.
        lines: The line concepts.
    """
    for concept in lines:
        count, of = boxes.get(concept, 0), annotations.get(concept, 0)
        if count >= 3 and count > BOXES * of:
            text = f"{count} of {of} annotations of '{concept}' are boxes"
            yield finding_of("labels-boxes", text, 0.7 + 0.2 * count / of)


def check_sizes(sizes: Mapping[str, Sequence[int]]) -> list[FaultFinding]:
    """Check that the photos in train, val and test have similar sizes.

    Args:
        sizes: Split → longer side in px of each photo in the split.
    """
    usual = {part: float(np.median(sizes[part])) for part in PARTS if len(sizes.get(part, ())) >= 3}
    if len(usual) < 2 or max(usual.values()) < APART * min(usual.values()):
        return []
    listed = ", ".join(f"{part} {side:.0f} px" for part, side in usual.items())
    weight = 0.75 + min(0.15, 0.03 * max(usual.values()) / min(usual.values()))
    return [finding_of("parts-resolution", f"the median longer side is {listed}", weight)]
