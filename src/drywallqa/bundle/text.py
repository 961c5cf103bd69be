"""The text side of a bundle: prompts to embeddings, and prompts to the concepts they mean. No torch."""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa import prompts
from drywallqa.bundle import phrase_bank, phrase_variation
from drywallqa.bundle.reading import Reader, Reading
from drywallqa.bundle.understanding import Understanding, choose_threshold, fit
from drywallqa.bundle.wordpiece import WordPiece
from drywallqa.errors import BundleError, UnknownPromptError

ENCODER, VOCABULARY, UNDERSTANDING, SPACE = (
    "text_encoder.onnx", "vocabulary.txt", "understanding.json", "text_space.npz",
)  # fmt: skip
LONGEST = 48  # pieces; the encoder has as many places
CACHED = 4096
FORMAT = 1
_SAME = 0.9

Float = NDArray[np.float32]
Lines = tuple[Mapping[str, Sequence[str]], Sequence[str]]


class TextSide:
    """Embeds prompts and understands them. Safe to share between threads, and can be pickled."""

    def __init__(
        self,
        encoder: bytes,
        vocabulary: WordPiece,
        understanding: Understanding,
        prototypes: Mapping[str, Float],
        space: bytes | None = None,
    ) -> None:
        """Take the parts; `TextSide.load` is the usual way.

        Args:
            encoder: The ONNX file: tokens [P,T] to `embeddings` [P,D] and `features` [P,F].
            vocabulary: Cuts prompts into the pieces that the encoder knows.
            understanding: The classifier on the features.
            prototypes: The mean embedding [D] of each concept's phrasings.
            space: The text space's file, kept so that a decoder can be trained in the same space again.
        """
        self._encoder, self._vocabulary, self._space = encoder, vocabulary, space
        self._understanding, self._prototypes = understanding, dict(prototypes)
        self._open()

    def _open(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a prompt is too small to share out
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                self._encoder, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's own classes differ between its versions
            raise BundleError(f"{ENCODER} is damaged ({error}); get the bundle again") from error
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, tuple[Float, Float]] = OrderedDict()
        self._readings: OrderedDict[str, Reading] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        dropped = ("_session", "_lock", "_cache", "_readings")
        return {name: value for name, value in self.__dict__.items() if name not in dropped}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    @classmethod
    def load(cls, folder: Path | str) -> TextSide:
        """Read a text side from a bundle's folder.

        Raises:
            BundleError: If a file is missing or damaged.
        """
        folder = Path(folder)
        path = folder / UNDERSTANDING
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["format_version"] != FORMAT:
                raise BundleError(
                    f"{path}: format {stored['format_version']}, this package reads {FORMAT}; update it"
                )
            understanding = Understanding(
                tuple(stored["concepts"]),
                np.asarray(stored["weights"], np.float32),
                np.asarray(stored["bias"], np.float32),
                float(stored["threshold"]),
            )
            prototypes = {name: np.asarray(row, np.float32) for name, row in stored["prototypes"].items()}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path}: missing or damaged ({error}); get the bundle again") from error
        return cls(*_read_encoder(folder), understanding, prototypes, _read_if_there(folder / SPACE))

    @classmethod
    def untrained(cls, folder: Path | str) -> TextSide:
        """Read encoder and vocabulary only; it knows no concept until `with_concepts`.

        Raises:
            BundleError: If a file is missing or damaged.
        """
        nothing = Understanding((), np.zeros((0, 1), np.float32), np.zeros(1, np.float32), 0.5)
        return cls(*_read_encoder(Path(folder)), nothing, {}, _read_if_there(Path(folder) / SPACE))

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
        _write(folder / ENCODER, self._encoder)
        _write(folder / VOCABULARY, ("\n".join(self._vocabulary.pieces) + "\n").encode())
        _write(folder / UNDERSTANDING, json.dumps(stored, separators=(",", ":")).encode())
        if self._space is not None:
            _write(folder / SPACE, self._space)

    @property
    def concepts(self) -> tuple[str, ...]:
        """The concepts that can be understood."""
        return self._understanding.concepts

    @property
    def threshold(self) -> float:
        """The least probability at which a prompt counts as meaning a concept."""
        return self._understanding.threshold

    def embed(self, prompts_: Sequence[str]) -> Float:
        """Embed P prompts as float32 [P,D], L2-normalised; of a long prompt, the part that carries its meaning.

        Raises:
            PromptError: If a prompt cannot be used.
        """
        essences = [self._essence(prompts.clean(prompt)) for prompt in prompts_]
        return self._encode(essences)[0]

    def prototype(self, concept: str) -> Float:
        """The mean embedding [D] of a concept's phrasings, L2-normalised: one and the same for all of them.

        Raises:
            UnknownPromptError: If the concept is not known.
        """
        if concept not in self._prototypes:
            raise UnknownPromptError(f'the model does not know "{concept}"; {self._offer()}')
        return self._prototypes[concept]

    def probabilities(self, prompts_: Sequence[str]) -> dict[str, Float]:
        """For each concept and "other" the probabilities [P] of P prompts, each read as one piece."""
        scores = self._classify([prompts.clean(prompt) for prompt in prompts_])
        return dict(zip((*self.concepts, phrase_variation.OTHER), scores.T, strict=True))

    def read(self, prompt: str) -> Reading:
        """Read a prompt: one concept, none, several at once, or the absence of one.

        Raises:
            PromptError: If the prompt cannot be used.
        """
        text = prompts.clean(prompt)
        with self._lock:
            reading = self._readings.get(text)
        if reading is None:
            if not self.concepts:
                return Reading("unknown", (), text)
            reading = Reader(self._classify, self.concepts, self.threshold).read(text)
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
        shown = f'"{_abridge(prompt)}"'
        if reading.kind == "several":
            named = " and ".join(f'"{concept}"' for concept in reading.concepts)
            raise UnknownPromptError(f"{shown} asks for {named} at once; give each its own prompt")
        if reading.kind == "negated":
            concept = reading.concepts[0]
            raise UnknownPromptError(
                f'{shown} asks where no {concept} is; the model marks what is there: ask for "{concept}"'
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
        banks = phrase_bank.concept_lines()
        if others is None:
            lines = {name: [name, *given, *banks.get(name, ())] for name, given in concepts.items()}
            strangers = [line for name, bank in banks.items() if name not in lines for line in bank]
            others = self._without_meaning(lines, [*phrase_bank.other_lines(), *strangers])
        else:
            lines = {name: list(given) for name, given in concepts.items()}
        names = list(lines)
        features, labels = self._labelled(lines, others, names)
        model = fit(features, labels, names, threshold=self.threshold)
        if held_out is not None:
            threshold = choose_threshold(model, *self._labelled(held_out[0], held_out[1], names, seed=1))
            model = Understanding(model.concepts, model.weights, model.bias, threshold)
        prototypes = {
            name: self._mean_embedding(phrase_bank.phrases_of(given)) for name, given in lines.items()
        }
        return TextSide(self._encoder, self._vocabulary, model, prototypes, self._space)

    def _labelled(
        self, lines: Mapping[str, Sequence[str]], others: Sequence[str], names: Sequence[str], seed: int = 0
    ) -> tuple[Float, NDArray[np.intp]]:
        """Features [N,F] and labels [N] of examples made from lines."""
        made = phrase_variation.examples(lines, others, seed=seed)
        numbers = {name: number for number, name in enumerate([*names, phrase_variation.OTHER])}
        features = self._encode([prompts.clean(text) for text, _ in made], keep=False)[1]
        return features, np.array([numbers[label] for _, label in made])

    def _without_meaning(self, lines: Mapping[str, Sequence[str]], others: Sequence[str]) -> list[str]:
        """Drop from the others what means a concept after all: named in it, or embedded at the same place."""
        banks = set(phrase_bank.concept_lines())
        new = [
            phrase
            for name, given in lines.items()
            if name not in banks
            for phrase in phrase_bank.phrases_of(given)
        ]
        phrases = phrase_bank.phrases_of(others)
        if not new:
            return phrases
        named = re.compile("|".join(rf"\b{re.escape(prompts.clean(phrase))}(?:s|es)?\b" for phrase in new))
        ours = self._encode([prompts.clean(phrase) for phrase in new], keep=False)[0]
        theirs = self._encode([prompts.clean(phrase) for phrase in phrases], keep=False)[0]
        near = (theirs @ ours.T).max(axis=1) > _SAME
        return [
            p for p, close in zip(phrases, near, strict=True) if not close and not named.search(p.lower())
        ]

    def _mean_embedding(self, phrases: Sequence[str]) -> Float:
        mean = self._encode([prompts.clean(phrase) for phrase in phrases], keep=False)[0].mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)

    def _classify(self, texts: Sequence[str]) -> Float:
        return self._understanding.probabilities(self._encode(texts)[1])

    def _essence(self, text: str) -> str:
        """The text itself, or of a long one the window that its meaning was read from."""
        return text if len(self._vocabulary.encode(text, LONGEST + 1)) <= LONGEST else self.read(text).essence

    def _encode(self, texts: Sequence[str], *, keep: bool = True) -> tuple[Float, Float]:
        """Embeddings [P,D] and features [P,F] of cleaned texts, from the cache where they are known."""
        if not keep:
            return self._run(texts)
        with self._lock:
            known = {text: self._cache[text] for text in texts if text in self._cache}
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            embeddings, features = self._run(missing)
            known.update({text: (embeddings[n], features[n]) for n, text in enumerate(missing)})
            with self._lock:
                self._cache.update((text, known[text]) for text in missing)
                while len(self._cache) > CACHED:
                    self._cache.popitem(last=False)
        return np.stack([known[text][0] for text in texts]), np.stack([known[text][1] for text in texts])

    def _run(self, texts: Sequence[str], batch: int = 256) -> tuple[Float, Float]:
        """Run the encoder, texts of like length together."""
        encoded = [self._vocabulary.encode(text, LONGEST) or [self._vocabulary.unknown] for text in texts]
        order = sorted(range(len(texts)), key=lambda place: len(encoded[place]))
        rows: list[tuple[Float, Float]] = []
        for begin in range(0, len(order), batch):
            chosen = [encoded[place] for place in order[begin : begin + batch]]
            tokens = np.full((len(chosen), len(chosen[-1])), self._vocabulary.padding, np.int64)
            for row, numbers in zip(tokens, chosen, strict=True):
                row[: len(numbers)] = numbers
            rows.append(self._session.run(["embeddings", "features"], {"tokens": tokens}))
        back = np.argsort(order)
        return np.concatenate([row[0] for row in rows])[back], np.concatenate([row[1] for row in rows])[back]

    def _offer(self) -> str:
        """What to ask for instead."""
        if not self.concepts:
            return "it knows no concept yet"
        return "it knows " + " and ".join(f'"{concept}"' for concept in self.concepts)


def _read_encoder(folder: Path) -> tuple[bytes, WordPiece]:
    path = folder / ENCODER
    try:
        encoder = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: the text encoder cannot be read; get the bundle again") from error
    return encoder, WordPiece.load(folder / VOCABULARY)


def _read_if_there(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _short(values: Float) -> list[float]:
    """Six digits say all that fp32 features carry."""
    return [float(f"{value:.6g}") for value in values]


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(content)
    beside.replace(path)


def _abridge(prompt: str, longest: int = 60) -> str:
    text = " ".join(prompt.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"
