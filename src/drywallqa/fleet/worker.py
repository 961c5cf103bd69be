"""What runs on each worker: the model, loaded once, and photos that come in blocks."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drywallqa.background import prefetch
from drywallqa.errors import DrywallQAError, PhotoError
from drywallqa.fleet.locations import Location, as_photo_error
from drywallqa.fleet.photo_listing import FleetPhoto
from drywallqa.fleet.results_table import table_schema
from drywallqa.imaging import photos
from drywallqa.inference import batch_run
from drywallqa.inference.manifest import Record
from drywallqa.inference.outputs import PROBABILITY, Output, write_answer
from drywallqa.inference.plan import RunSettings
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.segmenter import Segmenter

DEADLY = 3  # times that a photo's worker ended before it was done, after which the photo is left out

Opener = Callable[[], Segmenter]


@dataclass(frozen=True)
class SegmentationRequest:
    """What is asked of every photo of a run; travels to the workers.

    Attributes:
        prompts: The prompts.
        settings: How photos are segmented.
        outputs: What is written for each photo and prompt, the mask first.
        source: Where photos are read.
        out: Where results are written.
    """

    prompts: tuple[str, ...]
    settings: RunSettings
    outputs: tuple[Output, ...]
    source: Location
    out: Location


class Attempts(Protocol):
    """What counts how often photos were begun, and outlives a worker."""

    def begin_block(self, sources: Sequence[str]) -> list[int]:
        """Begin all, if none was begun before; return how often each was."""
        ...

    def begin(self, source: str) -> int:
        """Begin one; return how often it was begun before."""
        ...

    def finish(self, sources: Sequence[str]) -> None:
        """Forget photos that are done."""
        ...


class AttemptCounts:
    """Counts in memory; one Ray actor holds them for all workers."""

    def __init__(self) -> None:
        self._begun: dict[str, int] = {}
        self._total = 0

    def begin_block(self, sources: Sequence[str]) -> list[int]:
        """See `Attempts`."""
        before = [self._begun.get(source, 0) for source in sources]
        if not any(before):
            self._begun |= dict.fromkeys(sources, 1)
            self._total += len(sources)
        return before

    def begin(self, source: str) -> int:
        """See `Attempts`."""
        before = self._begun.get(source, 0)
        self._begun[source] = before + 1
        self._total += 1
        return before

    def finish(self, sources: Sequence[str]) -> None:
        """See `Attempts`."""
        for source in sources:
            self._begun.pop(source, None)

    def total(self) -> int:
        """Return how often photos were begun in all."""
        return self._total


class Worker:
    """Segments blocks of photos into rows of the table.

    Args:
        opener: Loads the segmenter.
        task: What is asked.
        attempts: Counts how often photos were begun.
    """

    def __init__(self, opener: Opener, task: SegmentationRequest, attempts: Attempts) -> None:
        self.segmenter, self.task, self.attempts = opener(), task, attempts
        self.asked, self.marks = batch_run.queries_for(self.segmenter, task.prompts, task.settings)
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    def __call__(self, block: Any) -> Any:
        """Segment a block, a `pyarrow.Table` with a row a photo; return the table's rows.

        A block that comes again, because its worker ended, is gone through one photo at a time, so that it
        shows which photo ends workers.

        Raises:
            OutputError: Nothing more can be written at all (the disk is full or read-only).
        """
        import pyarrow

        given = block.to_pylist()
        work = [
            (FleetPhoto(**{name: row[name] for name in FleetPhoto.__dataclass_fields__}), row["todo"])
            for row in given
        ]
        sources = [photo.source for photo, _ in work]
        if any(self.attempts.begin_block(sources)):
            rows = [row for photo, todo in work for row in self._carefully(photo, todo)]
        else:
            read = prefetch(self._read(photo) for photo, _ in work)
            rows = [row for one, (_, todo) in zip(read, work, strict=True) for row in self._rows(one, todo)]
            self.attempts.finish(sources)
        return pyarrow.Table.from_pylist(
            rows, schema=table_schema(output.kind for output in self.task.outputs)
        )

    def _carefully(self, photo: FleetPhoto, todo: Sequence[str]) -> list[Record]:
        if self.attempts.begin(photo.source) >= DEADLY:
            problem = f"each of {DEADLY} workers that took it up ended before it was done"
            error = PhotoError(photo.source, problem, "leave it out, or try it alone with --engine local")
            return [_failed(_Read(photo), error, self.name)]
        rows = list(self._rows(self._read(photo), todo))
        self.attempts.finish([photo.source])
        return rows

    def _read(self, photo: FleetPhoto) -> _Read:
        began = time.perf_counter()
        try:
            content = self.task.source.read(photo.path)
            noted = photos.read_photo_bytes(content, photo.source)
            digest = hashlib.sha256(content).hexdigest()
            return _Read(photo, noted, digest, _since(began))
        except Exception as error:  # whatever one photo does to a decoder, the others go on
            return _Read(photo, error=as_photo_error(photo.source, error))

    def _rows(self, read: _Read, todo: Sequence[str]) -> Iterator[Record]:
        if read.error is not None or read.noted is None:
            yield _failed(read, read.error, self.name)
            return
        try:
            yield from self._answers(read, read.noted, todo)
        except DrywallQAError as error:
            if batch_run.stops_everything(error):
                raise
            yield _failed(read, error, self.name)
        except Exception as error:  # as above: out of memory, a runtime that fails on odd numbers
            yield _failed(read, as_photo_error(read.photo.source, error), self.name)

    def _answers(self, read: _Read, noted: photos.NotedPhoto, todo: Sequence[str]) -> Iterator[Record]:
        questions = self.asked.only(frozenset(todo))
        keep = PROBABILITY in self.task.outputs
        began = time.perf_counter()
        answers = self.segmenter.answer(noted, questions, image_id=read.photo.image_id, keep_probability=keep)
        for prediction in answers:
            times = {"read_ms": read.milliseconds, "segment_ms": _since(began)}
            yield self._row(read, noted.pixels, prediction) | times
            began = time.perf_counter()

    def _row(self, read: _Read, pixels: NDArray[np.uint8], prediction: Prediction) -> Record:
        """Write an answer's files, and return its row without the times that came before."""
        began, task = time.perf_counter(), self.task
        answer = write_answer(
            pixels, prediction, task.outputs, read.photo.folder, task.out.write,
            overwrite=task.settings.overwrite,
        )  # fmt: skip
        settings = self.marks[prediction.prompt]
        return _about(read, self.name) | answer | {"settings": settings, "write_ms": _since(began)}


@dataclass(frozen=True)
class _Read:
    """A photo that was read, or what went wrong."""

    photo: FleetPhoto
    noted: photos.NotedPhoto | None = None
    digest: str | None = None
    milliseconds: float | None = None
    error: DrywallQAError | None = None


def _about(read: _Read, worker: str) -> Record:
    photo = read.photo
    return {
        "source": photo.source,
        "image_id": photo.image_id,
        "source_size": photo.size,
        "source_modified": photo.modified,
        "source_sha256": read.digest,
        "worker": worker,
    }


def _failed(read: _Read, error: DrywallQAError | None, worker: str) -> Record:
    about = batch_run.error_about(read.photo.source, error)
    return {**_about(read, worker), "read_ms": read.milliseconds, "error": about}


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
