"""Features of frozen towers, kept on disk so that a photo is encoded once instead of once a pair and epoch.

A file's name is a hash of everything its content depends on: the model's weights, the input's size, the view
and the photo's bytes. So nothing is ever stale; what is no longer asked for is the first to be dropped.
Files are written whole, so that several processes may share a cache.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Sequence
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
    """Return the folder of the cache: DRYWALLQA_CACHE, or one in the user's cache folder."""
    given = os.environ.get("DRYWALLQA_CACHE")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "drywallqa"
    return base.expanduser() / "features"


def model_revision(model: nn.Module) -> str:
    """Return a hash of all that a frozen encoder computes with: its class and the weights it holds.

    A decoder's weights change with training and are left out: features do not depend on what is trained.
    """
    digest = hashlib.sha256(type(model).__name__.encode())
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    for name, value in sorted(model.state_dict().items()):
        if name not in trained:
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class FeatureCache:
    """A bounded folder of features.

    Args:
        folder: Where files lie.
        limit: Most bytes kept; the least recently used go first.

    Raises:
        ConfigError: The limit is no positive number.
    """

    def __init__(self, folder: Path | None = None, limit: int = DEFAULT_LIMIT) -> None:
        if limit <= 0:
            raise ConfigError(f"the feature cache's limit is {limit} bytes; it must be above 0")
        self.folder, self.limit = folder or default_folder(), limit
        self._size = self.size()

    @staticmethod
    def key(revision: str, side: int, view: int | str, content: bytes) -> str:
        """Name what features depend on: model revision, input side in px, view, the photo's file content."""
        digest = hashlib.sha256(FORMAT)
        for part in (revision.encode(), str(side).encode(), str(view).encode(), content):
            digest.update(hashlib.sha256(part).digest())
        return digest.hexdigest()

    def get(self, key: str) -> tuple[NDArray[np.float16], ...] | None:
        """Read features, or None where there are none; a damaged file is removed, so made again."""
        path = self._path(key)
        try:
            with np.load(io.BytesIO(path.read_bytes())) as stored:
                features = tuple(stored[name] for name in sorted(stored.files))
        except FileNotFoundError:
            return None
        except Exception:
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        return features

    def put(self, key: str, features: Sequence[NDArray[np.generic]]) -> None:
        """Keep features as float16, and drop the least recently used above the limit."""
        stream = io.BytesIO()
        arrays = {f"{index:02d}": np.asarray(part, np.float16) for index, part in enumerate(features)}
        np.savez(stream, **arrays)  # type: ignore[arg-type]
        write_whole(self._path(key), stream.getvalue())
        self._size += stream.tell()
        if self._size > self.limit:
            self._shrink()

    def get_or_make(
        self, key: str, make: Callable[[], Sequence[NDArray[np.generic]]]
    ) -> tuple[NDArray[np.float16], ...]:
        """Read features, or make and keep them; both ways give what a file would hold."""
        found = self.get(key)
        if found is not None:
            return found
        made = tuple(np.asarray(part, np.float16) for part in make())
        self.put(key, made)
        return made

    def files(self) -> list[Path]:
        """List the cache's files."""
        return [path for path in self.folder.glob(f"*/*{SUFFIX}") if path.is_file()]

    def size(self) -> int:
        """Count the bytes kept."""
        return sum(_size_of(path) for path in self.files())

    def clear(self) -> int:
        """Remove everything kept, and say how many files that were. Other files are left alone."""
        removed = 0
        for path in self.files():
            with suppress(FileNotFoundError):
                path.unlink()
                removed += 1
        self._size = 0
        return removed

    def _shrink(self) -> None:
        # to nine tenths, so that not every further file makes the whole folder be looked through
        files = sorted((self._age_and_size(path), path) for path in self.files())
        total = sum(size for (_, size), _ in files)
        for (_, size), path in files:
            if total <= 0.9 * self.limit:
                break
            with suppress(OSError):
                path.unlink()
            total -= size
        self._size = total

    @staticmethod
    def _age_and_size(path: Path) -> tuple[float, int]:
        try:
            status = path.stat()
        except OSError:  # another process dropped it
            return 0.0, 0
        return status.st_mtime, status.st_size

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{SUFFIX}"


class CachedEncoder:
    """Encodes views of photos through a frozen encoder, each once.

    Args:
        model: Its encoder must be frozen.
        cache: Where features are kept.

    Raises:
        ConfigError: The model's encoder is trained, so its features change.
    """

    def __init__(self, model: PromptedModel, cache: FeatureCache) -> None:
        if not model.encoder_is_frozen:
            raise ConfigError(
                "features are kept only of a frozen encoder; set model.vision_layers to 0, "
                "or data.cached_views to 0"
            )
        self.model, self.cache, self.revision = model, cache, model_revision(model)

    def encode(self, content: bytes, view: int | str, side: int, image: Callable[[], Tensor]) -> Features:
        """Return a view's features [1,…].

        Args:
            content: The photo's file content.
            view: Which of the fixed augmented views.
            side: Input side in px.
            image: Makes the normalised view [3,S,S]; called only where features are not kept.
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


def stack_features(rows: Iterable[Features]) -> Features:
    """Join features of single photos [1,…] to those of a batch [B,…]."""
    return tuple(torch.cat(parts) for parts in zip(*rows, strict=True))


def _size_of(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
