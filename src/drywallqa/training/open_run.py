"""A run that was not exported, opened in torch as something that answers prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from drywallqa.backend import Float
from drywallqa.bundle.bundle import ConceptSettings
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.wrapped_model import WrappedModel
from drywallqa.models import registry
from drywallqa.models.contract import PromptedModel, load_strictly
from drywallqa.models.torch_backend import TorchBackend
from drywallqa.text.text_side import TextSide
from drywallqa.training import config as configuration
from drywallqa.training.checkpoints import read_weights
from drywallqa.training.config import TrainConfig
from drywallqa.training.run_folder import CONFIG, TEXT


@dataclass(frozen=True, eq=False)
class OpenedRun:
    """A run's model, running.

    Attributes:
        backend: The model with the run's best weights.
        window: The one it was validated with, its family's normalisation included.
        text: The text side it was trained with.
        config: Its settings.
    """

    backend: TorchBackend
    window: Letterbox
    text: TextSide
    config: TrainConfig

    @property
    def segmenter(self) -> Segmenter:
        """The model behind the product's own path from a photo to a mask, at thresholds of 0.5."""
        concepts = dict.fromkeys(self.text.concepts, ConceptSettings())
        return Segmenter(WrappedModel(self.config.model.name, self.window, concepts, self.backend, self.text))


def open_run(run: Path) -> OpenedRun:
    """Open a run; a family with a text tower embeds prompts by that, any other by the run's text side.

    Raises:
        ModelError: There is no checkpoint, or it does not fit.
        ConfigError: The run's settings cannot be read.
    """
    settings = configuration.load_config(run / CONFIG)
    text = TextSide.load(run / TEXT)
    family = registry.find_family(settings.model.name, settings.model.options)
    width = text.embed(["crack"]).shape[1]
    general = {"encoder": settings.model.encoder, "width": settings.model.width, "embedding_width": width}
    model: PromptedModel = registry.create_from_settings(family.name, general, settings.model.options)
    load_strictly(model, read_weights(run)[1], str(run))
    return run_model(model, text, settings, run)


def run_model(model: PromptedModel, text: TextSide, settings: TrainConfig, run: Path) -> OpenedRun:
    """Have a run's model, its weights loaded, answer prompts."""
    family = registry.find_family(settings.model.name, settings.model.options)
    model.load_text(run / TEXT)
    embed = _by_tower(model.eval()) if family.own_text else text.embed
    return OpenedRun(TorchBackend(model, embed), family.letterbox(settings.validation_window), text, settings)


def _by_tower(model: PromptedModel) -> Callable[[Sequence[str]], Float]:
    def embed(prompts: Sequence[str]) -> Float:
        with torch.inference_mode():
            embedded: Float = model.encode_prompts(list(prompts)).numpy()
        return embedded

    return embed
