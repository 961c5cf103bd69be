"""The Lightning task: one training step, the optimiser, the averaged weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from drywallqa.training.config import TrainConfig
from drywallqa.training.losses import mask_loss, presence_loss
from drywallqa.training.pairs import Item


class SegmentationTask(lightning.LightningModule):
    """Trains any model of the contract on pairs, and keeps an average of its weights.

    Args:
        model: The model, frozen parts included.
        config: The run's settings.
        steps: Optimiser steps of the whole run, for the schedule.
        validate: Called with the averaged model after a validation epoch; returns figures to log.
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrainConfig,
        steps: int,
        validate: Callable[[nn.Module], dict[str, float]] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.average = AveragedModel(
            model,
            multi_avg_fn=get_ema_multi_avg_fn(config.optimisation.average_decay),  # type: ignore[no-untyped-call]
            use_buffers=True,
        )
        self.config, self.steps, self.validate = config, steps, validate

    def training_step(self, batch: Item, index: int) -> Tensor:
        """Loss of one batch."""
        logits, presence = self.model(
            batch["image"].contiguous(memory_format=torch.channels_last), batch["embeddings"]
        )
        settings = self.config.optimisation
        mask = mask_loss(logits, batch["truth"], batch["known"], settings.dice_weight)
        belief = presence_loss(presence, batch["truth"], batch["known"])
        self.log_dict({"loss/mask": mask, "loss/presence": belief}, prog_bar=True)
        return mask + settings.presence_weight * belief

    def on_train_epoch_start(self) -> None:
        """Keep the frozen parts' batch statistics as they are."""
        freeze(self.model, self.config.model.frozen_stages)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Average the weights after each optimiser step; the average starts where the rate has warmed up."""
        settings = self.config.optimisation
        if self.global_step <= settings.warmup_share * self.steps:
            self.average.module.load_state_dict(self.model.state_dict())
        else:
            self.average.update_parameters(self.model)

    def validation_step(self, batch: Any, index: int) -> None:
        """Nothing a batch: photos of any size are validated through the product's own path."""

    def on_validation_epoch_end(self) -> None:
        """Validate the averaged weights."""
        if self.validate is not None:
            self.log_dict(self.validate(self.average.module))

    def configure_optimizers(self) -> Any:
        """AdamW, encoder and decoder at their own rates, no decay on norms and biases; one cycle."""
        settings = self.config.optimisation
        groups = parameter_groups(
            self.model, settings.encoder_rate, settings.decoder_rate, settings.weight_decay
        )
        optimizer = torch.optim.AdamW(groups)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in groups],
            total_steps=self.steps + 1,
            pct_start=max(settings.warmup_share, 2 / (self.steps + 1)),
            cycle_momentum=False,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def parameter_groups(
    model: nn.Module, encoder_rate: float, decoder_rate: float, decay: float
) -> list[dict[str, Any]]:
    """Split trainable parameters by rate and by whether they decay (matrices do, vectors do not)."""
    encoder = {id(p) for p in model.encoder.parameters()}  # type: ignore[operator]
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = []
    for rate, inside in ((encoder_rate, True), (decoder_rate, False)):
        for weight_decay, matrices in ((decay, True), (0.0, False)):
            chosen = [p for p in parameters if (id(p) in encoder) is inside and (p.dim() > 1) is matrices]
            if chosen:
                groups.append({"params": chosen, "lr": rate, "weight_decay": weight_decay})
    return groups


def freeze(model: nn.Module, stages: int) -> None:
    """Freeze the stem and the first stages (`stages` counts the stem), and all encoder batch statistics."""
    encoder = model.encoder
    encoder.eval()  # type: ignore[operator]
    parts: Iterable[nn.Module] = [encoder.stem, *encoder.stages]  # type: ignore[union-attr, list-item, misc]
    for part in list(parts)[:stages]:
        part.requires_grad_(False)
