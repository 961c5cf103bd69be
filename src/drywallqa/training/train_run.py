"""What `drywallqa train` does: settings, text, weights to start from, and the fit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load as load_tensors
from torch import Tensor

from drywallqa.bundle.bundle import DEFAULT, WEIGHTS, Bundle, load_bundle
from drywallqa.datasets import dataset as datasets
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import ModelError
from drywallqa.files import check_folder
from drywallqa.models import registry
from drywallqa.sampling.pairs import TrainingPairs
from drywallqa.training import config as configuration
from drywallqa.training.config import TrainConfig
from drywallqa.training.distributed import ALONE, Devices
from drywallqa.training.fit import check_dataset, fit, fitted, prepare_process, prepare_training
from drywallqa.training.phrase_embeddings import PhraseEmbeddings, embed_phrases
from drywallqa.training.rate_finder import RateCurve, find_rates
from drywallqa.training.run_folder import CONFIG, TEXT
from drywallqa.training.sample_sheet import write_sample_sheet


@dataclass(frozen=True)
class _Inputs:
    dataset: Dataset
    phrases: PhraseEmbeddings
    config: TrainConfig
    start: Mapping[str, Tensor] | None


def run_training(
    data: Path,
    run: Path,
    config: Path | None = None,
    settings: Sequence[str] = (),
    *,
    start: Path | None = None,
    text: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    fail_fast: bool = False,
    devices: Devices = ALONE,
) -> Path:
    """Train on a data set folder; see the verb's help for the arguments.

    A resumed run takes its settings and text from its own folder. A fine-tuned one takes its architecture
    and text side from the bundle.

    Returns:
        The last checkpoint.
    """
    if resume and (run / CONFIG).is_file():
        config, settings, text = run / CONFIG, (), run / TEXT
    given = _read(data, config, settings, start, text)
    return fit(
        given.dataset, given.phrases, given.config, run, resume=resume, overwrite=overwrite,
        start=given.start, progress=progress, fail_fast=fail_fast, devices=devices,
    )  # fmt: skip


def _read(
    data: Path, config: Path | None, settings: Sequence[str], start: Path | None, text: Path | None
) -> _Inputs:
    known = datasets.load_dataset(data)
    weights = None
    if start is not None:
        bundle = load_bundle(DEFAULT if str(start) == "default" else start)
        weights = {name: value.float() for name, value in load_tensors(bundle.read(WEIGHTS)).items()}
        text = text or bundle.folder
        settings = [*_as_settings(bundle), *settings]
    loaded = configuration.load_config(config, settings)
    if start is not None and loaded.model.name != bundle.name:
        raise ModelError(
            f"{bundle.folder}: holds a model of the family '{bundle.name}', not '{loaded.model.name}'; "
            f"start from another bundle, or train '{bundle.name}'"
        )
    loaded = configuration.load_config(
        config, settings, registry.find_family(loaded.model.name).training_defaults
    )
    phrases = embed_phrases(known.concepts, text, loaded.seed, loaded.data.phrases)
    return _Inputs(known, phrases, loaded, weights)


def _as_settings(bundle: Bundle) -> list[str]:
    """Name the settings that make a bundle's model again; its tokenizer, if it has one, lies beside it."""
    shared = registry.find_family(bundle.name).takes
    return [
        f"model.name={bundle.name}",
        "model.pretrained=false",
        f"model.weights={json.dumps(str(bundle.folder))}",
        *(
            f"model.{name if name in shared else f'options.{name}'}={json.dumps(value)}"
            for name, value in bundle.architecture.items()
            if name != "embedding_width"  # the text side's, which the model is made for anyway
        ),
    ]


def run_rate_finder(
    data: Path,
    run: Path,
    config: Path | None = None,
    settings: Sequence[str] = (),
    *,
    start: Path | None = None,
    text: Path | None = None,
) -> RateCurve:
    """Measure at which rates the loss falls fastest; leaves no run.

    Raises:
        OutputError: The run's folder cannot be written.
    """
    given = _read(data, config, settings, start, text)
    check_dataset(given.dataset)
    check_folder(run)
    prepare_process(given.config)
    task, photos, _ = prepare_training(given.dataset, given.phrases, given.config, run, given.start)
    return find_rates(task, photos, run)


def show_batch(
    data: Path, file: Path, config: Path | None = None, settings: Sequence[str] = (), text: Path | None = None
) -> None:
    """Draw what the model would see of a data set first, after every change, and train nothing.

    Raises:
        OutputError: The file cannot be written.
    """
    known = datasets.load_dataset(data)
    loaded = configuration.load_config(config, settings)
    defaults = registry.find_family(loaded.model.name).training_defaults
    loaded, window = fitted(configuration.load_config(config, settings, defaults))
    check_dataset(known)
    phrases = embed_phrases(known.concepts, text, loaded.seed, min(loaded.data.phrases, 50))
    pairs = TrainingPairs(known.part("train"), phrases.embeddings, loaded.data, loaded.seed, 0, window=window)
    write_sample_sheet(pairs, file)
