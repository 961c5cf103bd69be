"""The Lightning task: one training step, the optimiser, the averaged weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from drywallqa.models.contract import PromptedModel
from drywallqa.sampling.pairs import TrainingPicture
from drywallqa.training import mask_losses
from drywallqa.training.config import TrainConfig
from drywallqa.training.distributed import rank
from drywallqa.training.losses import presence_loss
from drywallqa.training.schedules import MONITORED, schedule, step_plateaus


class SegmentationTask(lightning.LightningModule):
    """Trains any model of the contract on pairs, and keeps an average of its weights.

    Args:
        model: The model, frozen parts included.
        config: The run's settings.
        steps: Optimiser steps of the whole run, for the schedule.
        validate: Called with the averaged model after a validation epoch; returns figures to log.
        foreground_weights: Each concept's weight of foreground, where the loss takes one.

    Attributes:
        figures: The last step's losses.
        seen: The last step's logits, truth and known, for those who watch.
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
        self.average.requires_grad_(False)  # never trained itself, and no process waits for its gradients
        self.config, self.steps, self.validate = config, steps, validate
        self.mask_loss = mask_losses.make_mask_loss(
            config.loss, config.optimisation.dice_weight, foreground_weights
        )
        self.figures: dict[str, Tensor] = {}
        self.seen: tuple[Tensor, Tensor, Tensor] = (torch.empty(0), torch.empty(0), torch.empty(0))
        self.averaged = -1

    def training_step(self, batch: TrainingPicture, index: int) -> Tensor:
        """Loss of one batch."""
        logits, presence = self.predict(batch)
        loss = self.loss_of(logits, presence, batch["truth"], batch["known"])
        self.seen = (logits.detach(), batch["truth"], batch["known"])
        self.log_dict({"loss/total" if name == "loss" else name: v for name, v in self.figures.items()})
        return loss

    def loss_of(self, logits: Tensor, presence: Tensor, truth: Tensor, known: Tensor) -> Tensor:
        """Loss of mask and presence; leaves its parts in `figures`."""
        mask = self.mask_loss(logits, truth, known)
        belief = presence_loss(presence, truth, known)
        loss = mask + self.config.optimisation.presence_weight * belief
        figures = {"loss/mask": mask, "loss/presence": belief, "loss": loss}
        self.figures = {name: value.detach() for name, value in figures.items()}
        return loss

    def predict(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Mask logits [B,K,h,w] and presence logits [B,K] of a batch of pictures, or of their features."""
        prompts = batch["embeddings"]
        if "features" in batch:
            if not prompts.is_floating_point():
                prompts = self.model.embed_ids(prompts)  # type: ignore[operator]
            return self.model.decode(tuple(batch["features"]), prompts)
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        out: tuple[Tensor, Tensor] = self.model(image, prompts)
        return out

    def on_train_start(self) -> None:
        """Begin, or go on from a checkpoint, between two optimiser steps."""
        self.averaged = self.global_step
        self.settle()

    def on_train_epoch_start(self) -> None:
        """Keep the frozen parts' batch statistics as they are."""
        self.settle()

    def settle(self) -> None:
        """Freeze what is not trained, and batch statistics where they are to stay."""
        self.model.freeze(self.config.model.training)
        if self.config.model.batch_norm == "frozen":
            for part in self.model.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    part.eval()

    def place(self, batch_idx: int) -> list[int]:
        """Number a batch within all of a run: seed, epoch, batch, process."""
        return [self.config.seed, self.current_epoch, batch_idx, rank()]

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed chance within the model by the batch alone, so that a resumed run throws the same dice."""
        seed_torch(self.place(batch_idx))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Average the weights after each optimiser step; the average starts where the rate has warmed up."""
        if self.global_step == self.averaged:
            return  # gradients are still being added up
        self.averaged = self.global_step
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
            figures = self.validate(self.average.module)
            self.log_dict(figures, sync_dist=True)
            step_plateaus(self.trainer.lr_scheduler_configs, figures[MONITORED])

    def configure_optimizers(self) -> Any:
        """AdamW, encoder and decoder at their own rates, no decay on norms and biases; a schedule."""
        settings = self.config.optimisation
        groups = parameter_groups(
            self.model, settings.encoder_rate, settings.decoder_rate, settings.weight_decay
        )
        # Lightning clips no gradients of a fused optimizer under autocast
        optimizer = torch.optim.AdamW(groups, eps=settings.epsilon, fused=settings.precision == "float32")
        return {"optimizer": optimizer, "lr_scheduler": schedule(optimizer, settings, self.steps)}


def seed_torch(place: Sequence[int]) -> None:
    """Seed torch by a place in a run; see `SegmentationTask.place`."""
    torch.manual_seed(int(np.random.SeedSequence(list(place)).generate_state(1)[0]))


def parameter_groups(
    model: PromptedModel, encoder_rate: float, decoder_rate: float, decay: float
) -> list[dict[str, Any]]:
    """Split trainable parameters by rate and by whether they decay (matrices do, vectors do not)."""
    encoder = {id(p) for p in model.encoder_parameters()}
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = []
    for rate, inside in ((encoder_rate, True), (decoder_rate, False)):
        for weight_decay, matrices in ((decay, True), (0.0, False)):
            chosen = [p for p in parameters if (id(p) in encoder) is inside and (p.dim() > 1) is matrices]
            if chosen:
                groups.append({"params": chosen, "lr": rate, "weight_decay": weight_decay})
    return groups
