"""Measure a model on a split of a data set, write figures and pictures, and describe them as text."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from drywallqa.bundle.bundle import CARD, DEFAULT, HEAD, Bundle, load_bundle, save_head
from drywallqa.datasets import dataset as datasets
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import BundleError, ConfigError, MissingExtraError, OutputError
from drywallqa.evaluation.evaluation import Evaluation, compare_models, evaluate_part, take_part
from drywallqa.evaluation.failures import explain_failures, select_failures
from drywallqa.evaluation.measured_model import (
    CHOSEN_ON,
    ChosenThresholds,
    MeasuredModel,
    Progress,
    choose_on_validation,
    measured_bundle,
    silent,
)
from drywallqa.evaluation.thresholds import IOU, ThresholdRule, parse_tie_breaks
from drywallqa.files import check_folder, json_bytes, write_whole
from drywallqa.imaging import mask_files, perceptual_hash
from drywallqa.inference.queries import SegmentOptions
from drywallqa.inference.refinement import AUTO, Refinement
from drywallqa.inference.tiles import Scale
from drywallqa.reports import evaluation_text
from drywallqa.visualization import failure_sheets
from drywallqa.visualization.evaluation_charts import choosing_charts, evaluation_charts
from drywallqa.visualization.panel_folder import PanelFiles
from drywallqa.visualization.panels import png_bytes

RESULT, METRICS = "evaluation.json", "metrics.json"
_RUN_CONFIG = "config.yaml"


@dataclass(frozen=True)
class EvaluationRequest:
    """The options of an evaluation. The help of `drywallqa evaluate` explains them.

    Attributes:
        data: The data set's folder.
        model: A bundle or a run; None for the bundled model.
        split: The split to measure.
        against: A second bundle or run.
        prompts: The prompts; by default one per concept.
        sets: The sets to measure; by default all.
        choose: Rule for choosing the mask thresholds on validation before the measurement.
        choose_presence: Rule for choosing the presence thresholds on validation before the measurement.
        out: Folder for tables, pictures and failures.
        worst: Number of failures to show per kind and prompt.
        allow_leak: Whether to measure on training photos as well.
        write: Whether to write metrics and chosen thresholds into the bundle.
        overwrite: Whether to replace an existing evaluation in `out`.
        refine: Refinement of the masks; "auto" uses the bundle's refinement.
        scale: Scale of large photos, as in `Segmenter.segment`.
        backend: The runtime of a bundle.
        precision: Precision of the runtime.
        caution: Settings such as "crack=0.75". If several presence thresholds are equally good, 0 takes the
            lowest, 1 the highest and a fraction one in between.
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


def run_evaluation(request: EvaluationRequest, progress: Progress = silent) -> tuple[list[str], int]:
    """Measure a model, write the requested files and describe the result.

    Returns:
        The lines of the description, and the number of photos that could not be measured.

    Raises:
        LeakError: Some photos are copies of training photographs.
        BundleError: The model is not a bundle or run, or one of its files is damaged.
        OutputError: Results cannot be written, or already exist.
    """
    if request.out:
        check_folder(request.out)
        if (request.out / RESULT).exists() and not request.overwrite:
            raise OutputError(f"{request.out / RESULT}: already exists; pass --overwrite to replace it")
    known = datasets.load_dataset(request.data)
    if request.write and _is_run(request.model or DEFAULT):
        raise ConfigError(f"{request.model}: metrics cannot be written into a run; export it and use --write")
    opener = _Opener(request, known, progress)
    part = take_part(known, request.split, request.sets, progress)
    model, chosen = opener.open(request.model)
    measured = evaluate_part(model, part, request.prompts, allow_leak=request.allow_leak, progress=progress)
    against, compared = None, []
    if request.against:
        other, _ = opener.open(request.against)
        prompts = [query.prompt for query in measured.queries]
        against = evaluate_part(other, part, prompts, allow_leak=request.allow_leak, progress=progress)
        compared = compare_models(measured, against)
    lines = evaluation_text.evaluation_table(measured)
    if against:
        lines += ["", *evaluation_text.evaluation_table(against)]
        lines += evaluation_text.difference_lines(compared, measured.model.name, against.model.name)
    if request.out:
        lines += ["", *_write(measured, request.out, request.worst, progress)]
        charts = chain(evaluation_charts(measured), choosing_charts(chosen) if chosen else ())
        try:
            for name, content in charts:
                write_whole(request.out / "pictures" / name, content)
        except MissingExtraError as error:
            lines.append(f"no charts: {error}")
        data = evaluation_text.evaluation_json(measured, against, compared)
        write_whole(request.out / RESULT, json_bytes(data))
    if request.write:
        lines += ["", _write_bundle(load_bundle(request.model), measured, chosen)]
    return lines, len(measured.measurements.skipped)


def _is_run(model: Path) -> bool:
    return (model / _RUN_CONFIG).is_file() and not (model / HEAD).is_file()


class _Opener:
    """Opens the models of one request with the requested thresholds and refinements."""

    def __init__(self, request: EvaluationRequest, known: Dataset, progress: Progress) -> None:
        self.request, self.known, self.progress = request, known, progress
        rules = (request.choose, request.choose_presence)
        self.rule, self.presence = (ThresholdRule.parse(rule) if rule else IOU for rule in rules)
        self.caution = parse_tie_breaks(request.caution)
        self.refine = None if request.refine == AUTO else str(Refinement.parse(request.refine))
        self.scale = SegmentOptions(scale=request.scale).scale

    def open(self, folder: Path | None) -> tuple[MeasuredModel, ChosenThresholds | None]:
        """Open a bundle or a run. Thresholds are chosen if requested, and always for a run."""
        request, run = self.request, folder is not None and _is_run(folder)
        if folder is not None and run:
            model = _open_run(folder, self.known)
        elif folder is not None and not (folder / HEAD).is_file():
            raise BundleError(
                f"{folder}: neither a bundle ({HEAD} is missing) nor a run ({_RUN_CONFIG} is missing)"
            )
        else:
            bundle = load_bundle(folder)
            model = measured_bundle(bundle, backend=request.backend, precision=request.precision)
        model = dataclasses.replace(model, scale=self.scale)
        if self.refine is not None:
            model = model.with_settings({concept: {"refine": self.refine} for concept in model.thresholds})
        if not run and not request.choose and not request.choose_presence:
            return model, None
        chosen = choose_on_validation(
            model, self.known, self.rule, self.presence, self.progress, request.prompts, self.caution
        )
        return chosen.model, chosen


def _open_run(run: Path, known: Dataset) -> MeasuredModel:
    """Open a run's checkpoint in torch. Its training photos are the train split of the data set."""
    try:
        from drywallqa.training.open_run import open_run
    except ModuleNotFoundError as error:
        raise MissingExtraError("evaluating a run that is not exported", "train") from error
    train = known.part("train")
    hashes = tuple(perceptual_hash.perceptual_hash(train.read_photo(sample)) for sample in train)
    return dataclasses.replace(open_run(run), training_hashes=hashes)


def _write(measured: Evaluation, out: Path, worst: int, progress: Progress) -> Iterator[str]:
    """Write tables, pictures and failures into a folder, and describe them."""
    write_whole(out / "figures.csv", evaluation_text.figures_csv(measured).encode())
    write_whole(out / "pairs.csv", evaluation_text.pairs_csv(measured).encode())
    write_whole(out / "table.txt", "\n".join([*evaluation_text.evaluation_table(measured), ""]).encode())
    chosen = select_failures(measured.measurements.pairs, measured.part.clusters, worst)
    panels = PanelFiles(out)
    drawn = failure_sheets.draw_failures(
        explain_failures(measured.evaluator, chosen),
        panels,
        lambda done: progress("drawing failures", done, len(chosen)),
    )
    panels.finish(measured)
    for query in measured.queries:
        own = [each for each in drawn if each[0].pair.query == query]
        picture = failure_sheets.failure_sheet(query.prompt, own, measured.notes)
        write_whole(out / "failures" / f"{mask_files.slug_of(query.prompt)}.png", png_bytes(picture))
    listed = failure_sheets.failures_csv([failure for failure, _ in drawn])
    write_whole(out / "failures" / "to-labelling.csv", listed.encode())
    yield f"written: {out} (table, JSON, CSV, pictures; {len(drawn)} failures for labelling)"
    causes = Counter(failure.cause.name for failure, _ in drawn)
    if causes:
        yield f"likely causes: {', '.join(f'{name} {count}' for name, count in causes.most_common())}"


def _write_bundle(bundle: Bundle, measured: Evaluation, chosen: ChosenThresholds | None) -> str:
    """Write the metrics and chosen thresholds into the bundle, its card and its head file."""
    if chosen:
        bundle = store_thresholds(bundle, chosen)
        if measured.part.split == CHOSEN_ON:  # the thresholds were chosen on these photos
            save_head(bundle)
            return f"{bundle.folder}: thresholds written"
    write_whole(bundle.folder / METRICS, json_bytes(evaluation_text.bundle_metrics(measured)))
    save_head(bundle)
    return f"{bundle.folder / METRICS}: written" + ("; thresholds written" if chosen else "")


def store_thresholds(bundle: Bundle, chosen: ChosenThresholds) -> Bundle:
    """Return a bundle with thresholds, refinements and a record of how they were chosen.

    The model card is rewritten. The caller must call `save_head`.
    """
    from drywallqa.exporting.card import render_card

    concepts = chosen.model.segmenter.bundle.concepts
    how = {**bundle.metrics.get("thresholds", {}), "split": CHOSEN_ON}
    rules = {"mask": str(chosen.rule), "presence": str(chosen.presence_rule)}
    for kind, choices in (("whole", chosen.choices), ("closer", chosen.closer)):
        if choices:
            found = {name: {**rules, **dataclasses.asdict(choice)} for name, choice in choices.items()}
            how[kind] = {**how.get(kind, {}), **found}
    bundle = dataclasses.replace(bundle, concepts=concepts, metrics={**bundle.metrics, "thresholds": how})
    write_whole(bundle.folder / CARD, render_card(bundle).encode())
    return bundle
