"""Exports a run as a bundle with graphs, weights, text encoder, thresholds, photo hashes and model card."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
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
    load_bundle,
    save_head,
)
from drywallqa.datasets.dataset import Dataset
from drywallqa.datasets.thinness import is_straight, wants_native
from drywallqa.errors import ConfigError, DataError, ModelError, OutputError
from drywallqa.evaluation.measure import measure_pairs
from drywallqa.evaluation.measured_model import MeasuredModel, choose_by_kind, validation_part
from drywallqa.evaluation.slices import summarise
from drywallqa.evaluation.thresholds import FALSE_ALARM_PRICE
from drywallqa.exporting.card import render_card
from drywallqa.exporting.onnx_export import export_graphs, export_prompts
from drywallqa.files import write_whole
from drywallqa.imaging import perceptual_hash
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.wrapped_model import with_concepts
from drywallqa.models import registry
from drywallqa.models.contract import PromptedModel, load_strictly
from drywallqa.models.published_weights import ORIGINS
from drywallqa.models.towers import ClipPrompted
from drywallqa.text.text_side import SPACE, TextSide
from drywallqa.training.checkpoints import read_weights
from drywallqa.training.config import TrainConfig, load_config
from drywallqa.training.run_folder import ENVIRONMENT, TEXT
from drywallqa.training.run_log import read_events

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
) -> Bundle:
    """Export a run as a bundle, and print each step. The bundle is written atomically.

    Args:
        run: The run's folder.
        dataset: The run's data set. Its val split is used to choose the window and the thresholds.
        out: The bundle's folder.
        windows: Window sizes in px, from which the export chooses the best.
        version: The model's version.
        checkpoint: "best", "last" or the path of a file; see `checkpoints.read_weights`.
        text: Folder of a text encoder that replaces the run's text encoder.
        caution: Concept → number from 0 to 1 that selects one of several equally good presence thresholds. 0
            selects the lowest threshold, and 1 selects the highest.
        notes: Remarks on the training data for the card, in Markdown.
        overwrite: Whether to replace an existing folder.

    Raises:
        OutputError: `out` exists and `overwrite` is false.
        DataError: The val split is empty.
        ModelError: The family cannot be exported, the checkpoint does not fit the model, or an ONNX graph and
            the torch model give different results.
        ConfigError: A window is too small for the model, the text encoder uses a different text space, or
            `caution` names a concept that the run was not trained on.
    """
    if not len(dataset.part("val")):
        raise DataError(
            f"{dataset.folder}: no photo in split 'val', which is needed to choose the thresholds"
        )
    settings = load_config(run / "config.yaml")
    family = registry.find_family(settings.model.name)
    if "onnx" not in family.exports:
        able = [name for name, other in registry.FAMILIES.items() if "onnx" in other.exports]
        raise ModelError(
            f"{family.name} cannot be exported: ONNX export of SAM's two parts is not supported; evaluate "
            f"the run itself with 'drywallqa evaluate --model RUN', or train one of {', '.join(able)}"
        )
    if min(windows) < family.multiple:
        raise ConfigError(f"--window {min(windows)}: {family.name} needs at least {family.multiple} px")
    side = load_text_side(run / TEXT, text, dataset)
    strangers = sorted(set(caution or ()) - set(side.concepts))
    if strangers:
        raise ConfigError(
            f'--caution: "{strangers[0]}" is not a concept of this run; its concepts are '
            f"{' and '.join(side.concepts)}"
        )
    with new_bundle_folder(out, overwrite) as folder:
        sizes = list(dict.fromkeys(family.letterbox(size, print).size for size in windows))
        bundle = _write_model(run, settings, folder, side, version, checkpoint)
        bundle = _choose(bundle, dataset, sizes, caution)
        print("hashing the training photos")
        train = dataset.part("train")
        hashes = sorted({perceptual_hash.perceptual_hash(dataset.read_photo(s)) for s in train})
        bundle = dataclasses.replace(bundle, training_hashes=tuple(hashes))
        save_with_card(bundle, notes)
    return load_bundle(out)


@contextmanager
def new_bundle_folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary bundle folder. Move the folder to `out` on success, and delete it on failure.

    Raises:
        OutputError: `out` exists and `overwrite` is false.
    """
    if out.exists() and not overwrite:
        raise OutputError(f"{out}: already exists; pass --overwrite to replace it")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as place:
        folder = Path(place) / "bundle"
        folder.mkdir()
        yield folder
        if out.exists():
            shutil.rmtree(out)
        folder.replace(out)


def save_with_card(bundle: Bundle, notes: str | None = None) -> Bundle:
    """Rewrite the model card and `bundle.json` after a bundle's metadata has changed.

    Args:
        bundle: The bundle with the new metadata.
        notes: Remarks on the training data for the card, in Markdown. These remarks replace earlier remarks.
            Later rewrites of the card keep them. If None, the card keeps its remarks.
    """
    if notes:
        bundle = dataclasses.replace(bundle, metrics={**bundle.metrics, "notes": notes})
    write_whole(bundle.folder / CARD, render_card(bundle).encode())
    return save_head(bundle)


def load_text_side(own: Path, other: Path | None, dataset: Dataset) -> TextSide:
    """Load the text encoder of a run or bundle, or a replacement for this encoder.

    The replacement gets the concepts of the original text encoder. The replacement is fitted to the phrases
    for these concepts, both the shipped phrases and the phrases in the data set. To refit a text encoder to
    new phrases, pass its folder as both `own` and `other`.

    Args:
        own: Folder of the original text encoder.
        other: Folder of the replacement. If None, load the original text encoder.
        dataset: The data set, which contains phrases for the concepts.

    Raises:
        ConfigError: The replacement uses a different text space, so the decoder would misinterpret its
            embeddings.
        BundleError: A text encoder is missing or damaged.
    """
    text = TextSide.load(own)
    if other is None:
        return text
    spaces = [
        (folder / SPACE).read_bytes() if (folder / SPACE).is_file() else None for folder in (own, other)
    ]
    if spaces[0] != spaces[1]:
        raise ConfigError(
            f"--text {other}: uses another text space than {own}, so the decoder would misinterpret "
            f"every prompt; train the text encoder with 'drywallqa train-text --space {own / SPACE}'"
        )
    phrasings = {name: dataset.concepts.get(name, ()) for name in text.concepts}
    return TextSide.load(other).with_concepts(phrasings)


def training_cost(run: Path, pictures_a_step: int) -> dict[str, Any]:
    """Return a run's training cost: `pictures`, `seconds`, `processors` and `accelerators`.

    `seconds` is the time between the first and the last log entry, including checks, validation and pauses.
    Values that the run did not record are omitted.

    Args:
        run: The run's folder.
        pictures_a_step: Number of pictures in each optimiser step.
    """
    cost: dict[str, Any] = {}
    events = read_events(run)
    steps = [event["step"] for event in events if event.get("event") == "step" and "step" in event]
    if steps:
        first, last = (datetime.fromisoformat(events[place]["time"]) for place in (0, -1))
        cost = {"pictures": max(steps) * pictures_a_step, "seconds": round((last - first).total_seconds())}
    if (run / ENVIRONMENT).is_file():
        machine = json.loads((run / ENVIRONMENT).read_text("utf-8"))
        cost |= {part: machine[part] for part in ("processors", "accelerators") if part in machine}
    return cost


def _write_model(
    run: Path, settings: TrainConfig, folder: Path, text: TextSide, version: str, checkpoint: str | None
) -> Bundle:
    """Write the text encoder, graphs and weights to a bundle folder. Set all thresholds to 0.5."""
    text.save(folder)
    chosen = settings.model
    family = registry.find_family(chosen.name)
    general = {
        "encoder": chosen.encoder,
        "width": chosen.width,
        "embedding_width": text.embed(["crack"]).shape[1],
    }
    options = {name: value for name, value in general.items() if name in family.takes} | chosen.options
    model: PromptedModel = registry.create_model(family.name, **options)
    path, weights = read_weights(run, checkpoint)
    load_strictly(model, weights, str(path))
    print(f"weights: {path}")
    difference = export_graphs(model, folder / IMAGE_ENCODER, folder / DECODER, model.embedding_width)
    licences = {"code": family.code_licence, "weights": family.weight_licence}
    if isinstance(model, ClipPrompted):
        model.load_text(run / TEXT)
        difference = max(difference, export_prompts(model, folder))
        licences["text tower and tokenizer"] = ORIGINS[family.origins[-1]].licence
    print(f"largest relative difference between ONNX and torch: {difference:.1g}")
    size, steps = settings.validation_window, settings.optimisation
    bundle = Bundle(
        folder=folder,
        name=family.name,
        version=version,
        window=family.letterbox(size),
        concepts={name: ConceptSettings((), 0.5, 0.5, size) for name in text.concepts},
        vocabulary="open" if family.open_vocabulary else "closed",
        architecture=options,
        metrics={
            "parameters": sum(p.numel() for p in model.parameters()),
            "package": __version__,
            "training": training_cost(run, steps.batch_size * steps.accumulate),
        },
        licences=licences,
    )
    return save_head(bundle)


def _choose(
    bundle: Bundle, dataset: Dataset, windows: Sequence[int], caution: Mapping[str, float] | None
) -> Bundle:
    """Choose the window and each concept's thresholds on the val split."""
    validation, segmenter = validation_part(dataset), Segmenter(bundle)
    prompts = {concept: concept for concept in bundle.concepts}
    native = {concept: wants_native(validation, concept) for concept in prompts}
    found = []
    for size in windows:
        sized = dataclasses.replace(bundle, window=dataclasses.replace(bundle.window, size=size))
        head = with_concepts(sized, {concept: {"native": native[concept]} for concept in prompts})
        subject = MeasuredModel(bundle.name, segmenter.sharing(head))
        pairs = list(measure_pairs(subject.evaluator(validation, prompts, gated=False)))
        choices, closer = choose_by_kind(pairs, caution=caution)
        worth = 0.0
        for concept, choice in (*choices.items(), *closer.items()):
            worth += choice.iou - FALSE_ALARM_PRICE * choice.false_alarm_rate
            print(
                f"window {size} px, {concept}: val IoU {choice.iou:.3f} and false alarms "
                f"{choice.false_alarm_rate:.1%} with mask threshold {choice.threshold:.2f} and presence "
                f"threshold {choice.presence_threshold:.2f}"
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
            native=native[name],
            closer=subject.segmenter.bundle.concepts[name].closer,
            straight=is_straight(validation, name),
        )
        for name in prompts
    }
    metrics = {**bundle.metrics, "val": {name: summary.to_json() for name, summary in summaries.items()}}
    print(f"chosen window: {window.size} px, which gives the best results on val")
    return dataclasses.replace(bundle, window=window, concepts=concepts, metrics=metrics)
