"""The text model of a bundle, which maps prompts to embeddings and concepts. It does not need PyTorch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import BundleError, UnknownPromptError
from drywallqa.files import write_whole
from drywallqa.text import phrase_bank
from drywallqa.text.prompt_reading import (
    ConceptClassifier,
    PromptReader,
    PromptReading,
    choose_refusal_threshold,
    fit_classifier,
)
from drywallqa.text.prompts import clean_prompt
from drywallqa.text.text_encoder import OnnxTextEncoder

UNDERSTANDING, SPACE = "understanding.json", "text_space.npz"
THRESHOLD = 0.8  # minimum probability at which a prompt means a concept
FORMAT = 1
_SAME = 0.9  # cosine similarity of embeddings above which two phrases have the same meaning

Float = NDArray[np.float32]
Tower = Callable[[Sequence[str]], Float]
Lines = tuple[Mapping[str, Sequence[str]], Sequence[str]]


class TextSide:
    """A text model, which embeds and interprets prompts. Instances are thread-safe and can be pickled.

    Use `TextSide.load` to create an instance.

    Args:
        encoder: The encoder, which returns embeddings and features.
        classifier: The classifier, which maps features to concepts.
        prototypes: Mean embedding [D] of the phrasings of each concept.
        space: Content of `text_space.npz`, which is needed to train a new text encoder for the same decoder.
        tower: The text tower of a segmentation model. If given, it replaces the encoder for embedding
            prompts.
    """

    def __init__(
        self,
        encoder: OnnxTextEncoder,
        classifier: ConceptClassifier,
        prototypes: Mapping[str, Float],
        space: bytes | None = None,
        tower: Tower | None = None,
    ) -> None:
        self._encoder, self._classifier = encoder, classifier
        self._prototypes, self._space, self._tower = prototypes, space, tower
        self._reader = PromptReader(encoder, classifier)

    @classmethod
    def load(cls, folder: Path | str, tower: Tower | None = None) -> TextSide:
        """Read a text model from a bundle folder.

        Args:
            folder: The bundle folder.
            tower: The text tower of a segmentation model, if it has one.

        Raises:
            BundleError: A file is missing or damaged.
        """
        path = Path(folder) / UNDERSTANDING
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["format_version"] != FORMAT:
                raise BundleError(
                    f"{path}: has format {stored['format_version']}, but this package reads format {FORMAT}; "
                    "update the package"
                )
            classifier = ConceptClassifier(
                tuple(stored["concepts"]),
                np.asarray(stored["weights"], np.float32),
                np.asarray(stored["bias"], np.float32),
                float(stored["threshold"]),
            )
            prototypes = {name: np.asarray(row, np.float32) for name, row in stored["prototypes"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{path}: missing or damaged ({error}); get the bundle again") from error
        side = cls.untrained(folder)
        return cls(side._encoder, classifier, prototypes, side._space, tower)

    @classmethod
    def untrained(cls, folder: Path | str) -> TextSide:
        """Read only the encoder and the text space. The returned text model does not know any concept yet.

        Use `with_concepts` to add concepts.

        Raises:
            BundleError: A file is missing or damaged.
        """
        classifier = ConceptClassifier((), np.zeros((0, 1), np.float32), np.zeros(1, np.float32), THRESHOLD)
        space = Path(folder) / SPACE
        content = space.read_bytes() if space.is_file() else None
        return cls(OnnxTextEncoder.load(Path(folder)), classifier, {}, content)

    def save(self, folder: Path | str) -> None:
        """Write the text model to a folder. Each file is written atomically."""
        classifier = self._classifier
        stored = {
            "format_version": FORMAT,
            "concepts": list(classifier.concepts),
            "threshold": classifier.threshold,
            "bias": _short(classifier.bias),
            "weights": [_short(row) for row in classifier.weights],
            "prototypes": {name: _short(row) for name, row in self._prototypes.items()},
        }
        files = self._encoder.files()
        files[UNDERSTANDING] = json.dumps(stored, separators=(",", ":")).encode()
        if self._space is not None:
            files[SPACE] = self._space
        for name, content in files.items():
            write_whole(Path(folder) / name, content)

    @property
    def concepts(self) -> tuple[str, ...]:
        """The concepts that the text model knows."""
        return self._classifier.concepts

    @property
    def threshold(self) -> float:
        """Total probability of all concepts below which a prompt does not mean any concept."""
        return self._classifier.threshold

    def embed(self, prompts: Sequence[str]) -> Float:
        """Embed P prompts as float32 [P,D], L2-normalised.

        If a prompt is too long for the encoder, only the part that expresses the concept is embedded. If the
        segmentation model has a text tower, the tower embeds the complete prompts instead, and its embeddings
        have the norm that the decoder expects.

        Raises:
            PromptError: A prompt cannot be used.
        """
        texts = [clean_prompt(prompt) for prompt in prompts]
        if self._tower is not None:
            return self._tower(texts)
        if not texts:
            return self._encoder.encode(["-"])[0][:0]
        return self._encoder.encode(
            [self._reader.read(text).essence if self._encoder.is_long(text) else text for text in texts]
        )[0]

    def read(self, prompt: str) -> PromptReading:
        """Find out which concepts a prompt asks for, or whether it asks for the absence of a concept.

        Raises:
            PromptError: The prompt cannot be used.
        """
        return self._reader.read(clean_prompt(prompt))

    def understand(self, prompt: str) -> str | None:
        """Return the concept that a prompt means, or None if the prompt does not mean exactly one concept.

        Raises:
            PromptError: The prompt cannot be used.
        """
        reading = self.read(prompt)
        return reading.concepts[0] if reading.kind == "known" else None

    def resolve(self, prompt: str) -> str:
        """Return the concept that a prompt means.

        Raises:
            UnknownPromptError: The prompt means no concept, several concepts, or the absence of a concept.
            PromptError: The prompt cannot be used.
        """
        reading = self.read(prompt)
        if reading.kind == "known":
            return reading.concepts[0]
        named = " and ".join(f'"{concept}"' for concept in reading.concepts)
        known = " and ".join(f'"{concept}"' for concept in self.concepts)
        if reading.kind == "negated":
            problem = f"asks for the absence of {named}, which cannot be marked; ask for {named}"
        elif reading.kind == "unknown":
            offer = f"it knows {known}" if known else "it does not know any concept yet"
            problem = f"does not match anything the model has learnt; {offer}"
        elif len(reading.concepts) == 1:
            problem = f"asks for more than one thing; ask only for {named}"
        else:
            problem = f"asks for {named} in one prompt; use a separate prompt for each"
        text = " ".join(prompt.split())
        raise UnknownPromptError(f'"{text if len(text) <= 60 else text[:59] + "…"}" {problem}')

    def with_concepts(
        self,
        concepts: Mapping[str, Sequence[str]],
        *,
        others: Sequence[str] | None = None,
        held_out: Lines | None = None,
    ) -> TextSide:
        """Return a text model that knows exactly these concepts. This takes a few seconds on a CPU.

        Args:
            concepts: Phrasings of each concept. The name of the concept is added to them. If `others` is None
                and the concept has a shipped phrase bank, the phrases in the bank are added.
            others: Phrase lines that do not mean any of the concepts. If None, lines from the shipped phrase
                banks.
            held_out: Held-out phrase lines for choosing the threshold. If None, the threshold does not
                change.
        """
        banks, strangers = phrase_bank.banks_for(concepts)
        lines = {name: [name, *given] for name, given in concepts.items()}
        if others is None:
            lines = {name: [*given, *banks.get(name, ())] for name, given in lines.items()}
            others = self._without_meaning(lines, [*phrase_bank.other_lines(), *strangers])
        model = fit_classifier(*self._labelled(lines, others), list(lines), self.threshold)
        if held_out is not None:
            threshold = choose_refusal_threshold(model, *self._labelled(*held_out, seed=1))
            model = replace(model, threshold=threshold)
        prototypes = {}
        for name, given in lines.items():
            mean = self._run(phrase_bank.phrases_of(given))[0].mean(axis=0)
            prototypes[name] = np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)
        return TextSide(self._encoder, model, prototypes, self._space)

    def _labelled(
        self, lines: Mapping[str, Sequence[str]], others: Sequence[str], seed: int = 0
    ) -> tuple[Float, NDArray[np.intp]]:
        made = phrase_bank.labelled_phrases(lines, others, seed=seed, scale=3)
        numbers = {name: number for number, name in enumerate([*lines, phrase_bank.OTHER])}
        return self._run([text for text, _ in made])[1], np.array([numbers[label] for _, label in made])

    def _without_meaning(self, lines: Mapping[str, Sequence[str]], others: Sequence[str]) -> list[str]:
        """Expand the lines in `others`; leave out phrases that name or closely resemble a new concept."""
        banks = phrase_bank.concept_lines()
        given = [line for name, lines_ in lines.items() if name not in banks for line in lines_]
        new = [clean_prompt(phrase) for phrase in phrase_bank.phrases_of(given)]
        phrases = phrase_bank.phrases_of(others)
        if not new:
            return phrases
        named = re.compile("|".join(rf"\b{re.escape(phrase)}(?:s|es)?\b" for phrase in new))
        similar = (self._run(phrases)[0] @ self._run(new)[0].T).max(axis=1) > _SAME
        return [
            phrase
            for phrase, close in zip(phrases, similar, strict=True)
            if not close and not named.search(clean_prompt(phrase))
        ]

    def _run(self, texts: Sequence[str]) -> tuple[Float, Float]:
        return self._encoder.run([clean_prompt(text) for text in texts])


def _short(values: Float) -> list[float]:
    """Round values to six significant digits, which is about the precision of fp32."""
    return [float(f"{value:.6g}") for value in values]
