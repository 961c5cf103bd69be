"""The text of a training run: which concepts, under which phrasings, in which text side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.bundle.bundle import DEFAULT
from drywallqa.errors import DataError
from drywallqa.text import phrase_bank
from drywallqa.text.text_side import TextSide


@dataclass(frozen=True)
class PhraseEmbeddings:
    """What is trained on as text.

    Attributes:
        embeddings: Concept → embeddings of its phrasings [N,D].
        text: The text side that made them.
        phrasings: Concept → the data set's own phrasings.
        texts: Concept → every phrasing that was embedded.
    """

    embeddings: Mapping[str, NDArray[np.float32]]
    text: TextSide
    phrasings: Mapping[str, tuple[str, ...]]
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """D, the embeddings' width."""
        return int(next(iter(self.embeddings.values())).shape[1])

    def centre(self, concept: str) -> NDArray[np.float32]:
        """The mean direction of a concept's phrasings [D]."""
        rows = self.embeddings[concept]
        mean = rows.mean(0)
        # a tower's embeddings have lengths of their own, which its decoder counts on
        length = np.linalg.norm(rows, axis=1).mean()
        return np.asarray(mean / np.linalg.norm(mean) * length, np.float32)

    def through(self, embed: Callable[[Sequence[str]], NDArray[Any]], most: int) -> PhraseEmbeddings:
        """Embed the same phrasings by a model's own text tower, `most` of each concept."""
        return replace(self, embeddings={name: embed(texts[:most]) for name, texts in self.texts.items()})


def embed_phrases(
    concepts: Mapping[str, Sequence[str]], side: Path | None = None, seed: int = 0, most: int = 4000
) -> PhraseEmbeddings:
    """Embed the phrasings of a data set's concepts, the shipped banks' and all templates included.

    Args:
        concepts: Concept → phrasings, as the data set holds them.
        side: Folder of a text side or bundle; the bundled one where None.
        seed: Pairs phrases with templates.
        most: Phrasings embedded of each concept.

    Raises:
        DataError: The data set has no concept.
        BundleError: The text side is missing or damaged.
    """
    if not concepts:
        raise DataError("the data set has no concept; import it again with --concept CLASS=NAME")
    text = TextSide.load(side or DEFAULT)
    if set(text.concepts) != set(concepts) or any(concepts.values()):
        text = text.with_concepts(concepts)
    (banks, _), templates = phrase_bank.banks_for(concepts), phrase_bank.bank_lines("templates")
    generator = np.random.default_rng(seed)
    embeddings, texts = {}, {}
    for name, given in concepts.items():
        bare = phrase_bank.phrases_of([name, *given, *banks.get(name, ())])
        asked = [templates[generator.integers(len(templates))].replace("{}", phrase) for phrase in bare]
        texts[name] = tuple([*bare, *asked][:most])
        embeddings[name] = text.embed(texts[name])
    return PhraseEmbeddings(embeddings, text, {name: tuple(given) for name, given in concepts.items()}, texts)
