"""Atomic file writes, and JSON Lines files that several processes read and append to."""

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

from drywallqa.errors import OutputError, reason_of


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file atomically: write it under a temporary name, then rename it.

    Missing folders are created.

    Raises:
        OutputError: The file cannot be written. The message names the file.
    """
    try:
        with whole_file(path) as beside:
            beside.write_bytes(content)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({reason_of(error)}); free disk space or choose another folder"
        ) from error


@contextmanager
def whole_file(path: str | os.PathLike[str], *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path for a new file. The file is renamed at the end, or removed after an error.

    Missing folders are created.

    Args:
        path: The final path of the file.
        durable: Whether to sync the file to disk, so that a power cut leaves either the old or the new file.
            Syncing takes milliseconds per file, which slows down writing many small files.

    Raises:
        OSError: The file cannot be created, synced or renamed.
    """
    target = Path(path)
    beside = target.with_name(f".drywallqa-{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside.touch(exist_ok=False)
        yield beside
        if durable:
            with beside.open("r+b") as stream:  # Windows cannot sync a file that is open for reading
                os.fsync(stream.fileno())
        beside.replace(target)
    except BaseException:  # also remove a partial file after an interruption
        with suppress(OSError):
            beside.unlink()
        raise


@contextmanager
def whole_folder(folder: str | os.PathLike[str], *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder for a new folder. It is renamed at the end, or removed after an error.

    Args:
        folder: The final path. A folder may exist there if it is empty.
        replace: Whether to replace a folder with content. The old folder is removed last.

    Raises:
        OutputError: The folder has content and `replace` is false, or it cannot be written.
    """
    import tempfile  # needed only here, and its import takes time

    target = Path(folder)
    try:
        if not replace and target.exists() and any(target.iterdir()):
            raise OutputError(f"{target}: is not empty; choose another folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".drywallqa-") as beside:
            new, old = Path(beside) / "new", Path(beside) / "old"
            new.mkdir()
            yield new
            if target.exists():
                target.rename(old)
            try:
                new.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
    except OSError as error:
        raise OutputError(
            f"{target}: cannot be written ({reason_of(error)}); free disk space or choose another folder"
        ) from error


def json_bytes(data: Any, indent: int | None = 1) -> bytes:
    """Encode data as readable JSON. A file name that is not valid text is escaped and can be read back."""
    text = json.dumps(data, indent=indent, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def check_output_files(*paths: Path | None) -> None:
    """Check that files can be written at the given paths, and skip None.

    Raises:
        OutputError: A path is a folder, or its folder cannot be created or written to.
    """
    for path in filter(None, paths):
        if path.is_dir():
            raise OutputError(f"{path} is a folder; pass the path of a file")
        check_folder(path.parent)


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Create a folder for results, and check that files can be written to it.

    Raises:
        OutputError: The folder cannot be created or written to. The message names the folder.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        trial = path / f".drywallqa-{os.getpid()}-{os.urandom(4).hex()}.part"
        trial.touch(exist_ok=False)
        trial.unlink()
        return path
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{path}: results cannot be written to this folder ({reason_of(error)}); choose another"
        ) from error


def read_json_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Yield each line's number and JSON object, or None if the line is truncated or not a JSON object.

    Only a line feed ends a line, since names and prompts may contain other line separators such as U+2028.
    Empty lines are skipped.

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
    """Append a line to a file. The added line starts on a new line even if the last line was truncated.

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
    """Lock a file against all other threads and processes that use this lock.

    The lock is an empty hidden file next to the locked file, so the locked file itself may be replaced.

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
            except PermissionError:  # the file is locked; Windows would retry only once per second
                time.sleep(0.005)

    def _unlock(descriptor: int, path: Path) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)  # the file stays, since an open file cannot be removed

else:
    import fcntl

    def _lock(descriptor: int, path: Path) -> bool:
        with suppress(OSError):  # file system without locks; appending a line is also atomic there
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:  # the previous owner may have removed the file, and others may lock a new one
            return os.path.samestat(os.fstat(descriptor), path.stat())
        except FileNotFoundError:
            return False

    def _unlock(descriptor: int, path: Path) -> None:
        path.unlink(missing_ok=True)  # closing the file releases the lock


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content as hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def safetensors_head(path: Path) -> dict[str, dict[str, Any]]:
    """Read dtype, shape and data_offsets (from the start of the file) of each tensor in a safetensors file.

    The header is an 8-byte length followed by JSON: https://github.com/huggingface/safetensors.
    """
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        head = json.loads(stream.read(length))
    head.pop("__metadata__", None)
    for entry in head.values():
        entry["data_offsets"] = [8 + length + place for place in entry["data_offsets"]]
    return dict(head)
