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

_TIMEOUT = 5.0  # seconds to wait for an address to answer
_STORE = 200_000_000  # bytes of shared memory on this machine; Ray transfers only rows, never photos
_BLOCKS_A_WORKER = 4  # minimum blocks per worker, so that no worker idles while others have much work left


@dataclass(frozen=True)
class Fleet:
    """The workers of a run.

    Attributes:
        address: `HOST:PORT` of a Ray cluster, "auto" for a running cluster on this machine, None to start a
            new cluster on this machine.
        workers: Number of processes. None: as many as cores and GPUs allow.
        threads: Cores of each worker.
        gpus: GPUs of each worker.
        block: Maximum number of photos in a block. If a worker dies, its block is repeated. Ray distributes
            blocks one by one, so large fleets need larger blocks.
    """

    address: str | None = None
    workers: int | None = None
    threads: int = 1
    gpus: float = 0
    block: int = 16


@contextmanager
def reached(address: str | None) -> Iterator[Any]:
    """Connect to a cluster, or start Ray on this machine, and yield the module `ray`.

    If Ray already runs in this process, the function uses that Ray and does not shut it down.

    Args:
        address: `HOST:PORT` of a cluster, "auto" for a running cluster on this machine, None to start Ray
            here.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: The address is malformed.
        BackendError: No cluster answers at the address, or Ray cannot be started.
    """
    if address not in (None, "auto"):
        _check_answers(str(address))
    # Ray reports usage statistics to its developers by default.
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
    except Exception as error:  # Ray also raises plain exceptions, for example if the machine is too busy
        where = f"at {address}" if address else "on this machine"
        raise BackendError(f"cannot connect to Ray or start it {where} ({_last_line(error)})") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Check that a cluster answers, because Ray itself would wait for minutes before it fails."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ConfigError(f"the address is '{address}'; pass HOST:PORT of a Ray cluster, or auto")
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
    """Segment photos on workers. Each worker loads the model once.

    Ray replaces a worker that dies and reruns its block.

    Args:
        ray: The module `ray`, connected to a cluster.
        fleet: The workers.
        opener: Loads the segmenter.
        request: The prompts and options for every photo.
        work: Photos, each with the prompts that have no finished mask.

    Yields:
        The table's rows, one `pyarrow.Table` per finished block.

    Raises:
        ConfigError: The cluster is too small for the workers.
        DrywallQAError: An error of a worker, or all workers failed.
    """
    import pyarrow

    workers = _room_for(fleet, ray.cluster_resources())
    size = max(1, min(fleet.block, len(work) // (workers * _BLOCKS_A_WORKER)))
    rows = [asdict(photo) | {"todo": todo} for photo, todo in work]
    blocks = [pyarrow.Table.from_pylist(rows[start : start + size]) for start in range(0, len(rows), size)]
    # The attempt counts are on this process's node, so that they survive the loss of another node.
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
    """Return the number of workers, and check that the cluster has enough resources for them."""
    room = int(resources.get("CPU", 0)) // fleet.threads
    if fleet.gpus:
        room = min(room, int(resources.get("GPU", 0) / fleet.gpus))
    wanted = fleet.workers or room
    if not 1 <= wanted <= room:
        gpus = f" and {fleet.gpus:g} GPUs" if fleet.gpus else ""
        raise ConfigError(
            f"{max(wanted, 1)} workers with {fleet.threads} threads{gpus} each were requested, but there is "
            f"room for {room}; request fewer"
        )
    return wanted


def _on_this_node() -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def own_error(error: BaseException) -> DrywallQAError:
    """Find a `DrywallQAError` among the causes of a Ray error, or convert the Ray error into one."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if isinstance(found, DrywallQAError):
            return found
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            waiting += [found.__context__, found.__cause__, getattr(found, "cause", None)]
    return BackendError(f"a Ray worker failed ({_last_line(error)}); finished results are kept: run it again")


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
