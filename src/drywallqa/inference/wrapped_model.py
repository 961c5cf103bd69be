"""Wrap a model that is not stored as a bundle, so that `Segmenter` can run it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from drywallqa.backend import Backend
from drywallqa.errors import PromptError
from drywallqa.imaging.letterbox import Letterbox

if TYPE_CHECKING:
    from drywallqa.bundle.bundle import Bundle, ConceptSettings
    from drywallqa.onnx_session import RuntimeOptions
    from drywallqa.text.text_side import TextSide

    RunnableBundle: TypeAlias = "Bundle | WrappedModel"

AnyBundle = TypeVar("AnyBundle", bound="Bundle | WrappedModel")


class ConceptNamesOnly:
    """A placeholder for the text model of a model that knows concepts only by name."""

    def understand(self, prompt: str) -> None:
        """Return None for every prompt."""

    def resolve(self, prompt: str) -> str:
        """Reject every prompt.

        Raises:
            PromptError: Always.
        """
        raise PromptError(f'"{prompt}": this model has no text model; pass the names of its concepts')


@dataclass(frozen=True)
class WrappedModel:
    """A model in memory, such as a run that was not exported, a model in training, or an external model.

    Attributes:
        name: The model's name in outputs.
        window: The letterbox that fits photos to the model's input.
        concepts: Concept → settings.
        backend: The running model.
        text: The text model, which interprets prompts.
        version: The model's version.
        vocabulary: "closed" if every prompt must name a known concept, else "open".
        files: Empty, since the model is not on disk.
    """

    name: str
    window: Letterbox
    concepts: Mapping[str, ConceptSettings]
    backend: Backend
    text: TextSide | ConceptNamesOnly = field(default_factory=ConceptNamesOnly)
    version: str = ""
    vocabulary: str = "closed"
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def around(cls, bundle: RunnableBundle, backend: Backend) -> WrappedModel:
        """Combine a bundle's settings with another backend, such as a backend that counts or times calls."""
        return cls(
            bundle.name, bundle.window, bundle.concepts, backend, bundle.text, bundle.version,
            bundle.vocabulary,
        )  # fmt: skip

    def open_backend(self, options: RuntimeOptions | None = None) -> Backend:
        """Return the running model. The options are ignored."""
        return self.backend


def with_concepts(bundle: AnyBundle, changes: Mapping[str, Mapping[str, Any]]) -> AnyBundle:
    """Return a copy of a bundle with changed concept settings.

    Args:
        bundle: A bundle or a wrapped model.
        changes: Concept → field of `ConceptSettings` → new value of the field.
    """
    concepts = {
        name: dataclasses.replace(settings, **changes.get(name, {}))
        for name, settings in bundle.concepts.items()
    }
    return dataclasses.replace(bundle, concepts=concepts)
