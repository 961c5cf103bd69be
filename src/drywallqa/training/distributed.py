"""Several processes that train one model: who writes, what all agree on, what is counted over all of them.

Everything here does nothing, at no cost, where there is a single process.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed

from drywallqa.errors import ConfigError


@dataclass(frozen=True)
class Devices:
    """Where a run is trained.

    Attributes:
        devices: Processes on each machine, one an accelerator, or on the CPU.
        nodes: Machines.
        ray: Whether Ray Train started the processes.
    """

    devices: int = 1
    nodes: int = 1
    ray: bool = False

    @property
    def world(self) -> int:
        """Count all processes."""
        return self.devices * self.nodes


ALONE = Devices()
"""One process on one machine."""


def share_of_batch(size: int, devices: Devices) -> int:
    """Return each process's photos of a batch of `size`.

    Raises:
        ConfigError: They cannot be dealt out evenly.
    """
    if devices.devices < 1 or devices.nodes < 1:
        raise ConfigError("--devices and --nodes are counts from 1")
    if size % devices.world:
        raise ConfigError(
            f"optimisation.batch_size={size} is the batch of all {devices.world} processes together and "
            f"cannot be dealt out evenly; make it a multiple of {devices.world}"
        )
    return size // devices.world


def world() -> int:
    """Count the processes that have met; 1 before that."""
    return distributed.get_world_size() if _met() else 1


def rank() -> int:
    """Return this process's number among those that have met."""
    return distributed.get_rank() if _met() else 0


def _met() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def is_first() -> bool:
    """Whether this process is the one that writes files; also right before the processes have met."""
    if _met():
        return distributed.get_rank() == 0
    numbers = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in numbers)


def agree(trainer: Any, flag: bool) -> bool:
    """Whether any process says so; all have to ask at the same point."""
    if trainer.world_size == 1:
        return flag
    return bool(trainer.strategy.reduce_boolean_decision(flag, all=False))


def shared_count(count: Tensor) -> Tensor:
    """Turn a count over this process's part of a batch into what sums of it are divided by, at least 1.

    Processes average their gradients. For the average to be the gradient of the mean over the whole batch,
    each divides by the whole batch's count over the number of processes, not by its own count.
    """
    if world() == 1:
        return count.clamp(min=1)
    whole = count.detach().clone()
    distributed.all_reduce(whole)
    return whole.clamp(min=1) / world()


def gather_lists(parts: list[Any]) -> list[Any]:
    """Bring the lists of all processes together, in the order in which `[rank::world]` dealt them out."""
    if world() == 1:
        return parts
    lists: list[list[Any]] = [[] for _ in range(world())]
    distributed.all_gather_object(lists, parts)
    return [lists[i % len(lists)][i // len(lists)] for i in range(sum(map(len, lists)))]


def threads_each(threads: int, devices: Devices) -> int:
    """Share CPU threads among the processes of a machine; accelerators leave them alone."""
    if torch.cuda.is_available():
        return threads
    return max(1, threads // devices.devices)
