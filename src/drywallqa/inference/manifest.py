"""`manifest.jsonl` lists the masks in a results folder, and the photos and prompts that failed.

Each line is a JSON object. A line with a `mask` describes the result of one photo and one prompt. A line with
an `error` describes a photo (by its `source`) or a prompt that failed. If several lines describe the same
mask, photo or prompt, only the last line counts. A line without an error clears the errors of its photo and
prompt.

A run only appends lines, so an interrupted run loses nothing, and several runs can append to one file. At the
end of a run, outdated lines are removed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from drywallqa.errors import OutputError
from drywallqa.files import append_line, file_lock, json_bytes, read_json_lines, write_whole

NAME = "manifest.jsonl"

FIELDS: dict[str, type] = {
    "source": str, "source_size": int, "source_modified": int, "source_sha256": str, "image_id": str,
    "prompt": str, "concept": str, "height": int, "width": int, "presence": float,
    "presence_threshold": float, "threshold": float, "area": float, "quality": list, "settings": str,
    "mask_sha256": str, "mask_kind": str, "unseen": float,
    "read_ms": float, "segment_ms": float, "write_ms": float, "worker": str, "error": str,
}  # fmt: skip
"""The fields of a record. A record also contains the path of each written file under the kind of file.
`source_size` is in bytes and `source_modified` in ns since 1970. Only Ray runs write the `*_ms` fields and
`worker`."""

Record = dict[str, Any]
T = TypeVar("T")


class LatestRecords(Generic[T]):
    """The current records: the last record of each mask, and all errors that no later record cleared.

    Attributes:
        masks: The record of each mask, by the mask's path relative to the results folder.
        errors: The error of each photo or prompt that failed.
    """

    def __init__(self) -> None:
        self.masks: dict[str, T] = {}
        self.errors: dict[tuple[str, str], T] = {}

    def take(self, record: Record, kept: T) -> None:
        """Add the newest record, and store the value `kept` for it."""
        if record.get("error") is not None:
            self.errors |= dict.fromkeys(self._subjects(record)[:1], kept)
            return
        if self.errors:
            for subject in self._subjects(record):
                self.errors.pop(subject, None)
        if record.get("mask") is not None:
            self.masks[str(record["mask"])] = kept

    def taken_back(self, sources: Iterable[str], prompts: Iterable[str]) -> list[Record]:
        """Return records that clear the errors of the given photos, paths and prompts."""
        named = [*({"source": source} for source in sources), *({"prompt": prompt} for prompt in prompts)]
        return [{**about, "error": None} for about in named if self._subjects(about)[0] in self.errors]

    @staticmethod
    def _subjects(record: Record) -> list[tuple[str, str]]:
        """Return the keys of a record's photo (by absolute path) and prompt."""
        source, prompt = record.get("source"), record.get("prompt")
        photo = [] if source is None else [("photo", os.path.abspath(str(source)))]  # noqa: PTH100
        return photo if prompt is None else [*photo, ("prompt", str(prompt))]

    def __iter__(self) -> Iterator[T]:
        return iter([*self.masks.values(), *self.errors.values()])


class Manifest(LatestRecords[Record]):
    """The manifest of one folder of results."""

    def __init__(self, folder: Path) -> None:
        """Read the lines of earlier runs. Unreadable lines are skipped.

        Raises:
            OutputError: The file cannot be read.
        """
        self.path = folder / NAME
        self._read()

    def _read(self) -> None:
        super().__init__()  # clears the earlier records
        try:
            for _, record in read_json_lines(self.path):
                if record is not None:
                    self.take(record, record)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot read the manifest ({error.strerror}); choose another folder"
            ) from error

    def add(self, record: Record) -> None:
        """Append a record as one line immediately; see `append_record`."""
        self.take(record, record)
        append_record(self.path, record)

    def take_back(self, sources: Iterable[str], prompts: Iterable[str] = ()) -> None:
        """Clear the errors of earlier runs for photos, paths and prompts that now succeed.

        Raises:
            OutputError: The file cannot be written.
        """
        for record in self.taken_back(sources, prompts):
            self.add(record)

    def compact(self) -> None:
        """Remove outdated lines (see `compact_manifest`) and read the lines that other runs added."""
        compact_manifest(self.path)
        self._read()


def append_record(path: Path, record: Record) -> None:
    """Append a record to a manifest immediately, as one line.

    Raises:
        OutputError: The file cannot be written.
    """
    try:
        with file_lock(path):
            append_line(path, json_bytes(record, None))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); free some disk space") from error


def compact_manifest(path: Path) -> None:
    """Remove the outdated lines of a manifest without losing lines that another run appends.

    If this fails (the disk is full, or another process reads the file on Windows), the file is unchanged.
    """
    if not path.is_file():
        return
    with suppress(OSError, OutputError), file_lock(path):
        latest, last = LatestRecords[int](), 0
        for last, record in read_json_lines(path):
            latest.take(record or {}, last)
        counting = set(latest)
        if len(counting) < last:
            with path.open("rb") as lines:
                kept = [line for number, line in enumerate(lines, 1) if number in counting]
            write_whole(path, b"".join(kept))


def files_of_record(record: Record) -> dict[str, str]:
    """Return the files of a record as a mapping from the kind of file to the path in the results folder."""
    return {name: value for name, value in record.items() if name not in FIELDS and isinstance(value, str)}


def made_in(folder: Path) -> list[Path]:
    """Return the files that the manifest of a folder lists; [] if the folder has no readable manifest."""
    try:
        masks = Manifest(folder).masks.values() if (folder / NAME).is_file() else ()
    except OutputError:  # the manifest is unreadable, so the files are unknown
        return []
    return [folder / path for record in masks for path in files_of_record(record).values()]
