"""Validation during training, through the product's own path."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from drywallqa.datasets.dataset import Dataset
from drywallqa.evaluation.collect import collect
from drywallqa.evaluation.summary import summarise
from drywallqa.models.torch_backend import TorchBackend
from drywallqa.training.phrases import Phrases
from drywallqa.training.schedules import MONITORED
from drywallqa.window import Window


class Validation:
    """Scores the averaged model on the val part through the product's own path."""

    def __init__(self, dataset: Dataset, phrases: Phrases, window: Window) -> None:
        self.dataset, self.phrases, self.window = dataset, phrases, window

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return IoU, Dice and false alarms of each concept, and the mean IoU that schedules watch."""
        concepts = list(self.phrases.embeddings)
        backend = TorchBackend(model, lambda names: np.stack([self._centre(model, n) for n in names]))
        scores = list(collect(backend, self.window, self.dataset, {c: c for c in concepts}))
        figures = {}
        for concept, summary in summarise(scores, dict.fromkeys(concepts, (0.5, 0.5))).items():
            figures[f"val/{concept}/iou"] = summary.iou
            figures[f"val/{concept}/dice"] = summary.dice
            figures[f"val/{concept}/false alarms"] = summary.false_alarm_rate
        known = [summary for name, summary in figures.items() if name.endswith("/iou") and summary == summary]
        figures[MONITORED] = sum(known) / len(known) if known else 0.0
        print({name: round(value, 4) for name, value in figures.items()}, flush=True)
        return figures

    def _centre(self, model: Any, concept: str) -> Any:
        """The concept's direction; by a text tower that is trained, as it is now."""
        if not np.issubdtype(self.phrases.embeddings[concept].dtype, np.integer):
            return self.phrases.centre(concept)
        with torch.inference_mode():
            return model.encode_prompts(self.phrases.texts[concept][:32]).mean(0).numpy()
