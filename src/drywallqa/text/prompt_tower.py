"""A model's own text tower in ONNX Runtime: prompts to embeddings, for families that bring one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import BundleError
from drywallqa.onnx_session import open_session
from drywallqa.text.clip_tokens import TOKENIZER as TOKENIZER
from drywallqa.text.clip_tokens import ClipTokens

Float = NDArray[np.float32]


class PromptTower:
    """Embeds prompts. Safe to share between threads, and can be pickled.

    Args:
        graph: The ONNX file: token ids [P,L] to embeddings [P,D].
        tokenizer: Content of the `tokenizer.json` that the tower was trained with.

    Raises:
        BundleError: The tokenizer is damaged.
    """

    def __init__(self, graph: Path, tokenizer: bytes) -> None:
        self._graph, self._tokens = graph, ClipTokens.read(tokenizer)
        self._session: Any = None

    def __getstate__(self) -> dict[str, Any]:
        # a session does not travel; the other process opens its own
        return {**self.__dict__, "_session": None}

    def embed(self, prompts: Sequence[str]) -> Float:
        """Embed P prompts as float32 [P,D]; long ones are cut at the tower's 77 tokens.

        Raises:
            BundleError: The graph is damaged.
        """
        rows = [self._tokens.encode(prompt) for prompt in prompts]
        # the tower looks backwards only, so what follows a text's end changes nothing
        ids = np.full((len(rows), max(map(len, rows), default=1)), self._tokens.end, np.int64)
        for row, tokens in zip(ids, rows, strict=True):
            row[: len(tokens)] = tokens
        if self._session is None:
            self._session = self._open()
        return np.asarray(self._session.run(["embeddings"], {"ids": ids})[0], np.float32)

    def _open(self) -> Any:
        try:
            return open_session(self._graph)
        except Exception as error:  # the runtime's own classes differ between its versions
            raise BundleError(f"{self._graph}: damaged ({error}); get the bundle again") from error
