"""Implements `drywallqa train`: reads the inputs of a run and trains the model, optionally with Ray."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from torch import Tensor

from drywallqa.bundle.bundle import DEFAULT, WEIGHTS, Bundle, load_bundle
from drywallqa.datasets.dataset import Dataset, load_dataset
from drywallqa.errors import AlarmError, BackendError, DrywallQAError, MissingExtraError, ModelError
from drywallqa.files import check_folder
from drywallqa.models import registry
from drywallqa.processors import available_threads
from drywallqa.sampling.pairs import TrainingPairs
from drywallqa.training.checkpoints import LAST
from drywallqa.training.config import TrainConfig, load_config
from drywallqa.training.distributed import Devices
from drywallqa.training.fit import TrainingRequest, check_dataset, fit, fit_sizes, prepare_training
from drywallqa.training.phrase_embeddings import PhraseEmbeddings, embed_phrases
from drywallqa.training.pictures import write_sample_sheet
from drywallqa.training.rate_finder import RateCurve, find_rates
from drywallqa.training.run_folder import CONFIG, TEXT
from drywallqa.training.trainer import prepare_process


def run_training(request: TrainingRequest) -> Path:
    """Train a model on a data set.

    A resumed run uses the settings and the text encoder in its folder. Fine-tuning uses the architecture of
    the bundle and, by default, its text encoder.

    Returns:
        The last checkpoint.

    Raises:
        DrywallQAError: Any error that `fit` raises. With Ray, the error of a failed worker.
        MissingExtraError: Ray is requested but not installed.
        BackendError: Ray cannot be started or reached.
    """
    if request.ray_workers:
        return _train_with_ray(request)
    config = request.run / CONFIG
    if request.resume and config.is_file():
        request = replace(request, config=config, settings=(), text=request.run / TEXT)
    return fit(request, *_read_inputs(request))


def _read_inputs(
    request: TrainingRequest,
) -> tuple[Dataset, PhraseEmbeddings, TrainConfig, Mapping[str, Tensor] | None]:
    """Read the data set, the phrasings, the settings and the initial weights."""
    dataset, weights = load_dataset(request.data), None
    settings, text = request.settings, request.text
    if request.start is not None:
        bundle = load_bundle(DEFAULT if str(request.start) == "default" else request.start)
        weights = {name: value.float() for name, value in load_tensors(bundle.read(WEIGHTS)).items()}
        settings, text = (*_settings_of(bundle), *settings), text or bundle.folder
    config = load_config(request.config, settings)
    if request.start is not None and config.model.name != bundle.name:
        raise ModelError(
            f"{bundle.folder}: contains a model of the family '{bundle.name}', not '{config.model.name}'; "
            f"start from another bundle, or train '{bundle.name}'"
        )
    return dataset, embed_phrases(dataset.concepts, text, config.seed, config.data.phrases), config, weights


def _settings_of(bundle: Bundle) -> list[str]:
    """Return settings that rebuild a bundle's model and take the tokenizer from the bundle."""
    shared = registry.find_family(bundle.name).takes
    return [
        f"model.name={bundle.name}",
        "model.pretrained=false",
        f"model.weights={json.dumps(str(bundle.folder))}",
        *(
            f"model.{name if name in shared else f'options.{name}'}={json.dumps(value)}"
            for name, value in bundle.architecture.items()
            if name != "embedding_width"  # the text encoder determines this width
        ),
    ]


def run_rate_finder(request: TrainingRequest) -> RateCurve:
    """Find the learning rates at which the loss falls fastest. No run is saved.

    Raises:
        OutputError: The run's folder cannot be written.
    """
    dataset, phrases, config, start = _read_inputs(request)
    check_dataset(dataset)
    check_folder(request.run)
    prepare_process(config, request.devices)
    task, photos, _ = prepare_training(dataset, phrases, config, request.run, start)
    return find_rates(task, photos, request.run)


def show_batch(request: TrainingRequest, file: Path) -> None:
    """Draw the first training pictures as the model would receive them, without training.

    Raises:
        OutputError: The file cannot be written.
    """
    dataset = load_dataset(request.data)
    config, letterbox = fit_sizes(load_config(request.config, request.settings))
    check_dataset(dataset)
    most = min(config.data.phrases, 50)
    phrases = embed_phrases(dataset.concepts, request.text, config.seed, most)
    train = dataset.part("train")
    pairs = TrainingPairs(train, phrases.embeddings, config.data, config.seed, 0, letterbox=letterbox)
    write_sample_sheet(pairs, file)


def _train_with_ray(request: TrainingRequest) -> Path:
    """Train on the Ray cluster at `RAY_ADDRESS`, or on this machine if the variable is not set.

    All workers must be able to access the data set and the run's folder at the same paths.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # otherwise Ray sends usage statistics
    try:
        import ray
        from ray.train import RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchTrainer
    except ImportError as error:
        raise MissingExtraError("training under Ray", "fleet") from error
    workers = request.ray_workers
    if not ray.is_initialized():
        cpus = None if os.environ.get("RAY_ADDRESS") else max(workers + 1, available_threads())
        try:
            ray.init(num_cpus=cpus, include_dashboard=False, logging_level=logging.WARNING)
        except Exception as error:  # Ray has no more specific error class
            raise BackendError(f"Ray could not be started: {error}") from error
    paths = {
        name: path if str(path) == "default" else path.resolve()  # workers have a different working directory
        for name in ("data", "run", "config", "start", "text")
        if (path := getattr(request, name)) is not None
    }
    trainer = TorchTrainer(
        lambda settings: run_training(settings["request"]),
        train_loop_config={
            "request": replace(request, ray_workers=0, devices=Devices(workers, 1, ray=True), **paths)
        },
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=torch.cuda.is_available()),
        run_config=RunConfig(name="ray", storage_path=str(request.run.resolve())),
    )
    try:
        trainer.fit()
    except (ray.exceptions.RayError, TrainingFailedError) as error:
        raise _own_error(error) from error
    return request.run / LAST


def _own_error(error: BaseException) -> BaseException:
    """Return the DrywallQAError inside a Ray error, or an AlarmError with the last line of Ray's message."""
    waiting: list[Any] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, DrywallQAError):
            return found
        wrapped = ("__cause__", "cause", "_base_exc", "controller_failure")
        waiting += [getattr(found, name, None) for name in wrapped]
        waiting += getattr(found, "worker_failures", {}).values()
    return AlarmError(f"a Ray worker failed: {str(error).strip().splitlines()[-1]}")
