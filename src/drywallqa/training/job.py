"""What `drywallqa train` does: settings, text, weights to start from, and the fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load as load_tensors

from drywallqa.bundle.bundle import DEFAULT, WEIGHTS, load_bundle
from drywallqa.datasets import dataset as datasets
from drywallqa.models import registry
from drywallqa.training import config as configuration
from drywallqa.training.fit import TEXT, check_dataset, fit
from drywallqa.training.pairs import Pairs
from drywallqa.training.phrases import gather
from drywallqa.training.sheet import write_sheet


def train_job(
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
) -> Path:
    """Train on a data set folder; see the verb's help for the arguments.

    A resumed run takes its settings and text from its own folder. A fine-tuned one takes its architecture and
    text side from the bundle.

    Returns:
        The last checkpoint.
    """
    known = datasets.load(data)
    if resume and (run / "config.yaml").is_file():
        config, settings, text = run / "config.yaml", (), run / TEXT
    weights = None
    if start is not None:
        bundle = load_bundle(DEFAULT if str(start) == "default" else start)
        weights = {name: value.float() for name, value in load_tensors(bundle.read(WEIGHTS)).items()}
        text = text or bundle.folder
        options = {k: v for k, v in bundle.architecture.items() if k in ("encoder", "width")}
        settings = [f"model.name={bundle.name}", "model.pretrained=false", *settings]
        settings = [*(f"model.{k}={v}" for k, v in options.items()), *settings]
    loaded = configuration.load(config, settings)
    loaded = configuration.load(config, settings, registry.find(loaded.model.name).training_defaults)
    phrases = gather(known.concepts, text, loaded.seed, loaded.data.phrases)
    return fit(
        known, phrases, loaded, run, resume=resume, overwrite=overwrite, start=weights, progress=progress,
        fail_fast=fail_fast,
    )  # fmt: skip


def show_batch(
    data: Path, file: Path, config: Path | None = None, settings: Sequence[str] = (), text: Path | None = None
) -> None:
    """Draw what the model would see of a data set first, after every change, and train nothing.

    Raises:
        OutputError: The file cannot be written.
    """
    known = datasets.load(data)
    loaded = configuration.load(config, settings)
    check_dataset(known)
    phrases = gather(known.concepts, text, loaded.seed, min(loaded.data.phrases, 50))
    write_sheet(Pairs(known.part("train"), phrases.embeddings, loaded.data, loaded.seed, 0), file)
