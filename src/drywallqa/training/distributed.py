"""Distributed training: decides which rank writes files, and combines values of all ranks.

In a single process, these functions return immediately.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from torch import Tensor, distributed


@dataclass(frozen=True)
class Devices:
    """The processes that train one run together.

    Attributes:
        devices: Number of processes per machine. Each process uses one accelerator, or the CPU if the machine
            has no accelerator.
        nodes: Number of machines.
        ray: Whether Ray Train started the processes.
    """

    devices: int = 1
    nodes: int = 1
    ray: bool = False

    @property
    def world(self) -> int:
        """The total number of processes."""
        return self.devices * self.nodes


def world() -> int:
    """Return the number of connected processes; 1 before the processes connect."""
    return distributed.get_world_size() if _connected() else 1


def rank() -> int:
    """Return the rank of this process; 0 before the processes connect."""
    return distributed.get_rank() if _connected() else 0


def _connected() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def is_first() -> bool:
    """Return whether this is the first process, which writes the run's files.

    Before the processes connect, environment variables such as RANK determine the first process.
    """
    if _connected():
        return distributed.get_rank() == 0
    numbers = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in numbers)


def agree(trainer: Any, flag: bool) -> bool:
    """Return whether the flag is true in any process. Every process must call this function."""
    if trainer.world_size == 1:
        return flag
    return bool(trainer.strategy.reduce_boolean_decision(flag, all=False))


def shared_count(count: Tensor) -> Tensor:
    """Return the number by which this process must divide sums over its part of a batch.

    Processes average their gradients. To get the gradient of the mean over the whole batch, each process must
    divide its sum by (count in the whole batch) / (number of processes). A total count of 0 is treated as 1.
    """
    if world() == 1:
        return count.clamp(min=1)
    whole = count.detach().clone()
    distributed.all_reduce(whole)
    return whole.clamp(min=1) / world()


def gather_lists(parts: list[Any]) -> list[Any]:
    """Merge the lists of all ranks. Each list must be the slice `[rank::world]` of the merged list."""
    if world() == 1:
        return parts
    lists: list[list[Any]] = [[] for _ in range(world())]
    distributed.all_gather_object(lists, parts)
    return [lists[i % len(lists)][i // len(lists)] for i in range(sum(map(len, lists)))]
