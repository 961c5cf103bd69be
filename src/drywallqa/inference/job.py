"""Segmenting many photos into a folder of results: skipping what is done, writing, telling what failed."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa import masks, photos
from drywallqa._version import __version__
from drywallqa.errors import DrywallQAError, OutputError, PhotoError
from drywallqa.inference import outputs as files_of
from drywallqa.inference.ahead import ahead
from drywallqa.inference.crew import Crew
from drywallqa.inference.manifest import Record
from drywallqa.inference.outputs import MASK, PROBABILITY
from drywallqa.inference.plan import Item, Outcome, Plan, Settings
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.questions import Question, Questions
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.writer import Later, Result, Writer, at_once

# Where one file meets these, so will every other.
_HOPELESS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))
_LARGE = 16_000_000  # px


def run(segmenter: Segmenter, plan: Plan) -> Iterator[Outcome]:
    """Segment a plan's photos one by one; meanwhile the next is read and the one before it written.

    Raises:
        OutputError: Nothing more can be written at all (the disk is full or read-only).
    """
    for outcome in plan.refused:
        plan.manifest.add(_error_record(outcome))
        yield outcome
    if plan.prompts and plan.items:
        yield from _Run(segmenter, plan).outcomes()
    plan.manifest.tidy()


@dataclass(frozen=True)
class _Prepared:
    """A photo that was looked at: what is done already, and its pixels if anything is left to do."""

    item: Item
    digest: str = ""
    done: tuple[Record, ...] = ()
    todo: frozenset[str] = frozenset()
    photo: photos.Noted | None = None
    error: DrywallQAError | None = None


@dataclass(frozen=True)
class _Underway:
    """A photo that was segmented: what gives the record of each of its answers, once written."""

    prepared: _Prepared
    results: list[Result[Record]]
    error: DrywallQAError | None


class _Run:
    def __init__(self, segmenter: Segmenter, plan: Plan) -> None:
        self.segmenter, self.plan = segmenter, plan
        self.asked, self.marks = ask(segmenter, plan.prompts, plan.settings)
        self._large = threading.Lock()  # one very large photo at a time

    def outcomes(self) -> Iterator[Outcome]:
        if len(self.plan.items) == 1:
            yield self._finish(self._start(self._prepare(self.plan.items[0]), at_once))
            return
        # While the model works on some photos, the next one is read and those before them are written.
        crew = Crew(self.segmenter, len(self.plan.items))
        self.segmenter = crew.segmenter
        with Writer[Record]() as writer:
            start = partial(self._start, later=writer.later)
            with closing(crew.map(start, ahead(map(self._prepare, self.plan.items)))) as underway:
                yield from map(self._finish, underway)

    def _prepare(self, item: Item) -> _Prepared:
        try:
            digest = _digest(item.path)
            done = [record for prompt in self.plan.prompts if (record := self._done(item, prompt, digest))]
            todo = frozenset(self.plan.prompts) - {record["prompt"] for record in done}
            photo = photos.read_noted(item.path) if todo else None
            return _Prepared(item, digest, tuple(done), todo, photo)
        except DrywallQAError as error:
            return _Prepared(item, error=error)

    def _done(self, item: Item, prompt: str, digest: str) -> Record | None:
        """Return the record of a result that lies there whole and would come out the same again.

        Raises:
            OutputError: It lies there, made from something else, and may not be replaced.
        """
        base, out = masks.base_name(item.image_id, prompt), self.plan.out
        mask = out / MASK.path(item.folder, base)
        record = self.plan.manifest.of_mask(MASK.path(item.folder, base))
        if record is None or not mask.is_file():
            return None
        checks = record.get("sha256", {})
        same_photo = checks.get("source") == digest
        same = same_photo and (record.get("prompt"), record.get("settings")) == (prompt, self.marks[prompt])
        if same and checks.get("mask") == files_of.digest_of_file(mask):
            paths = [(one.kind, out / one.path(item.folder, base)) for one in self.plan.outputs]
            return record if all(record.get(kind) and path.is_file() for kind, path in paths) else None
        if self.plan.settings.overwrite or same:  # changed by hand: writing compares, and refuses
            return None
        changed = "other settings or another model" if same_photo else "another photo"
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
                        results.append(at_once(writing) if size > _LARGE else later(writing))
        except DrywallQAError as failure:
            error = failure
        return _Underway(prepared, results, error)

    def _finish(self, underway: _Underway) -> Outcome:
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
            if is_hopeless(error):
                raise error
            outcome = Outcome("failed", source, tuple(records), _about(source, error))
            self.plan.manifest.add(_error_record(outcome))
            return outcome
        self.plan.manifest.forget_error(source)
        records.sort(key=lambda record: self.plan.prompts.index(record["prompt"]))
        return Outcome("done" if prepared.todo else "skipped", source, tuple(records))

    def _segment(
        self, prepared: _Prepared, photo: photos.Noted
    ) -> Iterator[tuple[Callable[[], Record], int]]:
        """Answer what is left to do: for each answer what writes its files, and its size in px."""
        item, questions = prepared.item, self.asked.only(prepared.todo)
        answers = self.segmenter.answer(
            photo, questions, image_id=item.image_id, keep_probability=PROBABILITY in self.plan.outputs
        )
        for question, prediction in zip(questions.each, answers, strict=True):
            yield partial(self._record, prepared, photo.pixels, question, prediction), prediction.mask.size

    def _record(
        self, prepared: _Prepared, photo: NDArray[np.uint8], question: Question, prediction: Prediction
    ) -> Record:
        """Write an answer's files, and return what the manifest tells of it."""
        paths, digests = self._write(prepared.item, photo, prediction)
        return {
            "image_id": prepared.item.image_id,
            "source": str(prepared.item.path),
            "prompt": prediction.prompt,
            "concept": prediction.concept,
            **paths,
            **figures(question, prediction),
            "settings": self.marks[prediction.prompt],
            "sha256": {"source": prepared.digest, **digests},
        }

    def _write(
        self, item: Item, photo: NDArray[np.uint8], prediction: Prediction
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Write a prediction's files; return each kind's path below the results, and digest."""
        base = masks.base_name(item.image_id, prediction.prompt)
        paths, digests = {}, {}
        for output in self.plan.outputs:
            content = output.encode(photo, prediction)
            paths[output.kind] = output.path(item.folder, base)
            digests[output.kind] = hashlib.sha256(content).hexdigest()
            target = self.plan.out / paths[output.kind]
            files_of.write(target, content, overwrite=self.plan.settings.overwrite or output.replaceable)
        return paths, digests


def figures(question: Question, prediction: Prediction) -> Record:
    """Return the figures of an answer that are kept with its mask."""
    height, width = prediction.mask.shape
    return {
        "height": height,
        "width": width,
        "presence": round(prediction.presence, 6),
        "presence_threshold": question.presence_threshold,
        "threshold": prediction.threshold,
        "area": round(prediction.area, 8),
        **({"quality": list(prediction.quality)} if prediction.quality else {}),
    }


def is_hopeless(error: BaseException) -> bool:
    """Tell whether every further file would meet this error, too."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _HOPELESS


def ask(
    segmenter: Segmenter, prompts: Sequence[str], settings: Settings
) -> tuple[Questions, Mapping[str, str]]:
    """Make a run's prompts ready, and name for each all that decides about its results (see `_mark_of`)."""
    asked = segmenter.ask(
        prompts,
        threshold=settings.threshold,
        allow_unknown=settings.allow_unknown,
        scale=settings.scale,
        refine=settings.refine,
    )
    return asked, {question.prompt: _mark_of(segmenter, question) for question in asked.each}


def _mark_of(segmenter: Segmenter, question: Question) -> str:
    """Name all that decides about a result beside photo and prompt, so that a rerun knows what is done."""
    bundle = segmenter.bundle
    fingerprint = hashlib.sha256(repr(sorted(bundle.files.items())).encode()).hexdigest()
    chosen = f"threshold {question.threshold:.6g}, presence {question.presence_threshold:.6g}"
    shown = "" if question.scale == "fit" else f", scale {question.scale}"
    shown += f", refined by {question.refinement}" if question.refinement else ""
    if segmenter.precision != "fp32":
        shown += f", {segmenter.precision}"
    return f"drywallqa {__version__}, {bundle.name} {bundle.version} {fingerprint[:12]}, {chosen}{shown}"


def _digest(path: Path) -> str:
    photos.check_file(path)
    try:
        return files_of.digest_of_file(path)
    except OSError as error:
        raise PhotoError(
            path, f"it may not be read ({photos.reason(error)})", "change its permissions, or leave it out"
        ) from error


def _about(source: str, error: DrywallQAError) -> str:
    """Say an error so that the photo it is about can be told."""
    text = str(error)
    return text if source in text else f"{source}: {text}"


def _error_record(outcome: Outcome) -> Record:
    if outcome.source is None:
        return {"prompt": outcome.records[0]["prompt"][:10_000], "error": outcome.error}
    return {
        "image_id": photos.image_id_of(Path(outcome.source)),
        "source": outcome.source,
        "error": outcome.error,
    }
