"""The text side of a bundle: prompts to embeddings, and prompts to the concepts they mean. No torch."""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import BundleError, UnknownPromptError
from drywallqa.files import write_whole
from drywallqa.text import phrase_bank, phrase_variation, prompts
from drywallqa.text.concept_classifier import ConceptClassifier, choose_refusal_threshold, fit_classifier
from drywallqa.text.prompt_reading import PromptReader, PromptReading
from drywallqa.text.text_encoder import CACHED, OnnxTextEncoder

UNDERSTANDING, SPACE = "understanding.json", "text_space.npz"
THRESHOLD = 0.8
FORMAT = 1
_SAME = 0.9

Float = NDArray[np.float32]
Lines = tuple[Mapping[str, Sequence[str]], Sequence[str]]


class TextSide:
    """Embeds prompts and understands them. Safe to share between threads, and can be pickled."""

    def __init__(
        self,
        encoder: OnnxTextEncoder,
        understanding: ConceptClassifier,
        prototypes: Mapping[str, Float],
        space: bytes | None = None,
    ) -> None:
        """Take the parts; `TextSide.load` is the usual way.

        Args:
            encoder: Texts to embeddings and features.
            understanding: The classifier on the features.
            prototypes: The mean embedding [D] of each concept's phrasings.
            space: The text space's file, kept so that a decoder can be trained in the same space again.
        """
        self._encoder, self._understanding = encoder, understanding
        self._prototypes, self._space = dict(prototypes), space
        self._tower: Callable[[Sequence[str]], Float] | None = None
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._readings: OrderedDict[str, PromptReading] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_readings")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    @classmethod
    def load(cls, folder: Path | str) -> TextSide:
        """Read a text side from a bundle's folder.

        Raises:
            BundleError: If a file is missing or damaged.
        """
        path = Path(folder) / UNDERSTANDING
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["format_version"] != FORMAT:
                found = stored["format_version"]
                raise BundleError(f"{path}: format {found}, this package reads {FORMAT}; update the package")
            understanding = ConceptClassifier(
                tuple(stored["concepts"]),
                np.asarray(stored["weights"], np.float32),
                np.asarray(stored["bias"], np.float32),
                float(stored["threshold"]),
            )
            prototypes = {name: np.asarray(row, np.float32) for name, row in stored["prototypes"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{path}: missing or damaged ({error}); get the bundle again") from error
        return cls(OnnxTextEncoder.load(Path(folder)), understanding, prototypes, _space_of(folder))

    @classmethod
    def untrained(cls, folder: Path | str, threshold: float = THRESHOLD) -> TextSide:
        """Read the encoder only; it knows no concept until `with_concepts`.

        Raises:
            BundleError: If a file is missing or damaged.
        """
        nothing = ConceptClassifier((), np.zeros((0, 1), np.float32), np.zeros(1, np.float32), threshold)
        return cls(OnnxTextEncoder.load(Path(folder)), nothing, {}, _space_of(folder))

    def save(self, folder: Path | str) -> None:
        """Write the text side's files into a folder, each whole or not at all."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        known = self._understanding
        stored = {
            "format_version": FORMAT,
            "concepts": list(known.concepts),
            "threshold": known.threshold,
            "bias": _short(known.bias),
            "weights": [_short(row) for row in known.weights],
            "prototypes": {name: _short(row) for name, row in self._prototypes.items()},
        }
        files = self._encoder.files()
        files[UNDERSTANDING] = json.dumps(stored, separators=(",", ":")).encode()
        if self._space is not None:
            files[SPACE] = self._space
        for name, content in files.items():
            write_whole(folder / name, content)

    def through(self, tower: Callable[[Sequence[str]], Float]) -> TextSide:
        """Embed prompts by a model's own text tower; what they mean is read as before."""
        made = copy(self)
        made._tower = tower
        return made

    @property
    def concepts(self) -> tuple[str, ...]:
        """The concepts that can be understood."""
        return self._understanding.concepts

    @property
    def threshold(self) -> float:
        """The least probability at which a prompt counts as meaning a concept."""
        return self._understanding.threshold

    def embed(self, prompts_: Sequence[str]) -> Float:
        """Embed P prompts as float32 [P,D], L2-normalised; of a long prompt, the part with its meaning.

        A model's own tower embeds them whole, and as long as its decoder expects them.

        Raises:
            PromptError: If a prompt cannot be used.
        """
        if self._tower is not None:
            return self._tower([prompts.clean_prompt(prompt) for prompt in prompts_])
        if not prompts_:
            return np.zeros((0, self._encoder.encode(["-"])[0].shape[1]), np.float32)
        return self._encoder.encode([self._essence(prompts.clean_prompt(prompt)) for prompt in prompts_])[0]

    def prototype(self, concept: str) -> Float:
        """The mean embedding [D] of a concept's phrasings, L2-normalised: one and the same for all of them.

        Raises:
            UnknownPromptError: If the concept is not known.
        """
        if concept not in self._prototypes:
            raise UnknownPromptError(f'the model does not know "{concept}"; {self._offer()}')
        return self._prototypes[concept]

    def read(self, prompt: str) -> PromptReading:
        """Read a prompt: one concept, none, several at once, or the absence of one.

        Raises:
            PromptError: If the prompt cannot be used.
        """
        text = prompts.clean_prompt(prompt)
        if not self.concepts:
            return PromptReading("unknown", (), text)
        with self._lock:
            reading = self._readings.get(text)
        if reading is None:
            listed = partial(phrase_bank.shipped_meaning, concepts=self.concepts)
            reading = PromptReader(self._classify, self._understanding, listed).read(text)
            with self._lock:
                self._readings[text] = reading
                while len(self._readings) > CACHED:
                    self._readings.popitem(last=False)
        return reading

    def understand(self, prompt: str) -> str | None:
        """The concept that a prompt means, None where it means none, several, or the absence of one.

        Raises:
            PromptError: If the prompt cannot be used.
        """
        reading = self.read(prompt)
        return reading.concepts[0] if reading.kind == "known" else None

    def resolve(self, prompt: str) -> str:
        """The concept that a prompt means.

        Raises:
            UnknownPromptError: If it means none, several at once, or the absence of one.
            PromptError: If the prompt cannot be used.
        """
        reading = self.read(prompt)
        if reading.kind == "known":
            return reading.concepts[0]
        shown, named = f'"{_abridge(prompt)}"', [f'"{concept}"' for concept in reading.concepts]
        if reading.kind == "several" and len(named) == 1:
            raise UnknownPromptError(f"{shown} asks for more than one thing; ask for {named[0]} alone")
        if reading.kind == "several":
            both = " and ".join(named)
            raise UnknownPromptError(f"{shown} asks for {both} at once; give each a prompt of its own")
        if reading.kind == "negated":
            raise UnknownPromptError(
                f"{shown} asks for the absence of {named[0]}; "
                f"only what is there can be marked: ask for {named[0]}"
            )
        raise UnknownPromptError(f"{shown} means nothing that the model has learnt; {self._offer()}")

    def with_concepts(
        self,
        concepts: Mapping[str, Sequence[str]],
        *,
        others: Sequence[str] | None = None,
        held_out: Lines | None = None,
    ) -> TextSide:
        """Make a text side that understands exactly these concepts; needs numpy only, and some seconds.

        Args:
            concepts: Each concept's phrasings. The name itself always counts as one, and a concept with a
                shipped bank ("crack") gets the bank's phrases too.
            others: Lines that mean none of them; by default the shipped bank.
            held_out: Phrases to choose the threshold on; without any the threshold stays as it is.
        """
        banks, strangers = phrase_bank.banks_for(concepts)
        lines = {name: [name, *given] for name, given in concepts.items()}
        if others is None:
            lines = {name: [*given, *banks.get(name, ())] for name, given in lines.items()}
            others = self._without_meaning(lines, [*phrase_bank.other_lines(), *strangers])
        model = fit_classifier(*self._labelled(lines, others), list(lines), threshold=self.threshold)
        if held_out is not None:
            threshold = choose_refusal_threshold(model, *self._labelled(*held_out, seed=1))
            model = replace(model, threshold=threshold)
        prototypes = {
            name: self._mean_embedding(phrase_bank.phrases_of(given)) for name, given in lines.items()
        }
        return TextSide(self._encoder, model, prototypes, self._space)

    def _labelled(
        self, lines: Mapping[str, Sequence[str]], others: Sequence[str], seed: int = 0
    ) -> tuple[Float, NDArray[np.intp]]:
        """Features [N,F] and labels [N] of examples made from lines."""
        made = phrase_variation.labelled_phrases(lines, others, seed=seed, scale=3)
        numbers = {name: number for number, name in enumerate([*lines, phrase_variation.OTHER])}
        cleaned = [prompts.clean_prompt(text) for text, _ in made]
        return self._encoder.run(cleaned)[1], np.array([numbers[label] for _, label in made])

    def _without_meaning(self, lines: Mapping[str, Sequence[str]], others: Sequence[str]) -> list[str]:
        """Drop from the others what means a new concept: named in it, or embedded at the same place."""
        banks = phrase_bank.concept_lines()
        told = [line for name, given in lines.items() if name not in banks for line in given]
        new = [prompts.clean_prompt(phrase) for phrase in phrase_bank.phrases_of(told)]
        phrases = phrase_bank.phrases_of(others)
        if not new:
            return phrases
        named = re.compile("|".join(rf"\b{re.escape(phrase)}(?:s|es)?\b" for phrase in new))
        cleaned = [prompts.clean_prompt(phrase) for phrase in phrases]
        near = (self._encoder.run(cleaned)[0] @ self._encoder.run(new)[0].T).max(axis=1) > _SAME
        return [
            p
            for p, text, close in zip(phrases, cleaned, near, strict=True)
            if not close and not named.search(text)
        ]

    def _mean_embedding(self, phrases: Sequence[str]) -> Float:
        mean = self._encoder.run([prompts.clean_prompt(phrase) for phrase in phrases])[0].mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)

    def _classify(self, texts: Sequence[str]) -> Float:
        return self._understanding.probabilities(self._encoder.encode(texts)[1])

    def _essence(self, text: str) -> str:
        """The text itself, or of a long one the window that its meaning was read from."""
        return self.read(text).essence if self._encoder.is_long(text) else text

    def _offer(self) -> str:
        """What to ask for instead."""
        if not self.concepts:
            return "it knows no concept yet"
        return "it knows " + " and ".join(f'"{concept}"' for concept in self.concepts)


def _space_of(folder: Path | str) -> bytes | None:
    path = Path(folder) / SPACE
    return path.read_bytes() if path.is_file() else None


def _short(values: Float) -> list[float]:
    """Six digits say all that fp32 features carry."""
    return [float(f"{value:.6g}") for value in values]


def _abridge(prompt: str, longest: int = 60) -> str:
    text = " ".join(prompt.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"
