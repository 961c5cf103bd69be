"""The runnable part of the text side: prompts to embeddings and features, in ONNX Runtime, with a cache."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import BundleError
from drywallqa.onnx_session import open_session
from drywallqa.text.wordpiece import WordPiece

ENCODER, VOCABULARY = "text_encoder.onnx", "vocabulary.txt"
LONGEST = 48  # pieces; the encoder has as many places
CACHED = 4096

Float = NDArray[np.float32]


class OnnxTextEncoder:
    """Encodes cleaned texts. Safe to share between threads, and can be pickled."""

    def __init__(self, graph: bytes | Path, vocabulary: WordPiece) -> None:
        """Take the parts; `TextEncoder.load` is the usual way.

        Args:
            graph: The ONNX file, or what it holds: tokens [P,T] to `embeddings` [P,D] and `features` [P,F].
            vocabulary: Cuts texts into the pieces that the graph knows.

        Raises:
            BundleError: If the graph is damaged.
        """
        self._graph, self._vocabulary = graph, vocabulary
        self._open()

    @classmethod
    def load(cls, folder: Path) -> OnnxTextEncoder:
        """Read graph and vocabulary from a bundle's folder.

        Raises:
            BundleError: If a file is missing or damaged.
        """
        path = folder / ENCODER
        if not path.is_file():
            raise BundleError(f"{path}: the text encoder cannot be read; get the bundle again")
        return cls(path, WordPiece.load(folder / VOCABULARY))

    def files(self) -> dict[str, bytes]:
        """What to write into a bundle's folder: names and contents."""
        return {ENCODER: self._content(), VOCABULARY: ("\n".join(self._vocabulary.pieces) + "\n").encode()}

    def _content(self) -> bytes:
        return self._graph.read_bytes() if isinstance(self._graph, Path) else self._graph

    def _open(self) -> None:
        try:
            self._session = open_session(self._graph, threads=1, small=True)
        except Exception as error:  # the runtime's own classes differ between its versions
            raise BundleError(f"{ENCODER} is damaged ({error}); get the bundle again") from error
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, tuple[Float, Float]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"_graph": self._content(), "_vocabulary": self._vocabulary}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def is_long(self, text: str) -> bool:
        """Tell whether a text has more pieces than the encoder reads."""
        return len(self._vocabulary.encode(text, LONGEST + 1)) > LONGEST

    def encode(self, texts: Sequence[str]) -> tuple[Float, Float]:
        """Embeddings [P,D] and features [P,F] of P texts, from the cache where they are known."""
        with self._lock:
            known = {text: self._cache[text] for text in texts if text in self._cache}
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            embeddings, features = self.run(missing)
            known.update({text: (embeddings[n], features[n]) for n, text in enumerate(missing)})
            with self._lock:
                self._cache.update((text, known[text]) for text in missing)
                while len(self._cache) > CACHED:
                    self._cache.popitem(last=False)
        return np.stack([known[text][0] for text in texts]), np.stack([known[text][1] for text in texts])

    def run(self, texts: Sequence[str], batch: int = 256) -> tuple[Float, Float]:
        """The same without the cache, for many texts; those of like length go together."""
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
