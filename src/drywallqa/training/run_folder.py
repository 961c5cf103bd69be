"""Prepares the folder of a new or resumed run, and writes a description of the run to it."""

from __future__ import annotations

import json
import platform
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import torch
import yaml

from drywallqa import __version__
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import OutputError
from drywallqa.files import check_folder, write_whole
from drywallqa.processors import available_threads
from drywallqa.training.checkpoints import BEST, EPOCHS, LAST, weights_path
from drywallqa.training.config import TrainConfig
from drywallqa.training.distributed import Devices, is_first
from drywallqa.training.losses import foreground_weight
from drywallqa.training.run_log import RunLog

CONFIG, ENVIRONMENT, TEXT, SHEET = "config.yaml", "environment.json", "text", "batch.png"
"""Paths in a run's folder.

They contain the settings, a description of the environment, the text encoder (a folder), and a drawing of
the first training pictures.
"""
FOREGROUND = "foreground.json"
"""File with each concept's foreground share in the training set."""
EXTREME_WEIGHT = 50.0
"""The log warns of a higher foreground weight, because the model will mark far too much."""
_VERSIONS = ("torch", "lightning", "numpy", "opencv-python-headless", "safetensors", "transformers")


def prepare_run_folder(run: Path, *, resume: bool, overwrite: bool) -> Path | None:
    """Prepare the folder of a new or resumed run.

    Returns:
        The checkpoint to resume from, or None.

    Raises:
        OutputError: There is no checkpoint to resume from, the folder contains another run, or the folder
            cannot be written.
    """
    last = run / LAST
    if resume:
        if not last.is_file():
            raise OutputError(f"{run}: contains no {LAST} to resume from; start without --resume")
        return last
    if not is_first():
        return None  # the first process checks the folder
    if last.exists() and not overwrite:
        raise OutputError(f"{run}: contains a run; continue with --resume or replace it with --overwrite")
    check_folder(run)
    if overwrite:
        old = (last, weights_path(last), run / BEST, run / FOREGROUND)
        for path in (*old, *run.glob(f"{EPOCHS}/epoch-*.safetensors")):
            path.unlink(missing_ok=True)
    return None


def describe_run(run: Path, dataset: Dataset, config: TrainConfig, devices: Devices, log: RunLog) -> None:
    """Write the settings of a run and a description of its environment to the run's folder.

    Warn if the data set of a resumed run has changed.
    """
    digest = dataset.digest()
    before = run / ENVIRONMENT
    if before.is_file() and (run / LAST).is_file():
        known = json.loads(before.read_text(encoding="utf-8")).get("data fingerprint", digest)
        if known != digest:
            text = f"{dataset.folder} has changed since this run began; training uses the changed data"
            log.write("alarm", text, before=known, now=digest)
            print(f"warning: {text}", file=sys.stderr, flush=True)
    settings = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    write_whole(run / CONFIG, settings.encode())
    versions = {}
    for name in _VERSIONS:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    environment = {
        "drywallqa": __version__,
        "versions": versions,
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "processors": available_threads(),
        "accelerators": torch.cuda.device_count(),
        "threads": torch.get_num_threads(),
        "devices": devices.devices,
        "nodes": devices.nodes,
        "seed": config.seed,
        "data": str(dataset.folder),
        "data fingerprint": digest,
        "photos": {split: len(dataset.part(split)) for split in ("train", "val", "test")},
    }
    write_whole(before, (json.dumps(environment, indent=1) + "\n").encode())


def foreground_weights(
    dataset: Dataset, concepts: list[str], config: TrainConfig, run: Path, log: RunLog
) -> list[float]:
    """Return each concept's foreground weight for the weighted loss, or an empty list for other losses.

    The weight of a concept depends on its mean foreground share in the photos that show it. This function
    measures the shares once, saves them in the run's folder, and logs them with the weights.
    """
    if config.loss.name != "weighted_bce_dice":
        return []
    shares = read_foreground(run)
    if not shares:
        for concept in concepts:
            shown = [float(dataset.read_mask(s, concept).mean()) for s in dataset if s.labels.get(concept)]
            shares[concept] = sum(shown) / len(shown) if shown else 0.0
        write_whole(run / FOREGROUND, (json.dumps(shares, indent=1) + "\n").encode())
    weights = []
    for concept in concepts:
        share, weight = shares[concept], foreground_weight(shares[concept], config.loss.pos_weight)
        text = f"mean share of '{concept}' in photos that show it: {share:.2%}; loss weight: {weight:.1f}"
        log.write("check", text, concept=concept, share=share, weight=weight)
        if weight > EXTREME_WEIGHT:
            text = (
                f"the foreground weight of '{concept}' is {weight:.0f}, so the model will mark far too much; "
                f"set loss.pos_weight, which multiplies this weight, from {config.loss.pos_weight:g} to 1"
            )
            log.write("alarm", text, concept=concept, weight=weight)
            print(f"warning: {text}", flush=True)
        weights.append(weight)
    return weights


def read_foreground(run: Path) -> dict[str, float]:
    """Return each concept's foreground share, or an empty mapping if the run has not measured the shares."""
    path = run / FOREGROUND
    shares: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return shares
