"""Models that run already and are no bundles on disk, as `Segmenter` takes them."""

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
    """Takes the place of a text side in a model that knows concepts by their names only."""

    def understand(self, prompt: str) -> None:
        """Find no concept in any prompt."""

    def resolve(self, prompt: str) -> str:
        """Refuse every prompt.

        Raises:
            PromptError: Always.
        """
        raise PromptError(f'"{prompt}": this model has no text side; name its concepts')


@dataclass(frozen=True)
class WrappedModel:
    """A model that runs already: a run that was not exported, a model in training, one from elsewhere.

    Attributes:
        name: The name that outputs show.
        window: The letterbox that brings photos to the model.
        concepts: Concept → its settings.
        backend: The running model.
        text: The text side.
        version: The model's version.
        vocabulary: "closed" where prompts must mean a known concept, else "open".
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
        """Wrap a bundle around another backend, such as one that counts or times its calls."""
        return cls(
            bundle.name, bundle.window, bundle.concepts, backend, bundle.text, bundle.version,
            bundle.vocabulary,
        )  # fmt: skip

    def open_backend(self, options: RuntimeOptions | None = None) -> Backend:
        """Return the running model, whatever the options."""
        return self.backend


def with_concepts(bundle: AnyBundle, changes: Mapping[str, Mapping[str, Any]]) -> AnyBundle:
    """Return a bundle whose concepts have other settings.

    Args:
        bundle: A bundle or a wrapped model.
        changes: Concept → field of `ConceptSettings` → its new value.
    """
    concepts = {
        name: dataclasses.replace(settings, **changes.get(name, {}))
        for name, settings in bundle.concepts.items()
    }
    return dataclasses.replace(bundle, concepts=concepts)
