"""Checks a run before and during training, and saves a batch if its loss is not finite."""

from __future__ import annotations

import sys
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
from drywallqa.checks.first_step import ProbeBatch, check_model
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import AlarmError
from drywallqa.sampling.pairs import TrainingPicture
from drywallqa.training.checkpoints import write_tensors
from drywallqa.training.data_module import PhotoDataModule
from drywallqa.training.distributed import agree, rank
from drywallqa.training.run_log import RunLog

NOT_FINITE = "not-finite.pt"
CHECKED, AT_MOST, PROBED = 12, 96, 2
"""Numbers of training pictures for the check before training.

The check reads 12 pictures. If none of them shows foreground, it reads up to 96 pictures. The model processes
only the 2 pictures with the most foreground.
"""


class AlarmCallback(lightning.Callback):
    """Checks a run before its first training step, after each step, and after each validation.

    Args:
        dataset: The data set with its splits.
        photos: The data module with the run's pictures, phrasings and settings.
        log: The log that records all failed checks and alarms.
        fail_fast: Whether a failed check or an alarm stops the run.
    """

    def __init__(
        self, dataset: Dataset, photos: PhotoDataModule, log: RunLog, *, fail_fast: bool = False
    ) -> None:
        self.dataset, self.photos, self.run_log, self.fail_fast = dataset, photos, log, fail_fast
        self.monitor = AlarmMonitor(photos.config.watch.grace, photos.config.watch.window)
        self.found_empty = False

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Check the training data, the phrasings and the model.

        Raises:
            AlarmError: A check found a problem, and `fail_fast` is set.
        """
        pairs = self.photos.pairs()
        items: list[TrainingPicture] = []
        while len(items) < CHECKED or (
            len(items) < AT_MOST and not any(bool(item["truth"].any()) for item in items)
        ):
            items.append(pairs[len(items)])
        findings = self._check_inputs(items)
        filled = sorted(items, key=lambda item: -float(item["truth"].sum()))[:PROBED]
        batch = {name: value.to(module.device) for name, value in default_collate(filled).items()}
        if not any(finding.name == "masks-range" for finding in findings):
            shares = batch["truth"].clamp(0, 1)  # rounding errors can raise a share slightly above 1
            probe = ProbeBatch(batch["image"], batch["embeddings"], shares, batch["known"])
            findings += check_model(module.model, probe, module.loss_of, trainer.optimizers[0])
        share = float(np.mean([float(item["truth"].mean()) for item in items]))
        result = f"{len(findings)} findings" if findings else "nothing found"
        text = f"{len(items)} pictures checked, {share:.2%} of their area is foreground; {result}"
        self.run_log.write("check", text)
        self._report(trainer, findings)

    def _check_inputs(self, items: list[TrainingPicture]) -> list[FaultFinding]:
        """Check the data split, the phrasings, and the first training pictures as the model receives them."""
        phrases = self.photos.phrases
        images, truth, known = (
            np.stack([item[name].numpy() for item in items]) for name in ("image", "truth", "known")
        )
        parts = {part: [sample.photograph for sample in self.dataset.part(part)] for part in ("train", "val")}
        findings = check_split(parts)
        findings += check_phrasings(self.dataset.concepts, phrases.text.understand)
        if all(np.issubdtype(rows.dtype, np.floating) for rows in phrases.embeddings.values()):
            findings += check_embeddings(phrases.embeddings)
        findings += check_truth(truth, known, list(phrases.embeddings))
        return findings + check_images(images)

    def on_before_backward(self, trainer: Any, module: Any, loss: Tensor) -> None:
        """If the loss is not finite, save the batch and stop the run before the weights change.

        Raises:
            AlarmError: The loss is NaN or infinite.
        """
        broken = not bool(torch.isfinite(loss))
        if not agree(trainer, broken):
            return
        if not broken:
            raise AlarmError("stopped: the loss is not finite in another process; see that process's message")
        path = self.run_log.run / NOT_FINITE
        if rank():
            path = path.with_stem(f"{path.stem}-{rank()}")
        batch = {name: _on_cpu(value) for name, value in module.batch.items()}
        weights = {name: value.detach().cpu() for name, value in module.model.state_dict().items()}
        write_tensors(
            {"batch": batch, "model": weights, "step": trainer.global_step, "place": module.position}, path
        )
        (finding,) = self.monitor.step(step_figures(loss.item(), *module.outputs))
        self.run_log.finding("alarm", finding)
        raise AlarmError(
            f"{finding.sentence()} (the batch and the weights are saved in {path}; "
            f"to find the cause, run: drywallqa replay {self.run_log.run})"
        )

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Raise an alarm if the losses or outputs of this step show a problem.

        Raises:
            AlarmError: An alarm was raised, and `fail_fast` is set.
        """
        figures = step_figures(float(module.figures["loss"]), *module.outputs)
        self._report(trainer, self.monitor.step(figures))

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Raise a single alarm if the validation IoU of every concept is zero after the grace period.

        Raises:
            AlarmError: An alarm was raised, and `fail_fast` is set.
        """
        ious = [
            float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("val/") and name.endswith("/iou") and not bool(torch.isnan(value))
        ]
        if trainer.global_step < self.monitor.grace or not ious or any(ious) or self.found_empty:
            return
        self.found_empty = True
        evidence = f"after {trainer.global_step} steps, the validation IoU is zero for every concept"
        self._report(trainer, [finding_of("validation-empty", evidence)])

    def _report(self, trainer: Any, findings: list[FaultFinding]) -> None:
        for finding in findings:
            self.run_log.finding("alarm", finding)
            print(f"alarm: {finding.sentence()}", file=sys.stderr, flush=True)
        if self.fail_fast and agree(trainer, bool(findings)):
            if not findings:
                raise AlarmError("stopped by an alarm in another process; see that process's message")
            more = f" ({len(findings) - 1} more in the log)" if len(findings) > 1 else ""
            raise AlarmError(f"stopped by an alarm{more}: {findings[0].sentence()}")


def _on_cpu(value: Any) -> Any:
    """Copy a tensor, or a tuple of tensors such as features, to the CPU."""
    return value.detach().cpu() if isinstance(value, Tensor) else tuple(_on_cpu(part) for part in value)
