"""Write a training report: run the missing measurements, compose the report, and write it in all formats."""

from __future__ import annotations

import hashlib
import importlib.util
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from drywallqa.bundle.bundle import HEAD, load_bundle
from drywallqa.datasets import dataset as datasets
from drywallqa.errors import BundleError, ConfigError, DataError, MissingExtraError, OutputError
from drywallqa.evaluation.measured_model import Progress, silent
from drywallqa.files import check_folder, json_bytes, write_whole
from drywallqa.reports import document_html, document_markdown
from drywallqa.reports.document import Document
from drywallqa.reports.material import ReportMaterial, SourcedFigures, describe_data, weight_files
from drywallqa.reports.report_text import compose
from drywallqa.reports.sources import CONFIG, EvaluationRecord, load_evaluation, load_run, read_json
from drywallqa.workflows import evaluate

FORMATS = {"html": "", "md": "", "pdf": "reportlab"}
"""Format → the module that the format requires; "" if there is none."""
SPLITS = ("val", "test")
NAME = "report"
_DATA, _BENCH, _DIAGNOSIS, _STAMP = "data.json", "bench.json", "diagnosis.json", "measured.json"


@dataclass(frozen=True)
class ReportRequest:
    """Options of a training report. The help of `drywallqa report` explains the options.

    Attributes:
        subject: Folder of the run or bundle.
        data: Folder of the data set; None for the data set of the run.
        out: Folder for the report; None for RUN/report.
        evaluations: Folders of existing evaluations.
        splits: Splits to measure if there are no existing evaluations. If empty, all `SPLITS` that contain
            photos.
        prompts: Prompts for new evaluations; if empty, one phrasing per concept.
        runs: Folders of the training runs of a bundle.
        against: Folders of evaluations of other models or earlier runs to compare with.
        formats: Names from `FORMATS`; if empty, all formats whose dependencies are installed.
        bench: Path of an existing `bench.json`.
        diagnosis: Path of an existing diagnosis (JSON).
        timing: Whether to measure times and memory use if `bench` is None.
        diagnose: Whether to run a diagnosis if `diagnosis` is None.
        worst: Number of failures to draw per kind and prompt in new evaluations.
        allow_leak: Whether to measure even if some photos were used for training.
    """

    subject: Path
    data: Path | None = None
    out: Path | None = None
    evaluations: tuple[Path, ...] = ()
    splits: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    runs: tuple[Path, ...] = ()
    against: tuple[Path, ...] = ()
    formats: tuple[str, ...] = ()
    bench: Path | None = None
    diagnosis: Path | None = None
    timing: bool = True
    diagnose: bool = True
    worst: int = 12
    allow_leak: bool = False


def run_report(request: ReportRequest, progress: Progress = silent) -> list[str]:
    """Write a training report. Return one line per written file.

    Raises:
        BundleError: The folder is not a run or bundle, or is damaged.
        ConfigError: An evaluation, run or format is invalid, or an evaluation belongs to another model.
        DataError: The data folder is not a data set, or all splits to measure are empty.
        LeakError: Some photos are copies of training photos.
        MissingExtraError: The dependency of a requested format is not installed.
        OutputError: The report cannot be written.
    """
    formats, lines = _choose_formats(request)
    job = _Job(request, progress)
    document = compose(job.material(), date.today().isoformat())
    return [*lines, *_write(document, job.out, formats)]


def _choose_formats(request: ReportRequest) -> tuple[list[str], list[str]]:
    """Return the formats to write, and one line for each format whose dependency is missing."""
    chosen, lines = [], []
    for name in request.formats or FORMATS:
        if name not in FORMATS:
            raise ConfigError(f"unknown format '{name}'; choose from {', '.join(FORMATS)}")
        if not FORMATS[name] or importlib.util.find_spec(FORMATS[name]):
            chosen.append(name)
            continue
        missing = MissingExtraError(f"the report as {name.upper()}", "report")
        if request.formats:
            raise missing
        lines.append(f"skipped: {missing}")
    return chosen, lines


class _Job:
    """Collects the inputs of a report and runs the missing measurements."""

    def __init__(self, request: ReportRequest, progress: Progress) -> None:
        self.request, self.progress, subject = request, progress, request.subject
        self.bundle = load_bundle(subject) if (subject / HEAD).is_file() else None
        self.runs = [load_run(folder) for folder in request.runs]
        data = request.data
        if self.bundle:
            self.bundle.check()
            if request.out is None:
                raise ConfigError(f"cannot write a report into the bundle {subject}; pass --out DIR")
        elif (subject / CONFIG).is_file():
            self.runs.append(load_run(subject))
            data = data or self.runs[-1].environment.get("data")
        else:
            raise BundleError(
                f"{subject} is neither a bundle ({HEAD} is missing) nor a run ({CONFIG} is missing)"
            )
        self.out = check_folder(request.out or subject / NAME)
        try:
            self.known = datasets.load_dataset(data) if data else None
        except DataError:
            if request.data:
                raise
            self.known = None  # the data set of the run may be missing, because the user can pass evaluations

    def material(self) -> ReportMaterial:
        """Collect the inputs of the report."""
        request = self.request
        evaluations = [self._load(folder) for folder in request.evaluations or self._evaluate()]
        # The test split must come last, because the last evaluation is the headline.
        evaluations.sort(key=lambda one: one.split == "test")
        return ReportMaterial(
            subject=request.subject,
            bundle=self.bundle,
            runs=self.runs,
            evaluations=evaluations,
            others=[load_evaluation(folder, self._source) for folder in request.against],
            data=self._made(_DATA, None, lambda: describe_data(self.known) if self.known else None),
            footprint=self._made(_BENCH, request.bench, self._bench),
            findings=self._made(_DIAGNOSIS, request.diagnosis, self._diagnose),
            commands=list(self._commands(evaluations)),
        )

    def _source(self, path: Path) -> str:
        """Return the path by which the report cites a file, relative to the report if possible."""
        whole, out = path.resolve(), self.out.resolve()
        return whole.relative_to(out).as_posix() if whole.is_relative_to(out) else "/".join(whole.parts[-3:])

    def _load(self, folder: Path) -> EvaluationRecord:
        """Read an evaluation. Check that it was made with this model and its thresholds."""
        bundle, measured = self.bundle, load_evaluation(folder, self._source)
        name = f"{bundle.name} {bundle.version}" if bundle else f"run {self.request.subject.name}"
        if measured.model != name:
            raise ConfigError(f"{folder} is an evaluation of {measured.model}, not of {name}")
        for question in measured.data["questions"]:
            settings = bundle.concepts.get(question["concept"]) if bundle else None
            if settings and abs(settings.threshold - question["threshold"]) > 1e-6:
                raise ConfigError(
                    f"{folder} was measured with a mask threshold of {question['threshold']:g} for "
                    f"'{question['concept']}', but the bundle has {settings.threshold:g}; evaluate again"
                )
        return measured

    def _evaluate(self) -> Iterator[Path]:
        """Evaluate the splits that have no up-to-date evaluation. Yield the folder of each evaluation."""
        request = self.request
        if self.known is None:
            raise ConfigError(
                f"no data set or evaluation of {request.subject}; pass --data DIR, or --evaluation DIR with "
                "a folder written by `drywallqa evaluate --out DIR`"
            )
        splits = request.splits or [split for split in SPLITS if len(self.known.part(split))]
        if not splits:
            raise DataError(
                f"{self.known.folder} has no photo in {' or '.join(SPLITS)}; run: drywallqa data split"
            )
        model = hashlib.sha256()  # hash of the model and its thresholds
        for name in [HEAD] if self.bundle else [CONFIG, *weight_files(request.subject)]:
            model.update((request.subject / name).read_bytes())
        stamp = {
            "model": model.hexdigest(), "data": self.known.digest(), "worst": request.worst,
            "prompts": list(request.prompts),
        }  # fmt: skip
        for split in splits:
            folder = self.out / "evaluation" / split
            if not _is_stamped(folder, stamp):
                wanted = evaluate.EvaluationRequest(
                    self.known.folder, request.subject, split, prompts=request.prompts, out=folder,
                    worst=request.worst, allow_leak=request.allow_leak, overwrite=True,
                )  # fmt: skip
                evaluate.run_evaluation(wanted, self.progress)
                write_whole(folder / _STAMP, json_bytes(stamp))
            yield folder

    def _made(self, name: str, given: Path | None, make: Callable[[], Any]) -> SourcedFigures | None:
        """Read an existing file, or run `make` and write its result to the report's folder."""
        if given is not None:
            return SourcedFigures(read_json(given), self._source(given))
        made = make()
        if made is None:
            return None
        write_whole(self.out / name, json_bytes(made))
        return SourcedFigures(made, name)

    def _bench(self) -> Any:
        """Measure the speed of the bundle on single photos and batches, with one and two prompts."""
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

    def _commands(self, evaluations: Sequence[EvaluationRecord]) -> Iterator[str]:
        """Yield the shell commands that reproduce the report, in order."""
        request, subject, data = self.request, _typed(self.request.subject), "DATA"
        for run in self.runs:
            data = _typed(Path(str(run.environment.get("data", "DATA"))))
            yield f"drywallqa train --data {data} --config {_typed(run.folder / CONFIG)} --out {run.name}"
        if self.runs and self.bundle:
            yield f"drywallqa export {self.runs[-1].name} --data {data} --out {subject}"
        data = _typed(self.known.folder) if self.known else "DATA"
        for one in evaluations:
            yield (
                f"drywallqa evaluate --model {subject} --data {data} --split {shlex.quote(one.split)} "
                f"--out {_typed(one.folder)}"
            )
        named = {"run": request.runs, "evaluation": request.evaluations, "against": request.against}
        options = [f"--data {data}", f"--out {_typed(self.out)}"]
        options += [f"--{name} {_typed(path)}" for name, paths in named.items() for path in paths]
        options += [f"--prompt {shlex.quote(prompt)}" for prompt in request.prompts]
        yield f"drywallqa report {subject} {' '.join(options)}"


def _typed(path: Path) -> str:
    """Quote a path for the shell. Shorten an absolute path to its name, as each user has other folders."""
    return shlex.quote(path.name if path.is_absolute() else path.as_posix())


def _is_stamped(folder: Path, stamp: dict[str, Any]) -> bool:
    """Return whether a folder contains a complete evaluation of this model, data set and settings."""
    if (folder / _STAMP).is_file() and (folder / evaluate.RESULT).is_file():
        with suppress(ConfigError):
            return bool(read_json(folder / _STAMP) == stamp)
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
        from drywallqa.reports import document_pdf  # requires an optional package

        write_whole(out / f"{NAME}.pdf", document_pdf.render_pdf(document))
        yield f"written: {out / NAME}.pdf"


def _write_pictures(document: Document, folder: Path) -> None:
    """Write the pictures of the Markdown report, and remove pictures that only an earlier report used."""
    wanted = {picture.name: picture.content for picture in document.pictures}
    for name, content in wanted.items():
        write_whole(folder / name, content)
    for path in folder.glob("*"):
        if path.name not in wanted and path.suffix in (".png", ".jpg"):
            try:
                path.unlink()
            except OSError as error:
                raise OutputError(f"cannot remove {path}, a file of an earlier report ({error})") from error
