"""Defines the training step, the optimiser, the learning-rate schedule and the averaged weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from drywallqa.models.contract import PromptedModel
from drywallqa.sampling.pairs import TrainingPicture
from drywallqa.training.config import OptimisationConfig, TrainConfig
from drywallqa.training.distributed import rank
from drywallqa.training.losses import make_mask_loss, presence_known, presence_loss, without_ignored

MONITORED = "val/iou"
"""Validation IoU, averaged over concepts."""


class SegmentationTask(lightning.LightningModule):
    """Trains a model of any family on photo-prompt pairs, and averages its weights.

    Args:
        model: The model, including its frozen parts.
        config: The settings of the run.
        steps: Total number of optimiser steps of the run.
        validate: Function that measures the averaged model in each validation and returns metrics to log.
        foreground_weights: Foreground weight of each concept, if the loss uses one.

    Attributes:
        batch: The batch of the last step.
        position: The seed, epoch, batch and rank that identify the last batch.
        figures: The losses of the last step.
        outputs: The mask logits of the last step, and the values `truth` and `known` of its batch.
    """

    def __init__(
        self,
        model: PromptedModel,
        config: TrainConfig,
        steps: int,
        validate: Callable[[nn.Module], dict[str, float]] | None = None,
        foreground_weights: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.model = model
        self.average = AveragedModel(
            model,
            multi_avg_fn=get_ema_multi_avg_fn(config.optimisation.average_decay),
            use_buffers=True,
        )
        self.average.requires_grad_(False)  # DDP does not synchronise parameters without gradients
        self.config, self.steps, self.validate = config, steps, validate
        self.mask_loss = make_mask_loss(config.loss, config.optimisation.dice_weight, foreground_weights)
        self.batch: Any = {}
        self.position: list[int] = []
        self.figures: dict[str, Tensor] = {}
        self.outputs: tuple[Tensor, Tensor, Tensor] = (torch.empty(0), torch.empty(0), torch.empty(0))
        self.averaged = -1

    def training_step(self, batch: TrainingPicture, index: int) -> Tensor:
        """Return the loss of one batch."""
        logits, presence = self.predict(batch)
        loss = self.loss_of(logits, presence, batch["truth"], batch["known"], batch.get("ignored"))
        self.outputs = (logits.detach(), batch["truth"], batch["known"])
        self.log_dict({"loss/total" if name == "loss" else name: v for name, v in self.figures.items()})
        return loss

    def loss_of(
        self, logits: Tensor, presence: Tensor, truth: Tensor, known: Tensor, ignored: Tensor | None = None
    ) -> Tensor:
        """Return the weighted sum of the mask loss and the presence loss. Store the losses in `figures`."""
        seen = known
        if ignored is not None:
            logits, truth = without_ignored(logits, truth, ignored)
            seen = presence_known(truth, known, ignored)
        mask = self.mask_loss(logits, truth, known)
        image_score = presence_loss(presence, truth, seen)
        loss = mask + self.config.optimisation.presence_weight * image_score
        figures = {"loss/mask": mask, "loss/presence": image_score, "loss": loss}
        self.figures = {name: value.detach() for name, value in figures.items()}
        return loss

    def predict(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Return mask logits [B,K,h,w] and presence logits [B,K] for pictures or cached features."""
        prompts = batch["embeddings"]
        if "features" in batch:
            if not prompts.is_floating_point():
                prompts = self.model.embed_ids(prompts)  # type: ignore[operator]
            return self.model.decode(tuple(batch["features"]), prompts)
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        out: tuple[Tensor, Tensor] = self.model(image, prompts)
        return out

    def on_train_start(self) -> None:
        """Record the current optimiser step, which is above 0 in a resumed run."""
        self.averaged = self.global_step
        self.on_train_epoch_start()

    def on_train_epoch_start(self) -> None:
        """Freeze the parts that are not trained, and make sure that the last epoch ends with a validation."""
        self.freeze_model()
        if self.current_epoch == self.config.optimisation.epochs - 1:
            self.trainer.check_val_every_n_epoch = 1

    def freeze_model(self) -> None:
        """Freeze parts that are not trained, and batch statistics if `model.batch_norm` is "frozen"."""
        self.model.freeze(self.config.model.training)
        if self.config.model.batch_norm == "frozen":
            for part in self.model.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    part.eval()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed torch with the batch's position, so that a resumed run draws the same random numbers."""
        self.batch, self.position = batch, [self.config.seed, self.current_epoch, batch_idx, rank()]
        seed_torch(self.position)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Update the averaged weights after each optimiser step. During warm-up, copy the current weights."""
        if self.global_step == self.averaged:
            return  # gradients are still being accumulated
        self.averaged = self.global_step
        if self.global_step <= self.config.optimisation.warmup_share * self.steps:
            self.average.module.load_state_dict(self.model.state_dict())
        else:
            self.average.update_parameters(self.model)

    def validation_step(self, batch: Any, index: int) -> None:
        """Do nothing, because `on_validation_epoch_end` validates the model."""

    def on_validation_epoch_end(self) -> None:
        """Validate the averaged weights, and step the plateau schedule."""
        if self.validate is not None:
            figures = self.validate(self.average.module)
            self.log_dict(figures, sync_dist=True)
            for config in self.trainer.lr_scheduler_configs:
                if isinstance(config.scheduler, lr_scheduler.ReduceLROnPlateau):
                    config.scheduler.step(figures[MONITORED])

    def configure_optimizers(self) -> Any:
        """Return AdamW with separate rates for encoder and decoder, and the learning-rate schedule."""
        settings = self.config.optimisation
        # Lightning does not clip gradients of a fused optimiser under autocast
        optimizer = make_optimizer(self.model, settings, fused=settings.precision == "float32")
        return {"optimizer": optimizer, "lr_scheduler": make_schedule(optimizer, settings, self.steps)}


def seed_torch(position: Sequence[int]) -> None:
    """Seed torch with a position in a run, as in `SegmentationTask.position`."""
    torch.manual_seed(int(np.random.SeedSequence(list(position)).generate_state(1)[0]))


def make_optimizer(
    model: PromptedModel, settings: OptimisationConfig, *, fused: bool = False
) -> torch.optim.AdamW:
    """Build AdamW for the trainable parameters, without weight decay for norms and biases."""
    groups = parameter_groups(model, settings.encoder_rate, settings.decoder_rate, settings.weight_decay)
    return torch.optim.AdamW(groups, eps=settings.epsilon, fused=fused)


def parameter_groups(
    model: PromptedModel, encoder_rate: float, decoder_rate: float, decay: float
) -> list[dict[str, Any]]:
    """Group trainable parameters by rate and weight decay. Parameters with one axis have no weight decay."""
    encoder = {id(p) for p in model.encoder_parameters()}
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = []
    for rate, inside in ((encoder_rate, True), (decoder_rate, False)):
        for weight_decay, matrices in ((decay, True), (0.0, False)):
            chosen = [p for p in parameters if (id(p) in encoder) is inside and (p.dim() > 1) is matrices]
            if chosen:
                groups.append({"params": chosen, "lr": rate, "weight_decay": weight_decay})
    return groups


def make_schedule(
    optimizer: torch.optim.Optimizer, settings: OptimisationConfig, steps: int
) -> dict[str, Any]:
    """Return a learning-rate schedule in Lightning's format.

    `SegmentationTask` steps the plateau schedule after each validation. If Lightning stepped the schedule
    itself, it would skip the epoch in which a run is resumed.

    Args:
        optimizer: The optimiser. The rates of its groups are the peak rates of the schedule.
        settings: The settings that define the schedule.
        steps: Total number of optimiser steps of the run.
    """
    if settings.schedule == "plateau":
        plateau = lr_scheduler.ReduceLROnPlateau(
            optimizer, mode="max", factor=settings.plateau_factor, patience=settings.plateau_patience
        )
        return {
            "scheduler": plateau,
            "interval": "epoch",
            "frequency": 10**9,  # so many epochs that Lightning never steps this schedule
            "monitor": MONITORED,
            "strict": False,
        }
    if settings.schedule == "one_cycle":
        cycle = lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=steps + 1,
            pct_start=max(settings.warmup_share, 2 / (steps + 1)),
            cycle_momentum=False,
        )
        return {"scheduler": cycle, "interval": "step"}
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(1, steps))
    return {"scheduler": cosine, "interval": "step"}
