"""Connect to a Ray cluster or start Ray on this machine, and distribute blocks of photos to workers."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from drywallqa.errors import BackendError, ConfigError, DrywallQAError, MissingExtraError
from drywallqa.fleet.photo_listing import FleetPhoto
from drywallqa.fleet.worker import AttemptCounts, Opener, SegmentationRequest, Worker
from drywallqa.processors import available_threads

_TIMEOUT = 5.0  # time in s to wait for a connection
_STORE = 200_000_000  # shared memory of a local Ray, in bytes; Ray transfers only table rows, no photos
_BLOCKS_A_WORKER = 4  # with several small blocks per worker, all workers finish at about the same time


@dataclass(frozen=True)
class Fleet:
    """The number, size and location of the workers of a run.

    Attributes:
        address: `HOST:PORT` of a Ray cluster; "auto" for a running cluster on this machine; None to start Ray
            on this machine.
        workers: Number of worker processes; None for as many as the cores and GPUs allow.
        threads: CPU cores per worker.
        gpus: GPUs per worker.
        block: Maximum number of photos per block. Ray assigns one block at a time to a worker, and repeats
            the block if the worker dies. Use larger blocks for runs with many workers.
    """

    address: str | None = None
    workers: int | None = None
    threads: int = 1
    gpus: float = 0
    block: int = 16


@contextmanager
def reached(address: str | None) -> Iterator[Any]:
    """Connect to a Ray cluster, or start Ray on this machine. Yield the module `ray`.

    If Ray is already initialised in this process, the function uses it and does not shut it down.

    Args:
        address: `HOST:PORT` of a Ray cluster; "auto" for a running cluster on this machine; None to start Ray
            on this machine.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: The address is malformed.
        BackendError: No cluster answers at the address, or Ray cannot be started.
    """
    if address not in (None, "auto"):
        _check_answers(str(address))
    # By default, Ray sends usage statistics to its developers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("segmenting with --engine ray", "fleet") from error
    if ray.is_initialized():
        yield ray
        return
    how: dict[str, Any] = {"address": address}
    if address is None:
        how = {
            "address": "local",
            "num_cpus": available_threads(),
            "include_dashboard": False,
            "object_store_memory": _STORE,
        }
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **how)
    except Exception as error:  # Ray raises many types of errors
        where = f"at {address}" if address else "on this machine"
        raise BackendError(f"cannot connect to Ray or start it {where} ({_last_line(error)})") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Check that a cluster accepts connections. Without this check, Ray waits for minutes before it fails."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ConfigError(f"'{address}' is not an address; pass HOST:PORT of a Ray cluster, or auto")
    try:
        socket.create_connection((host, int(port)), _TIMEOUT).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise BackendError(
            f"no Ray cluster answers at {address} ({reason.lower()}); check the address, or start one there "
            "with: ray start --head"
        ) from error


def segment_blocks(
    ray: Any,
    fleet: Fleet,
    opener: Opener,
    request: SegmentationRequest,
    work: Sequence[tuple[FleetPhoto, list[str]]],
) -> Iterator[Any]:
    """Segment photos with Ray workers. Each worker loads the model once.

    Ray replaces a worker that dies, and repeats its block of photos.

    Args:
        ray: The module `ray`, connected to a cluster.
        fleet: The workers.
        opener: Function that loads the segmenter.
        request: The prompts and options of the run.
        work: The photos, each with the prompts that still need a mask.

    Yields:
        The result rows of each finished block as a `pyarrow.Table`.

    Raises:
        ConfigError: The cluster has too few cores or GPUs for the workers.
        DrywallQAError: A worker failed.
    """
    import pyarrow

    workers = _room_for(fleet, ray.cluster_resources())
    size = max(1, min(fleet.block, len(work) // (workers * _BLOCKS_A_WORKER)))
    rows = [asdict(photo) | {"todo": todo} for photo, todo in work]
    blocks = [pyarrow.Table.from_pylist(rows[start : start + size]) for start in range(0, len(rows), size)]
    # This actor runs on the node of this process, so that the counts survive the loss of another node.
    counts = ray.remote(AttemptCounts).options(num_cpus=0, scheduling_strategy=_on_this_node()).remote()
    ray.data.DataContext.get_current().enable_progress_bars = False
    done = ray.data.from_arrow(blocks).map_batches(
        Worker,
        batch_size=None,
        batch_format="pyarrow",
        fn_constructor_args=(opener, request, counts),
        concurrency=workers,
        num_cpus=fleet.threads,
        num_gpus=fleet.gpus or None,
    )
    try:
        yield from done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except ray.exceptions.RayError as error:
        raise own_error(error) from error
    finally:
        ray.kill(counts)


def _room_for(fleet: Fleet, resources: dict[str, float]) -> int:
    """Return the number of workers. Check that the cluster has enough cores and GPUs for all workers."""
    room = int(resources.get("CPU", 0)) // fleet.threads
    if fleet.gpus:
        room = min(room, int(resources.get("GPU", 0) / fleet.gpus))
    wanted = fleet.workers or room
    if not 1 <= wanted <= room:
        gpus = f" and {fleet.gpus:g} GPUs" if fleet.gpus else ""
        raise ConfigError(
            f"the cluster has room for {room} workers, but {max(wanted, 1)} workers with {fleet.threads} "
            f"threads{gpus} each were requested; request fewer"
        )
    return wanted


def _on_this_node() -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def own_error(error: BaseException) -> DrywallQAError:
    """Return the `DrywallQAError` that caused a Ray error, or a `BackendError` if there is none."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if isinstance(found, DrywallQAError):
            return found
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            waiting += [found.__context__, found.__cause__, getattr(found, "cause", None)]
    return BackendError(f"a Ray worker failed ({_last_line(error)}); run the command again to resume")


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
