"""Validation during training, through the product's own path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from drywallqa.bundle.bundle import ConceptSettings
from drywallqa.datasets.dataset import Dataset
from drywallqa.evaluation.curves import SweepRow, threshold_sweep
from drywallqa.evaluation.measure import Evaluator, PairMeasurement, measure_pairs
from drywallqa.evaluation.slices import summarise
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.wrapped_model import WrappedModel
from drywallqa.models.torch_backend import TorchBackend
from drywallqa.text import prompts
from drywallqa.training.distributed import gather_lists, rank, world
from drywallqa.training.phrase_embeddings import PhraseEmbeddings
from drywallqa.training.schedules import MONITORED

PRESENCE = 0.5
"""Presence from which a photo is taken to show a concept while thresholds are not yet chosen."""


def presence_asked(presence_weight: float) -> float:
    """Give the presence that a mask needs; none where a run learns no belief in presence."""
    return PRESENCE if presence_weight > 0 else 0.0


class ValidationPart:
    """Scores the averaged model on the val part; several processes share the photos.

    Attributes:
        presence: Presence below which nothing is marked.
        curves: Of the last validation: concept → its figures at each threshold of the mask.
    """

    def __init__(
        self, dataset: Dataset, phrases: PhraseEmbeddings, window: Letterbox, presence: float = PRESENCE
    ) -> None:
        self.dataset, self.phrases, self.window, self.presence = dataset, phrases, window, presence
        self.concepts = list(phrases.embeddings)
        self.curves: dict[str, list[SweepRow]] = {}

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return each concept's figures at thresholds of 0.5, and the mean IoU that schedules watch."""
        pairs = self._pairs(model)
        figures, known = {}, []
        for concept, summary in summarise(pairs, self.concepts).items():
            figures[f"val/{concept}/iou"] = summary.iou
            figures[f"val/{concept}/dice"] = summary.dice
            figures[f"val/{concept}/pixel accuracy"] = summary.pixel_accuracy
            figures[f"val/{concept}/false alarms"] = summary.false_alarm_rate
            if summary.iou == summary.iou:
                known.append(summary.iou)
            asked = [pair for pair in pairs if pair.concept == concept]
            self.curves[concept] = threshold_sweep(asked, self.presence)
        figures[MONITORED] = sum(known) / len(known) if known else 0.0
        return figures

    def evaluator(
        self, model: nn.Module, dataset: Dataset, concepts: Sequence[str] | None = None
    ) -> Evaluator:
        """Show photos to the model on the product's own path from a photo to a mask.

        Args:
            model: The model.
            dataset: The photos.
            concepts: What is asked for, by name; by default all that it learns.
        """
        named = {prompts.clean_prompt(concept): concept for concept in self.concepts}
        backend = TorchBackend(model, lambda asked: np.stack([self._centre(model, named[a]) for a in asked]))
        levels = dict.fromkeys(self.concepts, ConceptSettings(presence_threshold=self.presence))
        segmenter = Segmenter(WrappedModel("in training", self.window, levels, backend))
        asked = [(concept, concept) for concept in concepts or self.concepts]
        return Evaluator(segmenter, dataset, segmenter.ask_for(asked))

    def _pairs(self, model: nn.Module) -> list[PairMeasurement]:
        mine = self.dataset.with_samples(self.dataset.samples[rank() :: world()])
        groups: dict[str, list[PairMeasurement]] = {sample.photo: [] for sample in mine}
        for pair in measure_pairs(self.evaluator(model, mine)):
            groups[pair.sample.photo].append(pair)
        return [pair for group in gather_lists(list(groups.values())) for pair in group]

    def _centre(self, model: Any, concept: str) -> Any:
        """The concept's direction; by a text tower that is trained, as it is now."""
        if not np.issubdtype(self.phrases.embeddings[concept].dtype, np.integer):
            return self.phrases.centre(concept)
        with torch.inference_mode():
            return model.encode_prompts(self.phrases.texts[concept][:32]).mean(0).cpu().numpy()
