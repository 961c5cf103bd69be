"""Segmenting many photos into a folder of results: skipping what is done, writing, telling what failed."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa import masks, photos
from drywallqa._version import __version__
from drywallqa.errors import DrywallQAError, OutputError, PhotoError
from drywallqa.inference import outputs as files_of
from drywallqa.inference.manifest import Record
from drywallqa.inference.outputs import MASK, PROBABILITY
from drywallqa.inference.plan import Item, Outcome, Plan
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.questions import Question, Questions
from drywallqa.inference.segmenter import Segmenter, image_id_of

# Where one file meets these, so will every other.
_HOPELESS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))


def run(segmenter: Segmenter, plan: Plan) -> Iterator[Outcome]:
    """Segment a plan's photos one by one; the next one is read while one is worked on.

    Raises:
        OutputError: Nothing more can be written at all (the disk is full or read-only).
    """
    for outcome in plan.refused:
        plan.manifest.add(_error_record(outcome))
        yield outcome
    if plan.prompts and plan.items:
        settings = plan.settings
        asked = segmenter.ask(
            plan.prompts,
            threshold=settings.threshold,
            allow_unknown=settings.allow_unknown,
            scale=settings.scale,
            refine=settings.refine,
        )
        yield from _Run(segmenter, plan, asked).outcomes()
    plan.manifest.tidy()


@dataclass(frozen=True)
class _Prepared:
    """A photo that was looked at: what is done already, and its pixels if anything is left to do."""

    item: Item
    digest: str = ""
    done: tuple[Record, ...] = ()
    todo: frozenset[str] = frozenset()
    photo: NDArray[np.uint8] | None = None
    error: DrywallQAError | None = None


class _Run:
    def __init__(self, segmenter: Segmenter, plan: Plan, asked: Questions) -> None:
        self.segmenter, self.plan, self.asked = segmenter, plan, asked
        self.marks: Mapping[str, str] = {
            question.prompt: _mark_of(segmenter, question) for question in asked.each
        }

    def outcomes(self) -> Iterator[Outcome]:
        if len(self.plan.items) == 1:
            yield self._finish(self._prepare(self.plan.items[0]))
            return
        from concurrent.futures import ThreadPoolExecutor  # not needed for a single photo, and slow to import

        with ThreadPoolExecutor(1, "photo-reader") as reader:
            upcoming = (reader.submit(self._prepare, item) for item in self.plan.items)
            following = next(upcoming, None)
            while following is not None:
                current, following = following, next(upcoming, None)
                yield self._finish(current.result())

    def _prepare(self, item: Item) -> _Prepared:
        try:
            digest = _digest(item.path)
            done = [record for prompt in self.plan.prompts if (record := self._done(item, prompt, digest))]
            todo = frozenset(self.plan.prompts) - {record["prompt"] for record in done}
            photo = photos.read(item.path) if todo else None
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

    def _finish(self, prepared: _Prepared) -> Outcome:
        source = str(prepared.item.path)
        records = list(prepared.done)
        error = prepared.error
        try:
            if error is None and prepared.photo is not None:
                for record in self._segment(prepared, prepared.photo):
                    self.plan.manifest.add(record)
                    records.append(record)
        except DrywallQAError as failure:
            if isinstance(failure.__cause__, OSError) and failure.__cause__.errno in _HOPELESS:
                raise
            error = failure
        if error is not None:
            outcome = Outcome("failed", source, tuple(records), _about(source, error))
            self.plan.manifest.add(_error_record(outcome))
            return outcome
        self.plan.manifest.forget_error(source)
        records.sort(key=lambda record: self.plan.prompts.index(record["prompt"]))
        return Outcome("done" if prepared.todo else "skipped", source, tuple(records))

    def _segment(self, prepared: _Prepared, photo: NDArray[np.uint8]) -> Iterator[Record]:
        item, questions = prepared.item, self.asked.only(prepared.todo)
        answers = self.segmenter.answer(
            photo, questions, image_id=item.image_id, keep_probability=PROBABILITY in self.plan.outputs
        )
        for question, prediction in zip(questions.each, answers, strict=True):
            paths, digests = self._write(item, photo, prediction)
            height, width = prediction.mask.shape
            yield {
                "image_id": item.image_id,
                "source": str(item.path),
                "prompt": prediction.prompt,
                "concept": prediction.concept,
                **paths,
                "height": height,
                "width": width,
                "presence": round(prediction.presence, 6),
                "presence_threshold": question.presence_threshold,
                "threshold": prediction.threshold,
                "area": round(prediction.area, 8),
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
    return {"image_id": image_id_of(Path(outcome.source)), "source": outcome.source, "error": outcome.error}
