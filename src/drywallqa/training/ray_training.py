"""The same training under Ray Train, on workers of a cluster or of this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drywallqa.errors import AlarmError, BackendError, DrywallQAError, MissingExtraError
from drywallqa.processors import available_threads
from drywallqa.training.checkpoints import LAST
from drywallqa.training.distributed import Devices
from drywallqa.training.train_run import run_training

RESULTS = "ray"
"""The run's folder of what Ray itself writes."""


def train_with_ray(workers: int, data: Path, run: Path, asked: Mapping[str, Any]) -> Path:
    """Train as `job.train_job` does, each batch shared among workers.

    A cluster that `RAY_ADDRESS` names is used, else workers are started on this machine. Data and run lie
    where every worker reaches them under the same path.

    Args:
        workers: How many.
        data: The data set.
        run: The run's folder.
        asked: The other arguments of `job.train_job`.

    Returns:
        The last checkpoint.

    Raises:
        MissingExtraError: Ray is not installed.
        BackendError: Ray cannot be started or reached.
        DrywallQAError: As `job.train_job` raises, from the first worker that failed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
    try:
        import ray
        from ray.train import RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchTrainer
    except ImportError as error:
        raise MissingExtraError("training under Ray", "fleet") from error
    import torch

    paths = ("config", "start", "text")
    settled = {
        name: _reachable(value) if name in paths and value is not None else value
        for name, value in asked.items()
    }
    if not ray.is_initialized():
        cpus = None if os.environ.get("RAY_ADDRESS") else max(workers + 1, available_threads())
        try:
            ray.init(num_cpus=cpus, include_dashboard=False, logging_level=logging.WARNING)
        except Exception as error:  # Ray raises nothing more telling
            raise BackendError(f"Ray could not be started: {error}") from error
    trainer = TorchTrainer(
        _work,
        train_loop_config={
            "workers": workers,
            "data": data.resolve(),
            "run": run.resolve(),
            "asked": settled,
        },
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=torch.cuda.is_available()),
        run_config=RunConfig(name=RESULTS, storage_path=str(run.resolve())),
    )
    try:
        trainer.fit()
    except (ray.exceptions.RayError, TrainingFailedError) as error:
        raise _own(error) from error
    return run / LAST


def _work(given: dict[str, Any]) -> None:
    devices = Devices(given["workers"], 1, ray=True)
    run_training(given["data"], given["run"], **given["asked"], devices=devices)


def _reachable(path: Path) -> Path:
    """Make a path whole, as a worker stands in another folder; the word for the bundled model stays."""
    return path if str(path) == "default" else path.resolve()


def _own(error: BaseException) -> BaseException:
    """Find our own error among those that Ray has wrapped around it, or tell the last line of its words."""
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
    return AlarmError(f"a worker of Ray failed: {str(error).strip().splitlines()[-1]}")
