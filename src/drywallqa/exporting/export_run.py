"""From a run to a bundle: graphs, text side, weights, thresholds from validation, hashes, card."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from drywallqa._version import __version__
from drywallqa.bundle.bundle import (
    CARD,
    DECODER,
    IMAGE_ENCODER,
    Bundle,
    ConceptSettings,
    examples_of,
    save_head,
)
from drywallqa.datasets.dataset import Dataset
from drywallqa.datasets.thinness import wants_native
from drywallqa.errors import ConfigError, DataError, ModelError, OutputError
from drywallqa.evaluation.measure import measure_pairs
from drywallqa.evaluation.measured_model import MeasuredModel
from drywallqa.evaluation.slices import summarise
from drywallqa.evaluation.threshold_choice import choose_by_kind, validation_part
from drywallqa.evaluation.thresholds import FALSE_ALARM_PRICE
from drywallqa.exporting.card import render_card
from drywallqa.exporting.cost import training_cost
from drywallqa.exporting.onnx_export import export_graphs
from drywallqa.exporting.prompt_export import export_prompts
from drywallqa.exporting.text_replacement import load_text_side
from drywallqa.files import write_whole
from drywallqa.imaging import perceptual_hash
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.wrapped_model import with_concepts
from drywallqa.models import registry
from drywallqa.models.contract import PromptedModel, load_strictly
from drywallqa.models.published_weights import ORIGINS
from drywallqa.models.towers import ClipPrompted
from drywallqa.text.text_side import TextSide
from drywallqa.training import config as configuration
from drywallqa.training.checkpoints import read_weights
from drywallqa.training.config import TrainConfig
from drywallqa.training.run_folder import TEXT

Report = Callable[[str], None]
WINDOWS = (320, 384, 448)


def export_run(
    run: Path,
    dataset: Dataset,
    out: Path,
    *,
    windows: Sequence[int] = WINDOWS,
    version: str = "1",
    checkpoint: str | None = None,
    text: Path | None = None,
    caution: Mapping[str, float] | None = None,
    notes: str | None = None,
    overwrite: bool = False,
    report: Report = print,
) -> Bundle:
    """Turn a run into a bundle, whole or not at all.

    Args:
        run: The run's folder.
        dataset: The data set it was trained on; its val part decides window and thresholds.
        out: The bundle's folder.
        windows: Window sizes in px to choose from on val.
        version: The model's version.
        checkpoint: "best", "last" or a file; see `checkpoints.read_weights`.
        text: A text side to take instead of the run's own.
        caution: Concept → how cautious a presence threshold among equally good ones, 0 to 1.
        notes: Markdown for the card: what is to be known of the data.
        overwrite: Replace a folder that is there.
        report: Told each step.

    Raises:
        OutputError: `out` exists.
        DataError: The val part is empty.
        ModelError: The family cannot be exported, a checkpoint does not fit, or a graph differs from torch.
        ConfigError: A window is too small for the model, the text side is of another text space, or caution
            is told of a concept that the run does not know.
    """
    if out.exists() and not overwrite:
        raise OutputError(f"{out}: exists already; give --overwrite to replace it")
    if not len(dataset.part("val")):
        raise DataError(f"{dataset.folder}: no photo in split 'val', which decides the thresholds")
    settings = configuration.load_config(run / "config.yaml")
    family = registry.find_family(settings.model.name)
    check_exportable(family)
    windows = fitting_windows(family, windows, report)
    side = load_text_side(run / TEXT, text, dataset)
    strangers = sorted(set(caution or ()) - set(side.concepts))
    if strangers:
        raise ConfigError(f'--caution: the run knows no "{strangers[0]}", but {", ".join(side.concepts)}')
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as place:
        folder = Path(place) / "bundle"
        bundle = _write_model(run, settings, folder, side, version, checkpoint, report)
        bundle = _choose(bundle, dataset, windows, caution, report)
        report("hashing the training photos")
        hashes = sorted(
            {perceptual_hash.perceptual_hash(dataset.read_photo(s)) for s in dataset.part("train")}
        )
        bundle = dataclasses.replace(bundle, training_hashes=tuple(hashes))
        with_data_notes(bundle, notes) if notes else save_with_card(bundle)
        if out.exists():
            shutil.rmtree(out)
        folder.replace(out)
    return dataclasses.replace(bundle, folder=out)


def check_exportable(family: registry.Family) -> None:
    """Refuse a family for which there is no bundle, before anything is written.

    Raises:
        ModelError: It has no export.
    """
    if "onnx" not in family.exports:
        able = [name for name, other in registry.FAMILIES.items() if "onnx" in other.exports]
        raise ModelError(
            f"{family.name} cannot be exported: there is no ONNX graph of SAM's two parts here; measure "
            f"the run itself with 'drywallqa evaluate --model RUN', or train one of {', '.join(able)}"
        )


def fitting_windows(family: registry.Family, windows: Sequence[int], report: Report) -> list[int]:
    """Bring window sizes to what a family takes, and say so.

    Raises:
        ConfigError: A size is smaller than the family's smallest.
    """
    small = [size for size in windows if size < family.multiple]
    if small:
        raise ConfigError(f"--window {small[0]}: {family.name} takes at least {family.multiple} px")
    return list(dict.fromkeys(family.window(size, report).size for size in windows))


def save_with_card(bundle: Bundle) -> Bundle:
    """Write a bundle's card and head anew, after its figures changed."""
    write_whole(bundle.folder / CARD, render_card(bundle).encode())
    return save_head(bundle)


def with_data_notes(bundle: Bundle, notes: str) -> Bundle:
    """Put what is to be known of the data into a bundle's card, where later measurements leave it."""
    return save_with_card(dataclasses.replace(bundle, metrics={**bundle.metrics, "notes": notes}))


def _write_model(
    run: Path,
    settings: TrainConfig,
    folder: Path,
    text: TextSide,
    version: str,
    checkpoint: str | None,
    report: Report,
) -> Bundle:
    folder.mkdir()
    text.save(folder)
    family = registry.find_family(settings.model.name)
    model, architecture = _make(family, settings, text.embed(["crack"]).shape[1])
    path, weights = read_weights(run, checkpoint)
    load_strictly(model, weights, str(path))
    report(f"weights: {path}")
    difference = export_graphs(model, folder / IMAGE_ENCODER, folder / DECODER, model.embedding_width)
    steps = settings.optimisation
    licences = {"code": family.code_licence, "weights": family.weight_licence}
    if isinstance(model, ClipPrompted):
        model.load_text(run / TEXT)
        difference = max(difference, export_prompts(model, folder))
        licences["text tower and tokenizer"] = ORIGINS[family.origins[-1]].licence
    report(f"ONNX agrees with torch within {difference:.1g}")
    bundle = Bundle(
        folder=folder,
        name=family.name,
        version=version,
        window=family.window(settings.validation_window),
        concepts={name: ConceptSettings((), 0.5, 0.5, settings.validation_window) for name in text.concepts},
        vocabulary="open" if family.open_vocabulary else "closed",
        architecture=architecture,
        metrics={
            "parameters": sum(p.numel() for p in model.parameters()),
            "package": __version__,
            "training": training_cost(run, steps.batch_size * steps.accumulate),
        },
        licences=licences,
    )
    return save_head(bundle)


def _make(
    family: registry.Family, settings: TrainConfig, text_width: int
) -> tuple[PromptedModel, dict[str, Any]]:
    """Make a run's model, and name the options with which it is made again."""
    chosen = settings.model
    general = {"encoder": chosen.encoder, "width": chosen.width, "embedding_width": text_width}
    options = {name: value for name, value in general.items() if name in family.takes} | chosen.options
    model: PromptedModel = registry.create_model(family.name, **options)
    return model, options


def _choose(
    bundle: Bundle,
    dataset: Dataset,
    windows: Sequence[int],
    caution: Mapping[str, float] | None,
    report: Report,
) -> Bundle:
    """Choose the window and each concept's thresholds on the val part."""
    validation, segmenter = validation_part(dataset), Segmenter(bundle)
    prompts = {concept: concept for concept in bundle.concepts}
    shown = {c: {"native": wants_native(validation, c)} for c in prompts}
    found = []
    for size in windows:
        sized = dataclasses.replace(bundle, window=dataclasses.replace(bundle.window, size=size))
        subject = MeasuredModel(bundle.name, bundle.folder, segmenter.sharing(with_concepts(sized, shown)))
        pairs = list(measure_pairs(subject.evaluator(validation, prompts, gated=False)))
        choices, closer = choose_by_kind(pairs, caution=caution)
        worth = 0.0
        for concept, choice in (*choices.items(), *closer.items()):
            worth += choice.iou - FALSE_ALARM_PRICE * choice.false_alarm_rate
            report(
                f"window {size}: {concept}: val IoU {choice.iou:.3f}, false alarms "
                f"{choice.false_alarm_rate:.1%} at {choice.threshold:.2f}, "
                f"presence {choice.presence_threshold:.2f}"
            )
        found.append((worth, subject.with_choices(choices, closer)))
    _, subject = max(found, key=lambda entry: entry[0])
    window = subject.window
    summaries = summarise(list(measure_pairs(subject.evaluator(validation, prompts))), list(prompts))
    concepts = {
        name: ConceptSettings(
            examples_of(dataset.concepts.get(name, ())),
            *subject.thresholds[name],
            window.size,
            native=bool(shown[name]["native"]),
            closer=subject.closer.get(name),
        )
        for name in prompts
    }
    metrics = {**bundle.metrics, "val": {name: summary.to_json() for name, summary in summaries.items()}}
    report(f"window {window.size} px is best on val")
    return dataclasses.replace(bundle, window=window, concepts=concepts, metrics=metrics)
