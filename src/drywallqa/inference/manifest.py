"""`manifest.jsonl`: what lies in a folder of results, and what went wrong on the way there.

One JSON object a line. A line with `mask` tells of one photo under one prompt; a line with `error` tells of
a photo (or a prompt) that failed. Lines are added as work goes on, so that a run that is cut off loses
nothing; of several lines about the same mask the last one counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drywallqa.errors import OutputError
from drywallqa.files import write_whole

NAME = "manifest.jsonl"
OUTPUT_KINDS = ("mask", "overlay", "probability_map", "thumbnail")

Record = dict[str, Any]


class Manifest:
    """The manifest of one folder of results."""

    def __init__(self, folder: Path) -> None:
        """Read what an earlier run left; lines that cannot be read are dropped."""
        self.path = folder / NAME
        self._masks: dict[str, Record] = {}
        self._errors: dict[str, Record] = {}
        self._untidy = False
        for line in self._lines():
            self._take(line)

    def _lines(self) -> Iterator[Record]:
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be read ({error.strerror}); choose another folder"
            ) from error
        self._untidy = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if isinstance(record, dict) and ("mask" in record or "error" in record):
                yield record
            else:
                self._untidy = True

    def _take(self, record: Record) -> None:
        if "mask" in record:
            self._untidy |= record["mask"] in self._masks or str(record.get("source")) in self._errors
            self._masks[str(record["mask"])] = record
            self._errors.pop(str(record.get("source")), None)
        else:
            about = str(record.get("source", record.get("prompt")))
            self._untidy |= about in self._errors
            self._errors[about] = record

    def __iter__(self) -> Iterator[Record]:
        yield from self._masks.values()
        yield from self._errors.values()

    def of_mask(self, mask: str) -> Record | None:
        """Return what is known about a mask, by its path below the folder."""
        return self._masks.get(mask)

    def output_files(self) -> list[Path]:
        """Return every file that earlier runs wrote into the folder."""
        return [
            self.path.parent / str(record[kind])
            for record in self._masks.values()
            for kind in OUTPUT_KINDS
            if record.get(kind)
        ]

    def add(self, record: Record) -> None:
        """Add one line, at once.

        Raises:
            OutputError: The file cannot be written.
        """
        if self._untidy:
            self.tidy()
        self._take(record)
        try:
            with self.path.open("ab") as stream:
                stream.write(encode(record))
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written ({error.strerror}); make room for it"
            ) from error

    def forget_error(self, source: str) -> None:
        """Drop what an earlier run said against a photo that is well now."""
        self._untidy |= self._errors.pop(source, None) is not None

    def tidy(self) -> None:
        """Write the file anew without lines that later ones replaced."""
        if self._untidy:
            write_whole(self.path, b"".join(encode(record) for record in self))
            self._untidy = False


def made_in(folder: Path) -> list[Path]:
    """Return the files that earlier runs wrote in and below a folder, if it holds their manifest."""
    if not (folder / NAME).is_file():
        return []
    try:
        return Manifest(folder).output_files()
    except OutputError:  # unreadable: then nothing is known of its files
        return []


def encode(record: Record) -> bytes:
    """Encode a record as one line; file names that are no text come out escaped."""
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
