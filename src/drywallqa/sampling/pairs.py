"""What a training step sees: pictures, each under a prompt of every concept.

A picture is drawn by its set first, then by photograph, then by copy, so that a photograph with 27 copies
does not weigh 27 times. Every concept is asked of every picture: where it is absent the truth is empty,
which makes wrong-prompt pairs a fixed half of training. Item i of epoch e under seed s depends on (s, e, i)
alone, so a resumed run sees the very same pictures. `data.negative_share` asks of fewer pictures for what is
absent in them; such a pair counts as not labelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import DataError
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.sampling.augment import vary_light, warp_photo, whole_photo
from drywallqa.sampling.settings import DataConfig
from drywallqa.synthetic.composite import paste_crack

CRACK, BOARD = "crack", "taping area"
_JITTER_WIDTH = 64
"""Embedding width that the jitter's figure is meant for."""


class TrainingPicture(TypedDict):
    """One picture: image [3,S,S], embeddings [K,D], truth [K,S/2,S/2], known [K] (1 where labelled)."""

    image: Tensor
    embeddings: Tensor
    truth: Tensor
    known: Tensor


@dataclass(frozen=True)
class PhotoPool:
    """The photos of one set, grouped by photograph."""

    groups: tuple[tuple[Sample, ...], ...]

    def draw(self, generator: np.random.Generator) -> Sample:
        """Draw a photograph, then one of its copies."""
        group = self.groups[generator.integers(len(self.groups))]
        return group[generator.integers(len(group))]


def pool_photos(samples: Sequence[Sample]) -> PhotoPool:
    """Group samples by photograph."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.photograph, []).append(sample)
    return PhotoPool(tuple(tuple(group) for group in groups.values()))


class TrainingPairs(TorchDataset[TrainingPicture]):
    """Training pictures of one epoch.

    Args:
        dataset: The data set's train part.
        phrases: Concept → embeddings of its training phrasings [N,D].
        config: How to draw and change photos.
        seed: The run's seed.
        epoch: The epoch whose pictures these are.
        stride: Of the model's logits, at which truth is given.
        window: The model's, for its normalisation; ImageNet's where None.

    Raises:
        DataError: There are no photos.
    """

    def __init__(
        self,
        dataset: Dataset,
        phrases: Mapping[str, NDArray[np.float32]],
        config: DataConfig,
        seed: int,
        epoch: int,
        stride: int = 2,
        window: Letterbox | None = None,
    ) -> None:
        if not len(dataset):
            raise DataError(f"{dataset.folder}: no photo in split 'train'; run: drywallqa data split")
        self.dataset, self.phrases, self.config = dataset, dict(phrases), config
        self.seed, self.epoch, self.stride = seed, epoch, stride
        names = sorted({sample.set_name for sample in dataset})
        self.pools = [pool_photos([s for s in dataset if s.set_name == name]) for name in names]
        weights = np.array([config.mix.get(name, 1.0) for name in names])
        self.weights = weights / weights.sum()
        cracked = [s for s in dataset if s.labels.get(CRACK) and s.labels.get(BOARD, "") is None]
        boards = [s for s in dataset if s.labels.get(BOARD) and s.labels.get(CRACK, "") is None]
        self.composite = (pool_photos(cracked), pool_photos(boards)) if cracked and boards else None
        self.window = window or Letterbox(config.window)

    def __len__(self) -> int:
        return self.config.photos_per_epoch

    def __getitem__(self, index: int) -> TrainingPicture:
        """Return item `index` of this epoch."""
        generator = np.random.default_rng([self.seed, self.epoch, index])
        photo, masks = self._picture(generator)
        if self.config.augment:
            picture, truth = warp_photo(
                photo, masks, self.config.window, self.config.photo_scale, generator, self.window.padding
            )
            picture = vary_light(picture, generator)
        else:
            picture, truth = whole_photo(photo, masks, self.config.window, self.window.padding)
        image = self.window.normalise(picture)
        side = self.config.window // self.stride
        empty = np.zeros((side, side), np.float32)
        truths = [
            np.asarray(cv2.resize(truth[c], (side, side), interpolation=cv2.INTER_AREA))
            if c in truth
            else empty
            for c in self.phrases
        ]
        return TrainingPicture(
            image=torch.from_numpy(image),
            embeddings=torch.from_numpy(self._prompts(generator)),
            truth=torch.from_numpy(np.stack(truths)),
            known=torch.tensor([float(c in truth) for c in self.phrases]),
        )

    def _picture(
        self, generator: np.random.Generator
    ) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.bool_]]]:
        if self.composite and generator.random() < self.config.composite_share:
            crack, board = self.composite[0].draw(generator), self.composite[1].draw(generator)
            photo, mask = paste_crack(
                self.dataset.read_photo(board),
                self.dataset.read_photo(crack),
                self.dataset.read_mask(crack, CRACK),
                generator,
            )
            return photo, {**self._labels(board), CRACK: mask}
        sample = self.pools[generator.choice(len(self.pools), p=self.weights)].draw(generator)
        return self.dataset.read_photo(sample), self._truth(sample, generator)

    def _truth(self, sample: Sample, generator: np.random.Generator) -> dict[str, NDArray[np.bool_]]:
        """Read the truth of every concept that a photo is asked for; for absent ones a share of photos is."""
        share = self.config.negative_share
        # no chance is drawn where none is needed, so that this setting left alone changes no run
        negatives = share > 0 if share in (0, 1) else generator.random() < share
        masks = self._labels(sample)
        return masks if negatives else {c: mask for c, mask in masks.items() if sample.labels[c] is not None}

    def _labels(self, sample: Sample) -> dict[str, NDArray[np.bool_]]:
        return {c: self.dataset.read_mask(sample, c) for c in self.phrases if c in sample.labels}

    def _prompts(self, generator: np.random.Generator) -> NDArray[Any]:
        rows = np.stack([e[generator.integers(len(e))] for e in self.phrases.values()])
        if np.issubdtype(rows.dtype, np.integer):
            return rows  # token ids, which the model embeds itself
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        # the same angle of noise whatever the embeddings' width and length
        jitter = self.config.phrase_jitter * length * np.sqrt(_JITTER_WIDTH / rows.shape[1])
        noisy = rows + generator.standard_normal(rows.shape) * jitter
        kept: NDArray[np.float32] = noisy / np.linalg.norm(noisy, axis=1, keepdims=True) * length
        return kept.astype(np.float32)
