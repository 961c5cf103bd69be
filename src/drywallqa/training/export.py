"""From a run to a bundle: graphs, text side, weights, thresholds from validation, hashes, card."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from drywallqa import hashing
from drywallqa._version import __version__
from drywallqa.bundle.bundle import CARD, DECODER, IMAGE_ENCODER, WEIGHTS, Bundle, ConceptSettings, save_head
from drywallqa.bundle.text import TextSide
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import DataError, ModelError, OutputError
from drywallqa.evaluation.collect import PairScore, collect
from drywallqa.evaluation.summary import summarise
from drywallqa.evaluation.thresholds import FALSE_ALARM_PRICE, Choice, choose
from drywallqa.files import write_whole
from drywallqa.models import registry
from drywallqa.models.contract import load_strictly
from drywallqa.training import config as configuration
from drywallqa.training.card import render_card
from drywallqa.training.fit import LAST, TEXT
from drywallqa.training.onnx_export import export_graphs
from drywallqa.window import Window

Report = Callable[[str], None]
WINDOWS = (320, 384, 448)


def read_checkpoint(run: Path) -> dict[str, torch.Tensor]:
    """Read the averaged weights of a run's last checkpoint.

    Raises:
        ModelError: There is no checkpoint, or it is damaged.
    """
    path = run / LAST
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    except (OSError, RuntimeError, KeyError, EOFError, ValueError) as error:
        raise ModelError(f"{path}: no readable checkpoint ({error}); train first: drywallqa train") from error
    prefix = "average.module."
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}


def export_run(
    run: Path,
    dataset: Dataset,
    out: Path,
    *,
    windows: Sequence[int] = WINDOWS,
    version: str = "1",
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
        overwrite: Replace a folder that is there.
        report: Told each step.

    Raises:
        OutputError: `out` exists.
        DataError: The val part is empty.
        ModelError: The checkpoint does not fit, or the graphs differ from torch.
    """
    if out.exists() and not overwrite:
        raise OutputError(f"{out}: exists already; give --overwrite to replace it")
    if not len(dataset.part("val")):
        raise DataError(f"{dataset.folder}: no photo in split 'val', which decides the thresholds")
    settings = configuration.load(run / "config.yaml")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as place:
        folder = Path(place) / "bundle"
        bundle = _write_model(run, settings, folder, version, report)
        bundle = _choose(bundle, dataset, windows, report)
        report("hashing the training photos")
        hashes = sorted({hashing.perceptual_hash(dataset.read_photo(s)) for s in dataset.part("train")})
        bundle = dataclasses.replace(bundle, training_hashes=tuple(hashes))
        save_with_card(bundle)
        if out.exists():
            shutil.rmtree(out)
        folder.replace(out)
    return dataclasses.replace(bundle, folder=out)


def save_with_card(bundle: Bundle) -> Bundle:
    """Write a bundle's card and head anew, after its figures changed."""
    write_whole(bundle.folder / CARD, render_card(bundle).encode())
    return save_head(bundle)


def _write_model(run: Path, settings: Any, folder: Path, version: str, report: Report) -> Bundle:
    folder.mkdir()
    text = TextSide.load(run / TEXT)
    text.save(folder)
    width = text.embed(["crack"]).shape[1]
    options = {"encoder": settings.model.encoder, "width": settings.model.width, "embedding_width": width}
    family = registry.find(settings.model.name)
    model = registry.create(family.name, **options)
    load_strictly(model, read_checkpoint(run), str(run / LAST))
    difference = export_graphs(model, folder / IMAGE_ENCODER, folder / DECODER, width)
    report(f"ONNX agrees with torch within {difference:.1g}")
    halves = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    save_file({k: v.contiguous() for k, v in halves.items()}, folder / WEIGHTS)
    parameters = sum(p.numel() for p in model.parameters())
    concepts = {name: ConceptSettings((), 0.5, 0.5, settings.validation_window) for name in text.concepts}
    bundle = Bundle(
        folder=folder,
        name=family.name,
        version=version,
        window=Window(settings.validation_window, square=not family.free_size),
        concepts=concepts,
        vocabulary="open" if family.open_vocabulary else "closed",
        architecture=options,
        metrics={"parameters": parameters, "package": __version__},
        licences={"code": family.code_licence, "weights": family.weight_licence},
    )
    return save_head(bundle)


def _choose(bundle: Bundle, dataset: Dataset, windows: Sequence[int], report: Report) -> Bundle:
    """Choose the window and each concept's thresholds on the val part."""
    validation = dataset.part("val")
    backend = bundle.open_backend()
    found = []
    for size in windows:
        window = dataclasses.replace(bundle.window, size=size)
        scores = list(collect(backend, window, validation, {c: c for c in bundle.concepts}))
        choices = choose_all(scores)
        worth = sum(choice.iou - FALSE_ALARM_PRICE * choice.false_alarm_rate for choice in choices.values())
        for concept, choice in choices.items():
            report(
                f"window {size}: {concept}: val IoU {choice.iou:.3f}, false alarms "
                f"{choice.false_alarm_rate:.1%} at {choice.threshold:.2f}, "
                f"presence {choice.presence_threshold:.2f}"
            )
        found.append((worth, window, choices, scores))
    _, window, choices, scores = max(found, key=lambda entry: entry[0])
    summaries = summarise(scores, {c: (ch.threshold, ch.presence_threshold) for c, ch in choices.items()})
    concepts = {
        name: ConceptSettings(
            dataset.concepts.get(name, ())[:20], choice.threshold, choice.presence_threshold, window.size
        )
        for name, choice in choices.items()
    }
    metrics = {**bundle.metrics, "val": {name: summary.to_json() for name, summary in summaries.items()}}
    report(f"window {window.size} px is best on val")
    return dataclasses.replace(bundle, window=window, concepts=concepts, metrics=metrics)


def choose_all(scores: Sequence[PairScore]) -> dict[str, Choice]:
    """Choose thresholds for every concept among the scores."""
    concepts = dict.fromkeys(score.concept for score in scores)
    return {c: choose([score for score in scores if score.concept == c]) for c in concepts}
