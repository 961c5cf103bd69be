"""A bundle that needs no trained model: red pixels are cracks, blue ones taping areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drywallqa.backend import Features, Float
from drywallqa.bundle.bundle import ConceptSettings
from drywallqa.errors import UnknownPromptError
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.onnx_session import RuntimeOptions
from drywallqa.text import prompts

CONCEPTS = {"crack": ("crack", "fissure"), "taping area": ("taping", "joint", "seam")}


class FakeText:
    def understand(self, prompt: str) -> str | None:
        text = prompts.clean_prompt(prompt)
        meant = [name for name, words in CONCEPTS.items() if any(word in text for word in words)]
        return meant[0] if len(meant) == 1 else None

    def resolve(self, prompt: str) -> str:
        concept = self.understand(prompt)
        if concept is None:
            raise UnknownPromptError(
                f'"{prompt[:40]}" means nothing known; it knows "crack" and "taping area"'
            )
        return concept


@dataclass
class FakeBackend:
    """Counts what it is asked, so that tests can tell how often a photo was encoded."""

    stride: int = 2
    encoded: int = 0
    decoded: int = 0

    def encode_image(self, images: Float) -> Features:
        self.encoded += len(images)
        return (images[:, :, :: self.stride, :: self.stride],)

    def encode_prompts(self, given: Sequence[str]) -> Float:
        rows = {"crack": (1.0, 0.0), "taping area": (0.0, 1.0), None: (0.0, 0.0)}
        return np.asarray([rows[FakeText().understand(prompt)] for prompt in given], np.float32)

    def decode(self, features: Features, embeddings: Float) -> tuple[Float, Float]:
        images = features[0]
        self.decoded += len(embeddings)
        red = images[:, 0] - images[:, 1:].max(axis=1)
        blue = images[:, 2] - images[:, :2].max(axis=1)
        score = np.stack([red, blue], axis=1) - 1.0  # [B,2,h,w]
        logits = (
            1.5 * np.einsum("pd,bdhw->bphw", embeddings, score)
            - 8 * (embeddings.sum(axis=1) == 0)[:, None, None]
        )
        return logits.astype(np.float32), logits.max(axis=(2, 3)).astype(np.float32)


@dataclass
class FakeBundle:
    name: str = "fake"
    version: str = "1"
    vocabulary: str = "closed"
    files: Mapping[str, str] = field(default_factory=lambda: {"decoder.onnx": "0123456789abcdef"})
    window: Letterbox = field(default_factory=lambda: Letterbox(64))
    concepts: Mapping[str, Any] = field(
        default_factory=lambda: {name: ConceptSettings() for name in CONCEPTS}
    )
    text: FakeText = field(default_factory=FakeText)
    backend: FakeBackend = field(default_factory=FakeBackend)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def open_backend(self, options: RuntimeOptions | None = None) -> FakeBackend:
        return self.backend


def wall(
    height: int = 48, width: int = 64, *, crack: bool = True, seam: bool = False, shade: int = 200
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A grey wall, with a red bar across its upper half for a crack and a blue one below for a seam."""
    photo = np.full((height, width, 3), shade, np.uint8)
    if crack:
        photo[height // 4 : height // 2, width // 8 : -(width // 8)] = (230, 20, 20)
    if seam:
        photo[height * 5 // 8 : height * 7 // 8, :] = (20, 20, 230)
    return photo
