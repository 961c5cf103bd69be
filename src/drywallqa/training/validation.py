"""Validation during training, through the product's own path."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from drywallqa.datasets.dataset import Dataset
from drywallqa.evaluation.collect import PairScore, collect
from drywallqa.evaluation.curves import SweepRow, threshold_sweep
from drywallqa.evaluation.summary import summarise
from drywallqa.models.torch_backend import TorchBackend
from drywallqa.training.phrases import Phrases
from drywallqa.training.schedules import MONITORED
from drywallqa.training.together import gather, rank, world
from drywallqa.window import Window

PRESENCE = 0.5
"""Presence from which a photo is taken to show a concept while thresholds are not yet chosen."""


def presence_asked(presence_weight: float) -> float:
    """Give the presence that a mask needs; none where a run learns no belief in presence."""
    return PRESENCE if presence_weight > 0 else 0.0


class Validation:
    """Scores the averaged model on the val part; several processes share the photos.

    Attributes:
        presence: Presence below which nothing is marked.
        curves: Of the last validation: concept → its figures at each threshold of the mask.
    """

    def __init__(
        self, dataset: Dataset, phrases: Phrases, window: Window, presence: float = PRESENCE
    ) -> None:
        self.dataset, self.phrases, self.window, self.presence = dataset, phrases, window, presence
        self.concepts = list(phrases.embeddings)
        self.curves: dict[str, list[SweepRow]] = {}

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return each concept's figures at thresholds of 0.5, and the mean IoU that schedules watch."""
        scores = self._scores(model)
        levels = dict.fromkeys(self.concepts, (0.5, self.presence))
        figures, known = {}, []
        for concept, summary in summarise(scores, levels).items():
            figures[f"val/{concept}/iou"] = summary.iou
            figures[f"val/{concept}/dice"] = summary.dice
            figures[f"val/{concept}/pixel accuracy"] = summary.pixel_accuracy
            figures[f"val/{concept}/false alarms"] = summary.false_alarm_rate
            if summary.iou == summary.iou:
                known.append(summary.iou)
            asked = [score for score in scores if score.concept == concept]
            self.curves[concept] = threshold_sweep(asked, self.presence)
        figures[MONITORED] = sum(known) / len(known) if known else 0.0
        return figures

    def backend(self, model: nn.Module) -> TorchBackend:
        """Put the model behind the product's protocol."""
        return TorchBackend(model, lambda names: np.stack([self._centre(model, name) for name in names]))

    def _scores(self, model: nn.Module) -> list[PairScore]:
        mine = self.dataset.with_samples(self.dataset.samples[rank() :: world()])
        groups: dict[str, list[PairScore]] = {sample.photo: [] for sample in mine}
        for score in collect(self.backend(model), self.window, mine, {c: c for c in self.concepts}):
            groups[score.sample.photo].append(score)
        return [score for group in gather(list(groups.values())) for score in group]

    def _centre(self, model: Any, concept: str) -> Any:
        """The concept's direction; by a text tower that is trained, as it is now."""
        if not np.issubdtype(self.phrases.embeddings[concept].dtype, np.integer):
            return self.phrases.centre(concept)
        with torch.inference_mode():
            return model.encode_prompts(self.phrases.texts[concept][:32]).mean(0).cpu().numpy()
