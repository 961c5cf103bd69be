"""Training pairs whose photos were encoded before: a few fixed views of each, features from the cache."""

from __future__ import annotations

import hashlib
from typing import Any

import cv2
import numpy as np
import torch

from drywallqa.sampling.augment import vary_light, warp_photo, whole_photo
from drywallqa.sampling.feature_cache import CachedEncoder
from drywallqa.sampling.pairs import TrainingPairs


class CachedPairs(TrainingPairs):
    """Like `Pairs`, but an item holds `features` of the model's frozen encoder instead of an image.

    Each photo has `data.cached_views` views, fixed by the seed; an epoch draws one of them. Nothing is pasted
    together, as that would make a new photo each time.

    Attributes:
        encoder: Encodes what the cache does not hold.
    """

    encoder: CachedEncoder

    @classmethod
    def of(cls, pairs: TrainingPairs, encoder: CachedEncoder) -> CachedPairs:
        """Make the same epoch's pairs, with features in the place of pictures."""
        made = cls(
            pairs.dataset, pairs.phrases, pairs.config, pairs.seed, pairs.epoch, pairs.stride, pairs.window
        )
        made.encoder = encoder
        return made

    def __getitem__(self, index: int) -> Any:
        """Return item `index` of this epoch: features, embeddings, truth, known."""
        generator = np.random.default_rng([self.seed, self.epoch, index])
        sample = self.pools[generator.choice(len(self.pools), p=self.weights)].draw(generator)
        view = int(generator.integers(self.config.cached_views))
        content = self.dataset.photo_path(sample).read_bytes()
        digest = int.from_bytes(hashlib.sha256(content).digest()[:8], "big")
        fixed = np.random.default_rng([self.seed, digest, view])
        masks, photo = self._truth(sample, generator), self.dataset.read_photo(sample)
        side, scale, augment = self.config.window, self.config.photo_scale, self.config.augment
        padding = self.window.padding
        if augment:
            picture, truth = warp_photo(photo, masks, side, scale, fixed, padding)
        else:
            picture, truth = whole_photo(photo, masks, side, padding)
        features = self.encoder.encode(
            content,
            # all that decides what a view shows
            f"{view if augment else 'whole'} seed {self.seed} scale {scale} "
            f"mean {self.window.mean} std {self.window.std} padding {padding}",
            side,
            lambda: torch.from_numpy(
                self.window.normalise(vary_light(picture, fixed) if augment else picture)
            ),
        )
        small = (side // self.stride, side // self.stride)
        empty = np.zeros(small, np.float32)
        truths = [
            np.asarray(cv2.resize(truth[c], small, interpolation=cv2.INTER_AREA)) if c in truth else empty
            for c in self.phrases
        ]
        return {
            "features": tuple(part[0] for part in features),
            "embeddings": torch.from_numpy(self._prompts(generator)),
            "truth": torch.from_numpy(np.stack(truths)),
            "known": torch.tensor([float(c in truth) for c in self.phrases]),
        }
