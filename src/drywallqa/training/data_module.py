"""Each epoch's batches, in an order that a resumed run can enter anywhere."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

from drywallqa.datasets.dataset import Dataset
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.sampling.cached_pairs import CachedPairs
from drywallqa.sampling.feature_cache import CachedEncoder
from drywallqa.sampling.pairs import TrainingPairs, TrainingPicture
from drywallqa.training.config import TrainConfig
from drywallqa.training.distributed import rank, world
from drywallqa.training.interruption import RemainingBatches, batches_done, ignore_interrupts
from drywallqa.training.phrase_embeddings import PhraseEmbeddings
from drywallqa.training.validation import ValidationPart


class PhotoDataModule(lightning.LightningDataModule):
    """Hands out each epoch's own pictures.

    Args:
        dataset: With splits.
        phrases: The embeddings of each concept's phrasings.
        config: The settings.
        stride: Of the model's logits.
        window: The model's, for its normalisation.
        validation: What is done with the val part, for those who show it.
    """

    def __init__(
        self,
        dataset: Dataset,
        phrases: PhraseEmbeddings,
        config: TrainConfig,
        stride: int,
        window: Letterbox,
        validation: ValidationPart,
    ) -> None:
        super().__init__()
        self.dataset, self.phrases, self.config = dataset.part("train"), phrases, config
        self.stride, self.window, self.validation = stride, window, validation
        self.encoder: CachedEncoder | None = None
        """Where set, training reads features of fixed views from the cache instead of pictures."""

    def pairs(self, epoch: int = 0) -> TrainingPairs:
        """Make an epoch's pictures."""
        config = self.config
        return TrainingPairs(
            self.dataset, self.phrases.embeddings, config.data, config.seed, epoch, self.stride, self.window
        )

    def train_dataloader(self) -> DataLoader[TrainingPicture]:
        """Load the current epoch, from where a resumed run left it."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        return self.loader(epoch, batches_done(self.trainer, self.batches))

    @property
    def batches(self) -> int:
        """Count an epoch's batches."""
        return self.config.data.photos_per_epoch // self.config.optimisation.batch_size

    def loader(self, epoch: int, first: int = 0) -> DataLoader[TrainingPicture]:
        """Load this process's part of an epoch's batches from the first that is wanted."""
        size, workers = self.config.optimisation.batch_size, self.config.data.workers
        pairs = self.pairs(epoch)
        if self.encoder is not None:
            # the encoder stays in this process
            pairs, workers = CachedPairs.of(pairs, self.encoder), 0
        return DataLoader(
            pairs,
            batch_sampler=RemainingBatches(self.batches, size, first, rank(), world()),
            num_workers=workers,
            worker_init_fn=_prepare_worker,
            prefetch_factor=4 if workers else None,
            generator=_dice(),
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Load nothing: photos of any size are validated through the product's own path."""
        return DataLoader(TensorDataset(torch.zeros(1)), generator=_dice())


def _dice() -> torch.Generator:
    """Chance of a loader's own, so that making one does not change the model's."""
    return torch.Generator().manual_seed(0)


def _prepare_worker(_: int) -> None:
    torch.set_num_threads(1)  # cv2's threads are off already: see `surroundings.one_thread_for_pictures`
    ignore_interrupts()
