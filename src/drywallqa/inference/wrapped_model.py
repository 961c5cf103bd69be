"""Running models that are no bundles on disk, and bundles under another head, as `Segmenter` takes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from drywallqa.backend import Backend
from drywallqa.errors import PromptError
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference.queries import ConceptThresholds, PromptUnderstanding, RunnableBundle
from drywallqa.inference.refinement import NONE


@dataclass(frozen=True)
class MaskLevels:
    """What decides about the masks of a concept, where no validation has chosen it.

    Attributes:
        threshold: Probability above which a pixel is marked.
        presence_threshold: Presence below which nothing is marked.
        native: Whether large photos are searched at their own pixels.
        refine: What follows the model, as `refine` names it.
        closer: Both thresholds of photos that are also shown in closer views; None takes the others.
    """

    threshold: float = 0.5
    presence_threshold: float = 0.5
    native: bool = False
    refine: str = NONE
    closer: tuple[float, float] | None = None


class ConceptNamesOnly:
    """The text side of a model that is only asked for concepts by their names; it understands no prompt."""

    def understand(self, prompt: str) -> None:
        """Understand nothing."""

    def resolve(self, prompt: str) -> str:
        """Refuse every prompt.

        Raises:
            PromptError: Always.
        """
        raise PromptError(f'"{prompt}": this model has no text side; name its concepts')


@dataclass(frozen=True)
class WrappedModel:
    """A model that runs already: a run that was not exported, one being trained, one from elsewhere.

    Attributes:
        name: How outputs call it.
        window: How photos are brought to it.
        concepts: Concept → what decides about its masks.
        backend: The model.
        text: What understands prompts.
        version: Its version.
        vocabulary: "closed" where prompts must mean a known concept, else "open".
        files: None; it lies nowhere.
    """

    name: str
    window: Letterbox
    concepts: Mapping[str, ConceptThresholds]
    backend: Backend
    text: PromptUnderstanding = field(default_factory=ConceptNamesOnly)
    version: str = ""
    vocabulary: str = "closed"
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def around(cls, bundle: RunnableBundle, backend: Backend) -> WrappedModel:
        """Wrap the model of a bundle that runs already, as where its calls are watched.

        Args:
            bundle: What it is called, how photos are brought to it, and what it understands.
            backend: The model, running.
        """
        return cls(
            bundle.name,
            bundle.window,
            bundle.concepts,
            backend,
            bundle.text,
            bundle.version,
            bundle.vocabulary,
        )

    def open_backend(
        self,
        name: str = "onnxruntime",
        device: str = "cpu",
        threads: int | None = None,
        precision: str = "fp32",
    ) -> Backend:
        """Return the model as it runs, wherever that is."""
        return self.backend


def with_concepts(bundle: RunnableBundle, changes: Mapping[str, Mapping[str, Any]]) -> RunnableBundle:
    """Change what decides about concepts' masks.

    Args:
        bundle: A bundle or a wrapped model.
        changes: Concept → field of `ConceptThresholds` → its new value.
    """
    concepts = {
        name: dataclasses.replace(cast(Any, settings), **changes.get(name, {}))
        for name, settings in bundle.concepts.items()
    }
    return cast(RunnableBundle, dataclasses.replace(cast(Any, bundle), concepts=concepts))
