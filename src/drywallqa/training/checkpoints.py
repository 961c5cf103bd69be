"""Checkpoints that are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from drywallqa.errors import OutputError


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it, so that a full disk costs no good one."""

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        """Write one checkpoint.

        Raises:
            OutputError: It cannot be written; the one before it is intact.
        """
        write_tensors(checkpoint, Path(path))


def write_tensors(content: Any, target: Path) -> None:
    """Save anything that torch can, whole or not at all.

    Raises:
        OutputError: It cannot be written; what was there before is intact.
    """
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(target)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        reason = _disk_trouble(error)
        if reason is None:
            raise
        raise OutputError(
            f"{target}: the checkpoint could not be written ({reason}); the last good one is intact: "
            "make room and go on with --resume"
        ) from error


def _disk_trouble(error: BaseException) -> str | None:
    """Say what the disk lacks, if that is what an error is about; torch wraps it once or twice."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError):
            return (seen.strerror or str(seen)).lower()
        seen = seen.__cause__ or seen.__context__
    text = str(error)
    return "no room or no permission" if "PytorchStreamWriter" in text or "unexpected pos" in text else None
