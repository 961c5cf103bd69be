"""The text side of a bundle: maps prompts to embeddings and to concepts, without torch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
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
THRESHOLD = 0.8
FORMAT = 1
_SAME = 0.9  # two phrases above this cosine similarity have the same meaning

Float = NDArray[np.float32]
Lines = tuple[Mapping[str, Sequence[str]], Sequence[str]]


class TextSide:
    """Embeds and interprets prompts. Instances are thread-safe and can be pickled.

    Use `TextSide.load` to create an instance.

    Args:
        encoder: Encodes texts as embeddings and features.
        classifier: The classifier on the features.
        prototypes: The mean embedding [D] of each concept's phrasings.
        space: Content of the text space file, which is needed to train another decoder in the same space.
    """

    def __init__(
        self,
        encoder: OnnxTextEncoder,
        classifier: ConceptClassifier,
        prototypes: Mapping[str, Float],
        space: bytes | None = None,
    ) -> None:
        self._encoder, self._classifier = encoder, classifier
        self._prototypes, self._space = prototypes, space
        self._reader = PromptReader(encoder, classifier)
        self._tower: Callable[[Sequence[str]], Float] | None = None

    @classmethod
    def load(cls, folder: Path | str) -> TextSide:
        """Read a text side from a bundle folder.

        Raises:
            BundleError: A file is missing or damaged.
        """
        path = Path(folder) / UNDERSTANDING
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["format_version"] != FORMAT:
                found = stored["format_version"]
                raise BundleError(f"{path}: format {found}, this package reads {FORMAT}; update the package")
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
        return cls(side._encoder, classifier, prototypes, side._space)

    @classmethod
    def untrained(cls, folder: Path | str) -> TextSide:
        """Read only the encoder. The text side knows no concepts until `with_concepts` adds them.

        Raises:
            BundleError: A file is missing or damaged.
        """
        classifier = ConceptClassifier((), np.zeros((0, 1), np.float32), np.zeros(1, np.float32), THRESHOLD)
        space = Path(folder) / SPACE
        content = space.read_bytes() if space.is_file() else None
        return cls(OnnxTextEncoder.load(Path(folder)), classifier, {}, content)

    def save(self, folder: Path | str) -> None:
        """Write the files of the text side to a folder, each atomically."""
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

    def through(self, tower: Callable[[Sequence[str]], Float]) -> TextSide:
        """Return a text side that embeds prompts with a model's text tower and interprets them as before."""
        made = copy(self)
        made._tower = tower
        return made

    @property
    def concepts(self) -> tuple[str, ...]:
        """The known concepts."""
        return self._classifier.concepts

    @property
    def threshold(self) -> float:
        """The minimum probability at which a prompt is taken to mean a concept."""
        return self._classifier.threshold

    def embed(self, prompts: Sequence[str]) -> Float:
        """Embed P prompts as float32 [P,D], L2-normalised.

        For a long prompt, only its meaningful part is embedded. A model's text tower embeds complete prompts
        instead, and its embeddings have the norm that the decoder expects.

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
        """Interpret a prompt, which may mean one concept, no concept, several, or the absence of one.

        Raises:
            PromptError: The prompt cannot be used.
        """
        return self._reader.read(clean_prompt(prompt))

    def understand(self, prompt: str) -> str | None:
        """Return the concept that a prompt means; None for no concept, several, or a negated concept.

        Raises:
            PromptError: The prompt cannot be used.
        """
        reading = self.read(prompt)
        return reading.concepts[0] if reading.kind == "known" else None

    def resolve(self, prompt: str) -> str:
        """Return the concept that a prompt means.

        Raises:
            UnknownPromptError: The prompt means no concept, several concepts, or the absence of one.
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
        """Make a text side that knows exactly these concepts. This needs only NumPy and takes a few seconds.

        Args:
            concepts: The phrasings of each concept. The concept's name is always included. A concept with a
                shipped bank ("crack") also gets the phrases of the bank.
            others: Lines that mean none of the concepts; by default the shipped bank.
            held_out: Phrases for choosing the threshold. Without them, the threshold does not change.
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
        """Return the other phrases, except those that name a new concept or are embedded close to one."""
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
    """Round to six significant digits, the precision of fp32 features."""
    return [float(f"{value:.6g}") for value in values]
