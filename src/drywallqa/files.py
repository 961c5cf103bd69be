"""Files that are whole or not there, and files of JSON lines that grow while others read and write them."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
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


def read_json_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Yield the number and the object of each line; None where a line is cut off or no JSON object.

    Lines end at a line feed alone: names and prompts may hold what ends a line elsewhere, such as U+2028.
    Empty lines are passed over.

    Raises:
        OSError: The file cannot be read.
    """
    with Path(path).open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                content = json.loads(line)
            except (ValueError, RecursionError):
                content = None
            yield number, content if isinstance(content, dict) else None


def append_line(path: Path, line: bytes) -> None:
    """Add a line at the end of a file; it starts on a line of its own where the last one was cut off.

    Raises:
        OSError: The file cannot be written.
    """
    with path.open("a+b") as stream:
        length = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, length - 1))
        cut_off = stream.read(1) not in (b"", b"\n")
        stream.write(b"\n" * cut_off + line)


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Keep out every other thread and process that asks for the lock of the same file.

    The lock is an empty hidden file beside it, since the file itself may be replaced under the lock.

    Raises:
        OSError: The folder cannot be written to.
    """
    beside = path.with_name(f".{path.name}.lock")
    while True:
        with beside.open("ab") as stream:
            if not _lock(stream.fileno(), beside):
                continue
            try:
                yield
                return
            finally:
                _unlock(stream.fileno(), beside)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, path: Path) -> bool:
        while True:
            os.lseek(descriptor, 0, os.SEEK_SET)
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                return True
            except PermissionError:  # another holds it; Windows itself would look again only each second
                time.sleep(0.005)

    def _unlock(descriptor: int, path: Path) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)  # the file stays: an open one cannot be removed

else:
    import fcntl

    def _lock(descriptor: int, path: Path) -> bool:
        with suppress(OSError):  # a file system without locks; an appended line is whole there, too
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:  # whoever held it before may have removed the file, so that others lock a new one
            return os.path.samestat(os.fstat(descriptor), path.stat())
        except FileNotFoundError:
            return False

    def _unlock(descriptor: int, path: Path) -> None:
        path.unlink(missing_ok=True)  # closing it gives the lock back


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content in hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def safetensors_head(path: Path) -> dict[str, dict[str, Any]]:
    """Read what a safetensors file says of each tensor: dtype, shape, and data_offsets from the file's start.

    Eight bytes of length, then JSON: https://github.com/huggingface/safetensors.
    """
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        head = json.loads(stream.read(length))
    head.pop("__metadata__", None)
    for entry in head.values():
        entry["data_offsets"] = [8 + length + place for place in entry["data_offsets"]]
    return dict(head)
