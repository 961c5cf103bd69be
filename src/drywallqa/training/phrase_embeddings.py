"""Collects and embeds the phrasings of the concepts in a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from drywallqa.bundle.bundle import DEFAULT
from drywallqa.errors import DataError
from drywallqa.models.contract import PromptedModel
from drywallqa.text import phrase_bank
from drywallqa.text.text_side import TextSide

_TOWER_TEXTS = 200  # maximum number of phrasings per concept for a text tower, because towers are slow


@dataclass(frozen=True)
class PhraseEmbeddings:
    """The phrasings that a run is trained with, and their embeddings.

    Attributes:
        embeddings: Concept → embeddings of its phrasings [N,D], or token ids [N,L].
        text: The run's text encoder.
        texts: Concept → the phrasings that were embedded.
    """

    embeddings: Mapping[str, NDArray[np.float32]]
    text: TextSide
    texts: Mapping[str, tuple[str, ...]]

    def centre(self, concept: str) -> NDArray[np.float32]:
        """Return an embedding [D] with the mean direction and mean length of a concept's embeddings."""
        rows = self.embeddings[concept]
        mean = rows.mean(0)
        # embeddings from a text tower do not have length 1, and the mask decoder uses their length
        length = np.linalg.norm(rows, axis=1).mean()
        return np.asarray(mean / np.linalg.norm(mean) * length, np.float32)

    def embedded_by(self, model: PromptedModel) -> PhraseEmbeddings:
        """Embed the phrasings with the model's text tower, if the model has one.

        If the tower is frozen, the phrasings are embedded once. If the run trains the tower, they are
        converted to token ids and padded to equal length.
        """
        if not model.own_text:
            return self
        texts = {concept: each[:_TOWER_TEXTS] for concept, each in self.texts.items()}
        made: dict[str, Any] = {}
        if getattr(model, "text_is_frozen", True):
            for concept, each in texts.items():
                with torch.no_grad():
                    parts = [model.encode_prompts(each[i : i + 32]) for i in range(0, len(each), 32)]
                made[concept] = torch.cat(parts).numpy()
        else:
            ids = {concept: model.tokenize(each) for concept, each in texts.items()}  # type: ignore[operator]
            longest = max(each.shape[1] for each in ids.values())
            for concept, each in ids.items():
                padding = each[:, -1:].expand(-1, longest - each.shape[1])
                made[concept] = torch.cat([each, padding], dim=1).numpy()
        return replace(self, embeddings=made)


def embed_phrases(
    concepts: Mapping[str, Sequence[str]], side: Path | None = None, seed: int = 0, most: int = 4000
) -> PhraseEmbeddings:
    """Embed phrasings of each concept from the data set, the built-in phrase lists and the templates.

    Args:
        concepts: Concept → phrasings from the data set.
        side: Folder of a text encoder or a bundle. If None, use the default bundle.
        seed: Seed for choosing a random template for each phrase.
        most: Maximum number of phrasings per concept.

    Raises:
        DataError: The data set has no concept.
        BundleError: The text encoder is missing or damaged.
    """
    if not concepts:
        raise DataError("the data set has no concept; import it again with --concept CLASS=NAME")
    text = TextSide.load(side or DEFAULT)
    if set(text.concepts) != set(concepts) or any(concepts.values()):
        text = text.with_concepts(concepts)
    (banks, _), templates = phrase_bank.banks_for(concepts), phrase_bank.bank_lines("templates")
    generator = np.random.default_rng(seed)
    texts = {}
    for name, given in concepts.items():
        bare = phrase_bank.phrases_of([name, *given, *banks.get(name, ())])
        filled = [templates[generator.integers(len(templates))].replace("{}", phrase) for phrase in bare]
        texts[name] = tuple([*bare, *filled][:most])
    embeddings = {name: text.embed(each) for name, each in texts.items()}
    return PhraseEmbeddings(embeddings, text, texts)
