"""Loads the batches of each epoch in a fixed order, so that a run can resume at any batch."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader, Sampler, TensorDataset

from drywallqa.datasets.dataset import Dataset
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.sampling.feature_cache import CachedEncoder
from drywallqa.sampling.pairs import TrainingPairs, TrainingPicture
from drywallqa.training.config import TrainConfig
from drywallqa.training.distributed import rank, world
from drywallqa.training.phrase_embeddings import PhraseEmbeddings


class RemainingBatches(Sampler[list[int]]):
    """Yields an epoch's batches in order. A resumed run starts at the first batch that it has not processed.

    Args:
        batches: Number of batches in the whole epoch. `len` returns this number for resumed epochs as well,
            because Lightning counts the batches that were processed before the interruption.
        size: Number of photos per batch in all processes together.
        first: Index of the first batch to yield.
        rank: The rank of this process.
        world: The number of processes. Each process gets an equal share of every batch.
    """

    def __init__(self, batches: int, size: int, first: int = 0, rank: int = 0, world: int = 1) -> None:
        self.batches, self.size, self.first = batches, size, first
        self.share, self.rank = size // world, rank

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        for batch in range(self.first, self.batches):
            start = batch * self.size + self.rank * self.share
            yield list(range(start, start + self.share))


class PhotoDataModule(lightning.LightningDataModule):
    """Loads the pictures of each epoch.

    Args:
        dataset: The train split of the data set.
        phrases: The embeddings of each concept's phrasings.
        config: The settings.
        stride: Width of a pixel of the logits, in pixels of the picture.
        letterbox: The letterbox that normalises pictures for the model.
        encoder: If given, items contain cached features from this encoder instead of pictures.
    """

    def __init__(
        self,
        dataset: Dataset,
        phrases: PhraseEmbeddings,
        config: TrainConfig,
        stride: int,
        letterbox: Letterbox,
        encoder: CachedEncoder | None = None,
    ) -> None:
        super().__init__()
        self.dataset, self.phrases, self.config = dataset, phrases, config
        self.stride, self.letterbox, self.encoder = stride, letterbox, encoder

    def pairs(self, epoch: int = 0, encoder: CachedEncoder | None = None) -> TrainingPairs:
        """Return the pictures of an epoch, or their features if an encoder is given."""
        config, embeddings = self.config, self.phrases.embeddings
        return TrainingPairs(
            self.dataset, embeddings, config.data, config.seed, epoch, self.stride, self.letterbox, encoder
        )

    def train_dataloader(self) -> DataLoader[TrainingPicture]:
        """Return a loader for the current epoch. In a resumed run, the loader starts at the next batch."""
        assert self.trainer is not None, "Lightning calls this with a trainer"
        loop = self.trainer.fit_loop
        done = int(loop.epoch_loop.batch_progress.current.completed) if loop.restarting else 0
        return self.loader(self.trainer.current_epoch, done % self.config.batches)

    def loader(self, epoch: int, first: int = 0) -> DataLoader[TrainingPicture]:
        """Return a loader for this process's share of an epoch's batches, starting at batch `first`."""
        size, workers = self.config.optimisation.batch_size, self.config.data.workers
        if self.encoder is not None:
            workers = 0  # the encoder runs in this process
        return DataLoader(
            self.pairs(epoch, self.encoder),
            batch_sampler=RemainingBatches(self.config.batches, size, first, rank(), world()),
            num_workers=workers,
            worker_init_fn=_prepare_worker,
            prefetch_factor=4 if workers else None,
            generator=torch.Generator().manual_seed(0),  # loading must not change the model's random numbers
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Return one dummy batch, because `SegmentationTask` loads the validation photos."""
        return DataLoader(TensorDataset(torch.zeros(1)), generator=torch.Generator().manual_seed(0))


def _prepare_worker(_: int) -> None:
    torch.set_num_threads(1)  # cv2 threads are already off; see `trainer.prepare_process`
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the main process handles Ctrl-C
