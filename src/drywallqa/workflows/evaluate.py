"""What `drywallqa evaluate` does: open the model, measure it, write everything, and say it in lines."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drywallqa.bundle.bundle import CARD, DEFAULT, HEAD, Bundle, load_bundle, save_head
from drywallqa.datasets import dataset as datasets
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import BundleError, ConfigError, MissingExtraError, OutputError
from drywallqa.evaluation.evaluation import Evaluation, compare_models, evaluate_part, take_part
from drywallqa.evaluation.failures import explain_failures, select_failures
from drywallqa.evaluation.measured_model import MeasuredModel, measured_bundle
from drywallqa.evaluation.threshold_choice import (
    CHOSEN_ON,
    ChosenThresholds,
    Progress,
    choose_on_validation,
    silent,
)
from drywallqa.evaluation.thresholds import IOU, ThresholdRule, parse_tie_breaks
from drywallqa.files import check_folder, write_whole
from drywallqa.imaging import mask_files, perceptual_hash
from drywallqa.inference.options import Scale, SegmentOptions
from drywallqa.inference.refinement import AUTO, Refinement
from drywallqa.reports import evaluation_text
from drywallqa.visualization import failure_sheets
from drywallqa.visualization.evaluation_charts import choosing_charts, evaluation_charts
from drywallqa.visualization.panel_folder import PanelFiles
from drywallqa.visualization.panels import png_bytes

RESULT, METRICS = "evaluation.json", "metrics.json"
_RUN_CONFIG = "config.yaml"


@dataclass(frozen=True)
class EvaluationRequest:
    """What is wanted; see the verb's help.

    Attributes:
        data: The data set's folder.
        model: A bundle or a run; None for the bundled model.
        split: The part to measure.
        against: A second bundle or run.
        prompts: What to ask.
        sets: Measure these sets only.
        choose: Choose the mask thresholds on validation by this rule first.
        choose_presence: Choose the presence thresholds on validation by this rule first.
        out: Folder for files.
        worst: Failures shown of each kind and prompt.
        allow_leak: Measure on training photos, too.
        write: Write metrics, and thresholds that were chosen, into the bundle.
        overwrite: Replace an evaluation that lies in `out`.
        refine: What follows the model; "auto" for what the bundle says.
        scale: How large photos are shown to the model, as `Segmenter.segment` takes it.
        backend: The runtime of a bundle.
        precision: What it computes in.
        caution: "crack=0.75" and the like: of equally good presence thresholds, how far from the lowest (0)
            to the highest (1).
    """

    data: Path
    model: Path | None = None
    split: str = "test"
    against: Path | None = None
    prompts: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    choose: str | None = None
    choose_presence: str | None = None
    out: Path | None = None
    worst: int = 12
    allow_leak: bool = False
    write: bool = False
    overwrite: bool = False
    refine: str = AUTO
    scale: Scale = "auto"
    backend: str = "onnxruntime"
    precision: str = "fp32"
    caution: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluationOutput:
    """What to print, and whether photos had to be skipped."""

    lines: list[str]
    skipped: int


def run_evaluation(request: EvaluationRequest, progress: Progress = silent) -> EvaluationOutput:
    """Measure a model, write what was asked for, and describe it.

    Raises:
        LeakError: Photos show photographs that the model was trained on.
        BundleError: The model is no bundle or run, or a file of it is damaged.
        OutputError: Results cannot be written, or lie there already.
    """
    if request.out:
        check_folder(request.out)
        if (request.out / RESULT).exists() and not request.overwrite:
            raise OutputError(f"{request.out / RESULT}: exists already; give --overwrite to replace it")
    known = datasets.load_dataset(request.data)
    if request.write and _is_run(request.model or DEFAULT):
        raise ConfigError(f"{request.model}: a run has no place for metrics; export it, then --write")
    opener = _Opener(request, known, progress)
    part = take_part(known, request.split, request.sets, progress)
    subject, chosen = opener.open(request.model)
    measured = evaluate_part(subject, part, request.prompts, allow_leak=request.allow_leak, progress=progress)
    against, compared = None, []
    if request.against:
        other, _ = opener.open(request.against)
        prompts = [question.prompt for question in measured.questions]
        against = evaluate_part(other, part, prompts, allow_leak=request.allow_leak, progress=progress)
        compared = compare_models(measured, against)
    lines = evaluation_text.evaluation_table(measured)
    if against:
        lines += ["", *evaluation_text.evaluation_table(against)]
        lines += evaluation_text.difference_lines(compared, measured.subject.name, against.subject.name)
    if request.out:
        data = evaluation_text.evaluation_json(measured, against, compared)
        lines += ["", *_write(measured, data, request.out, request.worst, progress)]
        lines += _write_charts(request.out, evaluation_charts(measured))
        lines += _write_charts(request.out, choosing_charts(chosen)) if chosen else []
    if request.write:
        lines += ["", _write_bundle(load_bundle(request.model), measured, chosen)]
    return EvaluationOutput(lines, len(measured.examination.skipped))


def _is_run(model: Path) -> bool:
    return (model / _RUN_CONFIG).is_file() and not (model / HEAD).is_file()


class _Opener:
    """Opens the models of one request, each under the thresholds and refinements that it asks for."""

    def __init__(self, request: EvaluationRequest, known: Dataset, progress: Progress) -> None:
        self.known, self.progress = known, progress
        rules = (request.choose, request.choose_presence)
        self.choosing, self.prompts = any(rules), request.prompts
        self.caution = parse_tie_breaks(request.caution)
        self.rule, self.presence = (ThresholdRule.parse(rule) if rule else IOU for rule in rules)
        self.refine = None if request.refine == AUTO else str(Refinement.parse(request.refine))
        self.scale = SegmentOptions(scale=request.scale).scale
        self.runtime: dict[str, Any] = {"backend": request.backend, "precision": request.precision}

    def open(self, model: Path | None) -> tuple[MeasuredModel, ChosenThresholds | None]:
        """Open a bundle or a run, and choose its thresholds where that was asked for or nobody has."""
        run = model is not None and _is_run(model)
        if model is not None and run:
            subject = _open_run(model, self.known)
        elif model is not None and not (model / HEAD).is_file():
            raise BundleError(
                f"{model}: neither a bundle ({HEAD} is missing) nor a run ({_RUN_CONFIG} is missing)"
            )
        else:
            subject = measured_bundle(load_bundle(model), **self.runtime)
        subject = dataclasses.replace(subject, scale=self.scale)
        if self.refine is not None:
            subject = subject.with_refinements(dict.fromkeys(subject.levels, self.refine))
        if not run and not self.choosing:
            return subject, None
        chosen = choose_on_validation(
            subject, self.known, self.rule, self.presence, self.progress, self.prompts, self.caution
        )
        return chosen.subject, chosen


def _open_run(run: Path, known: Dataset) -> MeasuredModel:
    """Open a run's checkpoint in torch; its training photos are the train part of the data set."""
    try:
        from drywallqa.training.open_run import open_run
    except ModuleNotFoundError as error:
        raise MissingExtraError("evaluating a run that is not exported", "train") from error
    opened, train = open_run(run), known.part("train")
    return MeasuredModel(
        name=f"run {run.name}",
        folder=run,
        segmenter=opened.segmenter,
        training_hashes=tuple(perceptual_hash.perceptual_hash(train.read_photo(s)) for s in train),
    )


def _write(
    measured: Evaluation, data: dict[str, Any], out: Path, worst: int, progress: Progress
) -> Iterator[str]:
    """Write everything into a folder, the JSON last: where it lies, the rest lies too."""
    write_whole(out / "figures.csv", evaluation_text.figures_csv(measured).encode())
    write_whole(out / "pairs.csv", evaluation_text.pairs_csv(measured).encode())
    write_whole(out / "table.txt", "\n".join([*evaluation_text.evaluation_table(measured), ""]).encode())
    chosen = select_failures(measured.examination, measured.part.clusters, worst)
    panels = PanelFiles(out)
    drawn = failure_sheets.draw_failures(
        explain_failures(measured.looker, chosen),
        panels,
        lambda done: progress("drawing failures", done, len(chosen)),
    )
    panels.finish(measured)
    for question in measured.questions:
        own = [each for each in drawn if each[0].pair.question == question]
        picture = failure_sheets.failure_sheet(question.prompt, own, measured.notes)
        write_whole(out / "failures" / f"{mask_files.slug_of(question.prompt)}.png", png_bytes(picture))
    listed = failure_sheets.failures_csv([failure for failure, _ in drawn])
    write_whole(out / "failures" / "to-labelling.csv", listed.encode())
    write_whole(out / RESULT, _json(data))
    yield f"written: {out} (table, JSON, CSV, pictures; {len(drawn)} failures for labelling)"
    causes: dict[str, int] = {}
    for failure, _ in drawn:
        causes[failure.cause.name] = causes.get(failure.cause.name, 0) + 1
    told = ", ".join(f"{name} {count}" for name, count in sorted(causes.items(), key=lambda c: -c[1]))
    if told:
        yield f"likely causes: {told}"


def _write_charts(out: Path, charts: Iterator[tuple[str, bytes]]) -> list[str]:
    """Write charts; where they cannot be drawn, say so in one line, as all else is there."""
    try:
        for name, content in charts:
            write_whole(out / "pictures" / name, content)
    except MissingExtraError as error:
        return [f"no charts: {error}"]
    return []


def _write_bundle(bundle: Bundle, measured: Evaluation, chosen: ChosenThresholds | None) -> str:
    """Put the metrics, and thresholds that were chosen, into the bundle, its card and its head."""
    if chosen:
        bundle = store_thresholds(bundle, chosen)
    if chosen and measured.part.split == CHOSEN_ON:  # on the very photos they were chosen on
        save_head(bundle)
        return f"{bundle.folder}: thresholds written"
    write_whole(bundle.folder / METRICS, _json(evaluation_text.bundle_metrics(measured)))
    save_head(bundle)
    return f"{bundle.folder / METRICS}: written" + ("; thresholds, too" if chosen else "")


def store_thresholds(bundle: Bundle, chosen: ChosenThresholds) -> Bundle:
    """Return a bundle with thresholds, refinements and how they were chosen; its card is written anew.

    The head is not: `save_head` is the caller's.
    """
    from drywallqa.exporting.card import render_card

    subject = chosen.subject
    concepts = {
        name: dataclasses.replace(
            settings,
            threshold=subject.levels[name][0],
            presence_threshold=subject.levels[name][1],
            refine=subject.refinements.get(name, settings.refine),
            closer=subject.closer.get(name),
        )
        for name, settings in bundle.concepts.items()
    }
    how = {**bundle.metrics.get("thresholds", {}), "split": CHOSEN_ON}
    for kind, choices in (("whole", chosen.choices), ("closer", chosen.closer)):
        rules = {"mask": str(chosen.rule), "presence": str(chosen.presence_rule)}
        told = {name: {**rules, **dataclasses.asdict(choice)} for name, choice in choices.items()}
        if told:
            how[kind] = {**how.get(kind, {}), **told}
    bundle = dataclasses.replace(bundle, concepts=concepts, metrics={**bundle.metrics, "thresholds": how})
    write_whole(bundle.folder / CARD, render_card(bundle).encode())
    return bundle


def _json(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
