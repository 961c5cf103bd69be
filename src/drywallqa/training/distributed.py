"""Several processes that train one model: the first writes files; counts and lists are shared by all.

With a single process all functions here do nothing and cost nothing.
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
    """The processes that share a run.

    Attributes:
        devices: Processes on each machine, one per accelerator, or on the CPU.
        nodes: Machines.
        ray: Whether Ray Train started the processes.
    """

    devices: int = 1
    nodes: int = 1
    ray: bool = False

    @property
    def world(self) -> int:
        """The number of all processes."""
        return self.devices * self.nodes

    def check(self, batch_size: int) -> None:
        """Refuse a batch that cannot be divided evenly among the processes.

        Raises:
            ConfigError: The batch size is not a multiple of the number of processes.
        """
        if batch_size % self.world:
            raise ConfigError(
                f"optimisation.batch_size={batch_size} is the batch of all {self.world} processes together "
                f"and cannot be divided evenly among them; make it a multiple of {self.world}"
            )

    def threads(self, available: int) -> int:
        """Divide CPU threads among the processes of a machine; with accelerators each process gets all."""
        return available if torch.cuda.is_available() else max(1, available // self.devices)


ALONE = Devices()
"""One process on one machine."""


def world() -> int:
    """Return the number of connected processes; 1 before they are connected."""
    return distributed.get_world_size() if _connected() else 1


def rank() -> int:
    """Return this process's number among the connected processes."""
    return distributed.get_rank() if _connected() else 0


def _connected() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def is_first() -> bool:
    """Whether this process is the one that writes files; also known before the processes are connected."""
    if _connected():
        return distributed.get_rank() == 0
    numbers = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in numbers)


def agree(trainer: Any, flag: bool) -> bool:
    """Whether the flag is set in any process; all processes must call this at the same point."""
    if trainer.world_size == 1:
        return flag
    return bool(trainer.strategy.reduce_boolean_decision(flag, all=False))


def shared_count(count: Tensor) -> Tensor:
    """Turn a count over this process's part of a batch into the divisor for sums over it, at least 1.

    Processes average their gradients. For the average to be the gradient of the mean over the whole batch,
    each divides by the whole batch's count over the number of processes, not by its own count.
    """
    if world() == 1:
        return count.clamp(min=1)
    whole = count.detach().clone()
    distributed.all_reduce(whole)
    return whole.clamp(min=1) / world()


def gather_lists(parts: list[Any]) -> list[Any]:
    """Merge the lists of all processes, in the order in which `[rank::world]` divided them."""
    if world() == 1:
        return parts
    lists: list[list[Any]] = [[] for _ in range(world())]
    distributed.all_gather_object(lists, parts)
    return [lists[i % len(lists)][i // len(lists)] for i in range(sum(map(len, lists)))]
