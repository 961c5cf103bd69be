"""Split prompts into WordPiece tokens, encode them with an ONNX graph, and cache the results."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import BundleError
from drywallqa.onnx_session import open_session

ENCODER, VOCABULARY = "text_encoder.onnx", "vocabulary.txt"
PADDING, UNKNOWN = "[PAD]", "[UNK]"
LONGEST = 48  # maximum number of tokens that the encoder reads
LONGEST_WORD = 100  # characters
CACHED = 4096  # maximum number of texts in the cache
BATCH = 256  # texts per run of the graph

Float = NDArray[np.float32]


class WordPiece:
    """Converts text to token ids by greedy longest match (Devlin et al., BERT, 2018).

    Args:
        pieces: The vocabulary. The id of a piece is its index in this list.

    Raises:
        BundleError: The vocabulary lacks the padding piece or the piece for unknown words.
    """

    def __init__(self, pieces: Sequence[str]) -> None:
        self.pieces = list(pieces)
        self._ids = {piece: number for number, piece in enumerate(self.pieces)}
        if PADDING not in self._ids or UNKNOWN not in self._ids:
            raise BundleError(f"the vocabulary lacks {PADDING} or {UNKNOWN}; get the bundle again")
        self.padding, self.unknown = self._ids[PADDING], self._ids[UNKNOWN]

    @classmethod
    def load(cls, path: Path) -> WordPiece:
        """Read a vocabulary file with one piece per line.

        Raises:
            BundleError: The file cannot be read.
        """
        try:
            return cls(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise BundleError(f"{path}: the vocabulary cannot be read; get the bundle again") from error

    def encode(self, text: str, limit: int) -> list[int]:
        """Return the first `limit` token ids of a text."""
        ids = (number for word in basic_words(text) for number in self._encode_word(word))
        return list(islice(ids, limit))

    def _encode_word(self, word: str) -> list[int]:
        """Split a word into pieces. If this is impossible, return the id for unknown words."""
        ids, start = list[int](), 0
        if len(word) > LONGEST_WORD:
            return [self.unknown]
        while start < len(word):
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if prefix + word[start:end] in self._ids), None)
            if end is None:
                return [self.unknown]
            ids.append(self._ids[prefix + word[start:end]])
            start = end
        return ids


def basic_words(text: str) -> list[str]:
    """Split a text into lower-case words without accents. Each punctuation mark becomes a separate word."""
    spaced = ""
    for letter in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(letter)
        symbol = letter.isascii() and letter.isprintable() and not letter.isalnum()
        chinese = 0x4E00 <= ord(letter) <= 0x9FFF or 0x3400 <= ord(letter) <= 0x4DBF
        if category.startswith("P") or symbol or chinese:
            spaced += f" {letter} "
        elif category != "Mn":
            spaced += " " if category.startswith("C") else letter
    return spaced.split()


class OnnxTextEncoder:
    """Encodes cleaned texts. Instances are thread-safe and can be pickled.

    Args:
        graph: Content of the ONNX file, which maps tokens [P,T] to `embeddings` [P,D] and `features` [P,F].
        vocabulary: The vocabulary with which the graph was trained.

    Raises:
        BundleError: The ONNX file is damaged.
    """

    def __init__(self, graph: bytes, vocabulary: WordPiece) -> None:
        self._graph, self._vocabulary = graph, vocabulary
        self._cache: dict[str, tuple[Float, Float]] = {}
        try:
            self._session = open_session(graph, threads=1, small=True)
        except Exception as error:  # the runtime's exception classes differ between versions
            raise BundleError(f"{ENCODER} is damaged ({error}); get the bundle again") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._graph, self._vocabulary)

    @classmethod
    def load(cls, folder: Path) -> OnnxTextEncoder:
        """Read the ONNX file and the vocabulary from a bundle folder.

        Raises:
            BundleError: A file is missing or damaged.
        """
        path = folder / ENCODER
        try:
            return cls(path.read_bytes(), WordPiece.load(folder / VOCABULARY))
        except OSError as error:
            raise BundleError(f"{path}: the text encoder cannot be read; get the bundle again") from error

    def files(self) -> dict[str, bytes]:
        """Return the encoder's bundle files as a mapping from file name to content."""
        return {ENCODER: self._graph, VOCABULARY: ("\n".join(self._vocabulary.pieces) + "\n").encode()}

    def is_long(self, text: str) -> bool:
        """Check whether a text has more tokens than the encoder reads."""
        return len(self._vocabulary.encode(text, LONGEST + 1)) > LONGEST

    def encode(self, texts: Sequence[str]) -> tuple[Float, Float]:
        """Return embeddings [P,D] and features [P,F] of P texts, and cache both."""
        cache = self._cache  # threads need no lock, since the dict is replaced and never modified
        if missing := [text for text in dict.fromkeys(texts) if text not in cache]:
            cache = {**cache, **dict(zip(missing, zip(*self.run(missing), strict=True), strict=True))}
            self._cache = cache if len(cache) <= CACHED else {}
        return np.stack([cache[text][0] for text in texts]), np.stack([cache[text][1] for text in texts])

    def run(self, texts: Sequence[str]) -> tuple[Float, Float]:
        """Encode many texts without the cache. Each batch contains texts of similar length."""
        encoded = [self._vocabulary.encode(text, LONGEST) or [self._vocabulary.unknown] for text in texts]
        order = sorted(range(len(texts)), key=lambda place: len(encoded[place]))
        rows: list[tuple[Float, Float]] = []
        for begin in range(0, len(order), BATCH):
            chosen = [encoded[place] for place in order[begin : begin + BATCH]]
            tokens = np.full((len(chosen), len(chosen[-1])), self._vocabulary.padding, np.int64)
            for row, ids in zip(tokens, chosen, strict=True):
                row[: len(ids)] = ids
            rows.append(self._session.run(["embeddings", "features"], {"tokens": tokens}))
        back = np.argsort(order)
        return np.concatenate([row[0] for row in rows])[back], np.concatenate([row[1] for row in rows])[back]
