"""Disk cache for the features of frozen encoders. It avoids encoding the same photos in every epoch.

Each file name is a hash of the model's frozen weights, the input size, the view and the photo's bytes. The
features depend only on these inputs, so a cached file is never outdated. If the cache exceeds its size limit,
it removes the least recently used files. Files are written atomically, so several processes can share a
cache.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from drywallqa.errors import ConfigError
from drywallqa.files import write_whole
from drywallqa.models.contract import Features, PromptedModel

SUFFIX = ".features.npz"
FORMAT = b"1"
DEFAULT_LIMIT = 20 * 1024**3


def default_folder() -> Path:
    """Return the folder for cached features.

    It is `features` in the folder that the environment variable DRYWALLQA_CACHE names. If the variable is not
    set, it is `drywallqa/features` in the user's cache folder.
    """
    given = os.environ.get("DRYWALLQA_CACHE")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "drywallqa"
    return base.expanduser() / "features"


def model_revision(model: nn.Module) -> str:
    """Return a hash of a model's class and its frozen weights.

    The hash excludes trained weights, such as those of the decoder, because features do not depend on them.
    """
    digest = hashlib.sha256(type(model).__name__.encode())
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    for name, value in sorted(model.state_dict().items()):
        if name not in trained:
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class FeatureCache:
    """A folder for cached features, with a limit on its total size.

    Args:
        folder: Folder of the cached files. If None, use `default_folder()`.
        limit: Maximum size in bytes. The least recently used files are removed first.

    """

    def __init__(self, folder: Path | None = None, limit: int = DEFAULT_LIMIT) -> None:
        self.folder, self.limit = folder or default_folder(), limit
        self._size = self.size()

    @staticmethod
    def key(revision: str, side: int, view: int | str, content: bytes) -> str:
        """Return the cache key of a view: a hash of the model revision, input side, view and photo bytes."""
        digest = hashlib.sha256(FORMAT)
        for part in (revision.encode(), str(side).encode(), str(view).encode(), content):
            digest.update(hashlib.sha256(part).digest())
        return digest.hexdigest()

    def get_or_make(
        self, key: str, make: Callable[[], Sequence[NDArray[np.generic]]]
    ) -> tuple[NDArray[np.float16], ...]:
        """Return the cached features for a key. If there are none, cache the result of `make` as float16."""
        path = self.folder / key[:2] / f"{key}{SUFFIX}"
        with suppress(Exception):  # the features of a missing or damaged file are computed again
            with np.load(io.BytesIO(path.read_bytes())) as stored:
                features = tuple(stored[name] for name in sorted(stored.files))
            with suppress(OSError):  # the folder may be read-only
                os.utime(path)
            return features
        made = tuple(np.asarray(part, np.float16) for part in make())
        stream = io.BytesIO()
        np.savez(stream, **{f"{index:02d}": part for index, part in enumerate(made)})  # type: ignore[arg-type]
        write_whole(path, stream.getvalue())
        self._size += stream.tell()
        if self._size > self.limit:
            self._shrink()
        return made

    def files(self) -> list[Path]:
        """List the paths of the cached files."""
        return [path for path in self.folder.glob(f"*/*{SUFFIX}") if path.is_file()]

    def size(self) -> int:
        """Return the total size of the cached files in bytes."""
        return sum(size for _, size, _ in self._ages())

    def clear(self) -> int:
        """Remove all cached features, but no other files. Return the number of removed files."""
        removed = 0
        for path in self.files():
            with suppress(FileNotFoundError):
                path.unlink()
                removed += 1
        self._size = 0
        return removed

    def _shrink(self) -> None:
        """Remove the least recently used files until the cache is at most 90 % of its limit."""
        ages = sorted(self._ages())
        self._size = sum(size for _, size, _ in ages)
        for _, size, path in ages:
            if self._size <= 0.9 * self.limit:
                break
            with suppress(OSError):
                path.unlink()
            self._size -= size

    def _ages(self) -> list[tuple[float, int, Path]]:
        """Return the time of last use, the size and the path of each file."""
        found = []
        for path in self.files():
            with suppress(OSError):  # another process may have removed the file
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        return found


class CachedEncoder:
    """Encodes views of photos with a frozen encoder, and caches their features.

    Args:
        model: A model whose encoder is frozen.
        cache: The cache that stores the features.

    Raises:
        ConfigError: The model's encoder is trained, so its features change during training.
    """

    def __init__(self, model: PromptedModel, cache: FeatureCache) -> None:
        if not model.encoder_is_frozen:
            raise ConfigError(
                "only features of a frozen encoder can be cached; set model.vision_layers to 0, "
                "or data.cached_views to 0"
            )
        self.model, self.cache, self.revision = model, cache, model_revision(model)

    def encode(self, content: bytes, view: int | str, side: int, image: Callable[[], Tensor]) -> Features:
        """Return the features [1,…] of a view of a photo.

        Args:
            content: The photo's file content.
            view: Number or name of the view, for the cache key.
            side: Input side in px.
            image: Function that returns the normalised view [3,S,S]. It is called only if the cache does not
                contain the features.
        """

        def make() -> list[NDArray[np.generic]]:
            training = self.model.training
            self.model.eval()
            with torch.inference_mode():
                parts = self.model.encode_image(image()[None])
            self.model.train(training)
            return [part.numpy() for part in parts]

        stored = self.cache.get_or_make(self.cache.key(self.revision, side, view, content), make)
        return tuple(torch.from_numpy(part).float() for part in stored)
