"""Training pictures, each paired with a prompt for every concept.

The sampler draws a set, then a source photo from this set, then a copy of this source photo. A source photo
with many copies is therefore not drawn more often than other source photos. Every picture is paired with
every concept. If a picture does not show a concept, the ground-truth mask of the pair is empty. With two
concepts, about half of all pairs have an empty mask. `data.negative_share` lowers the share of pictures that
are paired with absent concepts. Omitted pairs count as not labelled. Item i of epoch e with seed s depends
only on (s, e, i), so a resumed run gets the same pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import DataError
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.imaging.line_search import find_lines
from drywallqa.models.contract import Features
from drywallqa.sampling.augment import Generator, Mask, Photo, Truth, vary_light, warp_photo, whole_photo
from drywallqa.sampling.feature_cache import CachedEncoder
from drywallqa.sampling.settings import DataConfig
from drywallqa.synthetic.composite import paste_crack
from drywallqa.synthetic.walls import CRACK, TAPING_AREA

_IGNORED = "\n"  # marks a layer of ignored pixels; concept names have no line feed
_JITTER_WIDTH = 64  # embedding width for which `data.phrase_jitter` is specified


class TrainingPicture(TypedDict):
    """A training picture, the embeddings of K prompts, and the ground truth for each prompt.

    The shapes are `image` [3,S,S], `embeddings` [K,D], `truth` [K,S/2,S/2] and `known` [K]. `known` is 1 if
    the concept is labelled and 0 otherwise. `ignored`
    [K,S/2,S/2] is True at pixels that nobody labelled. It exists if the data set has such pixels.
    """

    image: Tensor
    embeddings: Tensor
    truth: Tensor
    known: Tensor
    ignored: NotRequired[Tensor]


def _ignored_layer(concept: str) -> str:
    """Name the layer of a concept's ignored pixels, which is warped like its mask."""
    return f"{concept}{_IGNORED}"


class PhotoPool:
    """Photos grouped by their source photo."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        groups: dict[str, list[Sample]] = {}
        for sample in samples:
            groups.setdefault(sample.photograph, []).append(sample)
        self.groups = list(groups.values())

    def draw(self, generator: Generator) -> Sample:
        """Draw a random source photo, then one of its copies."""
        group = self.groups[generator.integers(len(self.groups))]
        return group[generator.integers(len(group))]


class TrainingPairs(TorchDataset[TrainingPicture]):
    """Training pictures of one epoch.

    Args:
        dataset: The train split of the data set.
        phrases: Concept → embeddings of its phrasings [N,D].
        config: Settings for drawing and augmenting photos.
        seed: The run's seed.
        epoch: Number of the epoch.
        stride: Width of a pixel of the logits, in pixels of the picture. Ground-truth masks have the size of
            the logits.
        letterbox: The letterbox that normalises pictures. If None, use ImageNet normalisation.
        encoder: If given, items contain `features` from this frozen encoder instead of an image. Each photo
            has `data.cached_views` views, which depend on the seed. Each item uses a random view.

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
        letterbox: Letterbox | None = None,
        encoder: CachedEncoder | None = None,
    ) -> None:
        if not len(dataset):
            raise DataError(f"{dataset.folder}: no photo in split 'train'; run: drywallqa data split")
        self.dataset, self.phrases, self.config = dataset, dict(phrases), config
        self.seed, self.epoch, self.stride = seed, epoch, stride
        names = sorted({sample.set_name for sample in dataset})
        self.pools = [PhotoPool([s for s in dataset if s.set_name == name]) for name in names]
        weights = np.array([config.mix.get(name, 1.0) for name in names])
        self.weights = weights / weights.sum()
        cracked = [s for s in dataset if s.labels.get(CRACK) and s.labels.get(TAPING_AREA, "") is None]
        boards = [s for s in dataset if s.labels.get(TAPING_AREA) and s.labels.get(CRACK, "") is None]
        self.composite = (PhotoPool(cracked), PhotoPool(boards)) if cracked and boards else None
        self.some_ignored = bool(config.traced) or any(sample.ignored for sample in dataset)
        self.letterbox, self.encoder = letterbox or Letterbox(config.window), encoder

    def __len__(self) -> int:
        return self.config.photos_per_epoch

    def __getitem__(self, index: int) -> TrainingPicture:
        """Return item `index` of this epoch."""
        generator = np.random.default_rng([self.seed, self.epoch, index])
        item: Any = {}
        if self.encoder is None:
            photo, masks = self._draw_photo(generator)
            picture, truth = self._warp(photo, masks, generator)
            item["image"] = torch.from_numpy(self._normalise(picture, generator))
        else:
            item["features"], truth = self._draw_features(self.encoder, generator)
        item["embeddings"] = torch.from_numpy(self._draw_prompts(generator))
        item["truth"] = torch.from_numpy(self._stack(truth, self.phrases))
        if self.some_ignored:
            shares = self._stack(truth, [_ignored_layer(concept) for concept in self.phrases])
            item["ignored"] = torch.from_numpy(shares > 0)
        item["known"] = torch.tensor([float(concept in truth) for concept in self.phrases])
        picked: TrainingPicture = item
        return picked

    def _stack(self, truth: Truth, layers: Iterable[str]) -> NDArray[np.float32]:
        """Scale layers to the size of the logits, and stack them [K,S/2,S/2]. Missing layers are 0."""
        side = self.config.window // self.stride
        nothing = np.zeros((side, side), np.float32)
        return np.stack(
            [
                cv2.resize(truth[name], (side, side), interpolation=cv2.INTER_AREA)
                if name in truth
                else nothing
                for name in layers
            ]
        )

    def _draw_photo(self, generator: Generator) -> tuple[Photo, dict[str, Mask]]:
        """Draw a photo, or paste a crack from one photo onto a photo of a board."""
        if self.composite and generator.random() < self.config.composite_share:
            crack, board = (pool.draw(generator) for pool in self.composite)
            photo, mask = paste_crack(
                self.dataset.read_photo(board),
                self.dataset.read_photo(crack),
                self._label(crack, CRACK)[0],
                generator,
            )
            return photo, {**self._masks(board), CRACK: mask}
        sample = self._draw_sample(generator)
        return self.dataset.read_photo(sample), self._paired_masks(sample, generator)

    def _draw_features(self, encoder: CachedEncoder, generator: Generator) -> tuple[Features, Truth]:
        """Draw one of a photo's fixed views. Composites are not used, because they could not be cached."""
        sample = self._draw_sample(generator)
        view = int(generator.integers(self.config.cached_views))
        content = self.dataset.photo_path(sample).read_bytes()
        digest = int.from_bytes(hashlib.sha256(content).digest()[:8], "big")
        fixed = np.random.default_rng([self.seed, digest, view])
        masks = self._paired_masks(sample, generator)
        picture, truth = self._warp(self.dataset.read_photo(sample), masks, fixed)
        box = self.letterbox
        features = encoder.encode(
            content,
            # all settings that determine the content of a view
            f"{view if self.config.augment else 'whole'} seed {self.seed} scale {self.config.photo_scale} "
            f"mean {box.mean} std {box.std} padding {box.padding}",
            self.config.window,
            lambda: torch.from_numpy(self._normalise(picture, fixed)),
        )
        return tuple(part[0] for part in features), truth

    def _draw_sample(self, generator: Generator) -> Sample:
        return self.pools[generator.choice(len(self.pools), p=self.weights)].draw(generator)

    def _masks(self, sample: Sample) -> dict[str, Mask]:
        masks = {}
        for concept in self.phrases:
            if concept in sample.labels:
                masks[concept], ignored = self._label(sample, concept)
                if ignored is not None:
                    masks[_ignored_layer(concept)] = ignored
        return masks

    def _label(self, sample: Sample, concept: str) -> tuple[Mask, Mask | None]:
        """Read the mask of a concept and its ignored pixels. Labels of traced concepts become crack masks."""
        label, ignored = self.dataset.read_mask(sample, concept), self.dataset.read_ignored(sample, concept)
        if concept not in self.config.traced or not label.any():
            return label, ignored
        found = find_lines(self.dataset.read_photo(sample), label)
        return found.mask, found.unseen if ignored is None else found.unseen | ignored

    def _paired_masks(self, sample: Sample, generator: Generator) -> dict[str, Mask]:
        """Read the masks of the concepts that are paired with a photo."""
        share = self.config.negative_share
        # draw no random number if the share is 0 or 1, so that earlier runs stay reproducible
        negatives = share > 0 if share in (0, 1) else generator.random() < share
        masks = self._masks(sample)
        if negatives:
            return masks
        return {c: mask for c, mask in masks.items() if sample.labels[c.removesuffix(_IGNORED)] is not None}

    def _warp(self, photo: Photo, masks: Mapping[str, Mask], generator: Generator) -> tuple[Photo, Truth]:
        side, padding = self.config.window, self.letterbox.padding
        if self.config.augment:
            return warp_photo(photo, masks, side, self.config.photo_scale, generator, padding)
        return whole_photo(photo, masks, side, padding)

    def _normalise(self, picture: Photo, generator: Generator) -> NDArray[np.float32]:
        return self.letterbox.normalise(vary_light(picture, generator) if self.config.augment else picture)

    def _draw_prompts(self, generator: Generator) -> NDArray[Any]:
        rows = np.stack([e[generator.integers(len(e))] for e in self.phrases.values()])
        if np.issubdtype(rows.dtype, np.integer):
            return rows  # these are token ids, which the model embeds
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        # scale the noise so that its angle does not depend on the width and length of the embeddings
        jitter = self.config.phrase_jitter * length * np.sqrt(_JITTER_WIDTH / rows.shape[1])
        noisy = rows + generator.standard_normal(rows.shape) * jitter
        kept: NDArray[np.float32] = noisy / np.linalg.norm(noisy, axis=1, keepdims=True) * length
        return kept.astype(np.float32)
