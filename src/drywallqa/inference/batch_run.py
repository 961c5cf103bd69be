"""Segment many photos, write the missing results to a folder, skip finished results and report failures."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drywallqa._version import __version__
from drywallqa.background import Later, Result, background_writer, map_in_threads, prefetch, run_now
from drywallqa.errors import DrywallQAError, OutputError, PhotoError, reason_of
from drywallqa.files import file_digest
from drywallqa.imaging import mask_files, photos
from drywallqa.inference.manifest import Record
from drywallqa.inference.outputs import ADVICE, MASK, PROBABILITY, write_output, write_prediction
from drywallqa.inference.plan import PhotoOutcome, PlannedPhoto, RunPlan
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.queries import PromptQueries, PromptQuery, SegmentOptions
from drywallqa.inference.segmenter import Segmenter
from drywallqa.onnx_session import available_threads

if TYPE_CHECKING:
    from drywallqa.inference.wrapped_model import RunnableBundle

MANY = 16  # minimum number of photos for which reopening the model with fewer threads saves time
MOST = 4  # maximum number of photos at a time; each one needs memory for its pixels and masks
_LARGE = (
    16_000_000  # mask values; larger masks are written immediately, and their photos are segmented one by one
)
_FATAL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))  # these errors affect every later file


def segment_plan(segmenter: Segmenter, plan: RunPlan) -> Iterator[PhotoOutcome]:
    """Segment the photos of a plan. Photos are read and masks are written while the model runs.

    Raises:
        OutputError: Nothing more can be written (the disk is full or read-only).
    """
    plan.manifest.take_back(plan.paths, plan.prompts)
    for outcome in plan.refused:
        plan.manifest.add(outcome.failure())
        yield outcome
    if plan.prompts and plan.items:
        yield from _Run(segmenter, plan).outcomes()
    plan.manifest.compact()


def share_threads(segmenter: Segmenter, photos: int) -> tuple[Segmenter, int]:
    """Decide how many photos to segment at a time.

    Segmenting several photos in parallel with few threads each is faster than segmenting one photo at a time
    with all threads. However, the model has to be opened again with fewer threads.

    Args:
        segmenter: The loaded model.
        photos: Number of photos.

    Returns:
        The segmenter for the run, and the number of photos to segment at a time.
    """
    options = segmenter.options
    threads = options.threads or available_threads()
    divisible = (options.backend, options.device) == ("onnxruntime", "cpu") and photos >= MANY
    size = min(threads, MOST) if divisible else 1
    if size > 1:
        segmenter = Segmenter(segmenter.bundle, replace(options, threads=threads // size))
    return segmenter, size


@dataclass
class _PhotoJob:
    """One photo of a run and the progress of its segmentation.

    Attributes:
        item: The photo's path and output folder.
        about: The record fields that describe the photo's file.
        done: The records of finished masks.
        todo: The prompts without a finished mask.
        photo: The decoded photo; None if every prompt has a finished mask.
        writing: Pending writes; each returns the record of a written prediction.
        error: The first error that occurred for this photo.
    """

    item: PlannedPhoto
    about: Record = field(default_factory=dict)
    done: list[Record] = field(default_factory=list)
    todo: frozenset[str] = frozenset()
    photo: photos.NotedPhoto | None = None
    writing: list[Result[Record]] = field(default_factory=list)
    error: DrywallQAError | None = None


class _Run:
    def __init__(self, segmenter: Segmenter, plan: RunPlan) -> None:
        self.segmenter, self.plan = segmenter, plan
        self.queries, self.marks = queries_for(segmenter, plan.prompts, plan.options.segment)
        self._large = threading.Lock()  # one very large photo at a time

    def outcomes(self) -> Iterator[PhotoOutcome]:
        if len(self.plan.items) == 1:
            yield self._finish(self._segment(self._read(self.plan.items[0]), run_now))
            return
        # While the model segments some photos, the next photo is read and the previous masks are written.
        self.segmenter, size = share_threads(self.segmenter, len(self.plan.items))
        jobs = prefetch(map(self._read, self.plan.items))
        with (
            background_writer() as later,
            closing(map_in_threads(partial(self._segment, later=later), jobs, size)) as segmented,
        ):
            yield from map(self._finish, segmented)

    def _read(self, item: PlannedPhoto) -> _PhotoJob:
        try:
            about = _record_of_file(item.path)
            found = (self._done(item, prompt, about) for prompt in self.plan.prompts)
            done = [record for record in found if record is not None]
            todo = frozenset(self.plan.prompts) - {record["prompt"] for record in done}
            photo = photos.read_noted_photo(item.path) if todo else None
            return _PhotoJob(item, about, done, todo, photo)
        except DrywallQAError as error:
            return _PhotoJob(item, error=error)

    def _done(self, item: PlannedPhoto, prompt: str, about: Record) -> Record | None:
        """Return the record of a complete, up-to-date result, or None.

        Raises:
            OutputError: The existing result was made from another photo, model, runtime or settings, and it
                may not be replaced.
        """
        base, out = mask_files.base_name(item.image_id, prompt), self.plan.out
        mask = out / MASK.path(item.folder, base)
        record = self.plan.manifest.masks.get(MASK.path(item.folder, base))
        if record is None or not mask.is_file():
            return None
        same_photo = record.get("source_sha256") == about["source_sha256"]
        same = same_photo and (record.get("prompt"), record.get("settings")) == (prompt, self.marks[prompt])
        if same and record.get("mask_sha256") == file_digest(mask):
            outputs = self.plan.options.all_outputs
            paths = [(output.kind, out / output.path(item.folder, base)) for output in outputs]
            return record if all(record.get(kind) and path.is_file() for kind, path in paths) else None
        if self.plan.options.overwrite or same:  # if a user edited the mask, `write_output` rejects it
            return None
        changed = "other settings, another model or another runtime" if same_photo else "another photo"
        raise OutputError(f"{mask} already exists, made from {changed}; {ADVICE}")

    def _segment(self, job: _PhotoJob, later: Later[Record]) -> _PhotoJob:
        if job.error is not None or job.photo is None:
            return job
        keep = PROBABILITY in self.plan.options.outputs
        try:
            with self._large if job.photo.pixels.size > 3 * _LARGE else nullcontext():
                for prediction in self.segmenter.answer(
                    job.photo, self.queries.only(job.todo), image_id=job.item.image_id, keep_probability=keep
                ):
                    write = partial(self._write, job, job.photo.pixels, prediction)
                    # Only one prediction of a very large photo is kept in memory.
                    job.writing.append((run_now if prediction.mask.size > _LARGE else later)(write))
        except DrywallQAError as error:
            job.error = error
        return job

    def _write(self, job: _PhotoJob, photo: NDArray[np.uint8], prediction: Prediction) -> Record:
        options, out = self.plan.options, self.plan.out
        record = write_prediction(
            photo, prediction, options.all_outputs, job.item.folder,
            lambda path, content, overwrite: write_output(out / path, content, overwrite), options.overwrite,
        )  # fmt: skip
        return job.about | record | {"settings": self.marks[prediction.prompt]}

    def _finish(self, job: _PhotoJob) -> PhotoOutcome:
        """Wait until a photo's files are written, record them, and return the outcome."""
        source, records = str(job.item.path), list(job.done)
        for written in job.writing:
            try:
                records.append(written())
                self.plan.manifest.add(records[-1])
            except DrywallQAError as error:
                job.error = job.error or error
        if job.error is not None:
            if is_fatal(job.error):
                raise job.error
            outcome = PhotoOutcome("failed", source, tuple(records), error_about(source, job.error))
            self.plan.manifest.add(outcome.failure())
            return outcome
        self.plan.manifest.take_back([source])
        records.sort(key=lambda record: self.plan.prompts.index(record["prompt"]))
        return PhotoOutcome("done" if job.todo else "skipped", source, tuple(records))


def is_fatal(error: BaseException) -> bool:
    """Return whether an error, such as a full disk, also affects all other files."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _FATAL


def model_digest(bundle: RunnableBundle) -> str:
    """Return the SHA-256 of the hashes of all files of a bundle."""
    return hashlib.sha256(repr(sorted(bundle.files.items())).encode()).hexdigest()


def queries_for(
    segmenter: Segmenter, prompts: Sequence[str], options: SegmentOptions
) -> tuple[PromptQueries, Mapping[str, str]]:
    """Prepare the prompts of a run.

    Returns:
        The queries, and one text for each prompt. The text lists everything that determines the results,
        except the photo. A rerun compares this text with the recorded text to find finished results.
    """
    queries, marks = segmenter.ask(prompts, options=options), {}
    bundle, runtime = segmenter.bundle, segmenter.options
    fingerprint = model_digest(bundle)
    device = runtime.device.partition(":")[0]  # the index of the device does not affect results
    model = [
        f"drywallqa {__version__}",
        f"{bundle.name} {bundle.version} {fingerprint[:12]}",
        f"{runtime.backend} {device} {segmenter.precision}",
    ]
    deciding = [one.name for one in fields(PromptQuery) if one.name not in ("prompt", "row")]
    for query in queries.each:
        decided = (f"{name.replace('_', ' ')} {getattr(query, name)}" for name in deciding)
        marks[query.prompt] = ", ".join([*model, *decided])
    return queries, marks


def _record_of_file(path: Path) -> Record:
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
            path,
            f"reading the file is not permitted ({reason_of(error)})",
            "change its permissions, or leave it out",
        ) from error


def error_about(source: str, error: DrywallQAError) -> str:
    """Return the text of an error. The text includes the path of the photo."""
    text = str(error)
    return text if source in text else f"{source}: {text}"
