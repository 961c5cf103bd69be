"""Writing files whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from drywallqa.errors import OutputError


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file beside its place and rename it there, so that nobody ever sees half of it.

    Folders that are missing are made.

    Raises:
        OutputError: It cannot be written; the message names the file.
    """
    target = Path(path)
    beside = target.with_name(f".drywallqa-{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("xb") as stream:
            stream.write(content)
        beside.replace(target)
    except BaseException as error:  # an interruption, too, must not leave half a file lying about
        with suppress(OSError):
            beside.unlink()
        if not isinstance(error, OSError):
            raise
        raise OutputError(
            f"{target}: cannot be written ({(error.strerror or str(error)).lower()}); "
            "make room for it or choose another folder"
        ) from error


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
