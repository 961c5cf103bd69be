"""Checks of a model's inputs: truth, pixels, prompts, and the split. They need numpy alone.

Shapes: N photos, K concepts, D embedding width, h×w the truth's grid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from drywallqa.checks.findings import FaultFinding, finding_of, name_some
from drywallqa.text.phrase_bank import phrases_of

Floats = NDArray[np.float32]

FULL = 0.98
"""Share of foreground above which the truth may be inverted or frame the photo."""
ALIKE = 0.98
"""Cosine of two concepts' mean embeddings above which no decoder can be expected to tell them apart."""
PIXELS = 12.0
"""Largest normalised pixel value that is plausible: ImageNet's own end near ±2.7."""


def check_truth(truth: Floats, known: Floats, concepts: Sequence[str]) -> list[FaultFinding]:
    """Check the truth as the loss gets it: its range and its share of foreground.

    Args:
        truth: Shares of foreground [N,K,h,w].
        known: [N,K], above 0 where the concept was labelled.
        concepts: The K concepts' names.
    """
    labelled = truth[np.asarray(known) > 0]
    if not labelled.size:
        text = "no pair of a photo and a concept in the first batches was labelled"
        return [finding_of("masks-empty", text)]
    if not np.isfinite(labelled).all():
        return [finding_of("masks-range", "the truth holds NaN or infinite values")]
    low, high = float(labelled.min()), float(labelled.max())
    if low < -1e-4 or high > 1 + 1e-4:
        return [finding_of("masks-range", f"the truth ranges from {low:g} to {high:g}")]
    if high == 0:
        text = f"all {len(labelled)} truth masks of the first batches ({', '.join(concepts)}) are empty"
        return [finding_of("masks-empty", text)]
    share = float(labelled[labelled.reshape(len(labelled), -1).any(1)].mean())
    text = f"{share:.1%} of the pixels of truth masks are foreground"
    return [finding_of("masks-full", text)] if share > FULL else []


def check_images(images: Floats) -> list[FaultFinding]:
    """Check that photos [N,3,H,W] arrive normalised."""
    if not np.isfinite(images).all():
        return [finding_of("images-range", "photos hold NaN or infinite values")]
    low, high = float(images.min()), float(images.max())
    if max(-low, high) > PIXELS:
        return [finding_of("images-range", f"pixels range from {low:g} to {high:g}")]
    text = f"every pixel of the first batches is {low:g}"
    return [finding_of("images-range", text)] if low == high else []


def check_phrasings(
    phrasings: Mapping[str, Iterable[str]], understand: Callable[[str], str | None]
) -> list[FaultFinding]:
    """Check that the text side takes each of a concept's own phrasings for that concept.

    Args:
        phrasings: Concept → the data set's phrasings.
        understand: The text side: from a prompt to its concept, or None where it refuses the prompt.
    """
    missed = [
        f"'{phrase}' of '{concept}' is taken for {understood or 'nothing it knows'}"
        for concept, phrases in phrasings.items()
        for phrase in phrases_of(phrases)
        if (understood := understand(phrase)) != concept
    ]
    return [finding_of("prompt-unknown", name_some(missed))] if missed else []


def check_embeddings(embeddings: Mapping[str, Floats]) -> list[FaultFinding]:
    """Check that concepts, as embeddings [N,D] of their phrasings, can be told apart."""
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
    text = f"embeddings that cannot be told apart: {name_some(alike)}"
    return [finding_of("prompts-alike", text)] if alike else []


def check_split(train: Iterable[str], validation: Sequence[str]) -> list[FaultFinding]:
    """Check that no photograph lies on both sides.

    Args:
        train: Source photographs of the images trained on, one an image.
        validation: The same of the images validated on.
    """
    trained = set(train)
    shared = [photograph for photograph in validation if photograph in trained]
    text = (
        f"{len(shared)} of {len(validation)} validation images share their photograph with train "
        f"({name_some(dict.fromkeys(shared), 3)})"
    )
    return [finding_of("split-leak", text)] if shared else []
