"""Validates a model during training with the same segmentation code as `drywallqa segment`."""

from __future__ import annotations

import math
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
from drywallqa.training.task import MONITORED


class ValidationPart:
    """Measures the averaged model on the val split.

    In distributed training, each rank evaluates the model on some of the photos.

    Args:
        dataset: The val split.
        phrases: The embeddings of each concept's phrasings.
        letterbox: The letterbox for validation.
        gated: Whether to empty a mask if the predicted presence is below 0.5. Use False for a run that does
            not train presence.

    Attributes:
        concepts: The concepts to measure.
        curves: Concept → metrics at each mask threshold in the last validation.
    """

    def __init__(
        self, dataset: Dataset, phrases: PhraseEmbeddings, letterbox: Letterbox, *, gated: bool
    ) -> None:
        self.dataset, self.phrases, self.letterbox = dataset, phrases, letterbox
        self.presence_threshold = 0.5 if gated else 0.0
        self.concepts = list(phrases.embeddings)
        self.curves: dict[str, list[SweepRow]] = {}

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return each concept's metrics at a mask threshold of 0.5, and the mean IoU over concepts."""
        mine = self.dataset.with_samples(self.dataset.samples[rank() :: world()])
        groups: dict[str, list[PairMeasurement]] = {sample.photo: [] for sample in mine}
        for pair in measure_pairs(self.evaluator(model, mine)):
            groups[pair.sample.photo].append(pair)
        pairs = [pair for group in gather_lists(list(groups.values())) for pair in group]
        figures: dict[str, float] = {}
        for concept, summary in summarise(pairs, self.concepts).items():
            figures |= {
                f"val/{concept}/iou": summary.iou,
                f"val/{concept}/dice": summary.dice,
                f"val/{concept}/pixel accuracy": summary.pixel_accuracy,
                f"val/{concept}/false alarms": summary.false_alarm_rate,
            }
            own = [pair for pair in pairs if pair.concept == concept]
            self.curves[concept] = threshold_sweep(own, self.presence_threshold)
        ious = (figures[f"val/{concept}/iou"] for concept in self.concepts)
        known = [iou for iou in ious if not math.isnan(iou)]
        figures[MONITORED] = sum(known) / len(known) if known else 0.0
        return figures

    def evaluator(
        self, model: nn.Module, dataset: Dataset, concepts: Sequence[str] | None = None
    ) -> Evaluator:
        """Return an evaluator for a model.

        Args:
            model: The model.
            dataset: The photos.
            concepts: The concepts to segment; all concepts by default.
        """
        named = {prompts.clean_prompt(concept): concept for concept in self.concepts}
        backend = TorchBackend(model, lambda texts: np.stack([self._embed(model, named[t]) for t in texts]))
        levels = dict.fromkeys(self.concepts, ConceptSettings(presence_threshold=self.presence_threshold))
        segmenter = Segmenter(WrappedModel("in training", self.letterbox, levels, backend))
        chosen = [(concept, concept) for concept in concepts or self.concepts]
        return Evaluator(segmenter, dataset, segmenter.ask_for(chosen))

    def _embed(self, model: Any, concept: str) -> Any:
        """Return a concept's mean embedding. If the text tower is trained, use its current weights."""
        if not np.issubdtype(self.phrases.embeddings[concept].dtype, np.integer):
            return self.phrases.centre(concept)
        with torch.inference_mode():
            return model.encode_prompts(self.phrases.texts[concept][:32]).mean(0).cpu().numpy()
