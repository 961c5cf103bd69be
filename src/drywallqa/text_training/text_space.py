"""The 64-d space in which the mask decoder reads prompts: Fisher's discriminant directions of the teacher.

Directions in which nouns lie far apart while different ways of asking for one noun lie together
(R. A. Fisher, 1936; rows scaled to unit within-noun scatter), so that "segment crack" and "where is the
crack" come out alike.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import ModelError
from drywallqa.text_training.sentence_teacher import SentenceTeacher

DIMENSIONS = 64
SHRINKAGE = 0.02
FORMS = (
    "{}", "segment {}", "segment the {}", "find the {}", "show {}", "mask of {}", "where is the {}",
    "highlight all {}", "detect {}", "mark every {}", "locate {}", "outline the {}",
)  # fmt: skip
CRACK = (
    "crack", "wall crack", "hairline crack", "fissure", "hairline fissure in the plaster", "fracture",
    "cracked plaster", "crack in the wall", "cracks", "split in the drywall", "surface crack",
    "broken plaster line", "crack line", "crevice", "cracking", "concrete crack", "fine cracks",
    "plaster fissure", "stress crack", "settlement crack", "cleft in the wall", "fractured wall surface",
)  # fmt: skip
JOINT = (
    "taping area", "joint/tape", "drywall seam", "drywall joint", "joint", "seam", "where do two boards meet",
    "drywall taping area", "plasterboard joint", "gap between drywall sheets", "board seam",
    "seam between boards", "joint between plasterboards", "gypsum board joint", "area to be taped",
    "joint tape area", "butt joint", "tapered edge joint", "sheetrock seam", "sheetrock joint",
    "untaped seam", "seam line", "drywall board edges",
)  # fmt: skip


@dataclass(frozen=True)
class TextSpace:
    """A linear map of sentence embeddings, then normalised.

    Attributes:
        mean: [384].
        components: [64,384].
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]

    def project(self, sentences: NDArray[np.float32]) -> NDArray[np.float32]:
        """[P,384] sentence embeddings to [P,64], L2-normalised."""
        raw = (sentences - self.mean) @ self.components.T
        return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True), dtype=np.float32)

    def save(self, path: Path) -> None:
        """Write both arrays as npz."""
        np.savez(path, mean=self.mean, components=self.components)

    @classmethod
    def load(cls, path: Path) -> TextSpace:
        """Read what `save` wrote.

        Raises:
            ModelError: If the file is no such space.
        """
        try:
            with np.load(path) as stored:
                return cls(stored["mean"], stored["components"])
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{path}: no text space; give the text_space.npz of a text side") from error


def compute(teacher: SentenceTeacher, things: Sequence[str] | None = None) -> TextSpace:
    """Compute the space from 1200 words of the vocabulary and the two concepts, six forms each."""
    rng = random.Random(1)
    things = things or [*_sample_words(teacher.tokens.pieces), *CRACK, *JOINT]
    groups = [
        [form.format(thing) for form in FORMS[:1] + tuple(rng.sample(FORMS[1:], 5))] for thing in things
    ]
    flat = teacher.embed([text for group in groups for text in group])
    sentences = flat.reshape(len(things), 6, -1).astype(np.float64)
    mean = sentences.mean((0, 1))
    deviations = (sentences - sentences.mean(1, keepdims=True)).reshape(-1, sentences.shape[-1])
    within = deviations.T @ deviations / (len(things) * 5)
    between = np.cov(sentences.mean(1).T)
    width = within.shape[0]
    within += SHRINKAGE * np.trace(within) / width * np.eye(width)
    components = _discriminants(between, within)[:, :DIMENSIONS].T
    return TextSpace(mean.astype(np.float32), components.astype(np.float32))


def _sample_words(pieces: Sequence[str]) -> list[str]:
    return random.Random(0).sample([piece for piece in pieces if piece.isalpha() and len(piece) > 2], 1200)


def _discriminants(between: NDArray[np.float64], within: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve between·v = λ·within·v with v'·within·v = 1; columns by falling λ, largest entry positive."""
    root = np.linalg.inv(np.linalg.cholesky(within))
    _, vectors = np.linalg.eigh(root @ between @ root.T)
    columns = (root.T @ vectors)[:, ::-1]
    signs = np.sign(columns[np.abs(columns).argmax(axis=0), np.arange(columns.shape[1])])
    return np.asarray(columns * signs, dtype=np.float64)
