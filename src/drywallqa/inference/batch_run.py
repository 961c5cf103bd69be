"""Segmenting many photos into a folder of results: skipping what is done, writing, telling what failed."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa._version import __version__
from drywallqa.background import BackgroundWriter, Later, Result, prefetch, run_now
from drywallqa.errors import DrywallQAError, OutputError, PhotoError
from drywallqa.files import file_digest
from drywallqa.imaging import mask_files, photos
from drywallqa.inference import outputs as files_of
from drywallqa.inference.manifest import Record
from drywallqa.inference.outputs import MASK, PROBABILITY
from drywallqa.inference.plan import PhotoOutcome, PlannedPhoto, RunPlan, RunSettings
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.queries import PromptQueries, PromptQuery
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.thread_pool import SegmenterPool

# Where one file meets these, so will every other.
_HOPELESS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))
_LARGE = 16_000_000  # px


def segment_plan(segmenter: Segmenter, plan: RunPlan) -> Iterator[PhotoOutcome]:
    """Segment a plan's photos one by one; meanwhile the next is read and the one before it written.

    Raises:
        OutputError: Nothing more can be written at all (the disk is full or read-only).
    """
    plan.manifest.take_back(plan.paths, plan.prompts)
    for outcome in plan.refused:
        plan.manifest.add(outcome.failure())
        yield outcome
    if plan.prompts and plan.items:
        yield from _Run(segmenter, plan).outcomes()
    plan.manifest.compact()


@dataclass(frozen=True)
class _Prepared:
    """A photo that was looked at: what is done already, and its pixels if anything is left to do."""

    item: PlannedPhoto
    about: Record = field(default_factory=dict)
    done: tuple[Record, ...] = ()
    todo: frozenset[str] = frozenset()
    photo: photos.NotedPhoto | None = None
    error: DrywallQAError | None = None


@dataclass(frozen=True)
class _Underway:
    """A photo that was segmented: what gives the record of each of its answers, once written."""

    prepared: _Prepared
    results: list[Result[Record]]
    error: DrywallQAError | None


class _Run:
    def __init__(self, segmenter: Segmenter, plan: RunPlan) -> None:
        self.segmenter, self.plan = segmenter, plan
        self.asked, self.marks = queries_for(segmenter, plan.prompts, plan.settings)
        self._large = threading.Lock()  # one very large photo at a time

    def outcomes(self) -> Iterator[PhotoOutcome]:
        if len(self.plan.items) == 1:
            yield self._finish(self._start(self._prepare(self.plan.items[0]), run_now))
            return
        # While the model works on some photos, the next one is read and those before them are written.
        crew = SegmenterPool(self.segmenter, len(self.plan.items))
        self.segmenter = crew.segmenter
        with BackgroundWriter[Record]() as writer:
            start = partial(self._start, later=writer.later)
            with closing(crew.map(start, prefetch(map(self._prepare, self.plan.items)))) as underway:
                yield from map(self._finish, underway)

    def _prepare(self, item: PlannedPhoto) -> _Prepared:
        try:
            about = _described(item.path)
            digest = about["source_sha256"]
            done = [record for prompt in self.plan.prompts if (record := self._done(item, prompt, digest))]
            todo = frozenset(self.plan.prompts) - {record["prompt"] for record in done}
            photo = photos.read_noted_photo(item.path) if todo else None
            return _Prepared(item, about, tuple(done), todo, photo)
        except DrywallQAError as error:
            return _Prepared(item, error=error)

    def _done(self, item: PlannedPhoto, prompt: str, digest: str) -> Record | None:
        """Return the record of a result that lies there whole and would come out the same again.

        Raises:
            OutputError: It lies there, made from something else, and may not be replaced.
        """
        base, out = mask_files.base_name(item.image_id, prompt), self.plan.out
        mask = out / MASK.path(item.folder, base)
        record = self.plan.manifest.masks.get(MASK.path(item.folder, base))
        if record is None or not mask.is_file():
            return None
        same_photo = record.get("source_sha256") == digest
        same = same_photo and (record.get("prompt"), record.get("settings")) == (prompt, self.marks[prompt])
        if same and record.get("mask_sha256") == file_digest(mask):
            paths = [(one.kind, out / one.path(item.folder, base)) for one in self.plan.outputs]
            return record if all(record.get(kind) and path.is_file() for kind, path in paths) else None
        if self.plan.settings.overwrite or same:  # changed by hand: writing compares, and refuses
            return None
        changed = "other settings, another model or another runtime" if same_photo else "another photo"
        raise OutputError(f"{mask} is there already, made from {changed}; {files_of.ADVICE}")

    def _start(self, prepared: _Prepared, later: Later[Record]) -> _Underway:
        """Segment a photo; its files are written at once, or meanwhile."""
        results: list[Result[Record]] = []
        error = prepared.error
        try:
            if error is None and prepared.photo is not None:
                with self._large if prepared.photo.pixels.size > 3 * _LARGE else nullcontext():
                    for writing, size in self._segment(prepared, prepared.photo):
                        # Of a very large photo no more than one answer at a time is held.
                        results.append(run_now(writing) if size > _LARGE else later(writing))
        except DrywallQAError as failure:
            error = failure
        return _Underway(prepared, results, error)

    def _finish(self, underway: _Underway) -> PhotoOutcome:
        """Wait until a photo's files are written, note them, and say what became of it."""
        prepared, error = underway.prepared, underway.error
        source = str(prepared.item.path)
        records = list(prepared.done)
        for result in underway.results:
            try:
                record = result()
                self.plan.manifest.add(record)
                records.append(record)
            except DrywallQAError as failure:
                error = error or failure
        if error is not None:
            if stops_everything(error):
                raise error
            outcome = PhotoOutcome("failed", source, tuple(records), error_about(source, error))
            self.plan.manifest.add(outcome.failure())
            return outcome
        self.plan.manifest.take_back([source])
        records.sort(key=lambda record: self.plan.prompts.index(record["prompt"]))
        return PhotoOutcome("done" if prepared.todo else "skipped", source, tuple(records))

    def _segment(
        self, prepared: _Prepared, photo: photos.NotedPhoto
    ) -> Iterator[tuple[Callable[[], Record], int]]:
        """Answer what is left to do: for each answer what writes its files, and its size in px."""
        item, questions = prepared.item, self.asked.only(prepared.todo)
        answers = self.segmenter.answer(
            photo, questions, image_id=item.image_id, keep_probability=PROBABILITY in self.plan.outputs
        )
        for prediction in answers:
            yield partial(self._record, prepared, photo.pixels, prediction), prediction.mask.size

    def _record(self, prepared: _Prepared, photo: NDArray[np.uint8], prediction: Prediction) -> Record:
        """Write an answer's files, and return what the manifest tells of it."""
        item, plan = prepared.item, self.plan
        answer = files_of.write_answer(
            photo, prediction, plan.outputs, item.folder, self._put,
            overwrite=plan.settings.overwrite,
        )  # fmt: skip
        return prepared.about | answer | {"settings": self.marks[prediction.prompt]}

    def _put(self, path: str, content: bytes, *, overwrite: bool) -> None:
        files_of.write_output(self.plan.out / path, content, overwrite=overwrite)


def stops_everything(error: BaseException) -> bool:
    """Tell whether every further file would meet this error, too."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _HOPELESS


def queries_for(
    segmenter: Segmenter, prompts: Sequence[str], settings: RunSettings
) -> tuple[PromptQueries, Mapping[str, str]]:
    """Make a run's prompts ready, and name for each all that decides about its results (see `_mark_of`)."""
    asked = segmenter.ask(
        prompts,
        threshold=settings.threshold,
        allow_unknown=settings.allow_unknown,
        scale=settings.scale,
        refine=settings.refine,
    )
    return asked, {question.prompt: _mark_of(segmenter, question) for question in asked.each}


def _mark_of(segmenter: Segmenter, question: PromptQuery) -> str:
    """Name all that decides about a result beside photo and prompt, so that a rerun knows what is done."""
    bundle, runtime = segmenter.bundle, segmenter.runtime
    fingerprint = hashlib.sha256(repr(sorted(bundle.files.items())).encode()).hexdigest()
    device = str(runtime["device"]).partition(":")[0]  # which one of several alike decides nothing
    parts = [
        f"drywallqa {__version__}",
        f"{bundle.name} {bundle.version} {fingerprint[:12]}",
        f"{runtime['name']} {device} {segmenter.precision}",
    ]
    asked = (one.name for one in fields(question) if one.name not in ("prompt", "row"))
    parts += [f"{name.replace('_', ' ')} {getattr(question, name)}" for name in asked]
    return ", ".join(parts)


def _described(path: Path) -> Record:
    photos.check_readable_file(path)
    try:
        state = path.stat()
        return {
            "source": str(path),
            "source_size": state.st_size,
            "source_modified": state.st_mtime_ns,
            "source_sha256": file_digest(path),
        }
    except OSError as error:
        raise PhotoError(
            path, f"it may not be read ({photos.reason_of(error)})", "change its permissions, or leave it out"
        ) from error


def error_about(source: str, error: DrywallQAError | None) -> str:
    """Say an error so that the photo it is about can be told."""
    text = str(error)
    return text if source in text else f"{source}: {text}"
