"""A run's folder: made ready, refused where another run lies in it, and told what the run is made of."""

from __future__ import annotations

import json
import platform
import sys
from importlib import metadata
from pathlib import Path

import torch
import yaml

from drywallqa import __version__
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import OutputError
from drywallqa.files import check_folder, write_whole
from drywallqa.processors import available_threads
from drywallqa.training.checkpoint_callback import remove_checkpoints
from drywallqa.training.checkpoints import LAST
from drywallqa.training.config import TrainConfig
from drywallqa.training.distributed import Devices, is_first
from drywallqa.training.foreground import NAME as FOREGROUND
from drywallqa.training.run_log import RunLog

CONFIG, ENVIRONMENT, TEXT, SHEET = "config.yaml", "environment.json", "text", "batch.png"
"""Resolved settings; machine, versions and data; the text side; what the model sees first."""
_VERSIONS = ("torch", "lightning", "numpy", "opencv-python-headless", "safetensors", "transformers")


def prepare_run_folder(run: Path, *, resume: bool, overwrite: bool) -> Path | None:
    """Make a run's folder ready.

    Returns:
        The checkpoint to go on from, if any.

    Raises:
        OutputError: There is nothing to resume, a run is in the way, or the folder cannot be written.
    """
    last = run / LAST
    if resume:
        if not last.is_file():
            raise OutputError(f"{run}: holds no {LAST} to resume from; start without --resume")
        return last
    if not is_first():
        return None  # the first process has looked, or is looking
    if last.exists() and not overwrite:
        raise OutputError(f"{run}: holds a run already; go on with --resume or replace it with --overwrite")
    try:
        check_folder(run)
    except OutputError as error:
        raise OutputError(f"{error}: choose another --out") from error
    if overwrite:
        remove_checkpoints(run)
        (run / FOREGROUND).unlink(missing_ok=True)
    return None


def describe_run(run: Path, dataset: Dataset, config: TrainConfig, devices: Devices, log: RunLog) -> None:
    """Write what the run is made of, and warn where a resumed run has other data than it began with."""
    whole = dataset.digest()
    before = run / ENVIRONMENT
    if before.is_file() and (run / LAST).is_file():
        known = json.loads(before.read_text(encoding="utf-8")).get("data fingerprint", whole)
        if known != whole:
            told = f"{dataset.folder} has changed since this run began; it goes on with the data as it is now"
            log.write("alarm", told, before=known, now=whole)
            print(f"warning: {told}", file=sys.stderr, flush=True)
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    write_whole(run / CONFIG, text.encode())
    environment = {
        "drywallqa": __version__,
        "versions": {name: version for name in _VERSIONS if (version := _version(name))},
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
        "data fingerprint": whole,
        "photos": {split: len(dataset.part(split)) for split in ("train", "val", "test")},
    }
    write_whole(before, (json.dumps(environment, indent=1) + "\n").encode())


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
