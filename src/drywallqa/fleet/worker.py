"""The Ray worker that loads the model once and segments blocks of photos."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from drywallqa.background import prefetch
from drywallqa.errors import DrywallQAError, PhotoError, reason_of
from drywallqa.fleet.locations import Location
from drywallqa.fleet.photo_listing import FleetPhoto
from drywallqa.fleet.results_table import table_schema
from drywallqa.imaging import photos
from drywallqa.inference import batch_run
from drywallqa.inference.manifest import Record
from drywallqa.inference.outputs import PROBABILITY, write_prediction
from drywallqa.inference.plan import RunOptions
from drywallqa.inference.segmenter import Segmenter

DEADLY = 3  # a photo is skipped after this number of workers died while they processed it

Opener = Callable[[], Segmenter]


@dataclass(frozen=True)
class SegmentationRequest:
    """The prompts, options and locations of a run, as sent to the workers.

    Attributes:
        prompts: Text prompts.
        options: Options of the run.
        source: Location of the photos.
        out: Location of the results.
    """

    prompts: tuple[str, ...]
    options: RunOptions
    source: Location
    out: Location


class AttemptCounts:
    """A Ray actor that counts the attempts to segment each photo. The counts survive if a worker dies."""

    def __init__(self) -> None:
        self._begun: dict[str, int] = {}

    def begin_block(self, sources: Sequence[str]) -> list[int]:
        """Return the previous count of each photo. If all counts are zero, set them to 1."""
        before = [self._begun.get(source, 0) for source in sources]
        if not any(before):
            self._begun |= dict.fromkeys(sources, 1)
        return before

    def begin(self, source: str) -> int:
        """Count one attempt for a photo, and return the photo's previous count."""
        before = self._begun.get(source, 0)
        self._begun[source] = before + 1
        return before

    def finish(self, sources: Sequence[str]) -> None:
        """Delete the counts of finished photos."""
        for source in sources:
            self._begun.pop(source, None)


class Worker:
    """Segments blocks of photos, and returns one table row per mask or error.

    Args:
        opener: Function that loads the segmenter.
        request: The prompts, options and locations of the run.
        attempts: Handle of the Ray actor `AttemptCounts`.
    """

    def __init__(self, opener: Opener, request: SegmentationRequest, attempts: Any) -> None:
        self.segmenter, self.request, self.attempts = opener(), request, attempts
        self.queries, self.marks = batch_run.queries_for(
            self.segmenter, request.prompts, request.options.segment
        )
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    def __call__(self, block: Any) -> Any:
        """Segment a block: a `pyarrow.Table` with one row per photo. Return the result rows as a table.

        If a worker dies, Ray repeats its block on another worker. The other worker counts an attempt before
        it processes each photo. These counts identify a photo that kills workers.

        Raises:
            OutputError: The results cannot be written, for example because the disk is full.
        """
        import pyarrow

        names = [one.name for one in fields(FleetPhoto)]
        work = [(FleetPhoto(**{name: row[name] for name in names}), row["todo"]) for row in block.to_pylist()]
        sources = [photo.source for photo, _ in work]
        if any(_get(self.attempts.begin_block.remote(sources))):
            rows = [row for photo, todo in work for row in self._begin_alone(photo, todo)]
        else:
            read = prefetch((photo, *self._read(photo), todo) for photo, todo in work)
            rows = [row for one in read for row in self._rows(*one)]
            _get(self.attempts.finish.remote(sources))
        kinds = [output.kind for output in self.request.options.all_outputs]
        return pyarrow.Table.from_pylist(rows, schema=table_schema(kinds))

    def _begin_alone(self, photo: FleetPhoto, todo: Sequence[str]) -> list[Record]:
        if _get(self.attempts.begin.remote(photo.source)) >= DEADLY:
            problem = f"{DEADLY} workers died while they processed this photo"
            error = PhotoError(
                photo.source, problem, "leave the photo out, or segment only this photo with --engine local"
            )
            return list(self._rows(photo, self._about(photo), error, todo))
        rows = list(self._rows(photo, *self._read(photo), todo))
        _get(self.attempts.finish.remote([photo.source]))
        return rows

    def _about(self, photo: FleetPhoto) -> Record:
        return {
            "source": photo.source,
            "image_id": photo.image_id,
            "source_size": photo.size,
            "source_modified": photo.modified,
            "worker": self.name,
        }

    def _read(self, photo: FleetPhoto) -> tuple[Record, photos.NotedPhoto | DrywallQAError]:
        """Read a photo. Return a record of the file, and either the photo or the error."""
        began, about = time.perf_counter(), self._about(photo)
        try:
            content = self.request.source.read(photo.path)
            noted = photos.read_photo_bytes(content, photo.source)
            about |= {"source_sha256": hashlib.sha256(content).hexdigest(), "read_ms": _ms_since(began)}
            return about, noted
        except Exception as error:  # a decoder may raise any error, and the other photos must not fail
            return about, _as_photo_error(photo.source, error)

    def _rows(
        self,
        photo: FleetPhoto,
        about: Record,
        found: photos.NotedPhoto | DrywallQAError,
        todo: Sequence[str],
    ) -> Iterator[Record]:
        try:
            if isinstance(found, DrywallQAError):
                raise found
            yield from self._predict(photo, about, found, todo)
        except Exception as error:  # for example out of memory, or an error of the runtime
            if batch_run.is_fatal(error):
                raise
            problem = error if isinstance(error, DrywallQAError) else _as_photo_error(photo.source, error)
            yield about | {"error": batch_run.error_about(photo.source, problem)}

    def _predict(
        self, photo: FleetPhoto, about: Record, noted: photos.NotedPhoto, todo: Sequence[str]
    ) -> Iterator[Record]:
        options, out = self.request.options, self.request.out
        queries, keep = self.queries.only(frozenset(todo)), PROBABILITY in options.outputs
        began = time.perf_counter()
        for prediction in self.segmenter.answer(
            noted, queries, image_id=photo.image_id, keep_probability=keep
        ):
            segment_ms, began = _ms_since(began), time.perf_counter()
            record = write_prediction(
                noted.pixels, prediction, options.all_outputs, photo.folder, out.write, options.overwrite
            )
            times = {"segment_ms": segment_ms, "write_ms": _ms_since(began)}
            yield about | record | {"settings": self.marks[prediction.prompt]} | times
            began = time.perf_counter()


def _as_photo_error(source: str, error: Exception) -> PhotoError:
    """Convert any error to a `PhotoError`."""
    if isinstance(error, PhotoError):
        return error
    if isinstance(error, DrywallQAError):
        return PhotoError(source, str(error), "fix this and run the command again")
    problem = f"it could not be segmented ({type(error).__name__}: {reason_of(error)})"
    return PhotoError(source, problem, "leave the photo out, or segment only this photo")


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _get(reference: Any) -> Any:
    import ray

    return ray.get(reference)
