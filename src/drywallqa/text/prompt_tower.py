"""Run a model's CLIP text tower in ONNX Runtime: convert prompts to tokens, and tokens to embeddings.

The tokenizer is the same as in CLIP (Radford et al., ICML 2021, https://arxiv.org/abs/2103.00020). It uses
byte-level byte-pair encoding (Sennrich et al., ACL 2016, https://arxiv.org/abs/1508.07909) and loads the
`tokenizer.json` of published weights. This module implements the tokenizer, because the base install does not
include a tokenizer library.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import BundleError
from drywallqa.onnx_session import open_session

TOKENIZER = "tokenizer.json"
# Maximum number of tokens that the tower reads, including start and end.
LONGEST = 77
START, END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"
_WHOLE = (START, END, "'s", "'t", "'re", "'ve", "'m", "'ll", "'d")

Float = NDArray[np.float32]


class PromptTower:
    """Embeds prompts with a text tower. Instances are thread-safe and can be pickled.

    Args:
        graph: Path of the ONNX file, which maps token ids [P,L] to embeddings [P,D].
        tokenizer: Content of the `tokenizer.json` with which the tower was trained.

    Raises:
        BundleError: The content of `tokenizer.json` is invalid.
    """

    def __init__(self, graph: Path, tokenizer: bytes) -> None:
        self._graph, self._tokenizer = graph, tokenizer
        self._tokens = ClipTokens(tokenizer)
        self._session: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._graph, self._tokenizer)

    def embed(self, prompts: Sequence[str]) -> Float:
        """Embed P prompts as float32 [P,D]. Each prompt is truncated to 77 tokens.

        Raises:
            BundleError: The ONNX file is damaged.
        """
        rows = [self._tokens.encode(prompt) for prompt in prompts]
        # The attention is causal, so the padding after the end token has no effect.
        ids = np.full((len(rows), max(map(len, rows), default=1)), self._tokens.end, np.int64)
        for row, tokens in zip(ids, rows, strict=True):
            row[: len(tokens)] = tokens
        if self._session is None:
            try:
                self._session = open_session(self._graph)
            except Exception as error:  # the runtime's exception classes differ between versions
                raise BundleError(f"{self._graph}: damaged ({error}); get the bundle again") from error
        return np.asarray(self._session.run(["embeddings"], {"ids": ids})[0], np.float32)


class ClipTokens:
    """Converts texts to token ids.

    Args:
        content: Content of a `tokenizer.json`.

    Raises:
        BundleError: The content is invalid, describes another type of tokenizer, or lacks the start or end
            token.
    """

    def __init__(self, content: bytes) -> None:
        try:
            model = json.loads(content)["model"]
            if model["type"] != "BPE":
                raise ValueError("it is not a byte-pair encoding")
            # Older files store a pair of pieces as one string. Newer files store it as a list.
            halves = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
            self._ranks = {(str(first), str(second)): rank for rank, (first, second) in enumerate(halves)}
            self._ids = {str(piece): int(number) for piece, number in model["vocab"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{TOKENIZER}: damaged ({error}); get the bundle again") from error
        if START not in self._ids or END not in self._ids:
            raise BundleError(f"{TOKENIZER}: lacks {START} or {END}; get the bundle again")
        self.end = self._ids[END]

    def encode(self, text: str, longest: int = LONGEST) -> list[int]:
        """Return at most `longest` token ids of a text, including the start and end tokens."""
        ids: list[int] = []
        for word in clip_words(text):
            ids += [self._ids[word]] if word in (START, END) else self._encode_word(word)
        return [self._ids[START], *ids[: longest - 2], self.end]

    def _encode_word(self, word: str) -> list[int]:
        pieces = [BYTE_LETTERS[byte] for byte in word.encode()]
        pieces[-1] += _WORD_END
        while pairs := [pair for pair in pairwise(pieces) if pair in self._ranks]:
            best, joined = min(pairs, key=self._ranks.__getitem__), list[str]()
            for piece in pieces:
                if joined and (joined[-1], piece) == best:
                    joined[-1] += piece
                else:
                    joined.append(piece)
            pieces = joined
        return [self._ids.get(piece, self.end) for piece in pieces]


def clip_words(text: str) -> Iterator[str]:
    """Convert a text to lower case, and split it into runs of letters, single digits and runs of others."""
    text = "".join(letter.lower() for letter in unicodedata.normalize("NFC", text))
    place = 0
    while place < len(text):
        whole = next((each for each in _WHOLE if text.startswith(each, place)), text[place])
        kind, end = _kind(text[place]), place + len(whole)
        if len(whole) == 1 and kind in "LO":
            while end < len(text) and _kind(text[end]) == kind:
                end += 1
        if kind != "S":
            yield text[place:end]
        place = end


def _kind(letter: str) -> str:
    """Return the type of a character: letter (L), number (N), space (S) or other (O)."""
    category = unicodedata.category(letter)[0]
    return "S" if letter.isspace() else category if category in "LN" else "O"


_PRINTABLE = {*range(33, 127), *range(161, 173), *range(174, 256)}
_OTHERS = iter(range(256, 512))
BYTE_LETTERS = [chr(byte if byte in _PRINTABLE else next(_OTHERS)) for byte in range(256)]
"""Printable letters that represent the 256 byte values in byte-level tokenizers."""
