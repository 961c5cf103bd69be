"""What watches a run: checks before its first step, alarms during it, and the batch of a broken loss kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from drywallqa.checks.alarms import AlarmMonitor, step_figures
from drywallqa.checks.data_checks import (
    check_embeddings,
    check_images,
    check_phrasings,
    check_split,
    check_truth,
)
from drywallqa.checks.findings import FaultFinding, finding_of
from drywallqa.checks.first_step import Loss, ProbeBatch, check_model
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import AlarmError, DataError
from drywallqa.imaging.photos import open_picture
from drywallqa.sampling.pairs import TrainingPairs, TrainingPicture
from drywallqa.training.checkpoints import write_tensors
from drywallqa.training.config import WatchConfig
from drywallqa.training.distributed import agree, rank
from drywallqa.training.phrase_embeddings import PhraseEmbeddings
from drywallqa.training.run_log import RunLog

NOT_FINITE = "not-finite.pt"
LOOKED_AT, AT_MOST, PROBED = 12, 96, 2
"""Pictures looked at, pictures looked at where the first show nothing, pictures put through the model."""


def check_dataset_files(dataset: Dataset) -> None:
    """Check that every photo and mask of these samples is there and that their sizes agree; reads no pixels.

    Raises:
        DataError: The first that is wrong, by name.
    """
    for sample in dataset:
        if not dataset.photo_path(sample).is_file():
            raise DataError(f"{dataset.photo_path(sample)}: the photo is missing; import the data set again")
        for name in filter(None, sample.labels.values()):
            path = dataset.folder / name
            try:
                with open_picture(path) as mask:
                    width, height = mask.size
            except OSError as error:
                raise DataError(f"{path}: the mask cannot be read; import the data set again") from error
            if (width, height) != (sample.width, sample.height):
                raise DataError(
                    f"{path}: the mask is {width}×{height} px but its photo {sample.width}×{sample.height}; "
                    "import the data set again"
                )


def first_items(pairs: TrainingPairs) -> list[TrainingPicture]:
    """Draw the first pictures; more of them where the first happen to show no foreground at all."""
    items: list[TrainingPicture] = []
    while len(items) < LOOKED_AT or (len(items) < AT_MOST and not any(bool(i["truth"].any()) for i in items)):
        items.append(pairs[len(items)])
    return items


def check_given(
    dataset: Dataset, phrases: PhraseEmbeddings, items: list[TrainingPicture]
) -> list[FaultFinding]:
    """Check the split, the text, and the first pictures as the model will see them."""
    concepts = list(phrases.embeddings)
    parts = {part: [sample.photograph for sample in dataset.part(part)] for part in ("train", "val")}
    truth = np.stack([item["truth"].numpy() for item in items])
    known = np.stack([item["known"].numpy() for item in items])
    findings = check_split(parts)
    findings += check_phrasings(phrases.phrasings, phrases.text.understand)
    if all(np.issubdtype(rows.dtype, np.floating) for rows in phrases.embeddings.values()):
        findings += check_embeddings(phrases.embeddings)
    findings += check_truth(truth, known, concepts)
    return findings + check_images(np.stack([item["image"].numpy() for item in items]))


def _on_cpu(value: Any) -> Any:
    """Bring a tensor, or a tuple of them as features come, to the CPU."""
    return value.detach().cpu() if isinstance(value, Tensor) else tuple(_on_cpu(part) for part in value)


class AlarmCallback(lightning.Callback):
    """Checks a run before its first step and judges it during training.

    Args:
        dataset: With its splits.
        phrases: What is trained on as text.
        pairs: Makes the first epoch's pictures.
        config: When alarms judge.
        log: Told every finding.
        fail_fast: Whether a finding stops the run.
    """

    def __init__(
        self,
        dataset: Dataset,
        phrases: PhraseEmbeddings,
        pairs: Callable[[], TrainingPairs],
        config: WatchConfig,
        log: RunLog,
        *,
        fail_fast: bool = False,
    ) -> None:
        self.dataset, self.phrases, self.pairs = dataset, phrases, pairs
        self.record, self.fail_fast = log, fail_fast
        self.watch = AlarmMonitor(config.grace, config.window)
        self.batch: Mapping[str, Any] = {}
        self.place: list[int] = []
        self.emptied = False

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Check data, text and model.

        Raises:
            AlarmError: Something was found, and the run is to stop at that.
        """
        items = first_items(self.pairs())
        findings = check_given(self.dataset, self.phrases, items)
        filled = sorted(items, key=lambda item: -float(item["truth"].sum()))[:PROBED]
        batch = {name: value.to(module.device) for name, value in default_collate(filled).items()}
        if not any(finding.name == "masks-range" for finding in findings):
            shares = batch["truth"].clamp(0, 1)  # averages of ones come out a rounding above one
            probe = ProbeBatch(batch["image"], batch["embeddings"], shares, batch["known"])
            loss: Loss = module.loss_of
            findings += check_model(module.model, probe, loss, trainer.optimizers[0])
        share = float(np.mean([float(item["truth"].mean()) for item in items]))
        told = f"{len(items)} pictures looked at, {share:.2%} of their truth is foreground; "
        self.record.write("check", told + (f"{len(findings)} findings" if findings else "nothing found"))
        self._raise(trainer, findings)

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """Remember the batch, in case its loss breaks."""
        self.batch, self.place = batch, module.place(batch_idx)

    def on_before_backward(self, trainer: Any, module: Any, loss: Tensor) -> None:
        """Keep the batch of a loss that is not finite, and stop before it reaches the weights.

        Raises:
            AlarmError: The loss is NaN or infinite.
        """
        broken = not bool(torch.isfinite(loss))
        if not agree(trainer, broken):
            return
        if not broken:
            raise AlarmError("stopped: the loss of another process is not finite; see there")
        path = Path(self.record.run) / NOT_FINITE
        if rank():
            path = path.with_stem(f"{path.stem}-{rank()}")
        kept = {name: _on_cpu(value) for name, value in self.batch.items()}
        weights = {name: value.detach().cpu() for name, value in module.model.state_dict().items()}
        about = {"step": trainer.global_step, "place": self.place}
        write_tensors({"batch": kept, "model": weights, **about}, path)
        (finding,) = self.watch.step(step_figures(loss.item(), *module.seen))
        self.record.finding("alarm", finding)
        again = (
            f"the batch and the weights are kept in {path}; look closer: drywallqa replay {self.record.run}"
        )
        raise AlarmError(f"{finding.sentence()} ({again})")

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Judge the step.

        Raises:
            AlarmError: An alarm was raised, and the run is to stop at that.
        """
        loss = float(module.figures["loss"])
        self._raise(trainer, self.watch.step(step_figures(loss, *module.seen)))

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Judge a validation once the grace is over: zero on every concept is no result.

        Raises:
            AlarmError: An alarm was raised, and the run is to stop at that.
        """
        found = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("val/") and name.endswith("/iou") and not bool(torch.isnan(value))
        }
        if trainer.global_step < self.watch.grace or not found or any(found.values()) or self.emptied:
            return
        self.emptied = True
        what = f"after {trainer.global_step} steps the IoU on validation is zero for every concept"
        self._raise(trainer, [finding_of("validation-empty", what)])

    def _raise(self, trainer: Any, findings: list[FaultFinding]) -> None:
        for finding in findings:
            self.record.finding("alarm", finding)
            print(f"alarm: {finding.sentence()}", file=sys.stderr, flush=True)
        if self.fail_fast and agree(trainer, bool(findings)):
            if not findings:
                raise AlarmError("stopped by an alarm of another process; see there")
            more = f" ({len(findings) - 1} more in the log)" if len(findings) > 1 else ""
            raise AlarmError(f"stopped by an alarm{more}: {findings[0].sentence()}")
