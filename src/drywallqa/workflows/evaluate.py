"""Measure a model on a split of a data set, write metrics and pictures, and return a text summary."""

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
    """Options of an evaluation. The help of `drywallqa evaluate` explains the options.

    Attributes:
        data: Folder of the data set.
        model: Folder of a bundle or run; None for the bundled model.
        split: Name of the split to measure.
        against: Folder of a second bundle or run, for a comparison.
        prompts: Prompts to measure; by default one per concept.
        sets: Names of the sets to measure; by default all sets.
        choose: Rule for choosing the mask thresholds on the validation split before the measurement.
        choose_presence: Rule for choosing the presence thresholds on the validation split.
        out: Folder for tables, pictures and failures.
        worst: Number of failures to draw per kind and prompt.
        allow_leak: Whether to measure even if some photos were used for training.
        write: Whether to write metrics and chosen thresholds into the bundle.
        overwrite: Whether to replace an existing evaluation in `out`.
        refine: Refinement steps for the masks; "auto" uses the setting of the bundle.
        scale: Scale of large photos, as in `Segmenter.segment`.
        backend: Runtime for a bundle.
        precision: Precision of the runtime.
        caution: Settings such as "crack=0.75", which choose among equally good presence thresholds. 0 takes
            the lowest, 1 takes the highest, and a fraction takes one in between.
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
    """Measure a model and write the requested files.

    Returns:
        A description of the result as lines of text, and the number of photos that could not be measured.

    Raises:
        LeakError: Some photos are copies of training photos.
        BundleError: The model is not a bundle or a run, or one of its files is damaged.
        OutputError: The results cannot be written, or already exist.
    """
    if request.out:
        check_folder(request.out)
        if (request.out / RESULT).exists() and not request.overwrite:
            raise OutputError(f"{request.out / RESULT} already exists; pass --overwrite to replace it")
    known = datasets.load_dataset(request.data)
    if request.write and _is_run(request.model or DEFAULT):
        raise ConfigError(
            f"cannot write metrics into the run {request.model}; export the run and evaluate the bundle"
        )
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
    """Opens models with the requested thresholds, refinement and scale."""

    def __init__(self, request: EvaluationRequest, known: Dataset, progress: Progress) -> None:
        self.request, self.known, self.progress = request, known, progress
        rules = (request.choose, request.choose_presence)
        self.rule, self.presence = (ThresholdRule.parse(rule) if rule else IOU for rule in rules)
        self.caution = parse_tie_breaks(request.caution)
        self.refine = None if request.refine == AUTO else str(Refinement.parse(request.refine))
        self.scale = SegmentOptions(scale=request.scale).scale

    def open(self, folder: Path | None) -> tuple[MeasuredModel, ChosenThresholds | None]:
        """Open a bundle or a run. New thresholds are chosen on request, and always for a run."""
        request, run = self.request, folder is not None and _is_run(folder)
        if folder is not None and run:
            model = _open_run(folder, self.known)
        elif folder is not None and not (folder / HEAD).is_file():
            raise BundleError(
                f"{folder} is neither a bundle ({HEAD} is missing) nor a run ({_RUN_CONFIG} is missing)"
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
    """Open the checkpoint of a run in torch. Photos in the train split count as its training photos."""
    try:
        from drywallqa.training.open_run import open_run
    except ModuleNotFoundError as error:
        raise MissingExtraError("evaluating a run without an export", "train") from error
    train = known.part("train")
    hashes = tuple(perceptual_hash.perceptual_hash(train.read_photo(sample)) for sample in train)
    return dataclasses.replace(open_run(run), training_hashes=hashes)


def _write(measured: Evaluation, out: Path, worst: int, progress: Progress) -> Iterator[str]:
    """Write tables, pictures and failures into a folder. Yield lines that describe the files and failures."""
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
    yield f"written: {out} (table, JSON, CSV, pictures, and a list of {len(drawn)} failures for relabelling)"
    causes = Counter(failure.cause.name for failure, _ in drawn)
    if causes:
        yield f"likely causes: {', '.join(f'{name} {count}' for name, count in causes.most_common())}"


def _write_bundle(bundle: Bundle, measured: Evaluation, chosen: ChosenThresholds | None) -> str:
    """Write the metrics and chosen thresholds into a bundle, and update its model card and metadata."""
    if chosen:
        bundle = store_thresholds(bundle, chosen)
        if (
            measured.part.split == CHOSEN_ON
        ):  # metrics on these photos would be too optimistic, because the thresholds were chosen on them
            save_head(bundle)
            return f"thresholds written to {bundle.folder}"
    write_whole(bundle.folder / METRICS, json_bytes(evaluation_text.bundle_metrics(measured)))
    save_head(bundle)
    return f"written: {bundle.folder / METRICS}" + (" and the chosen thresholds" if chosen else "")


def store_thresholds(bundle: Bundle, chosen: ChosenThresholds) -> Bundle:
    """Add chosen thresholds, and a record of how they were chosen, to a bundle and its model card.

    The returned bundle is not saved. The caller must pass it to `save_head`.
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
