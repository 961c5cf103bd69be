"""Writing files whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from drywallqa.errors import OutputError


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file beside its place and rename it there, so that nobody ever sees half of it.

    Folders that are missing are made.

    Raises:
        OutputError: It cannot be written; the message names the file.
    """
    try:
        with whole_file(path) as beside:
            beside.write_bytes(content)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({(error.strerror or str(error)).lower()}); "
            "make room for it or choose another folder"
        ) from error


@contextmanager
def whole_file(path: str | os.PathLike[str], *, durable: bool = False) -> Iterator[Path]:
    """Give a new file's path to write to; it takes its place when all went well, and is gone otherwise.

    Folders that are missing are made.

    Args:
        path: The file's place.
        durable: Whether to wait until the disk holds it, so that a power cut leaves the old or the new file.
            That takes milliseconds, which many small files would feel.

    Raises:
        OSError: The file cannot be made, synced or renamed.
    """
    target = Path(path)
    beside = target.with_name(f".drywallqa-{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside.touch(exist_ok=False)
        yield beside
        if durable:
            with beside.open("r+b") as stream:  # Windows syncs nothing that was opened for reading
                os.fsync(stream.fileno())
        beside.replace(target)
    except BaseException:  # an interruption, too, must not leave half a file lying about
        with suppress(OSError):
            beside.unlink()
        raise


def json_bytes(data: Any, indent: int | None = 1) -> bytes:
    """Encode as JSON that people can read; a file name that is no text comes out escaped, and reads back."""
    text = json.dumps(data, indent=indent, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Make a folder for results, and make sure that files can be written in it.

    Raises:
        OutputError: It cannot be made or written to; the message names it.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        trial = path / f".drywallqa-{os.getpid()}-{os.urandom(4).hex()}.part"
        trial.touch(exist_ok=False)
        trial.unlink()
        return path
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"{path}: no results can be written in this folder ({reason.lower()}); choose another"
        ) from error
