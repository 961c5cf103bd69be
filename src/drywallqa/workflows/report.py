"""What `drywallqa report` does: measure what is missing, put the report together, write it in every form."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from drywallqa.bundle.bundle import HEAD, Bundle, load_bundle
from drywallqa.datasets import dataset as datasets
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import BundleError, ConfigError, DataError, MissingExtraError, OutputError
from drywallqa.evaluation.threshold_choice import Progress, silent
from drywallqa.files import check_folder, json_bytes, write_whole
from drywallqa.reports import document_html, document_markdown
from drywallqa.reports.document import Document
from drywallqa.reports.material import (
    ReportMaterial,
    SourcedFigures,
    describe_data,
    file_sizes,
)
from drywallqa.reports.report_request import FORMATS, NAME, SPLITS, ReportRequest
from drywallqa.reports.report_text import commands, compose
from drywallqa.reports.sources import (
    CONFIG,
    EvaluationRecord,
    RunRecord,
    is_bundle,
    load_evaluation,
    load_run,
    read_json,
)
from drywallqa.workflows import evaluate

_DATA, _BENCH, _DIAGNOSIS, _STAMP = "data.json", "bench.json", "diagnosis.json", "measured.json"


def run_report(request: ReportRequest, progress: Progress = silent) -> list[str]:
    """Write a report and say in lines what was written.

    Raises:
        BundleError: The subject is neither run nor bundle, or damaged.
        ConfigError: Something that was named is no evaluation, run or format, or is about another model.
        DataError: The data set is none, or has none of the parts.
        LeakError: Photos show photographs that the model was trained on.
        MissingExtraError: PDF was asked for and cannot be made.
        OutputError: It cannot be written.
    """
    formats, lines = _formats(request)
    job = _Job(request, progress)
    document = compose(job.material(), date.today().isoformat())
    return [*lines, *_write(document, job.out, formats)]


def _formats(request: ReportRequest) -> tuple[Sequence[str], list[str]]:
    unknown = [name for name in request.formats if name not in FORMATS]
    if unknown:
        raise ConfigError(f"--format {unknown[0]}: choose from {', '.join(FORMATS)}")
    if importlib.util.find_spec("reportlab"):
        return request.formats or FORMATS, []
    lacking = MissingExtraError("the report as PDF", "report")
    if "pdf" in request.formats:
        raise lacking
    return request.formats or [name for name in FORMATS if name != "pdf"], [f"left out: {lacking}"]


class _Job:
    """Brings a report's material together, measuring what is missing."""

    def __init__(self, request: ReportRequest, progress: Progress) -> None:
        self.request, self.progress = request, progress
        subject = request.subject
        self.bundle: Bundle | None = load_bundle(subject) if is_bundle(subject) else None
        if self.bundle:
            self.bundle.check()
        elif not (subject / CONFIG).is_file():
            raise BundleError(
                f"{subject}: neither a bundle ({HEAD} is missing) nor a run ({CONFIG} is missing)"
            )
        runs = [load_run(folder) for folder in request.runs]
        self.runs: list[RunRecord] = runs if self.bundle else [*runs, load_run(subject)]
        self.out = self._out()
        self.known = self._known()

    def _out(self) -> Path:
        if self.request.out is None and self.bundle:
            raise ConfigError(f"{self.request.subject}: a bundle is no place for a report; give --out DIR")
        return check_folder(self.request.out or self.request.subject / NAME)

    def _known(self) -> Dataset | None:
        if self.request.data is not None:
            return datasets.load_dataset(self.request.data)
        named = None if self.bundle else self.runs[-1].environment.get("data")
        with suppress(DataError):  # the run's data set may be gone; evaluations may be given instead
            return datasets.load_dataset(named) if named else None
        return None

    @property
    def name(self) -> str:
        """What evaluations call the subject."""
        return (
            f"{self.bundle.name} {self.bundle.version}" if self.bundle else f"run {self.request.subject.name}"
        )

    def material(self) -> ReportMaterial:
        """Bring everything together."""
        evaluations = list(self._evaluations())
        # the test part makes the headline, wherever it was named
        evaluations.sort(key=lambda one: one.split == "test")
        return ReportMaterial(
            subject=self.request.subject,
            bundle=self.bundle,
            runs=self.runs,
            evaluations=evaluations,
            others=[load_evaluation(folder, self._source) for folder in self.request.against],
            data=self._made(_DATA, None, self._describe if self.known else None),
            footprint=self._made(_BENCH, self.request.bench, self._bench),
            findings=self._made(_DIAGNOSIS, self.request.diagnosis, self._diagnose),
            commands=list(commands(self.request, self.known, self.runs, evaluations, self.out)),
        )

    def _source(self, path: Path) -> str:
        """Name a file without the way to the report, or with two folders where it lies elsewhere."""
        whole, out = path.resolve(), self.out.resolve()
        return whole.relative_to(out).as_posix() if whole.is_relative_to(out) else "/".join(whole.parts[-3:])

    def _evaluations(self) -> Iterator[EvaluationRecord]:
        folders = self.request.evaluations or tuple(self._evaluate())
        for folder in folders:
            measured = load_evaluation(folder, self._source)
            if measured.model != self.name:
                raise ConfigError(f"{folder}: an evaluation of {measured.model}, not of {self.name}")
            self._hold_thresholds(folder, measured)
            yield measured

    def _hold_thresholds(self, folder: Path, measured: EvaluationRecord) -> None:
        for question in measured.data["questions"]:
            settings = self.bundle.concepts.get(question["concept"]) if self.bundle else None
            if settings and abs(settings.threshold - question["threshold"]) > 1e-6:
                raise ConfigError(
                    f"{folder}: measured at a mask threshold of {question['threshold']:g} for "
                    f"'{question['concept']}', where the bundle has {settings.threshold:g}; evaluate again"
                )

    def _evaluate(self) -> Iterator[Path]:
        """Measure the parts that were not measured yet, and yield their folders."""
        request = self.request
        if self.known is None:
            raise ConfigError(
                f"{request.subject}: nothing to report on; give --data DIR, or --evaluation DIR that "
                "`drywallqa evaluate --out DIR` wrote"
            )
        there = {sample.split for sample in self.known}
        splits = request.splits or tuple(split for split in SPLITS if split in there)
        if not splits:
            raise DataError(
                f"{self.known.folder}: no photo in {' or '.join(SPLITS)}; run: drywallqa data split"
            )
        for split in splits:
            folder = self.out / "evaluation" / split
            stamp = {
                "model": self._model_hash(), "data": self.known.digest(), "worst": request.worst,
                "prompts": list(request.prompts),
            }  # fmt: skip
            if not _is_stamped(folder, stamp):
                evaluate.run_evaluation(
                    evaluate.EvaluationRequest(
                        self.known.folder, request.subject, split, prompts=request.prompts, out=folder,
                        worst=request.worst, allow_leak=request.allow_leak, overwrite=True,
                    ),
                    self.progress,
                )  # fmt: skip
                write_whole(folder / _STAMP, json_bytes(stamp))
            yield folder

    def _model_hash(self) -> str:
        """A hash that changes with the model and its thresholds."""
        whole = hashlib.sha256()
        names = [HEAD] if self.bundle else [CONFIG, *file_sizes_of(self.request.subject)]
        for name in names:
            whole.update((self.request.subject / name).read_bytes())
        return whole.hexdigest()

    def _made(self, name: str, given: Path | None, make: Callable[[], Any] | None) -> SourcedFigures | None:
        """Read a file that was given, or make it in the report's folder."""
        if given is not None:
            return SourcedFigures(read_json(given), self._source(given))
        made = make() if make else None
        if made is None:
            return None
        write_whole(self.out / name, json_bytes(made))
        return SourcedFigures(made, name)

    def _describe(self) -> dict[str, object] | None:
        return describe_data(self.known) if self.known else None

    def _bench(self) -> Any:
        """Time the bundle alone and in batches, under one prompt and two."""
        if not self.bundle or not self.request.timing:
            return None
        from drywallqa.processors import available_threads
        from drywallqa.workflows import speed

        self.progress("measuring speed and memory", 0, 1)
        wanted = speed.SpeedRequest(
            model=self.request.subject, prompts=(1, 2), batches=(1, 8), threads=(available_threads(),),
            seconds=1.0, with_clipseg=False,
        )  # fmt: skip
        return speed.run_speed(wanted)

    def _diagnose(self) -> Any:
        if self.known is None or not self.request.diagnose:
            return None
        from drywallqa.workflows.diagnose import run_diagnosis

        self.progress("diagnosing", 0, 1)
        return run_diagnosis(self.request.subject, self.known.folder).to_json()


def file_sizes_of(run: Path) -> list[str]:
    """Name the files of a run that hold weights."""
    return sorted(file_sizes(ReportMaterial(run, None, (), ())))


def _is_stamped(folder: Path, stamp: dict[str, Any]) -> bool:
    """Whether an evaluation of this very model on this very data lies there, whole."""
    path = folder / _STAMP
    if not path.is_file() or not (folder / evaluate.RESULT).is_file():
        return False
    with suppress(ConfigError):
        return bool(read_json(path) == stamp)
    return False


def _write(document: Document, out: Path, formats: Sequence[str]) -> Iterator[str]:
    if "md" in formats:
        _write_pictures(document, out / document_markdown.PICTURES)
        write_whole(out / f"{NAME}.md", document_markdown.render_markdown(document))
        yield f"written: {out / NAME}.md"
    if "html" in formats:
        write_whole(out / f"{NAME}.html", document_html.render_html(document))
        yield f"written: {out / NAME}.html"
    if "pdf" in formats:
        from drywallqa.reports import document_pdf  # an optional part

        write_whole(out / f"{NAME}.pdf", document_pdf.render_pdf(document))
        yield f"written: {out / NAME}.pdf"


def _write_pictures(document: Document, folder: Path) -> None:
    """Write the pictures that the Markdown names, and remove those of an earlier report."""
    wanted = {picture.name: picture.content for picture in document.pictures()}
    for name, content in wanted.items():
        write_whole(folder / name, content)
    for path in folder.glob("*") if folder.is_dir() else ():
        if path.name not in wanted and path.suffix in (".png", ".jpg"):
            try:
                path.unlink()
            except OSError as error:
                raise OutputError(f"{path}: of an earlier report, cannot be removed ({error})") from error
